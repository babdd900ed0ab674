"""What the arms will have done by the time an answer is followed, as the first rows of that answer.

Invariant: rows belong to instants, so a chunk of another stamp or period is read between its rows, never by its index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from forearm.clock import NANOSECONDS
from forearm.messages import ActionChunk, Floats, Request
from forearm.model.inpainting import Known, fading
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses

# Rows over which a new chunk leaves the path of the one before it. All that overlap, as in the paper, make the
# smoothest seam, but keep the arms from following a trace that a person edits; none leaves a corner behind the frozen.
FADE_ROWS = 2
ROUNDING = 1e-6  # rows: a delay of exactly three periods is three rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Continuation:
    """What the arms do until an answer is followed, on the time grid of that answer.

    Attributes:
        rows: (H, J) where what they follow leads; beyond its end, its last row; where they follow nothing, their pose.
        frozen: how many of them will be past or under way when the answer is followed.
        known: how many of them are rows of what is being followed; at least `frozen`, at most H.
        standing: whole rows of time that the arms stand after those, before the answer is followed; at most H.
    """

    rows: Floats
    frozen: int
    known: int
    standing: int

    def known_rows(self, encoded: NDArray[np.float32]) -> Known | None:
        """What the flow is drawn to: `rows` in network units (1, H, D); None where nothing is known."""
        if self.known == 0:
            return None
        weights = fading(len(self.rows), self.frozen, min(self.known, self.frozen + FADE_ROWS))
        return Known(torch.from_numpy(encoded), weights[None])

    def led(self, traces: Float[Tensor, "1 arms W 4"], ticks: Sequence[int]) -> Float[Tensor, "1 arms W 4"]:
        """The traces, waypoints (m, opening) after so many rows each, led where the frozen rows lead the tools anyway.

        A plan that knows nothing of them would contradict what the arms do, and the flow would follow both.
        """
        fixed = [index for index, tick in enumerate(ticks) if tick <= self.frozen]
        if not fixed:
            return traces
        rows = self.rows[[ticks[index] - 1 for index in fixed]]
        openings = rows[:, BIMANUAL_YAM.grippers, None]
        waypoints = np.concatenate([tool_poses(rows)[0], openings], axis=-1).swapaxes(0, 1)
        traces = traces.clone()
        traces[0, :, fixed] = torch.from_numpy(waypoints).to(traces.dtype)
        return traces

    def after_standing(self, chunk: ActionChunk) -> ActionChunk:
        """The chunk, beginning where the arms stand when it comes: time that they stood is no time of its motion.

        A gripper stands as tight as it was told or is told next, not where it was measured: it may hold something.
        """
        if self.standing == 0:
            return chunk
        rows, hands = chunk.positions, BIMANUAL_YAM.grippers
        still = self.rows[max(self.known - 1, 0)].copy()
        still[hands] = np.minimum(still[hands], rows[min(self.known, len(rows) - 1), hands])
        parts = [rows[: self.known], np.tile(still, (self.standing, 1)), rows[self.known :]]
        return replace(chunk, positions=np.concatenate(parts))

    def times_s(self, ticks: Sequence[int], period_s: float) -> Floats:
        """(W,) s after the observation at which rows with those numbers, counted from 1, are reached."""
        at = np.array(ticks, dtype=np.float64)
        return (at + self.standing * (at > self.known)) * period_s


def continuation(request: Request, *, period_s: float, rows: int) -> Continuation:
    """What a chunk of so many rows continues when it answers `request`."""
    followed, seen = request.following, request.observation
    delay = request.delay_s / period_s
    if followed is None:
        path, known = np.tile(seen.positions, (rows, 1)), 0
    else:
        chunk, times_ns = followed.chunk, row_times_ns(seen.stamp_ns, period_s, rows)
        ends_ns = row_times_ns(chunk.stamp_ns, chunk.period_s, len(chunk.positions))[-1]
        path, known = rows_at(chunk, times_ns), int((times_ns <= ends_ns).sum())
    return Continuation(
        rows=path,
        frozen=min(int(delay + ROUNDING) + 1, known),
        known=known,
        standing=min(max(int(delay + ROUNDING) - known, 0), rows),
    )


def row_times_ns(stamp_ns: int, period_s: float, rows: int) -> NDArray[np.int64]:
    """When each row of a chunk is to be reached."""
    return stamp_ns + round(period_s * NANOSECONDS) * np.arange(1, rows + 1, dtype=np.int64)


def rows_at(chunk: ActionChunk, times_ns: NDArray[np.int64]) -> Floats:
    """(T, J) where a chunk leads at those times: straight between its rows, its first and last row outside them."""
    own_ns = row_times_ns(chunk.stamp_ns, chunk.period_s, len(chunk.positions))
    # Stamps are large: differences keep a float's precision.
    elapsed, own = times_ns - chunk.stamp_ns, own_ns - chunk.stamp_ns
    return np.stack([np.interp(elapsed, own, joint) for joint in chunk.positions.T], axis=1)
