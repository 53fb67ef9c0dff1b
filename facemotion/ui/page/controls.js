// Parts of the page that are made more than once: sliders, choices, icons, and words for units.

export const $ = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

function curve(points) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 38 18");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", points);
  svg.append(path);
  return svg;
}

let made = 0;

/**
 * A slider with its name and value. `input(value)` is called while it moves, `change()` when it is let go; `remove()`
 * adds a button. `set(value, real)` shows a value, and how strong what it stands for is in truth.
 */
export function slider({ name, hint = "", title = "", min = 0, max = 1.5, step = 0.01, say = percent, input, change, remove }) {
  const id = `slider-${++made}`;
  const range = make("input", { type: "range", id, min, max, step, value: 0 });
  const label = make("label", { for: id, title }, name);
  if (hint) label.append(make("span", { class: "hint" }, hint));
  const output = make("output", { for: id });
  const box = make("div", { class: "slider" }, label, output);
  if (remove) {
    box.append(make("button", { type: "button", class: "icon remove", "aria-label": `Remove ${name}`, onclick: remove }, icon("close")));
  }
  box.append(range);
  const middle = min < 0;
  box.classList.toggle("from-middle", middle);
  const show = (value) => {
    output.value = say(value);
    range.setAttribute("aria-valuetext", say(value));
    const share = ((value - min) / (max - min)) * 100;
    if (middle) {
      // The track is painted from its middle; a background's place counts what is left beside it.
      const width = Math.abs(share - 50);
      box.style.setProperty("--fill", `${width}%`);
      box.style.setProperty("--from", `${(Math.min(share, 50) / Math.max(100 - width, 1e-6)) * 100}%`);
    } else {
      box.style.setProperty("--fill", `${share}%`);
    }
    box.classList.toggle("is-set", Math.abs(value) > 1e-9);
  };
  range.addEventListener("input", () => { show(+range.value); input(+range.value); });
  range.addEventListener("change", () => change());
  range.addEventListener("keydown", (event) => {
    if (event.key !== "0") return;
    range.value = 0;
    show(0); input(0); change();
  });
  box.set = (value, real = null) => {
    if (document.activeElement !== range || +range.value !== value) range.value = value;
    show(value);
    if (real !== null) box.style.setProperty("--real", `${((real - min) / (max - min)) * 100}%`);
  };
  box.range = range;
  return box;
}

/** Radio buttons in a row: `options` is [[value, words, path of a picture], …]. */
export function choice(fieldset, options, pick) {
  const name = fieldset.id;
  const row = make("div", { class: "options" });
  for (const [value, words, picture] of options) {
    const input = make("input", { type: "radio", name, value: String(value), onchange: () => pick(value) });
    row.append(make("label", {}, input, make("span", {}, ...(picture ? [curve(picture)] : []), words)));
  }
  fieldset.append(row);
  fieldset.set = (value) => {
    for (const input of row.querySelectorAll("input")) input.checked = input.value === String(value);
  };
  fieldset.allow = (value, allowed) => {
    row.querySelector(`input[value="${value}"]`).disabled = !allowed;
  };
}

export const percent = (value) => `${Math.round(value * 100)} %`;

/** `browInnerUp` as "Brow inner up". */
export function spaced(name) {
  const words = name.replace(/-/g, " ").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return words[0].toUpperCase() + words.slice(1);
}
