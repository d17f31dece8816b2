// What a video is called.
import { say } from "./texts.js";

const KINDS = ["extend", "remix", "edit", "future", "drive"];

export const kindOf = (video) => (KINDS.includes(video.kind) ? `kind_${video.kind}` : "");
export const titleOf = (video) => video.prompt || [say(kindOf(video) || "untitled"), video.camera].filter(Boolean).join(" · ");
