// A row of finished videos to choose a past from.
import * as api from "./api.js";
import { h } from "./dom.js";
import * as store from "./store.js";
import { titleOf } from "./titles.js";

// {element, value(): id or "", choose(id), fill()}; none: the text key of the choice of no past ("" for no such choice)
let groups = 0;
export function pastPicker({ none = "", changed = () => {} } = {}) {
  const group = `past${++groups}`;
  let chosen = "";
  const element = h("div", { class: "pasts", role: "radiogroup", label: "past_pick" });
  element.addEventListener("change", (event) => { chosen = event.target.value; changed(chosen); });
  const fill = () => {
    const videos = [...store.videos.values()].filter(store.finished).slice(0, 40);
    if (chosen && !videos.some((video) => video.id === chosen) && store.server) { chosen = ""; changed(""); }
    const key = `${videos.map((video) => video.id)} ${chosen}`;
    if (element.dataset.key === key) return;
    element.dataset.key = key;
    const option = (value, ...inside) => h("label", { class: "past" }, h("input", { type: "radio", name: group, value, checked: value === chosen }), ...inside);
    element.replaceChildren(...(none ? [option("", h("span", { class: "no-past", t: none }))] : []),
      ...videos.map((video) => option(video.id, h("img", { src: api.content(video.id, "thumbnail"), alt: titleOf(video), loading: "lazy" }),
        h("span", {}, titleOf(video)))));
    element.querySelector("input:checked")?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
  };
  store.subscribe(fill);
  fill();
  return {
    element, fill, value: () => chosen,
    choose(id) {
      if (id === chosen) return;
      chosen = id;
      delete element.dataset.key;
      fill();
      changed(chosen);
    },
  };
}
