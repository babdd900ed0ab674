// Predicted beside measured depth of the decision in force, their difference, and the error over the run.

const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [109, 205, 89], [180, 222, 44], [253, 231, 37]];
const DIVERGING = [[33, 102, 172], [103, 169, 207], [209, 229, 240], [247, 247, 247], [253, 219, 199], [239, 138, 98], [178, 24, 43]];
const DIFFERENCE_M = 0.05; // full scale of the difference map, either way

/** The colour of `share` 0..1 along a list of colours. */
function along(list, share) {
  const at = clamp(share, 0, 1) * (list.length - 1);
  const low = Math.min(Math.floor(at), list.length - 2), part = at - low;
  return list[low].map((value, i) => Math.round(value + (list[low + 1][i] - value) * part));
}

const plans = run.decisions.filter((each) => each.plan && each.plan.depth);
for (const each of plans) {
  each.plan.depth.predictedM = metresOf(each.plan.depth.predicted);
  each.plan.depth.measuredM = metresOf(each.plan.depth.measured);
}
const depthMaps = run.depth ? run.depth.maps.map(metresOf) : [];

/** The range of depths of the whole run, so that a colour means the same length at any time. */
const depthRange = (() => {
  const values = [...depthMaps.filter((_, i) => i % 10 === 0), ...plans.map((each) => each.plan.depth.predictedM)]
    .flatMap((map) => [...map].filter(Number.isFinite));
  if (!values.length) return [0, 1];
  values.sort((a, b) => a - b);
  return [values[Math.floor(values.length * 0.005)], values[Math.floor((values.length - 1) * 0.995)]];
})();

const scratch = document.createElement("canvas");
/** Paints `values` (row by row, `columns` wide) into `canvas`, one square per value. */
function paintMap(canvas, values, columns, ink) {
  const { context, width, height } = fitted(canvas);
  const rows = values.length / columns;
  scratch.width = columns;
  scratch.height = rows;
  const small = scratch.getContext("2d");
  const image = small.createImageData(columns, rows);
  values.forEach((value, i) => image.data.set(Number.isFinite(value) ? [...ink(value), 255] : [0, 0, 0, 0], 4 * i));
  small.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(scratch, 0, 0, width, height);
}

const depthInk = (metres) => along(VIRIDIS, 1 - (metres - depthRange[0]) / (depthRange[1] - depthRange[0] || 1));
const differenceInk = (metres) => along(DIVERGING, 0.5 + metres / DIFFERENCE_M / 2);

let depthDrawn = ""; // what the maps show now: they change with the decisions, not with every frame
function drawDepth(time) {
  const decision = decisionAt(time);
  const key = `${decision ? decision.sequence : time} ${$("depth-measured").clientWidth}`;
  if (key === depthDrawn) return;
  depthDrawn = key;
  const depth = decision && decision.plan ? decision.plan.depth : null;
  const seen = run.depth ? Math.max(0, lastBefore(run.depth.times, decision ? decision.about : time)) : -1;
  if (seen >= 0 && depthMaps[seen]) paintMap($("depth-measured"), depthMaps[seen], run.depth.width, depthInk);
  else if (depth) paintMap($("depth-measured"), depth.measuredM, depth.width, depthInk);
  else fitted($("depth-measured"));
  if (!depth) {
    fitted($("depth-predicted"));
    fitted($("depth-difference"));
    $("depth-note").textContent = "";
    return;
  }
  paintMap($("depth-predicted"), depth.predictedM, depth.width, depthInk);
  paintMap($("depth-difference"), depth.predictedM.map((value, i) => value - depth.measuredM[i]), depth.width, differenceInk);
  $("depth-note").textContent = `chunk ${decision.sequence}, seen at ${seconds(decision.about)}: median error ${depth.median_mm} mm`;
}

/** A colour bar with its values under it. */
function drawScale(canvas, ink, low, high, unit, factor) {
  const { context, width } = fitted(canvas);
  for (let x = 0; x < width; x++) {
    const [r, g, b] = ink(low + ((high - low) * x) / width);
    context.fillStyle = `rgb(${r} ${g} ${b})`;
    context.fillRect(x, 0, 1.5, 9);
  }
  context.fillStyle = colour("--muted");
  context.font = "12px system-ui, sans-serif";
  for (const tick of ticksBetween(low, high, Math.max(2, width / 80))) {
    const x = ((tick - low) / (high - low)) * width;
    context.textAlign = x < 12 ? "left" : x > width - 24 ? "right" : "center";
    context.fillText(`${Number((tick * factor).toFixed(2))} ${unit}`, x, 27);
  }
}

function drawErrors(time) {
  const canvas = $("error-plot");
  const series = [
    { name: "depth", ink: colour("--allow"), points: run.decisions.map((each) => [each.time, each.plan && each.plan.depth ? each.plan.depth.median_mm : null]) },
    { name: "trace", ink: colour("--hold"), points: run.decisions.map((each) => [each.time, each.plan ? each.plan.trace_error_mm : null]) },
  ];
  const values = series.flatMap((each) => each.points.map(([, value]) => value)).filter((value) => value !== null);
  const axes = plotAxes(canvas, [0, run.duration], [0, Math.max(5, ...values) * 1.08], "mm", 3);
  series.forEach(({ name, ink, points }, i) => {
    const shown = points.filter(([, value]) => value !== null).map(([at, value]) => [axes.x(at), axes.y(value)]);
    axes.context.strokeStyle = axes.context.fillStyle = ink;
    axes.context.lineWidth = 1.5;
    axes.context.beginPath();
    shown.forEach(([x, y], j) => (j ? axes.context.lineTo(x, y) : axes.context.moveTo(x, y)));
    axes.context.stroke();
    for (const [x, y] of shown) { axes.context.beginPath(); axes.context.arc(x, y, 2.2, 0, 7); axes.context.fill(); }
    axes.context.textAlign = "right";
    axes.context.fillText(name, axes.right - 50 * (1 - i), 11);
  });
  cursor(axes, time);
}

function buildDepth() {
  $("no-plans").hidden = stated;
  if (!plans.length && !depthMaps.length) $("depth-panel").hidden = true;
  if (!stated) {
    for (const id of ["depth-predicted", "depth-difference"]) $(id).closest("figure").hidden = true;
    $("difference-scale").hidden = true;
    $("error-plot").hidden = true;
    $("error-plot").previousElementSibling.hidden = true;
  } else whileVisible($("error-plot"), drawErrors);
  whileVisible($("depth-measured"), drawDepth);
  frames.push(() => {
    depthDrawn = "";
    drawScale($("depth-scale"), depthInk, ...depthRange, "m", 1);
    drawScale($("difference-scale"), differenceInk, -DIFFERENCE_M, DIFFERENCE_M, "mm", 1000);
  });
}
