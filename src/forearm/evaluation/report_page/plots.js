// Curves of the joints, and where the time of inference, vetting and guard goes.

/** Axes drawn into `canvas`, and the functions that place values on them. */
function plotAxes(canvas, [left, right], [low, high], unit, count) {
  const { context, width, height } = fitted(canvas);
  const margin = { left: unit ? 46 : 34, right: 4, top: 6, bottom: 6 };
  const x = (value) => margin.left + ((value - left) / (right - left || 1)) * (width - margin.left - margin.right);
  const y = (value) => height - margin.bottom - ((value - low) / (high - low || 1)) * (height - margin.top - margin.bottom);
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.textAlign = "right";
  const ticks = ticksBetween(low, high, count);
  ticks.forEach((tick, i) => {
    context.fillStyle = colour("--rule");
    context.fillRect(margin.left, Math.round(y(tick)), width - margin.left - margin.right, 1);
    context.fillStyle = colour("--faint");
    context.fillText(i === ticks.length - 1 && unit ? `${tick} ${unit}` : String(tick), margin.left - 5, y(tick));
  });
  return { context, x, y, width, height, right: width - margin.right };
}

function cursor(axes, time) {
  axes.context.fillStyle = colour("--ink");
  axes.context.globalAlpha = 0.5;
  axes.context.fillRect(axes.x(time) - 0.5, 2, 1, axes.height - 4);
  axes.context.globalAlpha = 1;
}

function curve(axes, times, values, ink, line, dash = []) {
  const { context } = axes;
  context.beginPath();
  let started = false;
  values.forEach((value, i) => {
    if (value === null) { started = false; return; }
    if (started) context.lineTo(axes.x(times[i]), axes.y(value)); else context.moveTo(axes.x(times[i]), axes.y(value));
    started = true;
  });
  context.setLineDash(dash);
  context.strokeStyle = ink;
  context.lineWidth = line;
  context.lineJoin = "round";
  context.stroke();
  context.setLineDash([]);
}

function buildJoints() {
  const { names, units, measured, commanded } = run.joints;
  if (!names.length) $("joints").hidden = true;
  const half = names.length / run.arms.length;
  names.forEach((name, joint) => {
    const figure = document.createElement("figure");
    const unit = { rad: "rad", opening: "0 … 1" }[units[joint]] || "";
    figure.innerHTML = `<figcaption><b></b><span>${unit}</span></figcaption><canvas></canvas>`;
    figure.querySelector("b").textContent = name.replaceAll("_", " ");
    $("joint-grid").append(figure);
    const canvas = figure.querySelector("canvas");
    const values = [...(measured.values[joint] || []), ...(commanded.values[joint] || [])].filter((each) => each !== null);
    const least = units[joint] === "opening" ? 1 : 0.1; // a still joint is a straight line, not its own noise
    const middle = (Math.min(...values) + Math.max(...values)) / 2 || 0;
    const reach = Math.max(least, Math.max(...values) - Math.min(...values) || 0) * 0.58;
    whileVisible(canvas, (time) => {
      const axes = plotAxes(canvas, [0, run.duration], [middle - reach, middle + reach], "", 3);
      if (measured.values[joint]) curve(axes, measured.times, measured.values[joint], colour(ARM_COLOURS[Math.floor(joint / half)] || "--ink"), 1.8);
      if (commanded.values[joint]) curve(axes, commanded.times, commanded.values[joint], colour("--ink"), 1, [3, 3]);
      cursor(axes, time);
    });
  });
}

const PART_INKS = ["#4c78a8", "#72b7b2", "#eeca3b", "#f58518", "#b279a2", "#9d755d", "#54a24b", "#e45756"];
const timingNames = [...new Set(run.decisions.flatMap((each) => Object.keys(each.timings_ms)))];
/** The decision's time by part; what its parts do not explain is "other". */
function partsOf(decision) {
  const spent = timingNames.map((name) => [name, decision.timings_ms[name] || 0]);
  const rest = (decision.latency_ms || 0) - spent.reduce((sum, [, value]) => sum + value, 0);
  return rest > 0.005 ? [...spent, ["other", rest]] : spent;
}
const inkOf = (name) => (name === "other" ? colour("--idle") : PART_INKS[timingNames.indexOf(name) % PART_INKS.length]);

function drawLatency(time) {
  const stacks = run.decisions.map(partsOf);
  const totals = stacks.map((stack) => stack.reduce((sum, [, value]) => sum + value, 0));
  const axes = plotAxes($("latency-plot"), [0, run.duration], [0, Math.max(1, ...totals) * 1.06], "", 5);
  const wide = clamp((axes.width / Math.max(stacks.length, 1)) * 0.6, 1.5, 14);
  stacks.forEach((stack, i) => {
    let below = 0;
    for (const [name, value] of stack) {
      axes.context.fillStyle = inkOf(name);
      axes.context.fillRect(axes.x(run.decisions[i].time) - wide / 2, axes.y(below + value), wide, axes.y(below) - axes.y(below + value));
      below += value;
    }
  });
  cursor(axes, time);
}

function quantile(values, share) {
  const sorted = values.filter((each) => each !== null).sort((a, b) => a - b);
  return sorted.length ? sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] : null;
}

function buildLatency() {
  if (!run.decisions.length && !run.verdicts.length && !run.lateness) {
    $("latency").hidden = true;
    return;
  }
  const rows = [["whole decision", run.decisions.map((each) => each.latency_ms)]];
  const named = timingNames.length ? [...timingNames, "other"] : [];
  for (const name of named) {
    const spent = run.decisions.map((each) => (partsOf(each).find(([part]) => part === name) || [])[1] ?? null);
    if (spent.some((value) => value !== null)) rows.push([name, spent]);
  }
  rows.push(["vetting, per chunk", run.verdicts.filter((each) => each.gate === "vetting").map((each) => each.cost_ms)]);
  rows.push(["guard, where it objected", run.verdicts.filter((each) => each.gate === "guard").map((each) => each.cost_ms)]);
  const table = document.createElement("table");
  table.innerHTML = "<thead><tr><th>ms</th><th>count</th><th>p50</th><th>p99</th><th>worst</th></tr></thead>";
  const body = table.createTBody();
  const add = (name, count, figures) => {
    const row = body.insertRow();
    const shown = figures.map((value) => (value === null ? "–" : value.toFixed(2)));
    for (const text of [name, String(count), ...shown]) row.insertCell().textContent = text;
  };
  for (const [name, values] of rows.filter(([, spent]) => spent.length)) {
    add(name, values.filter((each) => each !== null).length, [0.5, 0.99, 1].map((share) => quantile(values, share)));
  }
  if (run.lateness) add("tick of the loop, late by", run.lateness.ticks, [run.lateness.p50_ms, run.lateness.p99_ms, null]);
  $("latency-table").append(table);
  $("latency-legend").replaceChildren(...named.map((name) => {
    const item = document.createElement("span");
    const key = document.createElement("i");
    key.className = "block";
    key.style.background = inkOf(name);
    item.append(key, name);
    return item;
  }));
  whileVisible($("latency-plot"), drawLatency);
}
