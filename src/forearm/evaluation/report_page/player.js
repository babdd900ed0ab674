// The cameras side by side, the plan drawn over the main one, and the transport at the foot of the page.

const pictures = {}; // camera → Images, decoded as they come into view
for (const [camera, film] of Object.entries(run.cameras)) {
  pictures[camera] = film.jpegs.map((data) => {
    const picture = new Image();
    picture.onload = () => requestDraw();
    picture.src = `data:image/jpeg;base64,${data}`;
    return picture;
  });
}

/** The picture of `camera` at `time`, or null: the first one also before it was taken. */
function pictureAt(camera, time) {
  const film = run.cameras[camera];
  if (!film || !film.times.length) return null;
  const picture = pictures[camera][Math.max(0, lastBefore(film.times, time))];
  return picture.complete && picture.naturalWidth ? picture : null;
}

const stated = run.decisions.some((each) => each.plan);
const CAPTIONS = { outside: "outside", left: "left wrist", right: "right wrist", top: stated ? "top camera and plan" : "top camera" };
const overlay = { on: true };

function buildStage() {
  const stage = $("stage");
  const present = ["outside", run.mainCamera, "left", "right"].filter((camera) => run.cameras[camera]);
  const others = Object.keys(run.cameras).filter((camera) => !present.includes(camera));
  const cameras = [...present, ...others];
  if (!cameras.length) {
    stage.innerHTML = '<p class="quiet">The log holds no images.</p>';
    return;
  }
  const small = cameras.filter((camera) => camera !== "outside" && camera !== run.mainCamera);
  const stacked = small.length === 2 && cameras.length > 2;
  const aspect = (camera) => run.cameras[camera].width / run.cameras[camera].height;
  const large = stacked ? cameras.filter((camera) => !small.includes(camera)) : cameras;
  const widths = large.map(aspect);
  if (stacked) widths.push(aspect(small[0]) / 2);
  stage.style.gridTemplateColumns = widths.map((width) => `minmax(0, ${width}fr)`).join(" ");
  if (stacked) stage.style.gridTemplateRows = "minmax(0, 1fr) minmax(0, 1fr)";
  for (const camera of cameras) {
    const view = document.createElement("figure");
    view.className = "view";
    view.innerHTML = `<canvas id="view-${camera}"></canvas><figcaption>${CAPTIONS[camera] || camera}</figcaption>`;
    view.style.setProperty("--aspect", aspect(camera));
    if (!stacked || large.includes(camera)) {
      view.style.aspectRatio = aspect(camera);
      if (stacked) view.style.gridRow = "1 / 3";
    }
    if (camera === run.mainCamera && stated) {
      view.insertAdjacentHTML("beforeend", '<label class="switch"><input type="checkbox" checked>plan</label>');
      view.querySelector("input").onchange = (event) => { overlay.on = event.target.checked; show(shownTime); };
    }
    stage.append(view);
    whileVisible(view, (time) => drawCamera(camera, time));
  }
}

function drawCamera(camera, time) {
  const { context, width, height } = fitted($(`view-${camera}`));
  const picture = pictureAt(camera, time);
  if (picture) {
    context.imageSmoothingQuality = "high";
    const scale = Math.max(width / picture.naturalWidth, height / picture.naturalHeight); // covers its box, never distorted
    const [wide, tall] = [picture.naturalWidth * scale, picture.naturalHeight * scale];
    context.drawImage(picture, (width - wide) / 2, (height - tall) / 2, wide, tall);
  }
  if (camera === run.mainCamera && overlay.on) drawPlan(context, width, height, time);
}

/** A line with a dark edge, readable over any picture. */
function stroke(context, points, style, line, dash = []) {
  if (points.length < 2) return;
  context.lineJoin = context.lineCap = "round";
  for (const [ink, extra] of [["rgb(0 0 0 / 55%)", 2.5], [style, 0]]) {
    context.beginPath();
    points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.setLineDash(dash);
    context.strokeStyle = ink;
    context.lineWidth = line + extra;
    context.stroke();
  }
  context.setLineDash([]);
}

const known = (point) => point && point.every((value) => value !== null);

/** The decision's waypoints and points, where the tools then went, and where they are. */
function drawPlan(context, width, height, time) {
  const decision = decisionAt(time);
  const at = ([x, y]) => [x * width, y * height];
  const armInks = ["#6fb1ff", "#ffa45c"];
  run.arms.forEach((arm, index) => {
    const here = run.paths ? run.paths.pixels[index][Math.max(0, lastBefore(run.paths.times, time))] : null;
    if (decision && decision.plan && decision.plan.pixels[index]) {
      const plan = decision.plan;
      if (run.paths) {
        const from = Math.max(0, lastBefore(run.paths.times, decision.about));
        const to = lastBefore(run.paths.times, decision.about + plan.times.at(-1)) + 1;
        stroke(context, run.paths.pixels[index].slice(from, to).filter(known).map(at), "rgb(255 255 255 / 80%)", 1.3, [2, 4]);
      }
      const start = run.paths ? [run.paths.pixels[index][Math.max(0, lastBefore(run.paths.times, decision.about))]] : [];
      const waypoints = plan.pixels[index].filter(known);
      stroke(context, [...start.filter(known), ...waypoints].map(at), armInks[index], 2.4);
      waypoints.forEach((point, i) => disc(context, at(point), 2.6 + 0.5 * i, armInks[index]));
      if (known(plan.points[index])) crosshair(context, at(plan.points[index]), armInks[index]);
    }
    if (known(here)) {
      context.beginPath();
      context.arc(...at(here), 7, 0, 7);
      context.strokeStyle = "#fff";
      context.lineWidth = 2;
      context.stroke();
    }
  });
}

function disc(context, [x, y], radius, ink) {
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.fillStyle = ink;
  context.fill();
  context.strokeStyle = "rgb(0 0 0 / 55%)";
  context.lineWidth = 1;
  context.stroke();
}

function crosshair(context, [x, y], ink) {
  for (const [style, line] of [["rgb(0 0 0 / 60%)", 4.5], [ink, 2]]) {
    context.strokeStyle = style;
    context.lineWidth = line;
    context.beginPath();
    context.arc(x, y, 10, 0, 7);
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + 6 * dx, y + 6 * dy);
      context.lineTo(x + 15 * dx, y + 15 * dy);
    }
    context.stroke();
  }
}

function drawNow(time) {
  const decision = decisionAt(time);
  const said = [];
  const mode = modeAt(time);
  if (mode) said.push(["mode", mode.toLowerCase().replaceAll("_", " ")]);
  if (decision) said.push(["chunk", String(decision.sequence)]);
  if (decision && decision.plan) {
    said.push(["subtask", decision.plan.subtask || "–"]);
    const names = decision.plan.names;
    if (names.some((name) => name)) said.push(["holds or takes", names.map((name) => name || "–").join(" · ")]);
    if (decision.plan.confidence !== null) said.push(["confidence", decision.plan.confidence.toFixed(2)]);
    if (decision.plan.trace_error_mm !== null) said.push(["trace error", `${decision.plan.trace_error_mm} mm`]);
  }
  $("now").replaceChildren(...said.map(([name, value]) => {
    const item = document.createElement("span");
    const strong = document.createElement("b");
    strong.textContent = value;
    item.append(`${name} `, strong);
    return item;
  }));
}

const playing = { on: false, since: 0, from: 0 };
function play(on) {
  playing.on = on;
  $("play").textContent = on ? "❚❚" : "▶";
  if (on) {
    playing.from = shownTime >= run.duration ? 0 : shownTime;
    playing.since = performance.now();
    requestAnimationFrame(step);
  }
}
function step(now) {
  if (!playing.on) return;
  const time = playing.from + ((now - playing.since) / 1000) * Number($("speed").value);
  show(time);
  if (time >= run.duration) play(false); else requestAnimationFrame(step);
}
function seek(time) {
  show(time);
  playing.from = shownTime;
  playing.since = performance.now();
}

function drawTrack(time) {
  const { context, width, height } = fitted($("track-canvas"));
  const x = (at) => (at / (run.duration || 1)) * width;
  const top = height / 2 - 4;
  context.fillStyle = colour("--well");
  context.beginPath();
  context.roundRect(0, top, width, 8, 4);
  context.fill();
  context.save();
  context.clip();
  for (const span of modeSpans) {
    context.globalAlpha = 0.3;
    context.fillStyle = modeColour(span.mode);
    context.fillRect(x(span.from), top, x(span.to) - x(span.from), 8);
    context.globalAlpha = 1;
    context.fillRect(x(span.from), top, Math.max(0, x(Math.min(span.to, time)) - x(span.from)), 8);
  }
  context.restore();
  for (const each of run.decisions) {
    context.fillStyle = colour("--faint");
    context.fillRect(x(each.time) - 0.5, top + 13, 1, 5);
  }
  for (const verdict of run.verdicts) {
    if (verdict.outcome === "ALLOW") continue;
    context.fillStyle = colour(OUTCOMES[verdict.outcome]);
    context.fillRect(x(verdict.time) - 1, top - 9, 2, 6);
  }
  context.fillStyle = colour("--ink");
  context.strokeStyle = colour("--paper");
  context.lineWidth = 3;
  context.beginPath();
  context.arc(clamp(x(time), 8, width - 8), height / 2, 8, 0, 7);
  context.stroke();
  context.fill();
  $("clock").innerHTML = `${time.toFixed(2)} <span>/ ${seconds(run.duration)}</span>`;
  $("track").setAttribute("aria-valuenow", time.toFixed(2));
}

function buildTransport() {
  const track = $("track");
  track.setAttribute("aria-valuemax", run.duration.toFixed(2));
  const toTime = (event) => {
    const box = track.getBoundingClientRect();
    return ((event.clientX - box.left) / box.width) * run.duration;
  };
  track.onpointerdown = (event) => { track.setPointerCapture(event.pointerId); play(false); seek(toTime(event)); };
  track.onpointermove = (event) => { if (event.buttons) seek(toTime(event)); };
  $("play").onclick = () => play(!playing.on);
  $("speed").onchange = () => seek(shownTime);
  document.addEventListener("keydown", (event) => {
    const focus = document.activeElement || document.body;
    if (focus.closest("select, input, summary")) return;
    const row = focus.closest("tr[data-time]");
    if (event.key === "Enter" && row) seek(Number(row.dataset.time));
    else if (event.key === " " && focus.id !== "play") play(!playing.on);
    else if (event.key === "ArrowRight") seek(shownTime + (event.shiftKey ? 1 : 0.1));
    else if (event.key === "ArrowLeft") seek(shownTime - (event.shiftKey ? 1 : 0.1));
    else return;
    event.preventDefault();
  });
  for (const row of document.querySelectorAll("tr[data-time]")) {
    row.onclick = () => { play(false); seek(Number(row.dataset.time)); };
  }
  parts.push(drawTrack, drawNow);
}
