// The server, over HTTP. Every failure is an ApiError with a message that can be shown.
import { ask, h } from "./dom.js";
import { say } from "./texts.js";

export class ApiError extends Error {
  constructor(message, status = 0, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let asking = null;

// Ask for the server's key, once for all who wait for it; true when the server took it.
function askForKey() {
  asking ??= ask("key_title", (done) => {
    const field = h("input", { type: "password", name: "key", autocomplete: "current-password", "aria-label": say("key"), required: true, autofocus: true });
    const wrong = h("p", { class: "problem", role: "alert" });
    const enter = async () => {
      const answer = await fetch("/session", { method: "POST", headers: { "content-type": "application/json" },
        body: JSON.stringify({ key: field.value.trim() }) }).catch(() => null);
      if (answer?.ok) done(true);
      else wrong.textContent = say(answer ? "key_wrong" : "e_network");
    };
    return [h("p", { t: "key_text" }), field, wrong, h("div", { class: "row end" },
      h("button", { type: "button", class: "quiet", t: "cancel", on: { click: () => done(false) } }),
      h("button", { class: "primary", t: "enter", on: { click: enter } }))];
  }).finally(() => { asking = null; });
  return asking;
}

export async function request(path, { method = "GET", json, form, raw = false, signal } = {}) {
  const headers = json === undefined ? {} : { "content-type": "application/json" };
  const send = () => fetch(path, { method, headers, body: json === undefined ? form : JSON.stringify(json), signal });
  let answer;
  try {
    answer = await send();
    if (answer.status === 401 && await askForKey()) answer = await send();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(say("e_network"));
  }
  if (raw && answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const { message = `${answer.status} ${answer.statusText}`, code = "" } = body.error ?? {};
  const wait = answer.headers.get("retry-after");
  throw new ApiError(answer.status === 429 && wait ? say("e_full", { n: wait }) : message, answer.status, code);
}

// What the server says of itself, or null when it says nothing for so many ms.
export async function health(patience) {
  const answer = await fetch("/healthz", { signal: AbortSignal.timeout(patience) }).catch(() => null);
  return answer?.ok ? answer.json().catch(() => null) : null;
}

export const about = () => request("/v1/about");
export const content = (id, variant = "video") => `/v1/videos/${encodeURIComponent(id)}/content?variant=${variant}`;
export const one = (id) => request(`/v1/videos/${encodeURIComponent(id)}`);
export const remove = (id) => request(`/v1/videos/${encodeURIComponent(id)}`, { method: "DELETE" });
export const remix = (id, prompt) => request(`/v1/videos/${encodeURIComponent(id)}/remix`, { method: "POST", json: { prompt } });
export const unknownWords = (text, signal) => request(`/v1/words?text=${encodeURIComponent(text)}`, { signal });

export function list({ after, limit = 24, group } = {}) {
  const query = new URLSearchParams({ limit, order: "desc" });
  if (after) query.set("after", after);
  if (group) query.set("group", group);
  return request(`/v1/videos?${query}`);
}

function formOf(values) {
  const form = new FormData();
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === null || value === "") continue;
    if (value instanceof Blob) form.append(name, value, value.name ?? name);
    else form.append(name, typeof value === "object" ? JSON.stringify(value) : String(value));
  }
  return form;
}

export const create = (values) => request("/v1/videos", { method: "POST", form: formOf(values) });

// video: a File, or the id of a finished one.
export function goOn(path, { video, ...values }) {
  if (video instanceof Blob) return request(path, { method: "POST", form: formOf({ ...values, video }) });
  return request(path, { method: "POST", json: { ...values, video: { id: video } } });
}

export const extend = (values) => goOn("/v1/videos/extensions", values);
export const futures = (values) => goOn("/v1/videos/futures", values);

// The newest frame of a dream that is being made, or null before the first.
export async function preview(id) {
  const answer = await fetch(`/v1/videos/${encodeURIComponent(id)}/preview`).catch(() => null);
  return answer?.ok ? answer.blob() : null;
}

// What the model imagined: Map of frame number -> rows.
export async function things(id) {
  const answer = await request(content(id, "things"), { raw: true });
  const byFrame = new Map();
  for (const line of (await answer.text()).split("\n")) {
    if (!line) continue;
    const row = JSON.parse(line);
    if (!byFrame.has(row.frame)) byFrame.set(row.frame, []);
    byFrame.get(row.frame).push(row);
  }
  return byFrame;
}
