"use strict";
// Values of the figures by pointer, touch and keyboard; legend, enlarged figures, copying.
// Without this script the page shows the same figures and tables.

const dialog = document.getElementById("enlarged");
const cursors = new WeakMap(); // where the keyboard is in each panel
let hovered = null; // the panel that the pointer has last shown a value of

function cursorOf(panel) {
  if (!cursors.has(panel)) {
    const points = JSON.parse(document.getElementById(panel.dataset.points).textContent);
    cursors.set(panel, { all: points[panel.dataset.panel], series: null, index: -1 });
  }
  return cursors.get(panel);
}

function shownSeries(panel) {
  const legend = panel.closest(".chart").querySelector(".legend");
  const isOn = (series) =>
    legend.querySelector(`[data-series="${series.series}"]`).getAttribute("aria-pressed") === "true";
  return cursorOf(panel).all.filter(isOn);
}

function show(panel, series, index, x = null) {
  const [left, top, at, value, interval, note] = series.data[index];
  const box = panel.querySelector("svg").viewBox.baseVal;
  const where = { left: (100 * (x ?? left)) / box.width, top: (100 * top) / box.height };
  const lines = [
    series.name,
    at === "" ? "" : `${panel.dataset.x}: ${at}`,
    `${panel.dataset.y}: ${value}`,
    interval && `interval: ${interval}`,
    note,
  ].filter(Boolean);
  const tooltip = panel.querySelector(".tooltip");
  tooltip.replaceChildren(...lines.map((line) => Object.assign(document.createElement("div"), { textContent: line })));
  tooltip.className = `tooltip ${where.left > 50 ? "left" : "right"} ${where.top > 40 ? "above" : "below"}`;
  for (const element of [tooltip, panel.querySelector(".ring")]) {
    element.style.left = `${where.left}%`;
    element.style.top = `${where.top}%`;
    element.hidden = false;
  }
  Object.assign(cursorOf(panel), { series, index });
  return lines;
}

function hide(panel) {
  for (const element of panel.querySelectorAll(".tooltip, .ring")) element.hidden = true;
}

// --- pointer and touch

function nearest(panel, event) {
  const svg = panel.querySelector("svg");
  const frame = svg.getBoundingClientRect();
  const unit = svg.viewBox.baseVal.width / frame.width;
  const x = (event.clientX - frame.left) * unit;
  const y = (event.clientY - frame.top) * unit;
  let best = { distance: 60 };
  for (const series of shownSeries(panel)) {
    series.data.forEach(([left, top], index) => {
      const distance = Math.hypot(series.level ? 0 : left - x, top - y);
      if (distance < best.distance) best = { distance, series, index, x: series.level ? x : null };
    });
  }
  return best;
}

function point(event) {
  const panel = event.target.closest?.(".panel") ?? null;
  if (hovered && hovered !== panel) hide(hovered);
  hovered = panel;
  if (!panel) return;
  const found = nearest(panel, event);
  if (found.series) show(panel, found.series, found.index, found.x);
  else hide(panel);
}

document.addEventListener("pointermove", point, { passive: true });
document.addEventListener("pointerdown", point, { passive: true });

// --- keyboard

const STEPS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
const TURNS = { ArrowUp: -1, ArrowDown: 1 };

function clamp(index, items) {
  return Math.min(Math.max(index, 0), items.length - 1);
}

function move(panel, key) {
  const shown = shownSeries(panel);
  if (!shown.length) return;
  const cursor = cursorOf(panel);
  const place = shown.indexOf(cursor.series);
  let series = shown[clamp(place, shown)];
  let index = place < 0 ? 0 : cursor.index;
  if (place >= 0 && key in STEPS) index = clamp(index + STEPS[key], series.data);
  if (place >= 0 && key in TURNS) {
    const x = series.data[index][0];
    series = shown[(place + TURNS[key] + shown.length) % shown.length];
    const away = series.data.map(([left]) => Math.abs(left - x));
    index = away.indexOf(Math.min(...away));
  }
  panel.querySelector(".live").textContent = show(panel, series, index).join(", ");
}

document.addEventListener("keydown", (event) => {
  if (!event.target.matches?.(".panel") || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape") hide(event.target);
  if (!(event.key in STEPS) && !(event.key in TURNS)) return;
  event.preventDefault();
  move(event.target, event.key);
});
document.addEventListener("focusout", (event) => {
  if (event.target.matches?.(".panel")) hide(event.target);
});

// --- buttons

function toggle(button) {
  const on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", on);
  const chart = button.closest(".chart");
  for (const part of chart.querySelectorAll(`svg [data-series="${button.dataset.series}"]`)) {
    part.classList.toggle("off", !on);
  }
  chart.querySelectorAll(".panel").forEach(hide);
}

function enlarge(button) {
  const figure = button.closest("figure");
  const chart = figure.querySelector(".chart").cloneNode(true);
  chart.querySelectorAll(".panel").forEach(hide);
  dialog.querySelector("h2").textContent = figure.querySelector("h3").textContent;
  dialog.querySelector(".body").replaceChildren(chart);
  dialog.showModal();
}

async function copy(button) {
  const code = button.closest(".command").querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "copied";
    setTimeout(() => (button.textContent = "copy"), 2000);
  } catch {
    getSelection().selectAllChildren(code); // not allowed to copy: one key is left to press
  }
}

document.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // the backdrop
  const button = event.target.closest?.("button");
  if (!button) return;
  if ("series" in button.dataset) toggle(button);
  if ("enlarge" in button.dataset) enlarge(button);
  if ("copy" in button.dataset) copy(button);
  if ("close" in button.dataset) dialog.close();
});
for (const button of document.querySelectorAll("[data-enlarge], [data-copy]")) button.hidden = false;
