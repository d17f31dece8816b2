// All videos as cards: what is being made grows, what is finished plays, each with what the judge says of it.
import * as api from "./api.js";
import { ask, clock, h, icon, plain, tell, toast, tool } from "./dom.js";
import * as store from "./store.js";
import { say } from "./texts.js";
import { strip } from "./timeline.js";
import { kindOf, titleOf } from "./titles.js";
import { openViewer } from "./viewer.js";

const LOOK = 600; // ms between looks at a dream's newest frame
const STRIP = 10; // frames in the strip of a growing dream

export function buildGallery() {
  const cards = new Map();
  const grid = h("div", { class: "grid" });
  const empty = h("div", { class: "empty" },
    horizon(), h("h2", { t: "empty_title" }), h("p", { t: "empty_text" }));
  const count = h("span", { class: "faint" });
  const more = h("button", { class: "quiet", t: "more", on: { click: () => store.showMore() } });
  const trouble = h("div", { class: "trouble", hidden: true }, h("p", { role: "alert" }), h("button", { class: "quiet", t: "e_again", on: { click: () => store.refresh() } }));
  const element = h("section", { class: "gallery", "aria-live": "off" },
    h("div", { class: "heading" }, h("h2", { t: "gallery" }), count), trouble, grid, empty, h("div", { class: "row middle" }, more));
  const inSight = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) cards.get(entry.target.dataset.id)?.seen();
  }, { rootMargin: "200px" });

  const update = () => {
    const videos = [...store.videos.values()];
    trouble.hidden = !store.problem;
    if (store.problem) trouble.firstChild.textContent = store.problem.message;
    empty.hidden = videos.length > 0 || !!store.problem || !store.server;
    more.hidden = !store.more;
    count.textContent = videos.length ? `${videos.length}${store.more ? "+" : ""}` : "";
    for (const [id, card] of cards) {
      if (!store.videos.has(id)) { inSight.unobserve(card.element); card.end(); cards.delete(id); }
    }
    let before = null;
    for (const video of videos) {
      let card = cards.get(video.id);
      if (!card) {
        card = makeCard(video);
        cards.set(video.id, card);
      }
      const place = before ? before.nextSibling : grid.firstChild;
      if (card.element !== place) grid.insertBefore(card.element, place);
      before = card.element;
      card.update(video);
      inSight.observe(card.element);
    }
  };
  store.subscribe(update);
  return {
    element,
    enter(query) {
      const id = query.get("video");
      if (id) openViewer(id);
    },
  };
}

function horizon() {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  picture.setAttribute("viewBox", "0 0 160 90");
  picture.setAttribute("aria-hidden", "true");
  for (const [tag, values] of [["circle", { cx: 80, cy: 40, r: 17 }], ["path", { d: "M10 62c24-14 46-14 70 0s46 14 70 0" }], ["path", { d: "M30 76c17-9 33-9 50 0s33 9 50 0", opacity: 0.5 }]]) {
    const shape = document.createElementNS(space, tag);
    for (const [name, value] of Object.entries(values)) shape.setAttribute(name, value);
    picture.append(shape);
  }
  return picture;
}

function makeCard(first) {
  let video = first, shown = "", timer = 0, loaded = false, url = null, peeked = 0;
  const id = first.id;
  const screen = h("button", { type: "button", class: "screen", on: { click: () => openViewer(id) } });
  const bar = h("progress", { max: 100, value: 0, hidden: true });
  const state = h("p", { class: "state" });
  const title = h("p", { class: "title" });
  const facts = h("p", { class: "facts faint" });
  const badge = h("span", { class: "badge", hidden: true });
  const judged = h("div", { class: "judged" });
  const tools = h("div", { class: "tools" });
  const film = h("div", { class: "film", hidden: true });
  const element = h("article", { class: "video", data: { id } }, screen, film, bar, title, state, facts, judged, tools);
  const [width, height] = first.size.split("x").map(Number);
  screen.style.aspectRatio = `${width} / ${height}`;

  const peek = async () => {
    clearTimeout(timer);
    const news = video.status === "in_progress" && video.frames_done > peeked && !document.hidden;
    peeked = news ? video.frames_done : peeked;
    const picture = news ? await api.preview(id) : null;
    if (picture && shown === "growing") {
      const before = screen.querySelector("img");
      const next = h("img", { alt: "", src: URL.createObjectURL(picture) });
      await next.decode().catch(() => {});
      if (shown !== "growing") return;
      screen.replaceChildren(next, badge);
      if (before?.src.startsWith("blob:")) {
        film.hidden = false;
        film.append(before);
        while (film.children.length > STRIP) { URL.revokeObjectURL(film.firstChild.src); film.firstChild.remove(); }
      }
    }
    if (shown === "growing") timer = setTimeout(peek, LOOK);
  };

  const play = () => {
    if (shown !== "finished" || screen.querySelector("video") || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const film = h("video", { src: api.content(id), loop: true, playsinline: true });
    film.muted = true;
    film.play().then(() => screen.classList.add("playing"), () => {});
    screen.append(film);
  };
  const rest = () => { screen.classList.remove("playing"); screen.querySelector("video")?.remove(); };
  screen.addEventListener("pointerenter", play);
  screen.addEventListener("focus", play);
  screen.addEventListener("pointerleave", rest);
  screen.addEventListener("blur", rest);

  const change = (next) => {
    shown = next;
    clearTimeout(timer);
    if (next === "growing") {
      screen.replaceChildren(h("i", { class: "cloud" }), badge);
      peek();
    } else {
      for (const old of film.querySelectorAll("img")) URL.revokeObjectURL(old.src);
      film.replaceChildren();
      film.hidden = true;
      screen.replaceChildren(next === "failed" ? h("i", { class: "broken" }, "×") : h("i", { class: "cloud" }), badge);
      if (next === "finished" && loaded) picture();
    }
    tools.replaceChildren(...toolsOf(video));
  };
  const picture = () => {
    url ??= api.content(id, "thumbnail");
    screen.replaceChildren(h("img", { alt: "", src: url, loading: "lazy" }), badge);
  };

  return {
    element,
    end() { clearTimeout(timer); element.remove(); },
    seen() {
      if (loaded) return;
      loaded = true;
      if (shown === "finished") { picture(); store.audit(id); }
    },
    update(next) {
      video = next;
      const now = store.unfinished(video) ? "growing" : video.status === "failed" ? "failed" : "finished";
      if (now !== shown) {
        change(now);
        if (now === "finished" && loaded) store.audit(id);
      }
      title.textContent = titleOf(video);
      screen.setAttribute("aria-label", say("open", { prompt: title.textContent }));
      badge.hidden = !kindOf(video) || !video.prompt;
      if (!badge.hidden) tell(badge, kindOf(video));
      facts.textContent = say("facts", { ...video, size: video.size.replace("x", " × "), seconds: clock(+video.seconds) })
        + (video.wall_seconds ? ` · ${say("took", { n: clock(Math.round(video.wall_seconds * 10) / 10) })}` : "");
      bar.hidden = now !== "growing";
      state.hidden = now === "finished";
      state.className = `state ${now === "failed" ? "problem" : "faint"}`;
      element.dataset.status = video.status;
      if (video.status === "queued") {
        bar.removeAttribute("value");
        tell(state, video.position ? "queued" : "queued_next", { n: video.position });
      } else if (now === "growing") {
        bar.value = video.frames ? 100 * (video.frames_done ?? 0) / video.frames : video.progress;
        tell(state, "making", { done: video.frames_done ?? 0, all: video.frames ?? "?" });
      } else if (now === "failed") {
        plain(state, `${say("failed")}: ${video.error?.message ?? ""}`);
      }
      judged.hidden = now !== "finished";
      if (now === "finished") strip(judged, video, (time) => openViewer(id, time));
    },
  };
}

function toolsOf(video) {
  const id = video.id;
  const again = async (title, send) => {
    const text = await ask(title === "remix" ? "remix" : "extend", (done) => {
      const field = h("textarea", { rows: 3, maxlength: 1000, autofocus: true, "aria-label": say("prompt") });
      field.value = title === "remix" ? video.prompt : "";
      return [h("p", { class: "faint", t: `${title}_text` }), field, h("div", { class: "row end" },
        h("button", { type: "button", class: "quiet", t: "cancel", on: { click: () => done(null) } }),
        h("button", { class: "primary", t: "go", on: { click: () => field.value.trim() && done(field.value.trim()) } }))];
    });
    if (!text) return;
    try {
      store.add(await send(text));
      toast(say("sent"));
      document.getElementById("viewer").close();
    } catch (error) { toast(error.message, "bad"); }
  };
  const bin = tool("bin", "remove", async () => {
    const sure = await ask("remove", (done) => [h("p", { t: store.unfinished(video) ? "stop_text" : "remove_text" }), h("div", { class: "row end" },
      h("button", { type: "button", class: "quiet", t: "cancel", on: { click: () => done(false) } }),
      h("button", { class: "primary danger", t: "remove", autofocus: true, on: { click: () => done(true) } }))]);
    if (!sure) return;
    store.gone.add(id);
    try {
      await api.remove(id);
      store.forget(id);
      document.getElementById("viewer").close();
    } catch (error) { toast(error.message, "bad"); }
  });
  if (!store.finished(video)) return [bin];
  return [
    tool("remix", "remix", () => again("remix", (text) => api.remix(id, text))),
    tool("extend", "extend", () => again("extend", (text) => api.extend({ video: id, prompt: text, seconds: String(Math.min(10, Math.max(1, Math.round(+video.seconds)))) }))),
    h("a", { class: "tool", href: `#futures?video=${id}`, label: "futures" }, icon("futures")),
    h("a", { class: "tool", href: `#drive?video=${id}`, label: "drive_on" }, icon("drive")),
    h("a", { class: "tool", href: api.content(id), download: `${id}.mp4`, label: "download" }, icon("save")),
    ...(video.kind === "drive" ? [h("a", { class: "tool log", href: api.content(id, "log"), download: `${id}.csv`, label: "log" }, "csv")] : []),
    bin,
  ];
}

export { toolsOf };
