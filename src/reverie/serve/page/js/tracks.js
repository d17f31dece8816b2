// Boxes and paths of the things in a video, drawn on a canvas over it: as the judge sees them, or as the model means them.
import { say } from "./texts.js";
import { tint } from "./timeline.js";

const TRAIL = 20; // frames of path behind a thing

// An index frame -> [{number, name, box}] from an audit's verdict.
export function seenIn(verdict) {
  const [width, height] = verdict.size.split("x").map(Number), frames = new Map();
  for (const track of verdict.tracks) {
    track.frames.forEach((frame, i) => {
      if (!frames.has(frame)) frames.set(frame, []);
      frames.get(frame).push({ number: track.number, name: track.name, box: track.boxes[i] });
    });
  }
  return { frames, width, height, fps: verdict.fps };
}

// The same from what the model wrote down, frame by frame.
export function meantIn(things, size, fps) {
  const [width, height] = size.split("x").map(Number), frames = new Map();
  for (const [frame, rows] of things) {
    frames.set(frame, rows.filter((row) => row.box).map((row) => ({ number: row.thing, name: `${row.colour} ${row.kind}`, box: row.box })));
  }
  return { frames, width, height, fps };
}

// Draw what is known of a moment of the video; ``index`` null clears.
export function draw(canvas, index, time, { names = true } = {}) {
  const scale = devicePixelRatio || 1, wide = Math.round(canvas.clientWidth * scale), high = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== wide) canvas.width = wide;
  if (canvas.height !== high) canvas.height = high;
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, wide, high);
  if (!index) return 0;
  const now = Math.floor(time * index.fps + 0.02), x = wide / index.width, y = high / index.height;
  pen.lineJoin = "round";
  pen.font = `600 ${Math.round(11 * scale)}px system-ui, sans-serif`;
  const trails = new Map();
  for (let frame = now - TRAIL; frame <= now; frame++) {
    for (const { number, box } of index.frames.get(frame) ?? []) {
      if (!trails.has(number)) trails.set(number, []);
      trails.get(number).push([(box[0] + box[2]) / 2 * x, (box[1] + box[3]) / 2 * y]);
    }
  }
  const here = index.frames.get(now) ?? [];
  for (const { number, name, box } of here) {
    pen.strokeStyle = tint(number);
    pen.lineWidth = 1.5 * scale;
    pen.globalAlpha = 0.6;
    pen.beginPath();
    for (const point of trails.get(number)) pen.lineTo(...point);
    pen.stroke();
    pen.globalAlpha = 1;
    pen.lineWidth = 2 * scale;
    pen.beginPath();
    pen.roundRect(box[0] * x, box[1] * y, (box[2] - box[0]) * x, (box[3] - box[1]) * y, 4 * scale);
    pen.stroke();
    if (!names) continue;
    const text = name || say("followed"), width = pen.measureText(text).width + 8 * scale, height = 16 * scale;
    const left = Math.min(wide - width, Math.max(0, box[0] * x)), top = box[1] * y > height ? box[1] * y - height : box[3] * y;
    pen.fillStyle = tint(number);
    pen.beginPath();
    pen.roundRect(left, top, width, height, 4 * scale);
    pen.fill();
    pen.fillStyle = "#10131a";
    pen.fillText(text, left + 4 * scale, top + 12 * scale);
  }
  return here.length;
}

// Call back at every frame that a video shows, and at every jump; returns what ends it.
export function eachFrame(video, callback) {
  let going = true;
  const now = () => going && callback(video.currentTime);
  const step = (_, about) => {
    if (!going) return;
    callback(about.mediaTime);
    video.requestVideoFrameCallback(step);
  };
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(step);
  else video.addEventListener("timeupdate", now);
  video.addEventListener("seeked", now);
  return () => { going = false; };
}
