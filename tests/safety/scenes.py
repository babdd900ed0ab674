"""Observations, decisions and commands of a robot at rest, for tests to spoil."""

from dataclasses import replace

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.messages import ActionChunk, Command, Decision, DepthImage, Image, Observation, Plan
from forearm.robot.kinematics import tool_poses

HOME = np.array([0.611, 1.467, 1.299, -1.403, 0.0, -1.571, 1.0])
BOTH_HOME = np.concatenate([HOME, HOME * [-1, 1, 1, 1, -1, -1, 1]])
NOW_NS = 10 * NANOSECONDS
TICK_NS = NANOSECONDS // 100
PIXELS = np.zeros((2, 2, 3), dtype=np.uint8)


def pixels_at(stamp_ns: int) -> np.ndarray:
    """A picture that is never the one before it, as a camera's noise sees to."""
    return np.full((2, 2, 3), stamp_ns // TICK_NS % 251, dtype=np.uint8)


def seen(
    positions: np.ndarray = BOTH_HOME, *, stamp_ns: int = NOW_NS, epoch: int = 1, **changes: object
) -> Observation:
    """The robot at rest there, with a fresh image of every camera."""
    images = {name: Image(stamp_ns=stamp_ns, pixels=pixels_at(stamp_ns)) for name in ("top", "left", "right")}
    still = np.zeros(14)
    observation = Observation(
        stamp_ns=stamp_ns,
        sequence=stamp_ns // TICK_NS,
        epoch=epoch,
        positions=np.array(positions),
        velocities=still,
        efforts=still,
        images=images,
        depths={},
        instruction="",
    )
    return replace(observation, **changes)


def looked(positions: np.ndarray = BOTH_HOME, **changes: object) -> Observation:
    """As `seen`, with depth: everything is 1 m away from the main camera, as `plan_of` says."""
    observation = seen(positions, **changes)
    depth = DepthImage(stamp_ns=observation.stamp_ns, metres=np.ones((20, 20), dtype=np.float32))
    return replace(observation, depths={"top": depth})


def decided(rows: np.ndarray, *, plan: Plan | None = None, epoch: int = 1, **changes: object) -> Decision:
    """A decision with these rows, about an observation of now."""
    chunk = replace(ActionChunk(stamp_ns=NOW_NS, period_s=0.1, positions=rows), **changes)
    return Decision(sequence=3, epoch=epoch, plan=plan, chunk=chunk, latency_s=0.0, model_digest="")


def resting(rows: int = 16) -> np.ndarray:
    return np.tile(BOTH_HOME, (rows, 1))


def ramp(joint: int, speed: float, rows: int = 16) -> np.ndarray:
    """Rows in which one joint moves at that speed per second, straight from the first row on."""
    path = resting(rows)
    path[:, joint] += speed * 0.1 * np.arange(rows)
    return path


def plan_of(rows: np.ndarray, offset_m: float = 0.0) -> Plan:
    """A plan whose trace is where these rows take the tools, moved up by `offset_m` at its second waypoint."""
    trace = tool_poses(rows[[2, 5, 9]])[0].transpose(1, 0, 2).copy()
    trace[1, 1, 2] += offset_m
    return Plan(
        subtask="",
        depth_tokens=np.zeros(0, dtype=np.int64),
        depth_map=np.ones((10, 10)),
        points=np.full((2, 2), np.nan),
        trace=np.concatenate([trace, np.full((2, 1, 3), 9.0)], axis=1),
        trace_grippers=np.ones((2, 4)),
        trace_times_s=np.array([0.3, 0.6, 1.0, 2.4]),
        confidence=1.0,
    )


def asked(positions: np.ndarray, *, sequence: int = 1, stamp_ns: int = NOW_NS, epoch: int = 1) -> Command:
    return Command(stamp_ns=stamp_ns, sequence=sequence, epoch=epoch, positions=positions)
