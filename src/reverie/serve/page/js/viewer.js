// One video, large: what is in it drawn over it, what the judge says of it under it, every moment one click away.
import * as api from "./api.js";
import { clock, h, tell, tool, toast } from "./dom.js";
import { toolsOf } from "./gallery.js";
import * as store from "./store.js";
import { onLanguage, say } from "./texts.js";
import { titleOf } from "./titles.js";
import { lanes, summary, violations } from "./timeline.js";
import { draw, eachFrame, meantIn, seenIn } from "./tracks.js";

const dialog = document.getElementById("viewer");
let open = null; // of the video that is shown

export async function openViewer(id, time = null) {
  open?.end();
  let video = store.videos.get(id);
  try {
    video ??= await api.one(id);
  } catch (error) {
    return toast(error.message, "bad");
  }
  open = build(video, time);
  if (!dialog.open) dialog.showModal();
}

dialog.addEventListener("close", () => {
  open?.end();
  open = null;
  dialog.replaceChildren();
  if (location.hash.startsWith("#dream?")) history.replaceState(null, "", "#dream");
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
store.subscribe(() => open?.update());
onLanguage(() => open?.update());

function build(first, time) {
  let video = first, over = null, drawn = "", alive = true, known = { seen: null, meant: null }, timeline = null, growing = 0;
  const id = first.id;
  const film = h("video", { controls: true, playsinline: true, loop: true });
  film.muted = true;
  const canvas = h("canvas", {});
  const stage = h("div", { class: "stage" }, film, canvas);
  const [width, height] = first.size.split("x").map(Number);
  stage.style.setProperty("--shape", width / height);
  const title = h("h2", { id: "viewer-title" }), facts = h("p", { class: "faint" });
  const layers = h("div", { class: "segments", role: "radiogroup", label: "overlay" },
    ["no_boxes", "seen", "imagined"].map((name) => h("label", {}, h("input", { type: "radio", name: "layer", value: name, checked: name === "no_boxes" }), h("span", { t: name }))));
  const verdictLine = h("p", { class: "verdict" }), laneBox = h("div", {}), list = h("div", {}), notes = h("div", {});
  const tools = h("div", { class: "tools" });
  const panel = h("div", { class: "side" }, h("h3", { t: "audit" }), verdictLine, list, notes);
  dialog.replaceChildren(h("div", { class: "viewer" },
    h("header", {}, h("div", {}, title, facts), tool("close", "close", () => dialog.close())),
    h("div", { class: "main" }, stage, h("div", { class: "row spread" }, layers, tools), laneBox), panel));

  const jump = (to) => { film.currentTime = Math.min(to, Math.max(0, film.duration - 0.05) || to); film.play().catch(() => {}); };
  const paint = (now) => {
    draw(canvas, over, now);
    timeline?.at(now);
    for (const button of list.querySelectorAll("button")) {
      button.classList.toggle("now", now >= +button.dataset.start - 0.05 && now <= Math.max(+button.dataset.end, +button.dataset.start + 0.7));
    }
  };
  const stopPainting = eachFrame(film, paint);
  const layer = async () => {
    const chosen = layers.querySelector("input:checked").value;
    over = null;
    if (chosen === "seen") {
      store.audit(id, { now: true });
      over = known.seen;
    } else if (chosen === "imagined") {
      try {
        known.meant ??= meantIn(await api.things(id), video.size, video.fps);
      } catch (error) { toast(error.message, "bad"); }
      over = known.meant;
    }
    paint(film.currentTime);
  };
  layers.addEventListener("change", layer);

  // a dream that is still being made: what there is of it so far, again and again
  const more = async () => {
    clearTimeout(growing);
    if (!alive || !store.unfinished(video)) return;
    const answer = video.frames_done ? await fetch(`/v1/videos/${id}/preview?format=mp4`).catch(() => null) : null;
    if (answer?.ok && alive && store.unfinished(video)) {
      const at = film.currentTime, url = URL.createObjectURL(await answer.blob());
      film.addEventListener("loadedmetadata", () => {
        if (at && at < film.duration) film.currentTime = at;
        film.play().catch(() => {});
        URL.revokeObjectURL(url);
      }, { once: true });
      film.src = url;
    }
    growing = setTimeout(more, answer?.ok ? 2500 : 500);
  };

  const update = () => {
    video = store.videos.get(id) ?? video;
    const done = store.finished(video), state = `${video.status} ${document.documentElement.lang}`;
    title.textContent = titleOf(video);
    facts.textContent = [say("facts", { ...video, size: video.size.replace("x", " × "), seconds: clock(+video.seconds) }), say("facts_seed", video), video.camera,
      video.wall_seconds ? say("took", { n: clock(Math.round(video.wall_seconds * 10) / 10) }) : ""].filter(Boolean).join(" · ");
    layers.hidden = panel.hidden = laneBox.hidden = !done;
    film.loop = done;
    if (state !== drawn) {
      const was = drawn.split(" ")[0];
      drawn = state;
      tools.replaceChildren(...toolsOf(video));
      if (done && was !== video.status) {
        const at = film.currentTime || time;
        film.src = api.content(id);
        if (at !== null) film.addEventListener("loadedmetadata", () => { film.currentTime = at; }, { once: true });
        film.play().catch(() => {});
        store.audit(id, { now: true });
      } else if (!done && was !== video.status) more();
      notes.replaceChildren(...(video.notes ?? []).map((note) => h("p", { class: "faint" }, note)),
        ...(video.unknown_words?.length ? [h("p", { class: "faint", t: "unknown", said: { words: video.unknown_words.join(", ") } })] : []));
      timeline = null;
    }
    const audit = store.auditOf(id), [text, values] = summary(audit);
    tell(verdictLine, text, values);
    verdictLine.className = `verdict ${text === "audit_clean" ? "good" : text === "audit_one" || text === "audit_some" ? "bad" : "faint"}`;
    if (audit?.verdict && !timeline) {
      known.seen = seenIn(audit.verdict);
      timeline = lanes(audit.verdict, jump);
      laneBox.replaceChildren(timeline.element);
      list.replaceChildren(...(audit.verdict.violations.length ? [violations(audit.verdict, jump)] : []));
      if (audit.verdict.unjudged.length) {
        notes.append(h("details", {}, h("summary", { t: "unjudged" }), h("ul", {}, audit.verdict.unjudged.map((line) => h("li", {}, line)))));
      }
      layer();
    }
  };
  update();
  return {
    update,
    end() { alive = false; clearTimeout(growing); stopPainting(); film.removeAttribute("src"); film.load(); },
  };
}
