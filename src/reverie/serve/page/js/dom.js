// Elements made in one expression, with their texts and handlers.
import { words } from "./texts.js";

// h("button", {class: "tool", t: "stop", label: "stop", on: {click: f}, said: {n: 3}}, child, ...)
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  const { on = {}, t, label, title, placeholder, said, data = {}, ...rest } = properties;
  for (const [event, handler] of Object.entries(on)) element.addEventListener(event, handler);
  for (const [name, value] of Object.entries(rest)) {
    if (value === false || value == null) continue;
    if (name === "class") element.className = value;
    else if (name in element && typeof value !== "string" || name === "value") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  Object.assign(element.dataset, data);
  if (t) element.dataset.t = t;
  if (label) element.dataset.tLabel = label;
  if (title) element.dataset.tTitle = title;
  if (placeholder) element.dataset.tPlaceholder = placeholder;
  if (said) element.said = said;
  element.append(...children.flat().filter((child) => child != null && child !== false));
  if (t || label || title || placeholder) words(element);
  return element;
}

export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#i-${name}`);
  picture.append(use);
  picture.setAttribute("aria-hidden", "true");
  return picture;
}

// Give an element another text of texts.js.
export function tell(element, key, values = {}) {
  element.dataset.t = key;
  element.said = values;
  words(element);
}

// Give an element a text that is in no table: a server's message, or nothing.
export function plain(element, text = "") {
  delete element.dataset.t;
  element.textContent = text;
}

export const tool = (name, key, click, extra = {}) =>
  h("button", { type: "button", class: "tool", label: key, on: { click }, ...extra }, icon(name));

export function toast(text, kind = "") {
  const line = h("p", { class: `toast ${kind}` }, text);
  document.getElementById("toasts").append(line);
  setTimeout(() => line.remove(), 6000);
}

export const clock = (seconds) => (Math.round(seconds * 100) / 100).toFixed(2).replace(/\.?0+$/, "") || "0";

// A question in the small dialog; resolves to what ``body``'s form gives, or null when it was closed.
export function ask(titleKey, build) {
  const dialog = document.getElementById("ask");
  return new Promise((resolve) => {
    let answer = null;
    const done = (value) => { answer = value; dialog.close(); };
    const form = h("form", { method: "dialog", on: { submit: (event) => event.preventDefault() } },
      h("h2", { id: "ask-title", t: titleKey }), ...build(done));
    dialog.replaceChildren(form);
    dialog.addEventListener("close", () => resolve(answer), { once: true });
    dialog.showModal();
    (form.querySelector("[autofocus]") ?? form.querySelector("textarea, input, button"))?.focus();
  });
}
