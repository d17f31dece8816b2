// The field for what should happen: words that the model never met are underlined while one types.
import * as api from "./api.js";
import { h, tell } from "./dom.js";

const PAUSE = 250; // ms after the last key
const AGAIN = 1500; // ms until one asks again while the model is loading

// {element, field, value(), set(text)}; enter: called with Ctrl+Enter
export function promptField({ key, hint, rows = 4, enter = () => {}, extra = {} }) {
  const field = h("textarea", { rows, maxlength: 1000, label: key, placeholder: hint, spellcheck: "true", ...extra });
  const behind = h("div", { class: "behind", "aria-hidden": "true" });
  const note = h("p", { class: "unknown", hidden: true, role: "status" });
  let timer = 0, asked = null, unknown = [];

  const mark = () => {
    const pieces = unknown.length ? field.value.split(new RegExp(`(${unknown.map(escape).join("|")})`, "giu")) : [field.value];
    behind.replaceChildren(...pieces.map((piece, i) => (i % 2 ? h("mark", {}, piece) : piece)), "\n");
    behind.scrollTop = field.scrollTop;
  };
  const escape = (word) => {
    const plain = word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    return /^[\w']+$/.test(word) ? `(?<![\\p{L}\\d])${plain}(?![\\p{L}\\d])` : plain;
  };
  const look = async () => {
    asked?.abort();
    asked = new AbortController();
    if (!field.value.trim()) unknown = [];
    else {
      try {
        const answer = await api.unknownWords(field.value, asked.signal);
        unknown = answer.unknown ?? [];
        if (!answer.ready) timer = setTimeout(look, AGAIN);
      } catch {
        return; // marks are a help, no more
      }
    }
    note.hidden = !unknown.length;
    if (unknown.length) tell(note, "unknown", { words: unknown.join(", ") });
    mark();
  };
  const typed = () => { mark(); clearTimeout(timer); timer = setTimeout(look, PAUSE); };
  field.addEventListener("input", typed);
  field.addEventListener("scroll", () => { behind.scrollTop = field.scrollTop; });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); enter(); }
  });
  return {
    element: h("div", { class: "prompt" }, h("div", { class: "paper" }, behind, field), note),
    field, value: () => field.value.trim(),
    set(text) { field.value = text; typed(); },
  };
}
