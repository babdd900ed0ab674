"""Where one chunk takes over from another: how rough that is, and what else than continuing could be done about it.

Row sequences are compared on the later chunk's time grid; grippers, which snap on purpose, are left out of roughness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forearm.clock import NANOSECONDS
from forearm.messages import ActionChunk, Decision, Floats, Request
from forearm.policy.continuation import row_times_ns, rows_at
from forearm.policy.interface import Policy
from forearm.robot.embodiment import BIMANUAL_YAM

OLDEST_FIRST = 0.01  # weights exp(-0.01 i) from the oldest chunk on: Zhao et al. 2023 (arXiv 2304.13705), section IV.C
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


def ensemble(chunks: Sequence[ActionChunk]) -> ActionChunk:
    """The newest chunk, each row averaged with what the others, oldest first, say about the same instant."""
    newest = chunks[-1]
    times_ns = row_times_ns(newest.stamp_ns, newest.period_s, len(newest.positions))
    weights = np.stack([_covers(chunk, times_ns) for chunk in chunks]).astype(np.float64)
    # The oldest that still has a say about a row weighs 1 there.
    weights *= np.exp(-OLDEST_FIRST * (np.cumsum(weights, axis=0) - 1.0))
    rows = np.stack([rows_at(chunk, times_ns) for chunk in chunks])
    return replace(newest, positions=(rows * weights[..., None]).sum(0) / weights.sum(0)[:, None])


class Splicing:
    """A policy that is never told what is being followed: each chunk is a new one, and the arms jump over to it."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.name = policy.name
        self.model_digest = policy.model_digest

    def reset(self, *, seed: int) -> None:
        self._policy.reset(seed=seed)

    def decide(self, request: Request) -> Decision:
        return self._policy.decide(replace(request, following=None))


class Ensembling:
    """A policy that is never told what is being followed, and averages its chunks where they overlap."""

    def __init__(self, policy: Policy) -> None:
        self._policy = Splicing(policy)
        self._chunks: list[ActionChunk] = []
        self.name = policy.name
        self.model_digest = policy.model_digest

    def reset(self, *, seed: int) -> None:
        self._chunks = []
        self._policy.reset(seed=seed)

    def decide(self, request: Request) -> Decision:
        decision = self._policy.decide(request)
        if request.following is None:
            self._chunks = []
        self._chunks = [each for each in self._chunks if _end_ns(each) > decision.chunk.stamp_ns] + [decision.chunk]
        return replace(decision, chunk=ensemble(self._chunks))


def _end_ns(chunk: ActionChunk) -> int:
    return int(row_times_ns(chunk.stamp_ns, chunk.period_s, len(chunk.positions))[-1])


def _covers(chunk: ActionChunk, times_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (times_ns > chunk.stamp_ns) & (times_ns <= _end_ns(chunk))


def _arm_joints() -> list[int]:
    return [joint for joint in range(len(BIMANUAL_YAM.joints)) if joint not in BIMANUAL_YAM.grippers]


def _greatest(rows: Floats, order: int, period_s: float) -> float:
    return float(np.max(np.abs(np.diff(rows, n=order, axis=0)), initial=0.0)) / period_s**order
