// The moving part of the report: the video with what was found drawn over it, and everything that follows its time.
// It reads the verdict that stands in the page as JSON, and loads nothing. Text reaches the page as text, never as HTML.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("verdict").textContent);
  const at = (id) => document.getElementById(id);
  const all = (query) => [...document.querySelectorAll(query)];
  const { fps, width: W, height: H, shown, seconds } = data;
  const RED = "#e5192d";
  // Told apart by people who see few colours too, and none of them the red of violations.
  const TINTS = ["#3b82f6", "#f59e0b", "#10b981", "#a855f7", "#06b6d4", "#d98c5f", "#84b819", "#6366f1", "#e86fb5", "#0d9488"];
  const tint = (number) => TINTS[((number - 1) % TINTS.length + TINTS.length) % TINTS.length];
  const tracks = new Map(data.tracks.map((track) => [track.number, track]));
  for (const element of all("[data-tint]")) element.style.color = tint(+element.dataset.tint);

  // ---- the video

  const video = at("video"), over = at("over"), screen = over.parentElement;
  const text = atob(at("pictures").textContent), bytes = new Uint8Array(text.length);
  for (let n = 0; n < text.length; n++) bytes[n] = text.charCodeAt(n);
  at("pictures").remove();
  video.src = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));

  const frames = Math.max(1, Math.round(shown * fps));
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const frameAt = (time) => clamp(Math.floor(time * fps + 0.01), 0, frames - 1);
  // The middle of a frame's time: a seek to its very beginning may show the one before.
  const seek = (time) => { video.currentTime = clamp((frameAt(time) + 0.5) / fps, 0, Math.max(0, shown - 0.25 / fps)); };
  const step = (count) => { video.pause(); seek((frameAt(video.currentTime) + count) / fps + 1e-4); };
  const toggle = () => { if (video.paused) { if (video.ended) seek(0); video.play().catch(() => {}); } else video.pause(); };
  const jump = (time) => { seek(time); video.play().catch(() => {}); };

  // ---- what is drawn over it

  const layers = {};
  for (const button of all("[data-layer]")) {
    const read = () => { layers[button.dataset.layer] = button.getAttribute("aria-pressed") === "true"; };
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(!layers[button.dataset.layer])); read(); show();
    });
    read();
  }

  // Index of the last frame of a track that is not after ``frame``; -1 before its first.
  const lastSeen = (track, frame) => {
    let low = 0, high = track.frames.length;
    while (low < high) { const middle = (low + high) >> 1; if (track.frames[middle] <= frame) low = middle + 1; else high = middle; }
    return low - 1;
  };
  // Where a thing is at a frame: [box, seen]; between two sightings a straight line; null outside of its life.
  const boxAt = (track, frame) => {
    const n = lastSeen(track, frame);
    if (n < 0) return null;
    if (track.frames[n] === frame) return [track.boxes[n], true, track.confidences[n]];
    if (n + 1 >= track.frames.length) return null;
    const share = (frame - track.frames[n]) / (track.frames[n + 1] - track.frames[n]);
    return [track.boxes[n].map((x, i) => x + share * (track.boxes[n + 1][i] - x)), false, null];
  };
  const active = (time) => data.violations.filter((v) => v.start !== null && time >= v.start - 0.5 / fps
    && time <= Math.max(v.end ?? v.start, v.start + data.held));

  const draw = (frame) => {
    const ratio = window.devicePixelRatio || 1, wide = over.clientWidth, high = over.clientHeight;
    if (over.width !== Math.round(wide * ratio) || over.height !== Math.round(high * ratio)) {
      over.width = Math.round(wide * ratio); over.height = Math.round(high * ratio);
    }
    const pen = over.getContext("2d"), sx = wide / W, sy = high / H;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, wide, high);
    pen.font = "600 12px system-ui, 'DejaVu Sans', sans-serif";
    pen.textBaseline = "middle"; pen.lineJoin = "round";
    // Above the box, or wherever near it no other name stands.
    const placed = [], names = [];
    const label = ([words, box, ground]) => {
      const long = pen.measureText(words).width + 8, x = clamp(box[0] * sx - 1, 0, Math.max(0, wide - long));
      const [top, bottom] = [box[1] * sy, box[3] * sy];
      const free = [top - 18, bottom + 1, top + 1, bottom - 18, top - 36, bottom + 19].find((y) => y >= 0 && y <= high - 17
        && !placed.some(([a, b, c]) => x < a + c && a < x + long && Math.abs(y - b) < 17));
      const y = free ?? clamp(top - 18, 0, high - 17);
      placed.push([x, y, long]);
      pen.fillStyle = ground; pen.fillRect(x, y, long, 17);
      pen.fillStyle = "#fff"; pen.fillText(words, x + 4, y + 9);
    };
    const outline = (box, colour, thick, dashes) => {
      pen.setLineDash(dashes); pen.strokeStyle = colour; pen.lineWidth = thick;
      pen.strokeRect(box[0] * sx, box[1] * sy, (box[2] - box[0]) * sx, (box[3] - box[1]) * sy);
      pen.setLineDash([]);
    };
    const now = layers.violations ? active(frame / fps) : [];
    const guilty = new Set(now.flatMap((v) => [v.track, v.other]));
    for (const v of now) {
      const mine = tracks.get(v.track), other = tracks.get(v.other), here = mine && boxAt(mine, frame);
      const box = here?.[0] || v.box, second = other && boxAt(other, frame)?.[0];
      if (second) outline(second, RED, 2, [5, 4]);
      if (!box.every((x) => x !== null)) continue;
      outline(box, "rgba(255,255,255,.85)", 5, here?.[1] ? [] : [6, 4]);
      outline(box, RED, 3, here?.[1] ? [] : [6, 4]);
      names.push([((layers.names && mine ? `${v.track} ${mine.name}: ` : "") + v.what).toUpperCase(), box, RED]);
    }
    for (const track of data.tracks) {
      const colour = tint(track.number), here = boxAt(track, frame);
      if (layers.trails) {
        pen.strokeStyle = colour; pen.lineWidth = 2;
        for (let n = lastSeen(track, frame); n > 0 && track.frames[n] > frame - fps; n--) {
          const [a, b] = [track.boxes[n - 1], track.boxes[n]];
          pen.globalAlpha = clamp(1 - (frame - track.frames[n]) / fps, 0, 1) * 0.9;
          pen.beginPath(); pen.moveTo((a[0] + a[2]) / 2 * sx, (a[1] + a[3]) / 2 * sy);
          pen.lineTo((b[0] + b[2]) / 2 * sx, (b[1] + b[3]) / 2 * sy); pen.stroke();
        }
        pen.globalAlpha = 1;
      }
      if (!here || guilty.has(track.number)) continue;
      const [box, seen, sure] = here;
      if (layers.boxes) outline(box, colour, seen ? 2 : 1.2, seen ? [] : [4, 4]);
      const words = [layers.names ? `${track.number} ${track.name}` : "",
        layers.confidence && sure !== null ? sure.toFixed(2) : ""].filter(Boolean).join("  ");
      if (words) names.push([words, box, colour]);
    }
    names.forEach(label); // over all boxes
    if (now.length) { pen.strokeStyle = RED; pen.lineWidth = 4; pen.strokeRect(2, 2, wide - 4, high - 4); }
  };

  // ---- what follows its time

  const marks = all(".crime").map((button) => [button, +button.dataset.at]);
  const clock = (time) => `${time.toFixed(2)} s`;
  const plots = new Set(); // functions that are told the time, of the plots that are open
  const show = (time = video.currentTime) => {
    const frame = frameAt(time), when = frame / fps;
    draw(frame);
    document.documentElement.style.setProperty("--t", seconds ? String(clamp(when / seconds, 0, 1)) : "0");
    if (document.activeElement !== at("seek") || !video.paused) at("seek").value = String(1000 * frame / Math.max(1, frames - 1));
    at("now").textContent = `${clock(when)} of ${clock(seconds)} · frame ${frame}`;
    for (const [button, start] of marks) button.classList.toggle("now", when >= start - 0.5 / fps && when <= start + data.held);
    for (const follow of plots) follow(when);
  };
  if ("requestVideoFrameCallback" in HTMLVideoElement.prototype) {
    const next = (_, picture) => { show(picture.mediaTime + 0.25 / fps); video.requestVideoFrameCallback(next); };
    video.requestVideoFrameCallback(next);
  } else {
    const next = () => { if (!video.paused) show(); requestAnimationFrame(next); };
    requestAnimationFrame(next);
  }
  for (const event of ["seeked", "loadeddata", "pause", "ended"]) video.addEventListener(event, () => show());
  for (const event of ["play", "pause", "ended"]) {
    video.addEventListener(event, () => { at("play").textContent = video.paused ? "play" : "pause"; });
  }
  new ResizeObserver(() => show()).observe(screen);

  // ---- the hands of the reader

  const dragged = (field, moved) => {
    const go = (event) => {
      const place = field.getBoundingClientRect();
      video.pause(); moved(clamp((event.clientX - place.left) / place.width, 0, 1));
    };
    field.addEventListener("pointerdown", (event) => {
      if (event.button || event.target.closest("button")) return;
      go(event);
      const stop = () => { window.removeEventListener("pointermove", go); };
      window.addEventListener("pointermove", go);
      window.addEventListener("pointerup", stop, { once: true });
      window.addEventListener("pointercancel", stop, { once: true });
    });
  };
  screen.addEventListener("click", toggle);
  at("play").addEventListener("click", toggle);
  at("back").addEventListener("click", () => step(-1));
  at("on").addEventListener("click", () => step(1));
  at("speed").addEventListener("change", () => { video.playbackRate = +at("speed").value; });
  at("seek").addEventListener("input", () => { video.pause(); seek(at("seek").value / 1000 * (frames - 1) / fps + 1e-4); });
  for (const field of all(".rows .lane")) dragged(field, (share) => seek(share * seconds));
  for (const button of all("[data-jump]")) {
    button.addEventListener("click", () => {
      jump(+button.dataset.jump);
      if (window.innerWidth < 736 || screen.getBoundingClientRect().bottom < 60) screen.scrollIntoView({ block: "nearest" });
    });
  }
  for (const button of all("[data-thing]")) {
    button.addEventListener("click", () => {
      const entry = document.querySelector(`details[data-track="${+button.dataset.thing}"]`);
      if (entry) { entry.open = true; entry.parentElement.closest("details")?.setAttribute("open", ""); entry.scrollIntoView({ block: "start", behavior: "smooth" }); }
    });
  }
  const starts = [...new Set(marks.map(([, start]) => start))].sort((a, b) => a - b);
  const keys = {
    " ": toggle, ArrowLeft: (e) => step(e.shiftKey ? -Math.round(fps) : -1), ArrowRight: (e) => step(e.shiftKey ? Math.round(fps) : 1),
    n: () => { const next = starts.find((s) => s > video.currentTime + 0.05); if (next !== undefined) { video.pause(); seek(next + 1e-4); } },
    p: () => { const before = starts.findLast((s) => s < video.currentTime - 0.6 / fps - 0.05); if (before !== undefined) { video.pause(); seek(before + 1e-4); } },
  };
  document.addEventListener("keydown", (event) => {
    const own = event.target.closest("select, summary, input");
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key] || own && event.key !== "n" && event.key !== "p") return;
    event.preventDefault();
    keys[event.key](event);
  });
  // A button that was clicked before would take the space for another click.
  document.addEventListener("keyup", (event) => {
    if (event.key === " " && event.target.closest("button")) event.preventDefault();
  });

  // ---- the plots

  const SVG = "http://www.w3.org/2000/svg";
  const made = (name, kind, parent, words) => {
    const element = document.createElement(name);
    element.className = kind; parent.append(element);
    if (words !== undefined) element.textContent = words;
    return element;
  };
  const middle = (track, axis) => track.boxes.map((box) => (box[axis] + box[axis + 2]) / 2);
  const speeds = (track) => {
    const [x, y] = [middle(track, 0), middle(track, 1)], reach = Math.max(1, Math.round(fps / 12)), last = x.length - 1;
    return x.map((_, n) => {
      const [a, b] = [Math.max(0, n - reach), Math.min(last, n + reach)], time = (track.frames[b] - track.frames[a]) / fps;
      return time > 0 && time < 0.5 ? Math.hypot(x[b] - x[a], y[b] - y[a]) / time : null;
    });
  };
  const sizes = (track) => track.boxes.map((b) => Math.sqrt(Math.max(0, (b[2] - b[0]) * (b[3] - b[1]))));
  // [name, values of a track, the least range shown, so that noise stays small, whether small values stand on top]
  const CURVES = [
    ["x, from the left, px", (track) => middle(track, 0), W / 8, false],
    ["y, from the top, px", (track) => middle(track, 1), H / 8, true],
    ["speed, px/s", speeds, Math.max(W, H) / 4, false],
    ["size, √(width × height), px", sizes, Math.min(W, H) / 16, false],
  ];
  const plot = (track, [name, curve, least, flipped], place) => {
    const values = curve(track), real = values.filter((value) => value !== null);
    const pad = Math.max(0.25, (track.last - track.first) * 0.02);
    const from = Math.max(0, track.first - pad), to = Math.min(seconds, Math.max(track.last + pad, from + 0.5));
    let low = Math.min(...chunked(real, Math.min)), high = Math.max(...chunked(real, Math.max));
    if (!real.length) { low = 0; high = 1; }
    if (curve === speeds) low = 0;
    const room = Math.max((high - low) * 0.08, (least - (high - low)) / 2);
    if (curve === speeds) high += 2 * room; else { low -= room; high += room; }
    const figure = made("div", "plot", place), head = made("h3", "", figure);
    made("span", "", head, name);
    const value = made("b", "", head);
    made("span", "y", figure, (flipped ? low : high).toFixed(0));
    made("span", "y low", figure, (flipped ? high : low).toFixed(0));
    const field = made("div", "field", figure), svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 1000 100"); svg.setAttribute("preserveAspectRatio", "none");
    svg.style.color = tint(track.number); field.append(svg);
    const x = (time) => 1000 * (time - from) / (to - from);
    const y = (v) => (flipped ? v - low : high - v) / (high - low) * 100;
    for (const v of data.violations) {
      if (v.track !== track.number && v.other !== track.number || v.start === null) continue;
      const rect = document.createElementNS(SVG, "rect"), [a, b] = [clamp(x(v.start), 0, 994), x(v.end ?? v.start)];
      for (const [key, number] of [["x", a], ["y", 0], ["width", Math.max(6, b - a)], ["height", 100]]) rect.setAttribute(key, number);
      svg.append(rect);
    }
    // Long tracks are thinned to their lowest and highest values, so that no peak is lost.
    const every = Math.ceil(values.length / 1500);
    let line = "", before = -2;
    for (let n = 0; n < values.length; n += every) {
      let pick = [];
      for (let m = n; m < Math.min(n + every, values.length); m++) if (values[m] !== null) pick.push(m);
      if (pick.length > 2) {
        const order = [...pick].sort((a, b) => values[a] - values[b]);
        pick = [order[0], order[order.length - 1]].sort((a, b) => a - b);
      }
      for (const m of pick) {
        const frame = track.frames[m], joined = before >= 0 && frame - before <= Math.max(2, 2 * every) && line;
        line += `${joined ? "L" : "M"}${x(frame / fps).toFixed(1)} ${y(values[m]).toFixed(2)}`;
        if (!joined) line += "h.01"; // a lone point is seen too
        before = frame;
      }
    }
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", line || "M0 0"); svg.append(path);
    const cursor = made("div", "cursor", field), axis = made("div", "x", figure);
    made("span", "", axis, clock(from)); made("span", "", axis, clock(to));
    dragged(field, (share) => seek(from + share * (to - from)));
    return (time) => {
      cursor.style.display = time < from || time > to ? "none" : "";
      cursor.style.left = `${100 * (time - from) / (to - from)}%`;
      const n = lastSeen(track, Math.round(time * fps));
      const known = n >= 0 && track.frames[n] === Math.round(time * fps) && values[n] !== null;
      value.textContent = known ? values[n].toFixed(1) : "";
    };
  };
  // Math.min over a very long list would overflow the stack.
  function chunked(values, best) {
    const found = [];
    for (let n = 0; n < values.length; n += 10000) found.push(best(...values.slice(n, n + 10000)));
    return found;
  }
  for (const entry of all("details[data-track]")) {
    const track = tracks.get(+entry.dataset.track);
    let mine = null;
    const opened = () => {
      if (entry.open && track) {
        mine ??= CURVES.map((curve) => plot(track, curve, entry.querySelector(".plots")));
        for (const follow of mine) { plots.add(follow); follow(frameAt(video.currentTime) / fps); }
      } else if (mine) for (const follow of mine) plots.delete(follow);
    };
    entry.addEventListener("toggle", opened);
    opened();
  }
  show(0);
})();
