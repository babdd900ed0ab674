"""What the arms will have done by the time an answer is followed, as the first rows of that answer.

Invariant: rows belong to instants, so a chunk of another stamp or period is read between its rows, never by its index.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from forearm.clock import NANOSECONDS
from forearm.messages import ActionChunk, Floats, Request
from forearm.model.inpainting import Known, fading
from forearm.model.sight import Scales

# Rows over which a new chunk leaves the path of the one before it. All that overlap, as in the paper, make the
# smoothest seam, but keep the arms from following a trace that a person edits; none leaves a corner behind the frozen.
FADE_ROWS = 2
ROUNDING = 1e-6  # rows: a delay of exactly three periods is three rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Continuation:
    """The chunk being followed, on the time grid of the next one.

    Attributes:
        rows: (H, J) where it leads; beyond its end, its last row.
        frozen: how many of them will have been begun when the answer is followed.
        known: how many of them it has; at least `frozen`, at most H.
    """

    rows: Floats
    frozen: int
    known: int


def continuation(request: Request, *, period_s: float, rows: int) -> Continuation | None:
    """What a chunk of so many rows continues when it answers `request`; None where the arms follow nothing."""
    if request.following is None:
        return None
    followed = request.following.chunk
    times_ns = row_times_ns(request.observation.stamp_ns, period_s, rows)
    known = int((times_ns <= row_times_ns(followed.stamp_ns, followed.period_s, len(followed.positions))[-1]).sum())
    frozen = int(np.ceil(request.delay_s / period_s - ROUNDING))
    return Continuation(rows=rows_at(followed, times_ns), frozen=min(frozen, known), known=known)


def known_rows(request: Request, scales: Scales, positions: NDArray[np.float32], *, period_s: float) -> Known | None:
    """What the flow is drawn to: the chunk being followed, relative to the newly measured `positions` (1, J).

    None where the arms follow nothing.
    """
    rows = len(scales.chunk_mean)
    before = continuation(request, period_s=period_s, rows=rows)
    if before is None:
        return None
    weights = fading(rows, before.frozen, min(before.known, before.frozen + FADE_ROWS))
    return Known(torch.from_numpy(scales.encode(before.rows[None].astype(np.float32), positions)), weights[None])


def row_times_ns(stamp_ns: int, period_s: float, rows: int) -> NDArray[np.int64]:
    """When each row of a chunk is to be reached."""
    return stamp_ns + round(period_s * NANOSECONDS) * np.arange(1, rows + 1, dtype=np.int64)


def rows_at(chunk: ActionChunk, times_ns: NDArray[np.int64]) -> Floats:
    """(T, J) where a chunk leads at those times: straight between its rows, its first and last row outside them."""
    own_ns = row_times_ns(chunk.stamp_ns, chunk.period_s, len(chunk.positions))
    # Stamps are large: differences keep a float's precision.
    elapsed, own = times_ns - chunk.stamp_ns, own_ns - chunk.stamp_ns
    return np.stack([np.interp(elapsed, own, joint) for joint in chunk.positions.T], axis=1)
