// A place to drop a picture or a video.
import { h, icon, plain, tell, tool } from "./dom.js";
import { server } from "./store.js";

// {element, file(): File or null, isVideo()}; only: "video" where no picture will do
export function dropField({ only = "", changed = () => {} } = {}) {
  let file = null, url = null;
  const kinds = only ? `${only}/*` : "image/*,video/*";
  const input = h("input", { type: "file", accept: kinds, class: "hidden-input", tabindex: "-1" });
  const button = h("button", { type: "button", class: "drop", on: { click: () => input.click() } }, icon("picture"),
    h("span", { t: only ? "futures_drop" : "given_hint" }));
  const problem = h("p", { class: "problem", role: "alert" });
  const shown = h("div", { class: "given", hidden: true });
  const element = h("div", { class: "dropfield" }, input, button, shown, problem);

  const put = (next) => {
    if (url) URL.revokeObjectURL(url);
    [file, url] = [null, null];
    plain(problem);
    const limit = server?.max_upload_bytes ?? 64 << 20;
    if (next && !/^(image|video)\//.test(next.type) || next && only && !next.type.startsWith(only)) tell(problem, "given_bad");
    else if (next && next.size > limit) tell(problem, "given_big", { n: Math.floor(limit / 1e6) });
    else file = next;
    shown.hidden = !file;
    button.hidden = !!file;
    if (file) {
      url = URL.createObjectURL(file);
      const video = file.type.startsWith("video");
      const picture = video ? h("video", { src: url, muted: true, playsinline: true, preload: "auto" }) : h("img", { src: url, alt: "" });
      shown.replaceChildren(picture, h("div", {}, h("b", {}, file.name), h("span", { class: "faint", t: video ? "given_video" : "given_image" })),
        tool("close", "take_out", () => put(null)));
    }
    input.value = "";
    changed(file, url);
  };
  input.addEventListener("change", () => put(input.files[0] ?? null));
  for (const name of ["dragenter", "dragover"]) {
    element.addEventListener(name, (event) => { event.preventDefault(); element.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) element.addEventListener(name, () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => { event.preventDefault(); put(event.dataTransfer.files[0] ?? null); });
  return { element, file: () => file, isVideo: () => !!file?.type.startsWith("video"), put };
}
