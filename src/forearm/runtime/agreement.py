"""Where the plan's map agreed with what the main camera measured, and what stands up where it does not.

Invariant: a place counts only where vetting let a stated plan through, and a way back to it leads along the path that
was travelled, never with a hand so low that it could meet what lies about; what is measured to rise where the map is
wrong, and is no arm, is never called low.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.messages import Floats, Observation, Plan
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime import retreat
from forearm.runtime.inference import Answer
from forearm.safety.depth_agreement import depth_gaps
from forearm.safety.limits import Limits
from forearm.safety.own_arms import of_the_arms, points_measured

HERE_RAD = 0.06  # rad, of a joint: half of what a way's rows are apart
ELSEWHERE_RAD = 0.3  # rad of a joint, 0.1 m of a tool: a cell of the map, so that the camera sees another scene
SIDE = 6  # pixels looked at per cell and axis
SEEN = 6  # of a cell's pixels, that have to be so high: at an arm's edge single ones are measured in mid-air

_MAIN = BIMANUAL_YAM.cameras[0]
_JOINTS = np.setdiff1d(np.arange(len(BIMANUAL_YAM.joints)), BIMANUAL_YAM.grippers)


class Agreement:
    """Remembers of one run where a stated map agreed, and where it has not since. Used by the control thread alone.

    Args:
        limits: when a cell of a map counts as wrong.
        rows: of path that are remembered.
    """

    def __init__(self, limits: Limits, rows: int) -> None:
        self._limits = limits
        self._agreed: deque[bool] = deque(maxlen=rows)
        self._refused_at: list[Floats] = []

    def add_row(self) -> None:
        """The path has one row more."""
        self._agreed.append(False)

    def note(self, answer: Answer, seen: Observation, now_ns: int) -> float:
        """How high the world rises, m, where this answer's map is wrong; NaN unless it was refused for its map."""
        decision, verdict = answer.decision, answer.verdict
        if decision is None or decision.plan is None:
            return np.nan
        if verdict.vetted is not None:
            rows_ago = round((now_ns - decision.chunk.stamp_ns) / NANOSECONDS / retreat.PERIOD_S)
            if rows_ago < len(self._agreed):
                self._agreed[-1 - rows_ago] = True
            self._refused_at.clear()
            return np.nan
        if all(finding.check != "depth" for finding in verdict.findings):
            return np.nan
        if all(self._is_elsewhere(seen.positions, each) for each in self._refused_at):
            self._refused_at.append(seen.positions)
        return rises_m(decision.plan, seen, self._limits)

    def way_back(self, path: Floats) -> Floats | None:
        """(H, J) along the path (N, J) to the nearest place where a map agreed and none was refused since.

        It begins where the path last came by the newest set-point, its last row, and goes either way from there. None
        where there is no such place.
        """
        here = np.flatnonzero(np.abs(path - path[-1])[:, _JOINTS].max(axis=1) <= HERE_RAD)
        ways = list[tuple[int, int]]()
        for end in np.flatnonzero(self._agreed).tolist():
            ways += [(int(begin), end) for begin in (*here[here >= end][:1], *here[here < end][-1:])]
        for begin, end in sorted(ways, key=lambda way: abs(way[0] - way[1])):
            rows = path[begin : end + 1] if end > begin else path[end : begin + 1][::-1]
            rows = rows[: retreat.passing(rows)]
            if all(self._is_elsewhere(rows[-1], each) for each in (*self._refused_at, path[-1])):
                return retreat.along(path, rows)
        return None

    @staticmethod
    def _is_elsewhere(pose: Floats, than: Floats) -> bool:
        """Whether the camera sees another scene in one pose (J,) than in the other."""
        return float(np.abs(pose - than)[_JOINTS].max()) > ELSEWHERE_RAD


def rises_m(plan: Plan, seen: Observation, limits: Limits) -> float:
    """The greatest height above the table, m, that the main camera measures in cells which the plan's map has wrong.

    The arms as measured are left aside; 0 where nothing else rises, NaN where nothing can be compared. About 2 ms.
    """
    depth, placed = seen.depths.get(_MAIN.name), _MAIN.cell_from_camera
    if depth is None or placed is None or plan.depth_map.ndim != 2 or plan.depth_map.size == 0:
        return np.nan
    metres, shape = depth.metres.astype(np.float64), plan.depth_map.shape
    middle, gaps = depth_gaps(plan.depth_map, metres, limits.depth_pixels)
    wrong = np.argwhere(np.isfinite(middle) & ~(gaps <= limits.depth_error_m))
    within = (np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), axis=-1) + 0.5) / SIDE
    at = (wrong[:, None, :] + within.reshape(1, -1, 2)) / shape  # (W, SIDE², 2) shares of height and width
    rows, columns = (at * metres.shape).astype(np.int64).reshape(-1, 2).T
    points, there = points_measured(metres, rows, columns, _MAIN, placed), metres[rows, columns]
    counts = np.isfinite(there) & (there > 0.0)
    counts[counts] = ~of_the_arms(points[counts], seen.positions)
    heights = np.sort(np.where(counts, points[:, 2], 0.0).reshape(len(wrong), SIDE**2), axis=1)
    return float(heights[:, -SEEN].max(initial=0.0))
