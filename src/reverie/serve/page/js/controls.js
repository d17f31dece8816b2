// What a hand does: keys, a gamepad or wheel, two touch pads. All of it becomes {keys, axes} for the live channel.
import { h } from "./dom.js";

export const KEYS = ["w", "a", "s", "d", "q", "e", "arrowup", "arrowdown", "arrowleft", "arrowright", "shift"];
const DEAD = 0.12; // of a stick's way, in which it is at rest
const OFTEN = 40; // ms between two messages of a stick

// active(): whether hands count now; changed({keys, axes}) is called when what is held has changed.
export class Controls {
  constructor({ active, changed, gamepad = () => {} }) {
    this.held = new Set();
    this.pads = {}; // axis -> -1..1
    this.sticks = {};
    this.active = active;
    this.changed = changed;
    this.gamepad = gamepad;
    this.said = "";
    this.when = 0;
    addEventListener("keydown", (event) => this.key(event, true));
    addEventListener("keyup", (event) => this.key(event, false));
    addEventListener("blur", () => this.release());
    const poll = () => { requestAnimationFrame(poll); if (this.active()) this.poll(); };
    poll();
  }

  key(event, down) {
    const key = event.key.toLowerCase();
    if (!KEYS.includes(key)) return;
    if (!down) { if (this.held.delete(key)) this.tell(); return; }
    if (!this.active() || event.ctrlKey || event.altKey || event.metaKey || event.target.closest?.("input, textarea, select, [role=tab]")) return;
    event.preventDefault();
    if (event.repeat || this.held.has(key)) return;
    this.held.add(key);
    this.tell();
  }

  release() {
    this.held.clear();
    this.pads = {};
    this.sticks = {};
    this.tell();
  }

  poll() {
    const pad = [...navigator.getGamepads?.() ?? []].find((one) => one?.connected);
    if (!pad) { if (Object.keys(this.sticks).length) { this.sticks = {}; this.tell(); } return; }
    this.gamepad(pad.id);
    const axis = (i) => { const value = pad.axes[i] ?? 0; return Math.abs(value) < DEAD ? 0 : value; };
    const pressed = (i) => pad.buttons[i]?.value ?? 0;
    this.sticks = { steering: axis(0), throttle: -axis(1), pan: axis(2), tilt: -axis(3), lift: pressed(7) - pressed(6) };
    this.tell();
  }

  pad(values) {
    Object.assign(this.pads, values);
    this.tell();
  }

  tell() {
    const axes = {};
    for (const name of ["steering", "throttle", "pan", "tilt", "lift"]) {
      const value = Math.max(-1, Math.min(1, (this.pads[name] ?? 0) + (this.sticks[name] ?? 0)));
      if (value) axes[name] = Math.round(value * 50) / 50;
    }
    const now = { keys: [...this.held], axes }, text = JSON.stringify(now);
    if (text === this.said) return;
    const wait = this.when + OFTEN - performance.now();
    clearTimeout(this.later);
    if (wait > 0 && Object.keys(axes).length) { this.later = setTimeout(() => this.tell(), wait); return; }
    this.said = text;
    this.when = performance.now();
    this.changed(now);
  }
}

// A round pad for a thumb: two axes.
export function touchPad(controls, label, across, along) {
  const knob = h("i", {});
  const pad = h("div", { class: "pad", role: "img", label }, knob, h("span", { t: label }));
  const move = (event) => {
    const box = pad.getBoundingClientRect(), most = box.width / 2 - 18;
    let x = event.clientX - box.left - box.width / 2, y = event.clientY - box.top - box.height / 2;
    const far = Math.hypot(x, y);
    if (far > most) { x *= most / far; y *= most / far; }
    knob.style.transform = `translate(${x}px, ${y}px)`;
    controls.pad({ [across]: x / most, [along]: -y / most });
  };
  const leave = () => { knob.style.transform = ""; controls.pad({ [across]: 0, [along]: 0 }); };
  pad.addEventListener("pointerdown", (event) => { pad.setPointerCapture(event.pointerId); move(event); event.preventDefault(); });
  pad.addEventListener("pointermove", (event) => { if (pad.hasPointerCapture(event.pointerId)) move(event); });
  for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, leave);
  return pad;
}

// A button that pushes an axis while it is held.
export function touchButton(controls, label, axis, value) {
  const button = h("button", { type: "button", class: "lift", t: label, tabindex: "-1" });
  button.addEventListener("pointerdown", (event) => { button.setPointerCapture(event.pointerId); controls.pad({ [axis]: value }); });
  for (const name of ["pointerup", "pointercancel"]) button.addEventListener(name, () => controls.pad({ [axis]: 0 }));
  return button;
}
