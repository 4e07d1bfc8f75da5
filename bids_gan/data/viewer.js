"use strict";
const volumes = JSON.parse(document.getElementById("volumes").textContent);
const overlay = document.getElementById("overlay");
const opacity = document.getElementById("opacity");
const swap = document.getElementById("swap");
const STEPS = {
  ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowDown: [0, -1, 0], ArrowUp: [0, 1, 0],
  PageDown: [0, 0, -1], PageUp: [0, 0, 1],
};
const LOOK = {
  backColor: [0, 0, 0, 1], crosshairColor: [0.9, 0.6, 0, 0.8], fontColor: [1, 1, 1, 1],
  crosshairWidth: 1, crosshairWidthUnit: "mm", crosshairGap: 8, showAllOrientationMarkers: true,
  dragAndDropEnabled: false, logLevel: "error", multiplanarLayout: 2, multiplanarShowRender: 0,
  clipPlaneHotKey: "", cycleClipPlaneHotKey: "", viewModeHotKey: "", scrollRequiresFocus: true,
};
// shares of the colour scale below which an overlay, and a field of either sign, is clear
const CLEAR = { gray: 0.15, field: 0.01 };

const panes = [...document.querySelectorAll(".pane")].map((section) => ({
  canvas: section.querySelector("canvas"),
  select: section.querySelector("select"),
  output: section.querySelector("output"),
}));

// the page holds the library as gzip, which is half of its size
async function loadLibrary() {
  const packed = atob(document.getElementById("niivue").textContent);
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(unpacked).text();
  document.head.append(script);
}

function option(index) {
  return new Option(volumes[index].name, index);
}

// the other one of a pair before/after, or nothing
function partner(index) {
  const { pair } = volumes[index] ?? {};
  return volumes.findIndex((other, n) => pair && other.pair === pair && n !== Number(index));
}

// decoded anew each time: NiiVue keeps opacity and colours in the image
function decode(index, role) {
  const { name, nifti, low, high, colours } = volumes[index];
  const over = role === "overlay";
  const field = colours === "field";
  const zero = field ? 0 : low;
  return niivue.NVImage.loadFromBase64({
    base64: nifti, name: `${name}.nii.gz`, opacity: over ? Number(opacity.value) : 1,
    colormap: field ? "positive" : over ? "viridis" : "gray",
    colormapNegative: field ? "negative" : "",
    cal_min: over || field ? zero + CLEAR[colours] * (high - zero) : low, cal_max: high,
  });
}

async function draw(pane) {
  const wanted = [[pane.select.value, "image"]];
  if (overlay.value !== "") wanted.push([overlay.value, "overlay"]);
  const images = await Promise.all(wanted.map(([index, role]) => decode(index, role)));
  const { nv } = pane;
  const place = nv.volumes.length ? nv.frac2mm(nv.scene.crosshairPos) : null;
  nv.volumes = images;
  nv.setVolume(images[0], 0);
  if (place) nv.scene.crosshairPos = nv.mm2frac(place);
  nv.drawScene();
  nv.createOnLocationChange();
}

async function drawAll() {
  opacity.disabled = overlay.value === "";
  swap.disabled = [overlay, ...panes.map((pane) => pane.select)]
    .every((select) => partner(select.value) < 0);
  await Promise.all(panes.map(draw));
  document.body.dataset.drawn = Number(document.body.dataset.drawn ?? 0) + 1;
}

function exchange() {
  for (const select of [overlay, ...panes.map((pane) => pane.select)]) {
    const other = partner(select.value);
    if (other >= 0) select.value = other;
  }
  drawAll();
}

// over both images, or away
function toggleField() {
  const field = volumes.findIndex(({ colours }) => colours === "field");
  if (field < 0) return;
  overlay.value = volumes[overlay.value]?.colours === "field" ? "" : field;
  drawAll();
}

function setOpacity() {
  for (const { nv } of panes) if (nv.volumes.length > 1) nv.setOpacity(1, Number(opacity.value));
}

function describe(pane, { mm, values }) {
  const sides = [["L", "R"], ["P", "A"], ["I", "S"]];
  const place = sides.map((ends, n) => `${Math.abs(mm[n]).toFixed(0)} ${ends[Number(mm[n] >= 0)]}`);
  const shown = values.map(({ name, value }) => `${name.replace(".nii.gz", "")} ${value.toPrecision(3)}`);
  pane.output.value = `${place.join(", ")} mm: ${shown.join("; ")}`;
}

function pressed(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const toggle = { b: exchange, f: toggleField }[event.key.toLowerCase()];
  const change = { "+": 0.05, "-": -0.05, "−": -0.05 }[event.key];
  const pane = panes.find(({ canvas }) => canvas === event.target);
  if (toggle && event.target.tagName !== "SELECT") toggle();
  else if (change) {
    opacity.valueAsNumber += change;
    setOpacity();
  } else if (pane && STEPS[event.key]) pane.nv.moveCrosshairInVox(...STEPS[event.key]);
  else return;
  event.preventDefault();
}

async function start() {
  await loadLibrary();
  for (const pane of panes) pane.nv = new niivue.Niivue(LOOK);
  const colours = JSON.parse(document.getElementById("field-colours").textContent);
  for (const pane of panes) {
    pane.select.append(...volumes.map((_, index) => option(index)));
    pane.select.addEventListener("change", drawAll);
    pane.nv.onLocationChange = (location) => describe(pane, location);
    await pane.nv.attachToCanvas(pane.canvas);
    for (const [name, map] of Object.entries(colours)) pane.nv.addColormap(name, map);
    pane.nv.broadcastTo(panes.filter((other) => other !== pane).map(({ nv }) => nv));
  }
  overlay.append(...volumes.map((_, index) => option(index)));
  const measured = volumes.findIndex(({ name }) => name.startsWith("FA after"));
  panes[1].select.value = measured >= 0 ? measured : Math.min(1, volumes.length - 1);
  overlay.addEventListener("change", drawAll);
  opacity.addEventListener("input", setOpacity);
  swap.addEventListener("click", exchange);
  document.addEventListener("keydown", pressed);
  await drawAll();
}

start().catch((error) => {
  const trouble = document.getElementById("trouble");
  trouble.textContent = `The volumes cannot be shown; a browser with WebGL 2 is needed (${error.message}).`;
  trouble.hidden = false;
});
