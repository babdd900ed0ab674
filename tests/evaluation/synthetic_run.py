"""A run that looks like one of the real station, from a recording at 10 Hz: events, images, plans, verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from forearm.events import Commanded, Decided, Event, Judged, ModeChanged, Observed, SessionEnded, SessionStarted
from forearm.messages import ActionChunk, Decision, DepthImage, Finding, Image, Observation, Outcome, Plan
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses

SECOND = 1_000_000_000  # ns
TICK = 10_000_000  # ns
FRAME = 100_000_000  # ns
START = 5 * SECOND  # the session's clock does not begin at zero
WAYPOINTS_S = np.array([0.3, 0.6, 1.0, 1.6, 2.4])
INSTRUCTION = 'put the red block in the "box" <now> & stop'
TOP = BIMANUAL_YAM.cameras[0]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """T frames of 0.1 s: joints (T, 14), images and depths (T, H, W[, 3]) by camera, what was being done."""

    positions: np.ndarray
    images: Mapping[str, np.ndarray]
    depths: Mapping[str, np.ndarray]
    subtasks: tuple[str, ...]
    instruction: str = INSTRUCTION
    box: np.ndarray = field(default_factory=lambda: np.array([0.3, -0.3, 0.0]))


def painted(seconds: float = 4.0) -> Recording:
    """Both arms swing above a grey table that the top camera sees; no renderer involved."""
    count = int(seconds * 10)
    phase = np.linspace(0, 2 * np.pi, count)
    home = np.array([0.0, 1.2, 1.3, -0.4, 0.0, 0.0, 1.0] * 2)
    sway = np.outer(np.sin(phase), [0.4, 0.2, 0.15, 0.1, 0.2, 0.3, 0.0] * 2)
    positions = home + sway
    positions[count // 3 : 2 * count // 3, 6] = 0.3
    depth = _table_depth()
    top = np.stack([_painted_top(row, depth) for row in positions])
    small = np.random.default_rng(1).integers(60, 200, (count, 72, 72, 3), dtype=np.uint8)
    outside = np.broadcast_to(np.linspace(40, 200, 320, dtype=np.uint8)[None, None, :, None], (count, 240, 320, 3))
    return Recording(
        positions=positions,
        images={"top": top, "left": small, "right": small[::-1], "outside": outside},
        depths={"top": np.broadcast_to(depth, (count, *depth.shape))},
        subtasks=("reach for the red block",) * count,
    )


def _table_depth() -> np.ndarray:
    """Distance (H, W) m along the top camera's axis to the table, NaN past its edge."""
    pixels = np.stack(np.meshgrid(np.arange(TOP.width) + 0.5, np.arange(TOP.height) + 0.5), axis=-1)
    assert TOP.cell_from_camera is not None
    rays = TOP.pinhole.unproject(pixels, np.ones(pixels.shape[:2])) @ TOP.cell_from_camera.rotation.T
    depth = -TOP.cell_from_camera.translation[2] / rays[..., 2]
    return np.where((depth > 0) & (depth < 1.6), depth, np.nan).astype(np.float32)


def _painted_top(positions: np.ndarray, depth: np.ndarray) -> np.ndarray:
    image = np.where(np.isfinite(depth)[..., None], 190, 60) * np.ones(3)
    image[30:45, 50:65] = (200, 40, 30)
    assert TOP.cell_from_camera is not None
    tools, _ = tool_poses(positions)
    for x, y in TOP.pinhole.project(TOP.cell_from_camera.inverse().apply(tools)):
        if 2 < x < TOP.width - 2 and 2 < y < TOP.height - 2:
            image[int(y) - 2 : int(y) + 2, int(x) - 2 : int(x) + 2] = (20, 20, 25)
    return image.astype(np.uint8)


def events_of(recording: Recording, *, plans: bool = True, complete: bool = True) -> list[Event]:
    """A run at 100 Hz of that recording: a decision every 0.8 s, a limit, a hold, an end (unless not complete)."""
    generator = np.random.default_rng(0)
    count = len(recording.positions)
    run: list[Event] = [_started(recording), _mode(0, "IDLE", "ENGAGED", "engage", "The operator engaged.")]
    for tick in range((count - 1) * 10):
        stamp = START + tick * TICK
        run.append(Observed(stamp_ns=stamp, observation=_observation(recording, tick, generator)))
        if tick % 80 == 5:
            decided = _decided(recording, (tick - 5) // 10, tick, plans, generator)
            run += [decided, _vetted(decided, stamp, tick)]
        ahead = recording.positions[min(tick // 10 + 1, count - 1)]
        run.append(Commanded(stamp_ns=stamp, sequence=tick, positions=tuple(ahead.tolist())))
        if tick == 200:
            run += [_held(stamp), _mode(tick, "ENGAGED", "HOLDING", "hold", "The left arm lags behind its command.")]
        if tick == 240:
            run.append(_mode(tick, "HOLDING", "ENGAGED", "clear", "The arm caught up."))
    if complete:
        ticks = (count - 1) * 10
        run += [_mode(ticks, "ENGAGED", "IDLE", "done", "The task is done."), _ended(ticks)]
    return run


def _started(recording: Recording) -> SessionStarted:
    return SessionStarted(
        stamp_ns=START,
        epoch=1,
        instruction=recording.instruction,
        robot="bimanual_yam",
        policy="reasoning",
        model_digest="9f2c41d07be5a3361c2e8b5f0d7a94e6c81b3f5a",
        seed=7,
        commit="4e5bd4b21c0a",
        recipe='{"model": {"size": "nano", "depth_bins": 64}, "training": {"steps": 12000, "batch": 48}}',
    )


def _mode(tick: int, before: str, after: str, trigger: str, reason: str) -> ModeChanged:
    return ModeChanged(stamp_ns=START + tick * TICK, before=before, after=after, trigger=trigger, reason=reason)


def _ended(ticks: int) -> SessionEnded:
    return SessionEnded(
        stamp_ns=START + ticks * TICK,
        outcome="done",
        reason="The red block is in the box.",
        progress=1.0,
        ticks=ticks,
        late_p50_s=0.00006,
        late_p99_s=0.00041,
        dropped=0,
    )


def _observation(recording: Recording, tick: int, generator: np.random.Generator) -> Observation:
    frame, part = divmod(tick, 10)
    rows = recording.positions
    positions = rows[frame] + (rows[frame + 1] - rows[frame]) * part / 10
    captured = START + frame * FRAME
    return Observation(
        stamp_ns=START + tick * TICK,
        sequence=tick,
        epoch=1,
        positions=positions + generator.normal(0, 4e-4, positions.shape),
        velocities=(rows[frame + 1] - rows[frame]) * 10,
        efforts=np.zeros_like(positions),
        images={name: Image(stamp_ns=captured, pixels=film[frame]) for name, film in recording.images.items()},
        depths={name: DepthImage(stamp_ns=captured, metres=film[frame]) for name, film in recording.depths.items()},
        instruction=recording.instruction,
    )


def _decided(recording: Recording, frame: int, tick: int, plans: bool, generator: np.random.Generator) -> Decided:
    rows = recording.positions
    ahead = rows[np.minimum(np.arange(frame + 1, frame + 17), len(rows) - 1)]
    timings = {"vision": 0.0024, "reasoner": 0.0069, "depth": 0.0004, "trace": 0.0011, "flow": 0.0122}
    timings = {part: spent * generator.uniform(0.9, 1.3) for part, spent in timings.items()}
    decision = Decision(
        sequence=tick,
        epoch=1,
        plan=_plan(recording, frame, generator) if plans else None,
        chunk=ActionChunk(stamp_ns=START + frame * FRAME, period_s=0.1, positions=ahead),
        latency_s=sum(timings.values()) + 0.0008,
        model_digest="9f2c",
        timings_s=timings,
    )
    return Decided(stamp_ns=START + tick * TICK, decision=decision)


def _plan(recording: Recording, frame: int, generator: np.random.Generator) -> Plan:
    rows = recording.positions
    later = np.minimum(frame + np.rint(WAYPOINTS_S * 10).astype(int), len(rows) - 1)
    tools, _ = tool_poses(rows[later])
    trace = np.moveaxis(tools, 0, 1) + generator.normal(0, 0.006, (2, len(later), 3))
    depth = recording.depths["top"][frame]
    cells = np.nanmedian(np.nan_to_num(depth, nan=1.6).reshape(10, 12, 10, 12), axis=(1, 3))
    bins = np.clip(np.rint((cells - 0.55) / 0.9 * 63), 0, 63).astype(np.int64)
    return Plan(
        subtask=recording.subtasks[frame],
        depth_tokens=bins.ravel(),
        depth_map=0.55 + bins / 63 * 0.9 + generator.normal(0, 0.004, bins.shape),
        points=_points(rows, frame),
        trace=trace,
        trace_grippers=rows[later][:, [6, 13]].T,
        trace_times_s=WAYPOINTS_S,
        confidence=float(generator.uniform(0.8, 0.98)),
    )


def _points(rows: np.ndarray, frame: int) -> np.ndarray:
    """Where each tool will be when its gripper next moves, as fractions of the top image."""
    points = np.full((2, 2), np.nan)
    assert TOP.cell_from_camera is not None
    for arm, gripper in enumerate((6, 13)):
        moves = np.flatnonzero(np.abs(np.diff(rows[frame:, gripper])) > 0.05)
        if moves.size:
            tools, _ = tool_poses(rows[frame + moves[0]])
            points[arm] = TOP.pinhole.project(TOP.cell_from_camera.inverse().apply(tools[arm])) / [
                TOP.width,
                TOP.height,
            ]
    return points


def _vetted(decided: Decided, stamp: int, tick: int) -> Judged:
    limit = Finding(
        check="speed",
        outcome=Outcome.LIMIT,
        subject="left_joint4",
        measured=3.41,
        limit=3.14,
        unit="rad/s",
        text="left_joint4 would turn at 3.41 rad/s in row 5, 3.14 rad/s is allowed: the chunk is slowed by 8 %.",
    )
    findings = (limit,) if tick in (85, 325) else ()
    return Judged(
        stamp_ns=stamp,
        gate="vetting",
        sequence=decided.decision.sequence,
        outcome=Outcome.LIMIT if findings else Outcome.ALLOW,
        findings=findings,
        cost_s=0.0021,
    )


def _held(stamp: int) -> Judged:
    finding = Finding(
        check="tracking",
        outcome=Outcome.HOLD,
        subject="left_joint2",
        measured=0.21,
        limit=0.15,
        unit="rad",
        text="left_joint2 is 0.210 rad from its command, 0.150 rad is allowed: <hold> until it follows.",
    )
    return Judged(stamp_ns=stamp, gate="guard", sequence=0, outcome=Outcome.HOLD, findings=(finding,), cost_s=0.00006)
