"""What every gate lets through: to stay where the arms are. Proofs spoil it, each in one way.

Invariant: it is written here in absolute numbers, and asks for nothing that limits could be about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.messages import ActionChunk, Command, Decision, DepthImage, Floats, Image, Observation, Plan
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses

SECOND_NS = NANOSECONDS
TICK_NS = NANOSECONDS // 100
PERIOD_S = 0.1  # s, between a good chunk's rows
ROWS = 6
FAR_M = 1.0  # m, what the main camera measures everywhere, and the plan says it does
GOOD = "nothing wrong"

# rad and openings, both arms raised over the table and clear by centimetres: the cell's home pose.
_ARM = np.array([0.611, 1.467, 1.299, -1.403, 0.0, -1.571, 1.0])
READY = np.concatenate([_ARM, _ARM * [-1, 1, 1, 1, -1, -1, 1]])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """One question to a gate: a decision or a command, what was seen, when.

    `before` is what the guard sends first, and `earlier` the decision that vetting judges first.
    """

    observation: Observation
    now_ns: int
    decision: Decision | None = None
    command: Command | None = None
    before: tuple[tuple[Command, Observation], ...] = ()
    earlier: Decision | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A check, its bad input in words, and how something good becomes that input."""

    check: str
    shown: str
    spoil: Callable[[Asked], Asked]


def seen_at(positions: Floats, epoch: int, stamp_ns: int) -> Observation:
    """At rest there, with a new picture of every camera."""
    still = np.zeros(len(positions))
    pixels = np.full((2, 2, 3), stamp_ns // TICK_NS % 251, dtype=np.uint8)  # never the picture of the tick before
    images = {camera.name: Image(stamp_ns=stamp_ns, pixels=pixels) for camera in BIMANUAL_YAM.cameras}
    return Observation(
        stamp_ns=stamp_ns,
        sequence=stamp_ns // TICK_NS,
        epoch=epoch,
        positions=positions,
        velocities=still,
        efforts=still,
        images=images,
        depths={},
        instruction="",
    )


def good_decision(epoch: int, now_ns: int, model_digest: str) -> Asked:
    """Stay, with a plan that says so."""
    chunk = ActionChunk(stamp_ns=now_ns, period_s=PERIOD_S, positions=np.tile(READY, (ROWS, 1)))
    decision = Decision(sequence=1, epoch=epoch, plan=_staying(), chunk=chunk, latency_s=0.0, model_digest=model_digest)
    depth = DepthImage(stamp_ns=now_ns, metres=np.full((20, 20), FAR_M, dtype=np.float32))
    seen = replace(seen_at(READY, epoch, now_ns), depths={BIMANUAL_YAM.cameras[0].name: depth})
    return Asked(observation=seen, now_ns=now_ns, decision=decision)


@cache
def _staying() -> Plan:
    """The plan that says so; nothing in it is of a session or a time."""
    return Plan(
        subtask="",
        depth_tokens=np.zeros(0, dtype=np.int64),
        depth_map=np.full((10, 10), FAR_M),
        points=np.full((2, 2), np.nan),
        trace=tool_poses(np.tile(READY, (2, 1)))[0].transpose(1, 0, 2),
        trace_grippers=np.ones((2, 2)),
        trace_times_s=PERIOD_S * np.array([2.0, 5.0]),
        confidence=1.0,
    )


def good_command(epoch: int, now_ns: int) -> Asked:
    """Stay."""
    command = Command(stamp_ns=now_ns, sequence=1, epoch=epoch, positions=READY)
    return Asked(observation=seen_at(READY, epoch, now_ns), now_ns=now_ns, command=command)


def after_ticks(asked: Asked, ticks: int = 1) -> Asked:
    """Good was sent in so many ticks before; the command that follows has the next number."""
    return after_poses(asked, np.tile(READY, (ticks, 1)))


def after_poses(asked: Asked, poses: Floats) -> Asked:
    """Those poses (N, J) were sent and measured, one a tick before; the command that follows has the next number."""
    assert asked.command is not None
    past, count = list[tuple[Command, Observation]](), len(poses)
    for number, pose in enumerate(poses):
        then_ns = asked.now_ns - (count - number) * TICK_NS
        sent = replace(asked.command, positions=pose, stamp_ns=then_ns, sequence=number + 1)
        past.append((sent, seen_at(pose, asked.observation.epoch, then_ns)))
    return replace(asked, before=tuple(past), command=replace(asked.command, sequence=count + 1))
