// The third part: one moment of a past, and several things that could follow, side by side under one clock.
import * as api from "./api.js";
import { h, icon, plain, tell, tool } from "./dom.js";
import { dropField } from "./given.js";
import { pastPicker } from "./past.js";
import { promptField } from "./prompt.js";
import { shotSelect, textOf } from "./shots.js";
import * as store from "./store.js";
import { titleOf } from "./titles.js";
import { onLanguage, say } from "./texts.js";
import { draw, eachFrame, meantIn } from "./tracks.js";

const FAN = ["still", "orbit_left", "orbit_right", "dolly_in", "dolly_out", "pan_left", "pan_right", "crane_up"];
const DRIFT = 0.09; // seconds by which a video may be off the others

export function buildFutures() {
  const root = document.getElementById("futures");

  // ---- the past and its moment
  let length = 0, dropped = null;
  const film = h("video", { playsinline: true, preload: "auto" });
  film.muted = true;
  const moment = h("input", { type: "range", min: 0, max: 1, step: "any", value: 1, label: "moment" });
  const told = h("output", {});
  const eye = h("div", { class: "field moment", hidden: true }, h("span", { class: "legend", t: "moment" }), h("div", { class: "stage" }, film), moment, told);
  const past = pastPicker({ changed: (id) => { if (id) { dropped = null; given.put(null); watch(api.content(id)); } else if (!dropped) eye.hidden = true; } });
  const given = dropField({ only: "video", changed: (file, url) => {
    dropped = file;
    if (file) { past.choose(""); watch(url); } else if (!past.value()) eye.hidden = true;
  } });
  const none = h("p", { class: "faint", t: "futures_none" });
  store.subscribe(() => { none.hidden = [...store.videos.values()].some(store.finished); });
  const watch = (url) => { eye.hidden = false; film.src = url; };
  const atEnd = () => +moment.value >= length - 0.02;
  const tellMoment = () => tell(told, atEnd() ? "moment_end" : "moment_text", { t: (+moment.value).toFixed(2) });
  film.addEventListener("loadedmetadata", () => {
    length = film.duration;
    moment.max = length; // first, for a value is cut to it
    moment.value = length;
    film.currentTime = Math.max(0, length - 0.02);
    eye.querySelector(".stage").style.setProperty("--shape", film.videoWidth / film.videoHeight);
    tellMoment();
  });
  moment.addEventListener("input", () => { film.currentTime = Math.min(+moment.value, length - 0.02); tellMoment(); });

  // ---- what is asked
  const count = h("input", { type: "range", min: 2, max: 8, step: 1, value: 4, label: "count" }), counted = h("output", {}, "4");
  const ahead = h("div", { class: "segments", role: "radiogroup", label: "ahead" }, [1, 2, 4, 8].map((n) => h("label", {},
    h("input", { type: "radio", name: "ahead", value: String(n), checked: n === 2 }), h("span", { t: "seconds", said: { n } }))));
  const plan = h("select", { label: "actions" }, ["chance", "fan", "same"].map((name) => h("option", { value: name, t: name })));
  const moves = h("div", { class: "moves", hidden: true });
  const words = promptField({ key: "futures_words", hint: "futures_hint", rows: 2, enter: () => send() });
  const problem = h("p", { class: "problem", role: "alert" });
  const go = h("button", { class: "primary big", type: "submit", t: "see" });
  const fillMoves = () => {
    counted.textContent = count.value;
    moves.hidden = plan.value === "chance";
    const rows = plan.value === "fan" ? +count.value : 1;
    moves.replaceChildren(...(moves.hidden ? [] : Array.from({ length: rows }, (_, i) => h("label", { class: "move" },
      h("span", { class: "faint" }, rows > 1 ? `${i + 1}` : ""), shotSelect(rows > 1 ? FAN[i] : "orbit_left", { label: "each", said: { n: i + 1 } })))));
  };
  count.addEventListener("input", fillMoves);
  plan.addEventListener("change", fillMoves);
  fillMoves();

  async function send() {
    if (go.disabled) return;
    const video = dropped ?? past.value();
    plain(problem);
    if (!video) return tell(problem, "futures_none");
    go.disabled = true;
    const chosen = [...moves.querySelectorAll("select")].map((select) => textOf(select.value));
    const cameras = plan.value === "chance" ? undefined : Array.from({ length: +count.value }, (_, i) => chosen[plan.value === "fan" ? i : 0]);
    try {
      const made = await api.futures({ video, prompt: words.value() || undefined, seconds: ahead.querySelector("input:checked").value, count: +count.value,
        cameras, at: atEnd() ? undefined : Math.round(+moment.value * 1000) / 1000 });
      for (const future of [...made.data].reverse()) store.add(future);
      side.show(made.group, made.data);
    } catch (error) {
      plain(problem, error.message);
    }
    go.disabled = false;
  }

  const side = buildSide();
  root.append(h("div", { class: "studio" }, h("form", { class: "composer card", novalidate: true, on: { submit: (event) => { event.preventDefault(); send(); } } },
    h("h1", { t: "futures_title" }), h("p", { class: "faint", t: "futures_text" }),
    h("div", { class: "field" }, h("span", { class: "legend", t: "futures_pick" }), none, past.element, given.element),
    eye,
    h("div", { class: "pair" }, h("label", { class: "field" }, h("span", { class: "legend", t: "count" }), h("span", { class: "with-tool" }, count, counted)),
      h("div", { class: "field" }, h("span", { class: "legend", t: "ahead" }), ahead)),
    h("div", { class: "field" }, h("span", { class: "legend", t: "actions" }), plan, moves),
    h("div", { class: "field" }, h("span", { class: "legend", t: "futures_words" }), words.element),
    h("div", { class: "foot" }, problem, go)), side.element));
  return {
    enter(query) {
      past.fill();
      if (query.get("video")) past.choose(query.get("video"));
      side.enter();
    },
    leave: () => side.pause(),
  };
}

// The futures themselves: {element, show(group, videos), enter(), pause()}
function buildSide() {
  let group = null, cells = new Map(), playing = false, length = 0, pastEnd = 0, pace = 0;
  const wall = h("div", { class: "wall" });
  const empty = h("div", { class: "empty" }, icon("futures"), h("p", { t: "no_futures" }));
  const scrub = h("input", { type: "range", min: 0, max: 1, step: "any", value: 0, label: "scrub" });
  const mark = h("i", { class: "past-mark", title: "past_mark" });
  const play = tool("play", "playing", () => (playing ? pause() : begin()));
  const now = h("output", { class: "faint" });
  const tracks = h("input", { type: "checkbox", checked: true });
  const bar = h("div", { class: "clock", hidden: true }, play, h("span", { class: "scrubber" }, scrub, mark), now,
    h("label", { class: "check" }, tracks, h("span", { t: "tracks" })));
  const earlier = h("div", { class: "earlier", hidden: true }, h("h3", { t: "earlier" }), h("div", { class: "chips" }));
  const element = h("section", { class: "gallery" }, bar, wall, empty, earlier);

  const films = () => [...cells.values()].map((cell) => cell.film).filter((film) => film.readyState >= 1);
  const longest = () => films().reduce((a, b) => (b.duration > a.duration ? b : a), films()[0]);
  const shape = () => {
    length = Math.max(0, ...films().map((film) => film.duration).filter(Number.isFinite));
    scrub.max = length || 1;
    mark.style.left = `${100 * pastEnd / (length || 1)}%`;
    mark.hidden = !pastEnd || !length;
    tellTime();
  };
  const tellTime = () => { now.textContent = length ? `${(+scrub.value).toFixed(2)} / ${length.toFixed(2)} s` : ""; };
  const to = (time) => {
    scrub.value = time;
    for (const film of films()) film.currentTime = Math.min(time, film.duration - 0.02);
    tellTime();
  };
  scrub.addEventListener("input", () => { pause(); to(+scrub.value); });
  tracks.addEventListener("change", () => { for (const cell of cells.values()) cell.paint(); });

  function begin() {
    if (!films().length) return;
    playing = true;
    face("pause", "pausing");
    if (+scrub.value > length - 0.05) to(pastEnd > 0.6 ? pastEnd - 0.5 : 0);
    for (const film of films()) film.play().catch(() => {});
    cancelAnimationFrame(pace);
    const beat = () => {
      if (!playing) return;
      const master = longest();
      scrub.value = master.currentTime;
      tellTime();
      for (const film of films()) if (film !== master && Math.abs(film.currentTime - master.currentTime) > DRIFT && !film.ended) film.currentTime = master.currentTime;
      if (master.ended) pause();
      pace = requestAnimationFrame(beat);
    };
    beat();
  }
  function pause() {
    playing = false;
    face("play", "playing");
    for (const film of films()) film.pause();
  }
  const face = (name, key) => {
    play.querySelector("use").setAttribute("href", `#i-${name}`);
    play.dataset.tLabel = key;
    play.setAttribute("aria-label", say(key));
    play.title = say(key);
  };

  function makeCell(first, number) {
    let video = first, index = null, loaded = false, peeked = 0;
    const film = h("video", { playsinline: true, preload: "auto" });
    film.muted = true;
    const canvas = h("canvas", {}), bar = h("progress", { max: 100 });
    const growing = h("img", { alt: "", hidden: true }), cloud = h("div", { class: "cloud" });
    const stage = h("div", { class: "stage" }, cloud, growing, film, canvas, bar);
    const [width, height] = first.size.split("x").map(Number);
    stage.style.setProperty("--shape", width / height);
    const state = h("span", { class: "faint" });
    const element = h("figure", { class: "future", data: { id: first.id } }, stage, h("figcaption", {}, h("b", { t: "future_n", said: { n: number } }), state,
      h("a", { class: "tool", href: `#dream?video=${first.id}`, label: "in_gallery" }, icon("send"))));
    const paint = (time = film.currentTime) => { canvas.dataset.boxes = draw(canvas, tracks.checked ? index : null, time, { names: canvas.clientWidth > 150 }); };
    eachFrame(film, paint);
    film.addEventListener("loadeddata", () => { growing.remove(); cloud.remove(); }, { once: true });
    const peek = async () => {
      if (video.status !== "in_progress" || !(video.frames_done > peeked) || document.hidden) return;
      peeked = video.frames_done;
      const picture = await api.preview(video.id), before = growing.src;
      if (!picture) return;
      growing.src = URL.createObjectURL(picture);
      growing.hidden = false;
      if (before) URL.revokeObjectURL(before);
    };
    film.addEventListener("loadedmetadata", () => { shape(); film.currentTime = Math.min(+scrub.value || pastEnd, film.duration - 0.02); if (!+scrub.value) scrub.value = pastEnd; tellTime(); });
    const update = (next) => {
      video = next;
      const done = store.finished(video);
      element.dataset.status = video.status;
      bar.hidden = !store.unfinished(video);
      if (video.status === "in_progress") bar.value = video.frames ? 100 * video.frames_done / video.frames : video.progress;
      else bar.removeAttribute("value");
      const far = video.status === "queued" ? say(video.position ? "queued" : "queued_next", { n: video.position })
        : done ? "" : say("making", { done: video.frames_done ?? 0, all: video.frames ?? "?" });
      state.textContent = video.status === "failed" ? `${say("failed")}: ${video.error?.message ?? ""}` : [far, video.camera].filter(Boolean).join(" · ");
      state.title = state.textContent;
      if (video.status === "failed") cloud.replaceWith(h("div", { class: "broken" }, "×"));
      peek();
      if (!done || loaded) return;
      loaded = true;
      film.src = api.content(video.id);
      api.things(video.id).then((things) => { index = meantIn(things, video.size, video.fps); paint(); }).catch(() => {});
    };
    update(first);
    return { element, film, update, paint };
  }

  function show(name, videos) {
    pause();
    group = name;
    [length, pastEnd] = [0, videos[0]?.past_seconds ?? 0];
    scrub.value = 0;
    cells = new Map(videos.map((video, i) => [video.id, makeCell(video, i + 1)]));
    wall.replaceChildren(...[...cells.values()].map((cell) => cell.element));
    const [width, height] = (videos[0]?.size ?? "1x1").split("x").map(Number);
    wall.dataset.rows = videos.length > 3 ? 2 : 1;
    wall.style.setProperty("--columns", videos.length > 3 ? Math.ceil(videos.length / 2) : videos.length);
    wall.style.setProperty("--shape", width / height);
    empty.hidden = true;
    bar.hidden = false;
    shape();
    list();
  }

  function groups() {
    const found = new Map();
    for (const video of store.videos.values()) {
      if (!video.group) continue;
      if (!found.has(video.group)) found.set(video.group, []);
      found.get(video.group).unshift(video);
    }
    return found;
  }
  function list() {
    const others = [...groups()].filter(([name]) => name !== group);
    earlier.hidden = !others.length;
    earlier.lastChild.replaceChildren(...others.map(([name, videos]) => h("button", { type: "button", class: "chip",
      on: { click: async () => show(name, (await api.list({ group: name, limit: 100 })).data.reverse()) } },
    say("futures_of", { n: videos.length, prompt: titleOf(videos[0]) }))));
  }
  const update = () => {
    for (const [id, cell] of cells) if (store.videos.has(id)) {
      const video = store.videos.get(id);
      pastEnd = video.past_seconds || pastEnd;
      cell.update(video);
    }
    if (!group && store.server) latest();
    list();
  };
  const latest = () => {
    const [name, videos] = groups().entries().next().value ?? [];
    if (name) show(name, videos);
  };
  store.subscribe(update);
  onLanguage(update);
  return {
    element, show, pause,
    enter() { if (!group) latest(); },
  };
}
