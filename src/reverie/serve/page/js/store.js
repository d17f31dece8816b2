// The videos that the server knows, kept up to date while something is being made.
import * as api from "./api.js";
import { say } from "./texts.js";

const PAGE = 24, BUSY = 900, CALM = 15000; // ms between looks
const BEAT = 1000, DEAF = 2500; // ms between two questions whether the server is there, and until it is not
export const videos = new Map(); // id -> video object, newest first as the server lists them
export let more = false; // whether the server has older ones that were not asked for
export let server = null; // what /v1/about said last
export let problem = null; // why the last look failed
const listeners = [];
let timer = 0, oldest = null, wanted = PAGE, looking = null;

export const subscribe = (listener) => { listeners.push(listener); };
const changed = () => { for (const listener of listeners) listener(); };

export const finished = (video) => video.status === "completed";
export const unfinished = (video) => video.status === "queued" || video.status === "in_progress";
export const busy = () => [...videos.values()].some(unfinished);

export function refresh() {
  looking ??= look().finally(() => { looking = null; });
  return looking;
}

async function look() {
  clearTimeout(timer);
  try {
    const seen = new Map();
    let after = null;
    do {
      const page = await api.list({ after, limit: Math.min(100, wanted - seen.size) });
      for (const video of page.data) seen.set(video.id, video);
      more = page.has_more;
      after = page.last_id;
    } while (more && seen.size < wanted);
    videos.clear();
    for (const [id, video] of seen) videos.set(id, video);
    server = await api.about();
    problem = null;
  } catch (error) {
    problem = error;
  }
  changed();
  timer = setTimeout(refresh, document.hidden ? CALM : busy() || problem ? BUSY * (problem ? 4 : 1) : CALM);
}

// Whether the server is there at all is asked oftener than what it has: a page that says "ready" must be right.
async function beat() {
  if (!document.hidden) {
    const lost = problem?.status === 0;
    const health = await api.health(DEAF);
    if (!health && !lost) {
      problem = new api.ApiError(say("e_network"));
      changed();
    } else if (health && (lost || server && server.worker !== health.worker)) await refresh();
  }
  setTimeout(beat, BEAT);
}

export function showMore() {
  wanted += PAGE;
  return refresh();
}

// A job that was just accepted: it is shown before the next look.
export function add(video) {
  const rest = [...videos];
  videos.clear();
  videos.set(video.id, video);
  for (const [id, other] of rest) if (id !== video.id) videos.set(id, other);
  changed();
  clearTimeout(timer);
  timer = setTimeout(refresh, 250);
}

export function forget(id) {
  videos.delete(id);
  changed();
}

// ---- audits: one at a time, by themselves only while nothing is being made

const audits = new Map(); // id -> {status, verdict?, error?}
const waiting = [];
export const gone = new Set(); // what is deleted here: nobody judges that any more
let judging = false;

export const auditOf = (id) => audits.get(id) ?? null;

export function audit(id, { now = false } = {}) {
  const known = audits.get(id);
  if (known && known.status !== "waiting") return;
  if (!known) audits.set(id, { status: "waiting" });
  if (now) waiting.unshift(id);
  else if (!known) waiting.push(id);
  judge(now);
}

async function judge(now = false) {
  if (judging || !waiting.length || (busy() && !now)) return;
  const id = waiting.shift();
  if (audits.get(id).status !== "waiting" || gone.has(id)) return judge(now); // it was asked for twice
  judging = true;
  audits.set(id, { status: "in_progress" });
  changed();
  try {
    let answer = await api.request(`/v1/videos/${id}/audit?prompt=1`);
    while (answer.status === "queued" || answer.status === "in_progress") {
      await new Promise((resolve) => setTimeout(resolve, 700));
      if (gone.has(id)) break;
      answer = await api.request(`/v1/videos/${id}/audit?prompt=1`);
    }
    if (gone.has(id)) audits.delete(id); // the answer may be half of one
    else audits.set(id, answer.status === "failed" ? { status: "failed", error: answer.error?.message ?? answer.error } : answer);
  } catch (error) {
    audits.set(id, { status: "failed", error: error.message });
  }
  judging = false;
  changed();
  judge();
}

subscribe(() => { if (!busy()) judge(); });
beat();
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
