// The page: what the user has chosen is one object, `state`; everything shown is made from it.

import { $, choice, icon, make, percent, slider, spaced } from "./controls.js";
import { Link } from "./link.js";
import { Player, Screen } from "./player.js";

const SETTLED_MS = 350;
const MOST_SECONDS = 20, LEAST_SECONDS = 0.4, MOST_TURN_DEG = 12;
const SHAPES = [
  ["onset", "Onset", "M2 16h4c9 0 7-13 16-13h14"],
  ["pulse", "Pulse", "M2 16h4c6 0 4-13 10-13h6c6 0 4 13 10 13h4"],
  ["loop", "Loop", "M2 16c9 0 8-13 17-13s8 13 17 13"],
  ["idle", "Idle", "M2 10c4-3 6 3 10 0s6-3 10 0 6 3 14-1"],
];
const CURVES = [
  ["natural", "Natural", "M3 16h3c8 0 7-15 14-14.5c5 .8 8 1.8 15 .8"],
  ["linear", "Linear", "M3 16L35 2"],
  ["ease", "Ease", "M3 16c18 0 14-14 32-14"],
  ["snap", "Snap", "M3 16c4-12 12-14 32-14"],
];
const LIVES = [["off", "Off"], ["subtle", "Subtle"], ["full", "Full"]];
const HEADS = [["Turn", "yaw, positive to the right of the picture"], ["Nod", "pitch, positive up"], ["Tilt", "roll, positive clockwise"]];
const FORMATS = [
  ["mp4", "MP4", "plays everywhere"], ["webm", "WebM", "for the web, with transparency"], ["gif", "GIF", "256 colours, everywhere"],
  ["webp", "WebP", "animated, small"], ["png", "PNG", "animated, lossless"], ["frames", "Frames", "a zip of png files"],
];

const fresh = () => ({
  steps: [{}], step: 0, relative: true, seconds: 2, shape: "pulse", curve: "natural", life: "off", head: [0, 0, 0],
  seed: null, face: "largest",
});
let state = fresh();
let output = { format: "mp4", crop: false, size: null, fps: 25, compare: false };
let past = [], future = [], saved = JSON.stringify(state);
let vocabulary = { expressions: [], units: [], most: 1.5 };
let units = null;        // strengths of the last look
let source = null;       // where the photo came from, to hand it over again
let photo = null;        // what is known of it
let lastId = 0;

const screen = new Screen($("canvas"));
const player = new Player(screen, { onFrame: (at) => { sharpId = 0; showTime(at); }, onState: showPlaying });
const link = new Link({
  down: showDown,
  hello: greet,
  photo: showPhoto,
  face: (message, jpeg) => addFace(message.number, jpeg),
  whole: (_, jpeg) => setPicture($("whole"), jpeg),
  original: showPlace,
  tile: (message, jpeg) => setPicture(tiles.get(message.name)?.picture, jpeg),
  look: showLook,
  sharp: (message, jpeg) => { if (message.id === sharpId) screen.show(jpeg); },
  clip: (message) => { if (message.id === player.id) drawEnvelope(message.envelope); },
  frame: takeFrame,
  export: showExport,
  error: showError,
});

// ---- what is chosen -------------------------------------------------------------------------------------------------

const step = () => state.steps[state.step];
const isEmpty = (words) => Object.values(words).every((weight) => !weight);
const isPhoto = (words) => "photo" in words || (state.relative && isEmpty(words));
const frames = () => Math.max(2, Math.round(state.seconds * output.fps));

function clip() {
  const { steps, step, relative, shape, curve, life, head, seed, face } = state;
  const { format, crop, size, fps, compare } = output;
  return { steps, step, relative, shape, curve, life, head, seed, face, format, crop, size, fps, compare, frames: frames() };
}

/** After a change that may be undone. */
function commit() {
  const now = JSON.stringify(state);
  if (now !== saved) {
    past.push(saved);
    future = [];
    saved = now;
  }
  refresh();
}

function restore(from, to) {
  if (!from.length) return;
  to.push(saved);
  saved = from.pop();
  state = JSON.parse(saved);
  refresh();
  say(from === past ? "Undone" : "Redone");
}

function refresh() {
  show();
  look();
  settle();
}

// ---- to the server --------------------------------------------------------------------------------------------------

let lookWaits = false, settling = 0, sharpId = 0;

/** Asks for the face at the peak, once a frame of the screen at most. */
function look() {
  sharpId = 0;
  if (lookWaits || !photo) return;
  lookWaits = true;
  requestAnimationFrame(() => {
    lookWaits = false;
    link.say("look", { id: ++lastId, ...clip() });
  });
}

/** Asks for the clip once nothing has changed for a moment. */
function settle() {
  clearTimeout(settling);
  settling = setTimeout(askForClip, SETTLED_MS);
}

function askForClip() {
  if (!photo) return;
  player.isHeld = false;
  player.begin(++lastId, frames(), output.fps);
  $("scrub").max = frames() - 1;
  showLoaded();
  if (!player.isPlaying) link.say("sharp", { id: (sharpId = ++lastId), ...clip() });
  link.say("play", { id: player.id, ...clip() });
}

function takeFrame(message, jpeg) {
  player.add(message.id, message.number, jpeg);
  if (message.id === player.id) showLoaded();
}

// ---- from the server ------------------------------------------------------------------------------------------------

async function greet(message) {
  vocabulary = message;
  if (!tiles.size) build();
  $("use-sample").hidden = !message.sample;
  $("banner").hidden = true;
  if (source) await load(source, { keep: true });
  else if (message.opening) await load({ path: "opening" });
  else enter("empty");
}

function showDown(reason) {
  busy(null);
  const words = {
    lost: photo || document.body.dataset.state !== "connecting"
      ? "The server does not answer. If it was stopped, start facemotion ui again and open the address that it prints; the settings stay here until then."
      : "The server does not answer. Is facemotion ui still running?",
    idle: "This page was let go of, to free memory, because nothing happened for a while.",
    many: "Too many tabs of this page are open. Close one, then go on here.",
  };
  $("banner-text").textContent = words[reason];
  $("banner-action").hidden = reason === "lost";
  $("banner").hidden = false;
}

$("banner-action").addEventListener("click", () => link.connect());

function showPhoto(message) {
  photo = message;
  endExport();  // of the photo before
  $("export-again").hidden = true;
  $("photo-name").textContent = message.name;
  document.title = `${message.name} · facemotion`;
  $("people").querySelectorAll("label").forEach((label) => label.remove());
  $("people").hidden = message.faces < 2;
  for (const tile of tiles.values()) tile.picture.hidden = !(tile.blank.hidden = false);
  enter("working");
}

function addFace(number, jpeg) {
  const value = number === 1 ? "largest" : String(number);
  const picture = make("img", { alt: `Face ${number}` });
  setPicture(picture, jpeg);
  $("people").append(person(value, picture));
  if (number === photo.faces) $("people").append(person("all", make("span", { class: "all" }, "All")));
}

function person(value, picture) {
  const pick = () => { state.face = value; commit(); };
  const input = make("input", { type: "radio", name: "face", value, onchange: pick });
  input.checked = state.face === value;
  return make("label", {}, input, picture);
}

async function showPlace(message, jpeg) {
  $("notes").replaceChildren(...message.notes.map((note) => make("li", {}, note)));
  const [x0, y0, x1, y1] = message.box;
  const [width, height] = photo.size;
  Object.assign(placed, { left: x0 / width, top: y0 / height, width: (x1 - x0) / width, height: (y1 - y0) / height });
  screen.show(jpeg);
  await screen.setOriginal(jpeg);
  layOut();
}

function showLook(message, jpeg) {
  busy(null);
  units = message.units;
  for (const line of document.querySelectorAll(".command code")) line.textContent = message.command;
  if (!player.isPlaying || player.isHeld) screen.show(jpeg);
  showUnits();
  $("canvas").setAttribute("aria-label", `The face: ${words(step())}`);
}

function showError(error) {
  busy(null);
  if (error.of !== "export") { toast(error.message, error.hint); return; }
  endExport();
  $("export-failure").textContent = `${error.message} ${error.hint}`;
  $("export-failure").hidden = false;
}

// ---- the photo ------------------------------------------------------------------------------------------------------

async function load(from, { keep = false } = {}) {
  busy("Finding the face…");
  if (!keep) Object.assign(state, { face: "largest", seed: null });
  try {
    if (from.blob) await link.post("photo", from.blob, from.name);
    else await link.post(from.path);
  } catch (error) {
    busy(null);
    if (!photo) enter("empty");
    toast(error.message ?? "The photo could not be read.", error.hint ?? "");
    return;
  }
  source = from;
  if (!keep) { past = []; future = []; saved = JSON.stringify(state); }
  player.pause();
  refresh();
}

function take(file) {
  if (file) load({ blob: file, name: file.name || "pasted.png" });
}

function enter(where) {
  document.body.dataset.state = where;
  $("start").hidden = where === "working";
  $("work").hidden = where !== "working";
  layOut();
}

$("choose").addEventListener("click", () => $("file").click());
$("change").addEventListener("click", () => $("file").click());
$("use-sample").addEventListener("click", () => load({ path: "sample" }));
$("file").addEventListener("change", () => { take($("file").files[0]); $("file").value = ""; });
addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
  if (file) { event.preventDefault(); take(file); }
});
let dragged = 0;
addEventListener("dragenter", (event) => { event.preventDefault(); dragged++; $("veil").hidden = false; });
addEventListener("dragleave", () => { if (--dragged <= 0) $("veil").hidden = true; });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  dragged = 0;
  $("veil").hidden = true;
  take(event.dataTransfer.files[0]);
});

$("use-camera").addEventListener("click", async () => {
  try {
    $("camera-picture").srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 } } });
    $("camera").showModal();
  } catch {
    toast("The camera cannot be used.", "Allow it for this page in the browser, or choose a photo.");
  }
});
$("camera").addEventListener("close", () => {
  $("camera-picture").srcObject?.getTracks().forEach((track) => track.stop());
  $("camera-picture").srcObject = null;
});
$("camera-take").addEventListener("click", () => {
  const video = $("camera-picture");
  const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => { $("camera").close(); take(new File([blob], "camera.jpg")); }, "image/jpeg", 0.95);
});

// ---- expressions ----------------------------------------------------------------------------------------------------

const tiles = new Map();

function build() {
  const entries = [
    { name: "photo", label: "As it is", looks: "the photo's own expression" },
    { name: "neutral", label: "Neutral", looks: "a face at rest" },
    ...vocabulary.expressions.map((each) => ({ ...each, label: spaced(each.name) })),
  ];
  for (const { name, label, looks } of entries) {
    const picture = make("img", { alt: "", hidden: true });
    const blank = make("div", { class: "blank" });
    const button = make("button", {
      type: "button", class: "tile", title: looks, "aria-pressed": "false", "data-name": name, tabindex: tiles.size ? -1 : 0,
      onclick: (event) => pick(name, event.shiftKey || $("mixing").checked),
    }, blank, picture, make("span", {}, label));
    picture.addEventListener("load", () => { blank.hidden = true; picture.hidden = false; });
    tiles.set(name, { button, picture, blank });
    $("tiles").append(button);
  }
  $("tiles").addEventListener("keydown", moveAmongTiles);
  buildUnits();
}

/** One tab stop, arrows within. */
function moveAmongTiles(event) {
  const buttons = [...tiles.values()].map((tile) => tile.button);
  const at = buttons.indexOf(document.activeElement);
  const across = buttons.filter((button) => button.offsetTop === buttons[0].offsetTop).length;
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, Home: -at, End: buttons.length - 1 - at }[event.key];
  if (by === undefined || !buttons[at + by]) return;
  event.preventDefault();
  buttons[at].tabIndex = -1;
  buttons[at + by].tabIndex = 0;
  buttons[at + by].focus();
}

function pick(name, mix) {
  const alone = state.steps.length === 1;
  if (name === "photo") {
    if (alone) state.relative = true;
    state.steps[state.step] = state.relative ? {} : { photo: 1 };
  } else if (name === "neutral") {
    state.relative = false;
    state.steps[state.step] = {};
  } else {
    const untouched = state.steps.every((words) => isEmpty(words) || words.photo);
    if (untouched) state.relative = false;
    const words = mix ? { ...step() } : {};
    delete words.photo;
    if (mix && words[name]) delete words[name];
    else words[name] = mix && !isEmpty(words) ? 0.5 : 1;
    state.steps[state.step] = words;
  }
  commit();
  hold();
}

/** While something is changed, the peak is seen instead of the clip. */
function hold() {
  if (player.isPlaying) player.isHeld = true;
}

// ---- sliders --------------------------------------------------------------------------------------------------------

const rows = [];             // of units: {names, label, sliders}
let mixed = new Map(), mixedKey = null;

function weigh(name, weight) {
  const words = step();
  delete words.photo;
  words[name] = weight;
  player.isHeld = player.isPlaying;
  look();
}

function buildUnits() {
  const groups = new Map();
  const stems = new Map();
  for (const unit of vocabulary.units) {
    if (!groups.has(unit.group)) groups.set(unit.group, []);
    const stem = unit.side === "middle" ? unit.name : unit.name.replace(/(Left|Right)$/, "");
    if (!stems.has(stem)) { stems.set(stem, []); groups.get(unit.group).push(stem); }
    stems.get(stem).push(unit);
  }
  for (const [group, names] of groups) {
    const box = make("div", { role: "group", "aria-label": group }, make("h3", {}, group));
    for (const stem of names) {
      const pair = stems.get(stem);
      const all = pair.length > 1 ? [null, ...pair] : [null];
      const row = { stem, pair, sliders: all.map((unit) => unitSlider(stem, pair, unit)) };
      box.append(...row.sliders);
      rows.push(row);
    }
    $("unit-groups").append(box);
  }
}

/** Of one unit of a pair, or of both (or of a unit that has no side) for null. */
function unitSlider(stem, pair, unit) {
  const shown = unit ?? pair[0];
  const facs = unit || pair.length === 1 ? shown.facs : shown.facs.replace(/[LR]$/, "");
  const looks = unit || pair.length === 1 ? shown.look : shown.look.replace(/^(left|right) /, "");
  return slider({
    name: spaced(unit ? unit.name : stem), hint: facs, title: looks, max: vocabulary.most,
    input: (weight) => { setUnit(stem, pair, unit, weight); showMix(); },
    change: () => { dropZeros(); commit(); },
  });
}

const unitWeight = (stem, unit) => step()[unit.name] ?? step()[stem] ?? 0;

function setUnit(stem, pair, unit, weight) {
  const words = step();
  const weights = pair.map((each) => (!unit || unit === each ? weight : unitWeight(stem, each)));
  pair.forEach((each) => delete words[each.name]);
  delete words[stem];
  if (weights.every((each) => each === weights[0])) weigh(stem, weights[0]);
  else pair.forEach((each, number) => weigh(each.name, weights[number]));
}

function dropZeros() {
  const words = step();
  for (const row of rows) for (const name of [row.stem, ...row.pair.map((unit) => unit.name)]) if (words[name] === 0) delete words[name];
}

function showMix() {
  const names = Object.keys(step()).filter((name) => name !== "photo");
  const key = `${state.step}|${names.join("|")}`;
  if (key !== mixedKey) {
    mixedKey = key;
    mixed = new Map(names.map((name) => [name, slider({
      name: spaced(name), max: vocabulary.most,
      input: (weight) => { weigh(name, weight); showUnits(); },
      change: commit,
      remove: () => { delete step()[name]; commit(); hold(); },
    })]));
    const empty = make("p", { class: "empty" }, "Choose an expression, or open the units below.");
    $("mix").replaceChildren(...(mixed.size ? mixed.values() : [empty]));
  }
  for (const [name, box] of mixed) box.set(step()[name]);
}

function showUnits() {
  if (!$("units").open) return;
  const linked = $("linked").checked;
  const index = new Map(vocabulary.units.map((unit, number) => [unit.name, number]));
  for (const { stem, pair, sliders } of rows) {
    const weights = pair.map((unit) => unitWeight(stem, unit));
    const reals = pair.map((unit) => units?.[index.get(unit.name)] ?? 0);
    const apart = pair.length > 1 && (!linked || weights[0] !== weights[1]);
    sliders[0].hidden = apart;
    sliders[0].set(weights[0], Math.max(...reals));
    pair.length > 1 && pair.forEach((_, number) => {
      sliders[number + 1].hidden = !apart;
      sliders[number + 1].set(weights[number], reals[number]);
    });
  }
}

$("linked").addEventListener("change", showUnits);
$("units").addEventListener("toggle", showUnits);
$("relative").addEventListener("change", () => { state.relative = $("relative").checked; commit(); hold(); });
$("clear").addEventListener("click", () => { state.steps[state.step] = {}; commit(); hold(); });

// ---- steps ----------------------------------------------------------------------------------------------------------

function words(blend) {
  if (isPhoto(blend)) return "as it is";
  const parts = Object.entries(blend).filter(([, weight]) => weight);
  return parts.map(([name, weight]) => spaced(name).toLowerCase() + (weight === 1 ? "" : ` ${percent(weight)}`)).join(" + ") || "neutral";
}

function showSteps() {
  const chips = [make("span", { class: "from" }, "Photo")];
  state.steps.forEach((blend, number) => {
    const chosen = number === state.step;
    const chip = make("span", { class: `step${chosen ? " is-chosen" : ""}` },
      make("button", { type: "button", "aria-pressed": String(chosen), onclick: () => chooseStep(number) }, words(blend)));
    if (state.steps.length > 1) {
      chip.append(make("button", { type: "button", class: "remove", "aria-label": `Remove step ${number + 1}`, onclick: () => removeStep(number) }, icon("close")));
    }
    chips.push(make("span", { class: "arrow", "aria-hidden": "true" }, "→"), chip);
  });
  if (state.steps.length < 12) {
    chips.push(make("button", { type: "button", class: "add", "aria-label": "Add a step after this one", title: "Then…", onclick: addStep }, icon("plus")));
  }
  $("steps").replaceChildren(...chips);
}

function chooseStep(number) {
  state.step = number;
  commit();
  hold();
}

function addStep() {
  state.steps.splice(state.step + 1, 0, {});
  state.step++;
  state.seconds = Math.min(MOST_SECONDS, Math.max(state.seconds, state.steps.length));
  commit();
  hold();
}

function removeStep(number) {
  state.steps.splice(number, 1);
  state.step = Math.min(state.step - (number < state.step ? 1 : 0), state.steps.length - 1);
  commit();
  hold();
}

// ---- motion ---------------------------------------------------------------------------------------------------------

const seconds = (value) => `${value.toFixed(1)} s`;
const degrees = (value) => `${value > 0 ? "+" : ""}${value}°`;
const length = slider({
  name: "Length", min: LEAST_SECONDS, max: MOST_SECONDS, step: 0.1, say: seconds,
  input: (value) => { state.seconds = value; look(); }, change: commit,
});
$("length-slider").replaceWith(length);
choice($("shape"), SHAPES, (value) => { state.shape = value; commit(); });
choice($("curve"), CURVES, (value) => { state.curve = value; commit(); });
choice($("life"), LIVES, (value) => { state.life = value; commit(); });
const heads = HEADS.map(([name, title], axis) => slider({
  name, title, min: -MOST_TURN_DEG, max: MOST_TURN_DEG, step: 1, say: degrees,
  input: (value) => { state.head[axis] = value; player.isHeld = player.isPlaying; look(); }, change: commit,
}));
$("heads").append(...heads);
$("take").addEventListener("click", () => {
  state.seed = Math.floor(Math.random() * 1e6);
  commit();
  hold();
});

// ---- what is shown --------------------------------------------------------------------------------------------------

function show() {
  const blend = step();
  for (const [name, { button }] of tiles) {
    const pressed = name === "photo" ? isPhoto(blend) : name === "neutral" ? !state.relative && isEmpty(blend) && !blend.photo : Boolean(blend[name]);
    button.setAttribute("aria-pressed", String(pressed));
  }
  showMix();
  showUnits();
  showSteps();
  $("relative").checked = state.relative;
  length.set(state.seconds);
  const life = state.shape === "idle" && state.life === "off" ? "subtle" : state.life;
  $("shape").set(state.shape);
  $("curve").set(state.curve);
  $("life").allow("off", state.shape !== "idle");
  $("life").set(life);
  heads.forEach((box, axis) => box.set(state.head[axis]));
  $("people").querySelectorAll("input").forEach((input) => { input.checked = input.value === state.face; });
  $("undo").disabled = !past.length;
  $("redo").disabled = !future.length;
  showTime(player.at);
}

const placed = {};
let isWhole = false;

/** Puts the moving face where it belongs: alone, or in its photo. */
function layOut() {
  const frame = $("frame"), canvas = $("canvas"), viewer = $("viewer");
  frame.classList.toggle("is-whole", isWhole);
  $("whole").hidden = !isWhole;
  $("view").setAttribute("aria-pressed", String(isWhole));
  for (const name of ["left", "top", "width", "height"]) canvas.style[name] = isWhole ? `${placed[name] * 100}%` : "";
  if (isWhole && photo) {
    const [width, height] = photo.size;
    const ratio = Math.min(viewer.clientWidth / width, viewer.clientHeight / height);
    frame.style.width = `${width * ratio}px`;
    frame.style.height = `${height * ratio}px`;
  } else {
    frame.style.width = frame.style.height = "";
  }
}

new ResizeObserver(layOut).observe($("viewer"));

function showTime(at) {
  const total = frames(), shown = Math.min(at, total - 1);
  $("scrub").value = shown;
  $("clock").value = `${(shown / output.fps).toFixed(1)} / ${state.seconds.toFixed(1)} s`;
  $("scrub").setAttribute("aria-valuetext", `${(shown / output.fps).toFixed(2)} seconds`);
}

function showLoaded() {
  const count = player.frames.length;
  $("loaded").style.width = `${player.isWhole ? 0 : (count / player.total) * 100}%`;
  $("scrub").disabled = count < 2;
}

function showPlaying() {
  const on = player.isPlaying;
  $("play").setAttribute("aria-pressed", String(on));
  $("play").setAttribute("aria-label", on ? "Pause" : "Play");
  $("play").querySelector("use").setAttribute("href", on ? "#i-pause" : "#i-play");
}

function drawEnvelope(values) {
  const most = Math.max(...values, 1e-3);
  const points = values.map((value, number) => [(1000 * number) / Math.max(values.length - 1, 1), 96 - (80 * value) / most]);
  const line = points.map(([x, y], number) => `${number ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  $("envelope-line").setAttribute("d", line);
  $("envelope-area").setAttribute("d", `${line}L1000 100L0 100Z`);
}

function setPicture(image, blob) {
  if (!image) return;
  if (image.src) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(blob);
}

function busy(words) {
  $("busy").hidden = !words;
  $("busy").textContent = words ?? "";
  $("drop").setAttribute("aria-busy", String(Boolean(words)));
  document.body.classList.toggle("is-busy", Boolean(words));
  $("start-title").textContent = words ?? "Drop a photo of a face";
}

function say(words) {
  $("said").textContent = words;
}

function toast(message, hint) {
  const close = () => { box.remove(); if (!toasts.children.length) toasts.hidePopover(); };
  const toasts = $("toasts");
  const box = make("div", { class: "toast" }, make("div", {}, make("p", {}, message), ...(hint ? [make("p", {}, hint)] : [])),
    make("button", { type: "button", class: "icon", "aria-label": "Dismiss", onclick: close }, icon("close")));
  toasts.replaceChildren(box);
  if (toasts.matches(":popover-open")) toasts.hidePopover();
  toasts.showPopover();  // above a dialog that is open
  setTimeout(close, hint ? 12000 : 3000);
}

// ---- playing, comparing, keys ---------------------------------------------------------------------------------------

function togglePlay() {
  if (player.isPlaying) { player.pause(); return; }
  if (!player.frames.length) { clearTimeout(settling); askForClip(); }
  player.play();
}

function toggleLoop() {
  player.loop = !player.loop;
  $("loop").setAttribute("aria-pressed", String(player.loop));
}

function toggleView() {
  isWhole = !isWhole;
  layOut();
}

function compare(on) {
  screen.compare(on);
  $("tag").hidden = !on;
}

$("play").addEventListener("click", togglePlay);
$("loop").addEventListener("click", toggleLoop);
$("view").addEventListener("click", toggleView);
$("scrub").addEventListener("input", () => { player.pause(); player.seek(+$("scrub").value); });
$("compare").addEventListener("pointerdown", () => compare(true));
for (const type of ["pointerup", "pointerleave", "pointercancel", "blur"]) $("compare").addEventListener(type, () => compare(false));
$("compare").addEventListener("keydown", (event) => { if (event.key === " " || event.key === "Enter") compare(true); });
$("compare").addEventListener("keyup", () => compare(false));

const isField = (element) => element.matches?.("input:not([type=range]):not([type=radio]):not([type=checkbox]), textarea, select");

addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || document.body.dataset.state !== "working" || isField(event.target)) return;
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && key === "z") {
    event.preventDefault();
    event.shiftKey ? restore(future, past) : restore(past, future);
  } else if ((event.ctrlKey || event.metaKey) && key === "y") {
    event.preventDefault();
    restore(future, past);
  } else if (event.ctrlKey || event.metaKey || event.altKey) {
    // the browser's own
  } else if (key === " " && !event.target.matches?.("button, a, summary, input[type=checkbox], input[type=radio]")) {
    event.preventDefault();
    togglePlay();
  } else if (key === "c" && !event.repeat) {
    compare(true);
  } else if (key === "l") {
    toggleLoop();
  } else if (key === "w") {
    toggleView();
  } else if (key === "e") {
    openExport();
  } else if (key === "?") {
    $("keys").showModal();
  }
});
addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "c") compare(false); });
addEventListener("blur", () => compare(false));

$("undo").addEventListener("click", () => restore(past, future));
$("redo").addEventListener("click", () => restore(future, past));
$("reset").addEventListener("click", () => { state = fresh(); commit(); hold(); say("Everything is reset; undo brings it back"); });
$("help").addEventListener("click", () => $("keys").showModal());
for (const button of document.querySelectorAll(".command button")) {
  const line = button.previousElementSibling;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(line.textContent);
      say("Copied");
      toast("The command is copied.");
    } catch {
      getSelection().selectAllChildren(line);
      toast("The command is selected.", "Press Ctrl+C to copy it.");
    }
  });
}

// ---- tabs, where the page is narrow ---------------------------------------------------------------------------------

const tabs = [...document.querySelectorAll("[role=tab]")];

function openTab(chosen) {
  for (const tab of tabs) {
    const on = tab === chosen;
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
    $(tab.getAttribute("aria-controls")).classList.toggle("is-open", on);
  }
}

for (const tab of tabs) {
  tab.addEventListener("click", () => { openTab(tab); scrollTo(0, 0); });
  tab.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = tabs[(tabs.indexOf(tab) + by + tabs.length) % tabs.length];
    openTab(next);
    next.focus();
  });
}
openTab(tabs[0]);

// ---- export ---------------------------------------------------------------------------------------------------------

const formats = make("div", { class: "options" });
for (const [value, name, hint] of FORMATS) {
  const input = make("input", { type: "radio", name: "format", value, onchange: () => setOutput({ format: value }) });
  input.checked = value === output.format;
  formats.append(make("label", {}, input, make("span", {}, name, make("small", {}, hint))));
}
$("format").append(formats);
choice($("picture"), [[false, "Whole photo"], [true, "Face alone"]], (crop) => setOutput({ crop }));
choice($("size"), [[null, "As it is"], [1080, "1080"], [720, "720"], [480, "480"], [256, "256"]], (size) => setOutput({ size }));
choice($("fps"), [[12.5, "12.5"], [25, "25"], [30, "30"], [50, "50"]], (fps) => { setOutput({ fps }); settle(); });
$("picture").set(output.crop);
$("size").set(output.size);
$("fps").set(output.fps);
$("side-by-side").addEventListener("change", () => setOutput({ compare: $("side-by-side").checked }));

function setOutput(change) {
  Object.assign(output, change);
  $("export-again").hidden = true;
  look();
  showTime(player.at);
}

function openExport() {
  if (photo) $("export").showModal();
}

function endExport() {
  $("export-start").hidden = false;
  $("export-start").disabled = false;
  $("export-cancel").hidden = true;
  $("export-progress").hidden = true;
  $("export-options").inert = false;
}

function showExport(message) {
  if (message.state === "running") {
    $("export-bar").value = message.done / message.total;
    $("export-state").textContent = message.done ? `Frame ${message.done} of ${message.total}` : `${spaced(message.stage)}…`;
    return;
  }
  endExport();
  if (message.state === "stopped") { say("The export was cancelled"); return; }
  const again = $("export-again");
  again.href = link.url(`export/${message.id}/${encodeURIComponent(message.name)}`);
  again.download = message.name;
  again.hidden = false;
  again.textContent = `Save ${message.name} again (${size(message.bytes)})`;
  again.click();
  say(`${message.name} is made`);
}

const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

$("open-export").addEventListener("click", openExport);
$("export-start").addEventListener("click", () => {
  $("export-again").hidden = $("export-failure").hidden = true;
  $("export-start").hidden = true;
  $("export-cancel").hidden = false;
  $("export-progress").hidden = false;
  $("export-options").inert = true;
  $("export-bar").value = 0;
  $("export-state").textContent = "Waiting…";
  link.say("export", clip());
});
$("export-cancel").addEventListener("click", () => link.say("stop-export"));

show();
