"""Where one chunk takes over from another: how rough that is.

Row sequences are compared on the later chunk's time grid; grippers, which snap on purpose, are left out of roughness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.messages import ActionChunk, Floats
from forearm.policy.continuation import row_times_ns, rows_at
from forearm.robot.embodiment import BIMANUAL_YAM

REACH = 3  # rows before the seam that a third difference across it touches


@dataclass(frozen=True, slots=True, kw_only=True)
class Roughness:
    """Of one seam, the greatest over the arm joints.

    Attributes:
        jump: rad, from where the earlier chunk leads to the first row of the later one, at the same instant.
        acceleration: rad/s², of the second differences across the seam.
        jerk: rad/s³, of the third differences across the seam.
    """

    jump: float
    acceleration: float
    jerk: float


def roughness(before: ActionChunk, after: ActionChunk, now_ns: int) -> Roughness | None:
    """Of the rows of `before` until `now_ns` and those of `after` from then on; None where no row of it is ahead."""
    period_ns = round(after.period_s * NANOSECONDS)
    times_ns = row_times_ns(after.stamp_ns - REACH * period_ns, after.period_s, len(after.positions) + REACH)
    first = int(np.searchsorted(times_ns, now_ns, side="right"))
    if first == len(times_ns):
        return None
    earlier, later = rows_at(before, times_ns)[:, _arm_joints()], rows_at(after, times_ns)[:, _arm_joints()]
    spliced = np.concatenate([earlier[:first], later[first:]])
    return Roughness(
        jump=float(np.abs(later[first] - earlier[first]).max()),
        acceleration=_greatest(spliced[first - 2 : first + 2], 2, after.period_s),
        jerk=_greatest(spliced[first - 3 : first + 3], 3, after.period_s),
    )


def path_roughness(points: Floats, period_s: float) -> tuple[float, float]:
    """The greatest acceleration, rad/s², and jerk, rad/s³, of the arm joints along set-points (N, J)."""
    arms = points[:, _arm_joints()]
    return _greatest(arms, 2, period_s), _greatest(arms, 3, period_s)


def _arm_joints() -> list[int]:
    return [joint for joint in range(len(BIMANUAL_YAM.joints)) if joint not in BIMANUAL_YAM.grippers]


def _greatest(rows: Floats, order: int, period_s: float) -> float:
    return float(np.max(np.abs(np.diff(rows, n=order, axis=0)), initial=0.0)) / period_s**order
