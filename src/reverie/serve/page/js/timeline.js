// What the judge says of a video, as a line of time: a thin strip under a card, lanes by law in the viewer.
import { clock, h, tell } from "./dom.js";
import * as store from "./store.js";
import { say } from "./texts.js";

const BEFORE = 0.4; // seconds before a violation to which a click jumps
const WIDE = 0.12; // seconds that a mark is at least

const share = (time, seconds) => `${Math.min(100, Math.max(0, 100 * time / seconds))}%`;

function mark(violation, seconds, jump) {
  const what = violation.text || violation.what;
  const element = h("button", { type: "button", class: "violation", label: "jump", said: { t: clock(violation.start), what },
    on: { click: (event) => { event.stopPropagation(); jump(Math.max(0, violation.start - BEFORE)); } } });
  element.style.left = share(violation.start, seconds);
  element.style.width = share(Math.max(WIDE, violation.end - violation.start), seconds);
  return element;
}

export function summary(audit) {
  if (!audit || audit.status === "waiting") return ["audit_later", {}];
  if (audit.status === "in_progress") return ["audit_wait", {}];
  if (audit.status === "failed") return ["audit_failed", { why: audit.error }];
  const { verdict, violations } = audit.verdict;
  if (verdict === "cannot judge") return ["audit_cannot", {}];
  return violations.length === 0 ? ["audit_clean", {}] : violations.length === 1 ? ["audit_one", {}] : ["audit_some", { n: violations.length }];
}

// A card's strip. It is drawn again only when there is something new to say.
export function strip(place, video, jump) {
  const audit = store.auditOf(video.id);
  const key = `${audit?.status} ${audit?.verdict?.violations.length} ${document.documentElement.lang}`;
  if (place.dataset.drawn === key) return;
  place.dataset.drawn = key;
  const [text, values] = summary(audit);
  const state = text === "audit_clean" ? "good" : text === "audit_some" || text === "audit_one" ? "bad" : "";
  const line = h("div", { class: "strip" });
  const seconds = audit?.verdict?.seconds || +video.seconds;
  if (audit?.verdict) line.append(...audit.verdict.violations.map((violation) => mark(violation, seconds, jump)));
  const words = text === "audit_later"
    ? h("button", { type: "button", class: "link", t: "audit_run", on: { click: () => store.audit(video.id, { now: true }) } })
    : h("span", { class: state, t: text, said: values });
  place.replaceChildren(line, words);
}

// The viewer's lanes: one for each law that was broken, and one for each thing that was followed.
// {element, at(time)}; jump(time) is called with seconds.
export function lanes(verdict, jump) {
  const seconds = verdict.seconds || 1, laws = [...new Set(verdict.violations.map((violation) => violation.law))];
  const cursor = h("i", { class: "cursor" });
  const row = (name, ...marks) => h("div", { class: "lane-row" }, h("span", { class: "lane-name", title: "" }, name),
    h("div", { class: "lane", on: { click: (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      jump(seconds * (event.clientX - box.left) / box.width);
    } } }, ...marks));
  const broken = laws.map((law) => row(law, ...verdict.violations.filter((violation) => violation.law === law).map((violation) => mark(violation, seconds, jump))));
  const followed = verdict.tracks.slice(0, 8).map((track) => {
    const bar = h("i", { class: "life" });
    bar.style.left = share(track.first, seconds);
    bar.style.width = share(track.last - track.first, seconds);
    bar.style.background = tint(track.number);
    return row(track.name || `${track.number}`, bar);
  });
  const element = h("div", { class: "lanes" }, ...broken, ...followed, cursor);
  return { element, at: (time) => { element.style.setProperty("--at", Math.min(1, time / seconds)); } };
}

export function violations(verdict, jump) {
  if (!verdict.violations.length) return h("p", { class: verdict.verdict === "clean" ? "good" : "faint", t: verdict.verdict === "clean" ? "audit_clean" : "audit_cannot" });
  return h("ol", { class: "violations" }, [...verdict.violations].sort((a, b) => a.start - b.start).map((violation) => h("li", {},
    h("button", { type: "button", data: { start: violation.start, end: violation.end }, on: { click: () => jump(Math.max(0, violation.start - BEFORE)) } },
      h("time", {}, say("at", { t: clock(violation.start) })), h("span", {}, violation.text || violation.what, h("small", {}, violation.law))))));
}

export const tint = (number) => `hsl(${(number * 137.5 + 210) % 360} 70% 58%)`;
