"use strict";
// What every part of the page shares: the run, the time shown, colours of the theme, canvases that fit their box.

const run = JSON.parse(document.getElementById("run").textContent);
const ARM_COLOURS = ["--left", "--right"];
const parts = []; // functions of the time in s, called whenever it changes
const frames = []; // functions called when sizes or colours change

const $ = (id) => document.getElementById(id);
const inks = new Map();
/** The theme's colour of that name; asked of the browser once per theme. */
function colour(name) {
  if (!inks.has(name)) inks.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return inks.get(name);
}
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const seconds = (value) => `${value.toFixed(2)} s`;

/** Index of the last entry of the ascending `times` at or before `time`, -1 where there is none. */
function lastBefore(times, time) {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1; else high = middle;
  }
  return low - 1;
}

/** The canvas's context in CSS pixels, cleared, sharp on every screen, with its width and height. */
function fitted(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** Little-endian uint16 millimetres from base64, as metres; 0 (unknown) becomes NaN. */
function metresOf(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => view.getUint16(2 * i, true) / 1000 || NaN);
}

/** Round values that divide `low`..`high` into about `count` steps. */
function ticksBetween(low, high, count) {
  const rough = (high - low) / Math.max(count, 1) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-6; tick += step) ticks.push(Number(tick.toFixed(10)));
  return ticks;
}

const decisionTimes = run.decisions.map((each) => each.time);
/** The decision that was in force at `time`, or null. */
function decisionAt(time) {
  const index = lastBefore(decisionTimes, time);
  return index < 0 ? null : run.decisions[index];
}

const OUTCOMES = { ALLOW: "--allow", LIMIT: "--limit", HOLD: "--hold", STOP: "--stop" };
const MODES = {
  IDLE: "--idle", ENGAGED: "--allow", HOLDING: "--hold", RECOVERING: "--recovering",
  PROTECTIVE_STOP: "--stop", OPERATOR: "--limit",
};
const modeColour = (mode) => colour(MODES[mode.toUpperCase()] || "--idle");
/** The modes as spans {from, to, mode} that cover the run. */
const modeSpans = (() => {
  const spans = [];
  let from = 0, mode = run.modes.length ? run.modes[0].before : "";
  for (const change of run.modes) {
    if (change.time > from) spans.push({ from, to: change.time, mode });
    from = change.time;
    mode = change.after;
  }
  spans.push({ from, to: run.duration, mode });
  return spans.filter((span) => span.mode);
})();
const modeAt = (time) => (modeSpans.find((span) => time >= span.from && time < span.to) || modeSpans.at(-1) || { mode: "" }).mode;

let shownTime = 0;
/** Shows the run at `time` s everywhere. */
function show(time) {
  shownTime = clamp(time, 0, run.duration);
  for (const part of parts) part(shownTime);
}
/** Has `draw` called with the time while `element` is on the screen: what nobody sees costs nothing. */
function whileVisible(element, draw) {
  parts.push((time) => {
    const box = element.getBoundingClientRect();
    if (box.bottom > -50 && box.top < window.innerHeight + 50) draw(time);
  });
}
let drawWanted = false;
/** Shows the same moment again with the next frame: a picture arrived, or the page was scrolled. */
function requestDraw() {
  if (drawWanted) return;
  drawWanted = true;
  requestAnimationFrame(() => { drawWanted = false; show(shownTime); });
}
/** Draws everything again, in the colours and sizes of now. */
function redraw() {
  inks.clear();
  for (const frame of frames) frame();
  show(shownTime);
}
