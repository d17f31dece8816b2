// The page's frame: which part is shown, in which language and light, and how the machine is.
import { h, tell } from "./dom.js";
import { buildDream } from "./dream.js";
import { buildDrive } from "./drive.js";
import { buildFutures } from "./futures.js";
import * as store from "./store.js";
import { language, onLanguage, say, setLanguage, words } from "./texts.js";

const PARTS = ["dream", "drive", "futures"];
const parts = { dream: buildDream(), drive: buildDrive(), futures: buildFutures() };

// ---- which part: #dream, #drive?video=ID, #futures?video=ID

function show() {
  const [name, query] = location.hash.slice(1).split("?");
  const chosen = PARTS.includes(name) ? name : "dream";
  for (const part of PARTS) {
    document.getElementById(part).hidden = part !== chosen;
    const tab = document.getElementById(`tab-${part}`);
    tab.setAttribute("aria-selected", part === chosen);
    tab.tabIndex = part === chosen ? 0 : -1;
    if (part !== chosen) parts[part].leave?.();
  }
  document.title = chosen === "dream" ? "Reverie" : `Reverie · ${say(`tab_${chosen}`)}`;
  parts[chosen].enter?.(new URLSearchParams(query));
}

addEventListener("hashchange", show);
document.querySelector(".tabs").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const now = PARTS.findIndex((part) => event.target.closest(`#tab-${part}`));
  const next = PARTS[(now + step + PARTS.length) % PARTS.length];
  location.hash = next;
  document.getElementById(`tab-${next}`).focus();
  event.preventDefault();
});

// ---- light

const themes = matchMedia("(prefers-color-scheme: dark)");
const dark = () => (localStorage.getItem("reverie.theme") ?? (themes.matches ? "dark" : "light")) === "dark";

function light() {
  document.documentElement.dataset.theme = dark() ? "dark" : "light";
  document.querySelector("#theme use").setAttribute("href", dark() ? "#i-sun" : "#i-moon");
}

document.getElementById("theme").addEventListener("click", () => {
  localStorage.setItem("reverie.theme", dark() ? "light" : "dark");
  light();
});
themes.addEventListener("change", light);

// ---- language

const tongue = document.getElementById("language");
tongue.addEventListener("click", () => setLanguage(language() === "en" ? "zh" : "en"));
const name = () => { tongue.textContent = say("language"); };
onLanguage(() => { name(); show(); });

// ---- health

const health = document.getElementById("health");
const mind = health.appendChild(h("span", {}));
store.subscribe(() => {
  const { server, problem } = store;
  const state = problem?.status === 0 ? "offline" : server?.worker ?? "ready";
  health.dataset.state = state === "ready" && server?.queue?.running ? "running" : state;
  const waiting = server?.queue?.waiting;
  if (state === "ready" && waiting) tell(mind, "waiting", { n: waiting });
  else tell(mind, health.dataset.state);
});

document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
light();
name();
words();
show();
store.refresh();
