// The first part: a sentence becomes a video, and all videos stand beside it.
import * as api from "./api.js";
import { h, tell, tool } from "./dom.js";
import { buildGallery } from "./gallery.js";
import { dropField } from "./given.js";
import { promptField } from "./prompt.js";
import { shotPicker } from "./shots.js";
import * as store from "./store.js";
import { EXAMPLES, language, onLanguage } from "./texts.js";

const LENGTHS = [1, 2, 4, 10, 30, 60];
const SIZES = ["128x128", "192x128", "128x192", "256x256", "64x64"]; // the last for a machine that is slow
const MAX_SEED = 2 ** 31;

export function buildDream() {
  const root = document.getElementById("dream");
  const prompt = promptField({ key: "prompt", hint: "prompt_hint", rows: 3, enter: () => send() });
  const given = dropField();
  const shots = shotPicker();
  const examples = h("div", { class: "chips" });
  const length = h("div", { class: "segments", role: "radiogroup", label: "length" });
  const model = modelField(), size = sizeSelect(model.select);
  const seed = h("input", { type: "number", min: 0, max: MAX_SEED, step: 1, value: 0, inputmode: "numeric", label: "seed" });
  const problem = h("p", { class: "problem", role: "alert" });
  const go = h("button", { class: "primary big", type: "submit" }, h("span", { t: "go" }), h("kbd", { t: "go_hint" }));

  const fillLengths = (longest) => {
    const now = length.querySelector("input:checked")?.value ?? "4";
    length.replaceChildren(...LENGTHS.filter((n) => n <= longest).map((n) => h("label", {},
      h("input", { type: "radio", name: "length", value: String(n), checked: String(n) === now }), h("span", { t: "seconds", said: { n } }))));
  };
  fillLengths(60);
  store.subscribe(() => {
    const most = store.server?.max_seconds;
    if (most && length.dataset.most !== String(most)) { length.dataset.most = most; fillLengths(most); }
  });

  const fillExamples = () => {
    const start = Math.floor(Math.random() * EXAMPLES[language()].length);
    const few = [0, 1, 2].map((i) => EXAMPLES[language()][(start + i) % EXAMPLES[language()].length]);
    examples.replaceChildren(...few.map((text) => h("button", { type: "button", class: "chip",
      on: { click: () => { prompt.set(text); prompt.field.focus(); } } }, text)));
  };
  fillExamples();
  onLanguage(fillExamples);

  async function send() {
    if (go.disabled) return;
    go.disabled = true;
    problem.textContent = "";
    tell(go.firstChild, "going");
    const values = { prompt: prompt.value(), seconds: length.querySelector("input:checked").value, size: size.value,
      model: model.select.value || undefined, seed: seed.value === "" ? undefined : seed.value, camera: shots.value() };
    try {
      const video = given.isVideo() ? await api.extend({ ...values, video: given.file() })
        : await api.create({ ...values, input_reference: given.file() ?? undefined });
      store.add(video);
    } catch (error) {
      problem.textContent = error.message;
    }
    tell(go.firstChild, "go");
    go.disabled = false;
  }

  const composer = h("form", { class: "composer card", novalidate: true, on: { submit: (event) => { event.preventDefault(); send(); } } },
    h("h1", { t: "dream_title" }), prompt.element, examples,
    h("fieldset", { class: "field" }, h("legend", { t: "given" }), given.element),
    shots.element,
    model.element,
    h("div", { class: "field" }, h("span", { class: "legend", t: "length" }), length),
    h("div", { class: "pair" },
      h("label", { class: "field" }, h("span", { class: "legend", t: "size" }), size),
      h("label", { class: "field" }, h("span", { class: "legend", t: "seed" }), h("span", { class: "with-tool" }, seed,
        tool("dice", "dice", () => { seed.value = Math.floor(Math.random() * MAX_SEED); })))),
    h("div", { class: "foot" }, problem, go));
  const gallery = buildGallery();
  root.append(h("div", { class: "studio" }, composer, gallery.element));
  return { enter: (query) => gallery.enter(query) };
}

// A select of the server's models, which shows where there are several: {element, select}
function modelField() {
  const select = h("select", { name: "model", label: "model" });
  const element = h("label", { class: "field", hidden: true }, h("span", { class: "legend", t: "model" }), select);
  const fill = () => {
    const names = (store.server?.models ?? []).map((one) => one.id);
    if (select.dataset.names === names.join("\n")) return;
    const now = select.value;
    select.dataset.names = names.join("\n");
    select.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
    if (names.includes(now)) select.value = now;
    element.hidden = names.length < 2;
  };
  fill();
  store.subscribe(fill);
  return { element, select };
}

// A select of frame sizes, the model's own first; model: the select of models, if there is one.
export function sizeSelect(model) {
  const select = h("select", { name: "size", label: "size" });
  const fill = () => {
    const chosen = store.server?.models?.find((one) => one.id === model?.value) ?? store.server;
    const own = chosen?.size ?? "128x128", most = store.server?.max_pixels ?? 512 * 512;
    if (select.dataset.own === own) return;
    const now = select.value;
    const fits = (size) => { const [w, h] = size.split("x"); return w * h <= most; };
    select.dataset.own = own;
    const sizes = [own, ...SIZES.filter((size) => size !== own && fits(size))];
    select.replaceChildren(...sizes.map((size) => h("option", { value: size }, size.replace("x", " × "))));
    if (now) select.value = now;
  };
  fill();
  store.subscribe(fill);
  model?.addEventListener("change", () => { fill(); select.selectedIndex = 0; });
  return select;
}
