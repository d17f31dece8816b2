// The live channel: one WebSocket, JPEG frames shown at their pace as they come. See serve/live.py for the messages.

const HELD = 8; // frames that wait to be shown; older ones are left out
const HEAD = 16; // bytes before the JPEG

export class Stream extends EventTarget {
  // canvas: where frames are drawn; start: the fields of session.start
  constructor(canvas, start) {
    super();
    this.canvas = canvas;
    this.pen = canvas.getContext("2d", { alpha: false });
    this.waiting = [];
    this.sent = new Map(); // seq -> when
    this.seq = 0;
    this.latencies = [];
    this.shown = []; // when the frames of the last second were shown
    this.period = 1000 / 24;
    this.due = 0;
    this.lastAck = -1;
    this.left = 0;
    this.decoding = Promise.resolve();
    this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/realtime/video`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.send("start", { format: "jpeg", ...start });
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.heard(JSON.parse(data)) : this.picture(data));
    this.socket.onclose = (event) => this.over(event);
    this.frame = requestAnimationFrame((now) => this.tick(now));
  }

  send(kind, fields = {}) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type: `session.${kind}`, ...fields }));
  }

  // keys, axes, text, rates: from now on
  interact(fields) {
    this.seq += 1;
    this.sent.set(this.seq, performance.now());
    this.send("interaction", { seq: this.seq, ...fields });
  }

  stop() {
    this.send("stop");
    setTimeout(() => this.socket.close(), 12000); // a recording is finished first
  }

  tellAll(name, detail) { this.dispatchEvent(new CustomEvent(name, { detail })); }

  heard(message) {
    if (message.type === "session.started") this.period = 1000 / message.fps;
    if (message.type === "error") this.tellAll("problem", message.error);
    else this.tellAll(message.type.split(".")[1], message);
    if (message.type === "session.ended") this.reason = message.reason;
  }

  picture(data) {
    const head = new DataView(data, 0, HEAD), about = { number: head.getUint32(0), seq: head.getUint32(4) };
    const file = new Blob([new Uint8Array(data, HEAD)], { type: "image/jpeg" });
    this.decoding = this.decoding.then(() => createImageBitmap(file)).then((bitmap) => {
      this.waiting.push({ ...about, bitmap });
      while (this.waiting.length > HELD) { this.waiting.shift().bitmap.close(); this.left += 1; }
    }).catch(() => {});
  }

  tick(now) {
    this.frame = requestAnimationFrame((next) => this.tick(next));
    if (!this.waiting.length || now < this.due - 4) return;
    const { number, seq, bitmap } = this.waiting.shift();
    if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
      [this.canvas.width, this.canvas.height] = [bitmap.width, bitmap.height];
    }
    this.pen.drawImage(bitmap, 0, 0);
    bitmap.close();
    const pace = this.waiting.length > 5 ? 0.7 * this.period : this.period; // catch up by and by
    this.due = Math.max(this.due + pace, now - this.period);
    if (this.due < now) this.due = now + pace / 2;
    this.shown.push(now);
    while (this.shown[0] < now - 1000) this.shown.shift();
    for (const [number, when] of this.sent) {
      if (number > seq) break;
      this.latencies.push(performance.now() - when);
      this.sent.delete(number);
    }
    if (this.latencies.length > 60) this.latencies.splice(0, this.latencies.length - 60);
    if (number - this.lastAck >= 4 || number < this.lastAck) {
      this.lastAck = number;
      this.send("shown", { frame: number });
    }
    this.tellAll("frame", { number, seq });
  }

  over(event) {
    cancelAnimationFrame(this.frame);
    for (const { bitmap } of this.waiting) bitmap.close();
    this.waiting = [];
    this.tellAll("over", { reason: this.reason ?? "lost", code: event.code });
  }
}
