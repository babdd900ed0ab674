"""Signals of trouble: each makes one number of a decision, and the higher it is, the more there is to be suspicious of.

Invariant: a signal knows of no threshold, and looks only at what was decided, seen and measured; NaN where that says
nothing. What a number means is known from runs that went well (`forearm.runtime.monitors.calibration`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from types import MappingProxyType
from typing import Protocol

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.messages import ActionChunk, Decision, Floats, Observation, Plan
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses
from forearm.safety.depth_agreement import depth_gaps
from forearm.safety.limits import Limits

CAMERA = BIMANUAL_YAM.cameras[0]
MEASURED = Limits.of().depth_pixels  # share of a depth cell's pixels that must be measured, as in vetting
NEARER_M = 0.01  # m by which the way left must shrink to count as progress: more than a standing tool sways

FEATURES = "features"
"""The signal that needs to know what is familiar; `calibration.Familiar` makes its number of `Decision.features`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """One decision as the signals look at it.

    Attributes:
        decision: what was decided.
        observation: what it answers.
        before: the look at the decision that the arms have followed until then; None where they followed none.
    """

    decision: Decision
    observation: Observation
    before: Look | None = None

    @property
    def elapsed_s(self) -> float:
        """From the observation of the decision before to this one's; NaN where there is none."""
        if self.before is None:
            return nan
        return (self.observation.stamp_ns - self.before.observation.stamp_ns) / NANOSECONDS


class Signal(Protocol):
    """One number per decision of one run, asked in order."""

    def weigh(self, look: Look) -> float:
        """How suspicious it is, in the signal's own unit; NaN where nothing can be said. At most about 0.5 ms."""
        ...


class DepthGap:
    """mm, root mean square: how far the plan's depth map is from what its camera measures."""

    def weigh(self, look: Look) -> float:
        plan, depth = look.decision.plan, look.observation.depths.get(CAMERA.name)
        if plan is None or plan.depth_map.size == 0 or depth is None:
            return nan
        _, gaps = depth_gaps(plan.depth_map, depth.metres.astype(np.float64), MEASURED)
        known = gaps[np.isfinite(gaps)]
        return float(np.sqrt(np.mean(known**2))) * 1e3 if known.size else nan


class TraceGap:
    """mm: how far the tool that is off most is from where the plan before said that it would be by now."""

    def weigh(self, look: Look) -> float:
        before = look.before
        if before is None or before.decision.plan is None:
            return nan
        plan, began = before.decision.plan, tool_poses(before.observation.positions)[0]
        if not 0.0 < look.elapsed_s <= plan.trace_times_s[-1]:
            return nan
        times = np.concatenate([[0.0], plan.trace_times_s])
        paths = np.concatenate([began[:, None], plan.trace], axis=1)
        planned = np.array([[np.interp(look.elapsed_s, times, axis) for axis in path.T] for path in paths])
        return float(np.linalg.norm(tool_poses(look.observation.positions)[0] - planned, axis=-1).max()) * 1e3


class ChunkShift:
    """rad and openings, root mean square: how far the new chunk is from the one before at the instants of both.

    The temporal consistency of action chunks, as in Sentinel (Agia et al., CoRL 2024), here of one sample each. Rows
    that were taken over from the chunk before agree by construction; they make the number smaller, never larger.
    """

    def weigh(self, look: Look) -> float:
        if look.before is None:
            return nan
        old, new = look.before.decision.chunk, look.decision.chunk
        old_s, new_s = _row_times_s(old), _row_times_s(new) + (new.stamp_ns - old.stamp_ns) / NANOSECONDS
        both = new_s <= old_s[-1] + 1e-6
        if not both.any():
            return nan
        there = np.stack([np.interp(new_s[both], old_s, joint) for joint in old.positions.T], axis=1)
        return float(np.sqrt(np.mean((new.positions[both] - there) ** 2)))


class Standstill:
    """s since anything came nearer: the way left to where the grippers will act shrank, or something new was begun.

    The way left is remembered for each subtask, so that a policy that goes round in circles does not progress.
    """

    def __init__(self) -> None:
        self._nearest: dict[str, float] = {}
        self._since_ns: int | None = None

    def weigh(self, look: Look) -> float:
        plan, now_ns = look.decision.plan, look.observation.stamp_ns
        if plan is None:
            return nan
        left = way_left_m(plan, look.observation)
        nearest = self._nearest.get(plan.subtask, np.inf)
        if left < nearest - NEARER_M:
            self._nearest[plan.subtask] = left
            self._since_ns = now_ns
        if self._since_ns is None:
            self._since_ns = now_ns
        return (now_ns - self._since_ns) / NANOSECONDS


def way_left_m(plan: Plan, observation: Observation) -> float:
    """M from the tools to where their grippers will act next, on the surface that the plan sees there, both together.

    An arm that will do nothing has no way left.
    """
    acting = np.isfinite(plan.points).all(axis=1)
    if not acting.any() or plan.depth_map.size == 0 or CAMERA.cell_from_camera is None:
        return 0.0
    points, shape = np.clip(plan.points[acting], 0.0, 1.0 - 1e-9), np.array(plan.depth_map.shape)
    columns, rows = (points * shape[::-1]).astype(np.int64).T
    pixels = points * np.array([CAMERA.width, CAMERA.height])
    targets = CAMERA.cell_from_camera.apply(CAMERA.pinhole.unproject(pixels, plan.depth_map[rows, columns]))
    return float(np.linalg.norm(targets - tool_poses(observation.positions)[0][acting], axis=-1).sum())


def _row_times_s(chunk: ActionChunk) -> Floats:
    """(H,) s after the chunk's stamp."""
    return chunk.period_s * np.arange(1, len(chunk.positions) + 1, dtype=np.float64)


SIGNALS: Mapping[str, Callable[[], Signal]] = MappingProxyType(
    {"depth": DepthGap, "trace": TraceGap, "chunk": ChunkShift, "progress": Standstill}
)
"""What makes each signal for one run; every run has its own."""

NAMES = (*SIGNALS, FEATURES)
