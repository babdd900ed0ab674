// Modes, chunks, verdicts and alarms over time, on one axis.

const LANES = [
  { name: "mode", at: 10, tall: 16 },
  { name: "chunks", at: 40, tall: 42 },
  { name: "vetting", at: 96, tall: 16 },
  { name: "guard", at: 120, tall: 16 },
  { name: "alarms", at: 144, tall: 16 },
];
const GUTTER = 66; // px, names of the lanes

function drawLanes(time) {
  const { context, width } = fitted($("lanes"));
  const x = (at) => GUTTER + (at / (run.duration || 1)) * (width - GUTTER - 2);
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  for (const lane of LANES) {
    context.fillStyle = colour("--muted");
    context.textAlign = "left";
    context.fillText(lane.name, 0, lane.at + lane.tall / 2);
    context.fillStyle = colour("--well");
    context.globalAlpha = 0.55;
    context.fillRect(GUTTER, lane.at, width - GUTTER, lane.tall);
    context.globalAlpha = 1;
  }
  drawModes(context, x);
  drawChunks(context, x, time);
  for (const verdict of run.verdicts) {
    const lane = LANES[verdict.gate === "vetting" ? 2 : 3];
    context.fillStyle = colour(OUTCOMES[verdict.outcome]);
    if (verdict.gate === "vetting") context.fillRect(x(verdict.time) - 2, lane.at + 2, 4, lane.tall - 4);
    else context.fillRect(x(verdict.time) - 0.75, lane.at + 2, 1.5, lane.tall - 4);
  }
  for (const alarm of run.alarms) {
    context.fillStyle = colour(alarm.inARow < 3 ? OUTCOMES.LIMIT : OUTCOMES.HOLD);
    context.fillRect(x(alarm.time) - 2, LANES[4].at + 2, 4, LANES[4].tall - 4);
  }
  context.fillStyle = colour("--muted");
  for (const tick of ticksBetween(0, run.duration, width / 110)) {
    context.textAlign = tick === 0 ? "left" : "center";
    context.fillText(`${tick} s`, x(tick), 180);
    context.fillRect(x(tick) - 0.5, 166, 1, 5);
  }
  context.fillStyle = colour("--ink");
  context.fillRect(x(time) - 0.75, 2, 1.5, 164);
}

function drawModes(context, x) {
  const lane = LANES[0];
  for (const span of modeSpans) {
    const from = x(span.from), wide = x(span.to) - from;
    context.fillStyle = modeColour(span.mode);
    context.fillRect(from, lane.at, Math.max(1, wide - 1), lane.tall);
    const name = span.mode.toLowerCase().replaceAll("_", " ");
    if (wide > context.measureText(name).width + 12) {
      context.fillStyle = colour("--paper");
      context.textAlign = "left";
      context.fillText(name, from + 6, lane.at + lane.tall / 2 + 0.5);
    }
  }
}

/** Each chunk from its observation to its last row, in three rows so that neighbours can be told apart. */
function drawChunks(context, x, time) {
  const lane = LANES[1], current = decisionAt(time);
  const verdicts = new Map(run.verdicts.filter((each) => each.gate === "vetting").map((each) => [each.sequence, each.outcome]));
  run.decisions.forEach((decision, index) => {
    const from = x(decision.about), to = Math.min(x(decision.until), x(run.duration));
    const top = lane.at + (index % 3) * 14 + 1;
    const ink = colour(OUTCOMES[verdicts.get(decision.sequence) || "ALLOW"]);
    context.globalAlpha = decision === current ? 1 : 0.42;
    context.fillStyle = ink;
    context.beginPath();
    context.roundRect(from, top, Math.max(2, to - from), 11, 3);
    context.fill();
    context.globalAlpha = 1;
    context.fillStyle = ink;
    context.fillRect(x(decision.time) - 1, top - 1, 2, 13);
  });
}

function buildTimeline() {
  const canvas = $("lanes");
  canvas.style.cursor = "pointer";
  const jump = (event) => {
    const box = canvas.getBoundingClientRect();
    play(false);
    seek(((event.clientX - box.left - GUTTER) / (box.width - GUTTER - 2)) * run.duration);
  };
  canvas.onpointerdown = (event) => { canvas.setPointerCapture(event.pointerId); jump(event); };
  canvas.onpointermove = (event) => { if (event.buttons) jump(event); };
  whileVisible(canvas, drawLanes);
}
