// Camera moves picked from small pictures: a group of radio buttons and an amount.
import { h, tell } from "./dom.js";

// name -> [the move as the API reads it, picture, mirrored how, amount, largest, unit]
export const SHOTS = {
  free: ["", null], still: ["still", "still"],
  orbit_left: ["orbit left", "orbit", "", 30, 180, "degrees"], orbit_right: ["orbit right", "orbit", "across", 30, 180, "degrees"],
  pan_left: ["pan left", "pan", "across", 15, 90, "degrees"], pan_right: ["pan right", "pan", "", 15, 90, "degrees"],
  tilt_up: ["tilt up", "tilt", "", 10, 60, "degrees"], tilt_down: ["tilt down", "tilt", "down", 10, 60, "degrees"],
  dolly_in: ["dolly in", "in", "", 1, 4, "metres"], dolly_out: ["dolly out", "out", "", 1, 6, "metres"],
  crane_up: ["crane up", "crane", "", 0.6, 3, "metres"], crane_down: ["crane down", "crane", "down", 0.6, 1.5, "metres"],
};
let groups = 0;

// {element, value(): the text for the API, e.g. "orbit left 30", or ""}
export function shotPicker() {
  const group = `shot${++groups}`;
  const tiles = Object.entries(SHOTS).map(([name, [, picture, mirrored]]) => h("label", { class: "shot", title: name },
    h("input", { type: "radio", name: group, value: name, checked: name === "free" }),
    h("i", { class: `shot-picture ${picture ? `shot-${picture}` : "shot-free"} ${mirrored ? `mirror-${mirrored}` : ""}` }),
    h("span", { t: name })));
  const amount = h("input", { type: "range", step: "any", label: "amount" });
  const number = h("output", {}), unit = h("span", {});
  const dial = h("div", { class: "dial" }, h("span", { class: "faint", t: "amount" }), amount, h("span", { class: "number" }, number, unit));
  const element = h("fieldset", { class: "field" }, h("legend", { t: "camera" }), h("div", { class: "shots" }, tiles), dial);
  const chosen = () => element.querySelector("input:checked").value;
  const shown = () => { number.textContent = (+amount.value).toFixed(SHOTS[chosen()][5] === "metres" ? 1 : 0); };
  const choose = () => {
    const [, , , start, largest, measure] = SHOTS[chosen()];
    dial.hidden = !start;
    if (!start) return;
    amount.min = largest / 30;
    amount.max = largest;
    amount.value = start;
    tell(unit, measure);
    shown();
  };
  element.addEventListener("change", (event) => { if (event.target.type === "radio") choose(); });
  amount.addEventListener("input", shown);
  choose();
  return { element, value: () => textOf(chosen(), +amount.value) };
}

export const textOf = (name, amount) => {
  const [text, , , start] = SHOTS[name];
  return start ? `${text} ${Math.round((amount ?? start) * 100) / 100}` : text;
};

// A select of the same moves, with their usual amounts.
export const shotSelect = (value, extra = {}) => h("select", extra,
  Object.keys(SHOTS).map((name) => h("option", { value: name, t: name, selected: name === value })));
