// The second part: a dream that one is in. Keys, sticks and words go in, frames come out while they are made.
import { clock, h, icon, plain, tell } from "./dom.js";
import { Controls, touchButton, touchPad } from "./controls.js";
import { sizeSelect } from "./dream.js";
import { pastPicker } from "./past.js";
import { promptField } from "./prompt.js";
import * as store from "./store.js";
import { Stream } from "./stream.js";
import { EXAMPLES, language, onLanguage, say } from "./texts.js";

const CAPS = [["q", "w", "e"], ["a", "s", "d"], ["arrowup"], ["arrowleft", "arrowdown", "arrowright"], ["shift"]];
const SIGNS = { arrowup: "↑", arrowdown: "↓", arrowleft: "←", arrowright: "→", shift: "⇧" };
const IDLE = 120;

export function buildDrive() {
  const root = document.getElementById("drive");
  let stream = null, began = false, idle = IDLE, lastFrame = null;

  // ---- the stage
  const canvas = h("canvas", { width: 256, height: 256 });
  const veil = h("div", { class: "veil" });
  const live = h("span", { class: "live", hidden: true }, h("i", {}), h("b", {}));
  const stage = h("div", { class: "stage drive-stage", tabindex: "0", role: "application", label: "stage" }, canvas, veil, live);
  const gauges = {};
  const gauge = (name, key) => {
    gauges[name] = h("output", { class: "reading", data: { gauge: name } }, "–");
    return h("div", { class: "gauge" }, gauges[name], h("span", { class: "faint", t: key }));
  };
  const curve = h("canvas", { class: "curve", width: 240, height: 36, "aria-hidden": "true" });
  const meters = h("div", { class: "gauges" }, gauge("speed", "speed"), gauge("turning", "turning"), gauge("fps", "fps"),
    gauge("latency", "latency"), gauge("step", "step"), h("div", { class: "gauge wide" }, curve));
  const note = h("p", { class: "faint note" });

  // ---- hands
  const caps = {};
  const controls = new Controls({
    active: () => !root.hidden && !!stream && !document.querySelector("dialog[open]"),
    changed: (hands) => {
      for (const [key, cap] of Object.entries(caps)) cap.classList.toggle("down", hands.keys.includes(key));
      stream?.interact(hands);
    },
    gamepad: () => { pad.hidden = false; },
  });
  const cap = (key) => (caps[key] = h("kbd", {}, SIGNS[key] ?? key.toUpperCase()));
  const keyboard = h("div", { class: "keyboard" }, CAPS.map((row) => h("div", { class: "keys-row" }, row.map(cap))));
  const meanings = h("ul", { class: "faint meanings" }, h("li", {}, h("b", {}, "W A S D "), h("span", { t: "key_move" })),
    h("li", {}, h("b", {}, "↑ ↓ ← → "), h("span", { t: "key_look" })), h("li", {}, h("b", {}, "Q E "), h("span", { t: "key_lift" })),
    h("li", {}, h("b", {}, "⇧ "), h("span", { t: "key_fast" })));
  const pad = h("p", { class: "good", t: "gamepad", hidden: true });
  const pads = h("div", { class: "pads" }, touchPad(controls, "pad_move", "steering", "throttle"),
    h("div", { class: "lifts" }, touchButton(controls, "pad_up", "lift", 1), touchButton(controls, "pad_down", "lift", -1)),
    touchPad(controls, "pad_look", "pan", "tilt"));

  // ---- words while it goes
  const words = h("input", { type: "text", maxlength: 500, label: "say", placeholder: "say_hint", autocomplete: "off" });
  const speak = () => {
    if (!words.value.trim() || !stream) return;
    stream.interact({ text: words.value.trim() });
    said.prepend(h("li", {}, words.value.trim()));
    while (said.children.length > 4) said.lastChild.remove();
    words.value = "";
  };
  const said = h("ol", { class: "said" });
  const hints = h("div", { class: "chips" });
  const fillHints = () => hints.replaceChildren(...EXAMPLES[language()].slice(1, 5).map((text) => h("button", { type: "button", class: "chip",
    on: { click: () => { words.value = text; speak(); stage.focus(); } } }, text)));
  fillHints();
  onLanguage(fillHints);
  const record = h("button", { type: "button", class: "quiet record", "aria-pressed": "false",
    on: { click: () => stream?.send("record", { on: record.getAttribute("aria-pressed") !== "true" }) } }, h("i", {}), h("span", { t: "record" }));
  const stop = h("button", { type: "button", class: "quiet", t: "stop", on: { click: () => stream?.stop() } });
  const kept = h("div", { class: "kept" });
  const during = h("div", { class: "card during", hidden: true },
    h("form", { class: "field", on: { submit: (event) => { event.preventDefault(); speak(); stage.focus(); } } }, h("span", { class: "legend", t: "say" }),
      h("span", { class: "with-tool" }, words, h("button", { class: "tool", label: "say_it" }, icon("send")))),
    hints, said, h("div", { class: "row" }, record, stop),
    h("div", { class: "field hands" }, h("span", { class: "legend", t: "drive_keys" }), keyboard, meanings, pad));

  // ---- before it
  const prompt = promptField({ key: "drive_prompt", hint: "drive_hint", rows: 2, enter: () => begin() });
  const past = pastPicker({ none: "past_none" });
  const size = sizeSelect();
  const seed = h("input", { type: "number", min: 0, max: 2 ** 31, value: 0, label: "seed", inputmode: "numeric" });
  const fromFirst = h("input", { type: "checkbox" });
  const problem = h("p", { class: "problem", role: "alert" });
  const start = h("button", { class: "primary big", type: "submit", t: "start" });
  const worlds = h("fieldset", { class: "field worlds" }, h("legend", { t: "world" }),
    h("label", { class: "world" }, h("input", { type: "radio", name: "world", value: "lab", checked: true }), h("div", {}, h("b", { t: "lab" }), h("p", { t: "lab_text" }))),
    h("label", { class: "world off" }, h("input", { type: "radio", name: "world", value: "road", disabled: true }),
      h("div", {}, h("b", { t: "road" }), h("em", { t: "road_no" }), h("p", { t: "road_text" }))));
  const before = h("form", { class: "composer card before", novalidate: true, on: { submit: (event) => { event.preventDefault(); begin(); } } },
    h("h1", { t: "drive_title" }), h("p", { class: "faint", t: "drive_text" }), worlds,
    h("div", { class: "field" }, h("span", { class: "legend", t: "drive_prompt" }), prompt.element),
    h("div", { class: "field" }, h("span", { class: "legend", t: "past" }), past.element),
    h("div", { class: "pair" }, h("label", { class: "field" }, h("span", { class: "legend", t: "size" }), size), h("label", { class: "field" }, h("span", { class: "legend", t: "seed" }), seed)),
    h("label", { class: "check" }, fromFirst, h("span", { t: "record_on" })), h("div", { class: "foot" }, problem, start));

  root.append(h("div", { class: "cockpit" }, h("div", { class: "front" }, stage, meters, pads, note), h("div", { class: "panel" }, before, during, kept)));

  const lift = (text, values) => { veil.replaceChildren(h("p", { t: text, said: values })); veil.hidden = false; };
  lift("drive_idle");

  function begin() {
    if (stream) return stream.socket.close(); // it is still waking up
    plain(problem);
    plain(note);
    const text = prompt.value() || (past.value() ? "" : say("drive_hint"));
    if (!prompt.value() && text) prompt.set(text);
    [began, lastFrame] = [false, null];
    stream = new Stream(canvas, { prompt: text, size: size.value, seed: Math.max(0, Math.round(+seed.value) || 0), record: fromFirst.checked,
      ...(past.value() ? { video: past.value() } : {}) });
    tell(start, "cancel");
    lift("starting");
    const on = (name, handler) => stream.addEventListener(name, ({ detail }) => handler(detail));
    on("started", (about) => {
      began = true;
      idle = about.idle;
      [before.hidden, during.hidden] = [true, false];
      if (about.unknown_words.length) tell(note, "driving_unknown", { words: about.unknown_words.join(", ") });
      const [width, height] = about.size.split("x").map(Number);
      stage.style.setProperty("--shape", width / height);
      stage.focus({ preventScroll: true });
    });
    on("frame", (frame) => {
      if (lastFrame === null) { veil.hidden = true; live.hidden = false; }
      lastFrame = frame.number;
      stage.dataset.frame = frame.number;
    });
    on("state", read);
    on("problem", (error) => { plain(problem, error.message); if (began) plain(note, error.message); });
    on("recorded", ({ id, seconds }) => {
      store.refresh();
      kept.prepend(h("p", { class: "card" }, h("span", { t: "recorded", said: { n: clock(seconds) } }), " ",
        id ? h("a", { href: `#dream?video=${id}`, t: "in_gallery" }) : ""));
    });
    on("over", ({ reason, code }) => {
      stream = null;
      controls.release();
      [before.hidden, during.hidden, live.hidden] = [false, true, true];
      if (began) lift(`ended_${reason}`, { n: idle });
      else {
        lift("drive_idle");
        if (!problem.textContent && code !== 1000 && code !== 1005) tell(problem, code === 1013 ? "e_many" : "e_network");
      }
      for (const output of Object.values(gauges)) output.textContent = "–";
      tell(start, began ? "restart" : "start");
    });
  }

  function read(state) {
    const rates = state.rates ?? {}, size = (...names) => Math.hypot(...names.map((name) => rates[name] ?? 0));
    gauges.speed.textContent = say("metres_s", { n: size("dolly", "crane").toFixed(1) });
    gauges.turning.textContent = say("degrees_s", { n: size("pan", "tilt", "orbit").toFixed(0) });
    gauges.fps.textContent = String(stream?.shown.length ?? 0);
    const latest = stream?.latencies.at(-1);
    gauges.latency.textContent = latest === undefined ? "–" : say("ms", { n: latest.toFixed(0) });
    gauges.step.textContent = say("ms", { n: state.step_ms.toFixed(0) });
    live.lastChild.textContent = `${clock(Math.floor(state.seconds * 10) / 10)} s`;
    record.setAttribute("aria-pressed", state.recording);
    tell(record.lastChild, state.recording ? "recording" : "record");
    const left = state.dropped + (stream?.left ?? 0);
    if (state.together > 1) tell(note, "beside", { n: state.together });
    else if (left) tell(note, "dropped", { n: left });
    plot(stream?.latencies ?? []);
  }

  function plot(values) {
    const pen = curve.getContext("2d"), { width, height } = curve, most = Math.max(250, ...values);
    pen.clearRect(0, 0, width, height);
    pen.strokeStyle = getComputedStyle(root).getPropertyValue("--accent");
    pen.lineWidth = 2;
    pen.beginPath();
    values.forEach((value, i) => pen.lineTo(4 + i * (width - 8) / 59, height - 3 - (height - 6) * value / most));
    pen.stroke();
  }

  return {
    enter(query) {
      past.fill();
      if (query.get("video")) past.choose(query.get("video"));
    },
    leave() { controls.release(); },
  };
}
