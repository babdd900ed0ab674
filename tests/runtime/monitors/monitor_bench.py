"""Decisions as monitors are shown them: arms at home, a flat world 1 m away, a plan and a chunk that say what is told."""

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.events import Decided, Event, Judged, Observed, SessionStarted
from forearm.messages import ActionChunk, Decision, DepthImage, Floats, Observation, Outcome, Plan
from forearm.robot.kinematics import tool_poses

HOME = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0] * 2)
TIMES_S = np.array([0.3, 0.6, 1.2])
MODEL = "a" * 64


def seen(at_s: float = 0.0, positions: Floats = HOME, metres: float | None = 1.0) -> Observation:
    stamp = round(at_s * NANOSECONDS)
    depth = (
        {} if metres is None else {"top": DepthImage(stamp_ns=stamp, metres=np.full((120, 120), metres, np.float32))}
    )
    return Observation(
        stamp_ns=stamp, sequence=round(at_s * 100), epoch=1, positions=positions, velocities=np.zeros(14),
        efforts=np.zeros(14), images={}, depths=depth, instruction="wave",
    )  # fmt: skip


def planned(*, subtask: str = "reach", metres: float = 1.0, ahead_m: float = 0.0, points: Floats | None = None) -> Plan:
    """A plan that sees a flat world, both tools `ahead_m` further along x at the last waypoint."""
    here = tool_poses(HOME)[0]
    shares = TIMES_S / TIMES_S[-1]
    trace = here[:, None] + shares[None, :, None] * np.array([ahead_m, 0.0, 0.0])
    return Plan(
        subtask=subtask, depth_tokens=np.zeros(100, np.int64), depth_map=np.full((10, 10), metres),
        points=np.full((2, 2), np.nan) if points is None else points, trace=trace,
        trace_grippers=np.ones((2, 3)), trace_times_s=TIMES_S, confidence=1.0,
    )  # fmt: skip


def decided(
    at_s: float = 0.0, plan: Plan | None = None, rows: Floats | None = None, features: Floats | None = None
) -> Decision:
    stamp = round(at_s * NANOSECONDS)
    chunk = ActionChunk(stamp_ns=stamp, period_s=0.1, positions=np.tile(HOME, (16, 1)) if rows is None else rows)
    return Decision(
        sequence=round(at_s * 100), epoch=1, plan=plan, chunk=chunk, latency_s=0.0, model_digest=MODEL,
        features=np.empty(0) if features is None else features,
    )  # fmt: skip


def started(model_digest: str = MODEL) -> SessionStarted:
    return SessionStarted(
        stamp_ns=0, epoch=1, instruction="wave", robot="bimanual_yam", policy="model", model_digest=model_digest,
        seed=0, commit="", recipe="{}",
    )  # fmt: skip


def let_through(decision: Decision, observation: Observation, outcome: Outcome = Outcome.ALLOW) -> list[Event]:
    """What a loop emits of a decision: seen, decided, judged."""
    now = observation.stamp_ns + 50_000_000
    return [
        Observed(stamp_ns=observation.stamp_ns, observation=observation),
        Decided(stamp_ns=now, decision=decision),
        Judged(
            stamp_ns=now, gate="vetting", sequence=decision.sequence, outcome=outcome, findings=(), cost_s=0.0
        ),
    ]  # fmt: skip
