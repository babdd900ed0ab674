// The cell in 3D: what the top camera measured, the arms, the path their tools took, and the path the plan states.
// A perspective renderer on a 2D canvas: points and lines, far ones first. Metres, cell frame, z up.

const HOME_VIEW = { azimuth: -2.45, elevation: 0.62, distance: 0.9, target: [0.25, -0.35, 0.06] };
const view = { ...HOME_VIEW };
const LENS = 1.35; // focal length over half the height

/** Projects cell points to the canvas: (x, y, z) → [px, py, distance along the view], or null behind the eye. */
function projector(width, height) {
  const [ca, sa, ce, se] = [Math.cos(view.azimuth), Math.sin(view.azimuth), Math.cos(view.elevation), Math.sin(view.elevation)];
  const forward = [-ca * ce, -sa * ce, -se], right = [-sa, ca, 0], up = [-ca * se, -sa * se, ce];
  const eye = view.target.map((value, i) => value - forward[i] * view.distance);
  const focal = (LENS * height) / 2;
  return (x, y, z) => {
    const [dx, dy, dz] = [x - eye[0], y - eye[1], z - eye[2]];
    const depth = dx * forward[0] + dy * forward[1] + dz * forward[2];
    if (depth < 0.05) return null;
    const scale = focal / depth;
    return [width / 2 + (dx * right[0] + dy * right[1]) * scale, height / 2 - (dx * up[0] + dy * up[1] + dz * up[2]) * scale, depth];
  };
}

function polyline(context, to, points, ink, line, dash = []) {
  context.beginPath();
  let started = false;
  for (const point of points) {
    const at = known(point) ? to(...point) : null;
    if (!at) { started = false; continue; }
    if (started) context.lineTo(at[0], at[1]); else context.moveTo(at[0], at[1]);
    started = true;
  }
  context.setLineDash(dash);
  context.strokeStyle = ink;
  context.lineWidth = line;
  context.lineCap = context.lineJoin = "round";
  context.stroke();
  context.setLineDash([]);
}

function drawTable(context, to) {
  context.globalAlpha = 0.8;
  for (let x = 0; x <= 0.701; x += 0.1) polyline(context, to, [[x, -0.85, 0], [x, 0.25, 0]], colour("--rule"), 1);
  for (let y = -0.85; y <= 0.251; y += 0.1) polyline(context, to, [[0, y, 0], [0.7, y, 0]], colour("--rule"), 1);
  context.globalAlpha = 1;
}

const FLYING_M = 0.03; // a pixel this far from both its neighbours mixes two surfaces at an edge and lies on neither
function isFlying(map, i, width) {
  const far = (j) => !(Math.abs(map[j] - map[i]) < FLYING_M);
  return (far(i - 1) && far(i + 1)) || (far(i - width) && far(i + width));
}

const sample = document.createElement("canvas"); // the picture whose pixels colour the points
const cloud = { key: "", points: [] };
/** The newest depth map as points with the colours of the newest picture. */
function cloudAt(time) {
  const picture = pictureAt(run.mainCamera, time);
  const index = run.depth ? Math.max(0, lastBefore(run.depth.times, time)) : -1;
  if (index < 0 || !picture) return [];
  const key = `${index} ${picture.src.length} ${run.cameras[run.mainCamera].times[Math.max(0, lastBefore(run.cameras[run.mainCamera].times, time))]}`;
  if (cloud.key === key) return cloud.points;
  const { width, height, u, v, rays, origin } = run.depth;
  sample.width = picture.naturalWidth;
  sample.height = picture.naturalHeight;
  const context = sample.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, sample.width, sample.height);
  const points = [];
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const i = row * width + column, metres = depthMaps[index][i];
      if (!Number.isFinite(metres) || isFlying(depthMaps[index], i, width)) continue;
      const pixel = 4 * (Math.floor(v[row] * sample.height) * sample.width + Math.floor(u[column] * sample.width));
      const at = rays[i].map((part, axis) => origin[axis] + metres * part);
      if (at[2] < -0.1) continue; // beyond the table's edge: the floor
      const ink = (255 << 24) | (data[pixel + 2] << 16) | (data[pixel + 1] << 8) | data[pixel]; // ABGR, as a word of ImageData
      points.push([...at, ink, metres]);
    }
  }
  Object.assign(cloud, { key, points });
  return points;
}

const layer = document.createElement("canvas"); // the points, one pixel per CSS pixel, nearest in front
/** Draws the points as squares as large as the patch of surface each stands for. */
function drawCloud(context, to, width, height, time) {
  const [wide, tall] = [Math.round(width), Math.round(height)];
  const points = cloudAt(time);
  if (!points.length || !wide || !tall) return;
  layer.width = wide;
  layer.height = tall;
  const image = layer.getContext("2d").createImageData(wide, tall);
  const words = new Uint32Array(image.data.buffer), nearest = new Float32Array(wide * tall).fill(Infinity);
  const spacing = 1.6 * Math.hypot(...run.depth.rays[0].map((value, i) => value - run.depth.rays[1][i]));
  for (const [x, y, z, ink, metres] of points) {
    const at = to(x, y, z);
    if (!at) continue;
    const half = clamp((spacing * metres * LENS * height) / 4 / at[2], 0.7, 8);
    const [left, right] = [Math.max(0, Math.round(at[0] - half)), Math.min(wide, Math.round(at[0] + half))];
    const bottom = Math.min(tall, Math.round(at[1] + half));
    for (let row = Math.max(0, Math.round(at[1] - half)); row < bottom; row++) {
      for (let i = row * wide + left; i < row * wide + right; i++) {
        if (at[2] < nearest[i]) {
          nearest[i] = at[2];
          words[i] = ink;
        }
      }
    }
  }
  layer.getContext("2d").putImageData(image, 0, 0);
  context.drawImage(layer, 0, 0, width, height);
}

function drawArms(context, to, time) {
  const now = Math.max(0, lastBefore(run.paths.times, time));
  run.arms.forEach((arm, index) => {
    const ink = colour(ARM_COLOURS[index]), tools = run.paths.tools[index], links = run.paths.links[index][now];
    const floor = (points) => points.filter(known).map(([x, y]) => [x, y, 0]);
    polyline(context, to, floor(tools.slice(0, now + 1)), "rgb(128 128 128 / 35%)", 2);
    const skeleton = [...links.slice(0, 7), tools[now]];
    polyline(context, to, skeleton, colour("--paper"), 9);
    polyline(context, to, skeleton, colour("--faint"), 6);
    for (const link of links.slice(0, 7)) {
      const at = to(...link);
      if (at) disc(context, at, 3.2, colour("--panel"));
    }
    context.globalAlpha = 0.28;
    polyline(context, to, tools, ink, 2);
    context.globalAlpha = 1;
    polyline(context, to, tools.slice(0, now + 1), ink, 2.6);
  });
}

function drawTraces(context, to, time) {
  const decision = decisionAt(time);
  if (!decision || !decision.plan) return;
  run.arms.forEach((arm, index) => {
    const waypoints = (decision.plan.trace[index] || []).filter(known);
    const start = run.paths ? [run.paths.tools[index][Math.max(0, lastBefore(run.paths.times, decision.about))]] : [];
    polyline(context, to, [...start, ...waypoints].map(([x, y]) => [x, y, 0]), "rgb(128 128 128 / 45%)", 1.5, [2, 4]);
    polyline(context, to, [...start, ...waypoints], colour("--ink"), 4);
    polyline(context, to, [...start, ...waypoints], colour(ARM_COLOURS[index]), 2, [5, 4]);
    waypoints.forEach((point, i) => {
      const at = to(...point);
      if (at) disc(context, at, 3.4 + 0.5 * i, colour(ARM_COLOURS[index]));
    });
  });
}

function drawTools(context, to, time) {
  const now = Math.max(0, lastBefore(run.paths.times, time));
  run.arms.forEach((arm, index) => {
    const at = known(run.paths.tools[index][now]) ? to(...run.paths.tools[index][now]) : null;
    if (!at) return;
    context.beginPath();
    context.arc(at[0], at[1], 6, 0, 7);
    context.lineWidth = 2.5;
    context.strokeStyle = colour("--ink");
    context.fillStyle = colour("--panel");
    context.fill();
    context.stroke();
  });
}

function drawSpace(time) {
  const { context, width, height } = fitted($("space"));
  const to = projector(width, height);
  drawTable(context, to);
  drawCloud(context, to, width, height, time);
  if (run.paths) drawArms(context, to, time);
  drawTraces(context, to, time);
  if (run.paths) drawTools(context, to, time);
}

function buildSpace() {
  if (!run.paths && !run.depth) {
    $("space-panel").hidden = true;
    return;
  }
  const canvas = $("space");
  canvas.onpointerdown = (event) => canvas.setPointerCapture(event.pointerId);
  canvas.onpointermove = (event) => {
    if (!event.buttons) return;
    view.azimuth -= event.movementX * 0.008;
    view.elevation = clamp(view.elevation + event.movementY * 0.008, 0.02, 1.55);
    drawSpace(shownTime);
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    view.distance = clamp(view.distance * Math.exp(event.deltaY * 0.0012), 0.4, 4);
    drawSpace(shownTime);
  }, { passive: false });
  canvas.ondblclick = () => { Object.assign(view, HOME_VIEW); drawSpace(shownTime); };
  const arms = run.arms.map((arm, i) => `<span><i style="background:var(${ARM_COLOURS[i]})"></i>${arm.name} tool's path</span>`);
  const planned = stated ? ['<span><i class="dot"></i>predicted trace</span>'] : [];
  const seen = run.depth ? ['<span><i class="block"></i>measured by the top camera</span>'] : [];
  $("space-legend").innerHTML = [...arms, ...planned, ...seen].join("");
  whileVisible(canvas, drawSpace);
}
