"""How fast a chunk may be followed so that the arms can still stop in the room they have.

Invariant: a chunk that comes out of here could be stopped at every row, told so after the worst latency that was
measured, with the arms clear of each other, of fixtures and of zones once they stand.

What they approach on purpose is not meant: the table, what they grasp, and where they put down what they hold. An arm
and its own base do not surprise each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, sqrt

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from forearm.messages import ActionChunk, Finding, Outcome
from forearm.safety import checks
from forearm.safety.clearance import PAIRS
from forearm.safety.limits import TICK_S, Limits
from forearm.safety.stopping import standing_pose
from forearm.safety.surroundings import Surroundings
from forearm.safety.sweep import ARMS_AND_TABLE, Geometry, Sweep, sweep

Findings = tuple[Finding, ...]
# Of the pace that would do if stopping distances went with its square; they go with less of it: it takes a few turns.
RESERVE = 0.96


def one_tick() -> float:
    """s: the least latency, of what is seen and stopped in the next tick."""
    return TICK_S


class Pacing:
    """Slows chunks to the pace from which the arms can stop. 0.5 ms where nothing is near, some 5 ms where much is.

    Args:
        limits: of braking, of clearances at a set-point, and of how slow a chunk may become.
        latency_s: the worst that was measured so far, s, from what happens until the arms are told.
    """

    def __init__(self, limits: Limits, latency_s: Callable[[], float] = one_tick) -> None:
        self._limits, self._latency_s = limits, latency_s
        self._arms = np.array([limits.arm_clearance_now_m if pair.kind == "arms" else -inf for pair in PAIRS])

    def slowed(
        self, chunk: ActionChunk, start: Float64[ndarray, " 14"], around: Surroundings
    ) -> tuple[ActionChunk, Findings]:
        """The chunk at a pace from which it can be stopped, or its beginning that can; HOLD for less than that.

        Args:
            chunk: clear on its way from `start`.
            start: the measured pose.
            around: what the arms, with what they hold, are kept clear of besides each other.
        """
        limits, rows, latency_s = self._limits, chunk.positions, max(self._latency_s(), TICK_S)
        along = around.along(np.concatenate([start[None], rows]))
        first = blocked = self._blocked(chunk, start, around, along, 1.0, latency_s)
        if first is None:
            return chunk, ()
        pace, fewest = 1.0, min(limits.fewest_rows, len(rows))
        # Any slower, and the fewest rows would lead on for longer than a motion may.
        slowest = min(max(limits.least_pace, fewest * chunk.period_s / limits.longest_chunk_s), pace)
        while blocked is not None and pace > slowest:
            pace = self._slower(blocked, chunk, start, pace, slowest, latency_s)
            blocked = self._blocked(chunk, start, around, along, pace, latency_s)
        period_s = chunk.period_s / pace
        most = int(limits.longest_chunk_s / period_s + 1e-9)
        kept = min(len(rows) if blocked is None else blocked.swept.clear_rows, most)
        if kept < fewest:
            left = f" Slowed to {pace:.2f} of its pace the chunk would keep {kept} of {len(rows)} rows."
            return chunk, first.findings(Outcome.HOLD, latency_s, left)
        text = f" The chunk is slowed to {pace:.2f} of its pace, to {period_s * 1e3:.0f} ms a row."
        text += f" The first {kept} of {len(rows)} rows are kept." * (kept < len(rows))
        slowed = replace(chunk, period_s=period_s, positions=rows[:kept])
        return slowed, first.findings(Outcome.LIMIT, latency_s, text)

    def _blocked(
        self,
        chunk: ActionChunk,
        start: ndarray,
        around: Surroundings,
        along: Callable[[float], ndarray],
        pace: float,
        latency_s: float,
    ) -> _Blocked | None:
        """What the arms first come too near to if they are to stop while they follow the chunk at that pace."""
        standing = _standing(chunk, start, pace, latency_s, self._limits)
        asked: list[tuple[Geometry, ndarray]] = [(ARMS_AND_TABLE, self._arms)]
        if around.pairs:
            asked.append((around, along(chunk.period_s / pace) - around.less[:, None]))
        swept = [(sweep(start, standing, needed, geometry), geometry) for geometry, needed in asked]
        first, geometry = min(swept, key=lambda each: each[0].clear_rows)
        if first.clear_rows == len(standing):
            return None
        here = geometry.at(chunk.positions[first.clear_rows][None])
        clear_m = float(here.clearance(np.array([first.pair]), np.array([0]))[0])
        return _Blocked(swept=first, geometry=geometry, clear_m=clear_m)

    def _slower(
        self, blocked: _Blocked, chunk: ActionChunk, start: ndarray, pace: float, slowest: float, latency_s: float
    ) -> float:
        """The next pace to try: one at which what is in the way would have room enough as the arms come to that row.

        Whatever else may be in the way then is found by looking at the whole chunk again, which takes ten times longer.
        """
        row, pair = blocked.swept.clear_rows, np.array([blocked.swept.pair])
        while True:
            pace = max(slowest, pace * blocked.slower)
            stands = blocked.geometry.at(_standing(chunk, start, pace, latency_s, self._limits)[row][None])
            clearance_m = float(stands.clearance(pair, np.array([0]))[0])
            blocked = replace(blocked, swept=replace(blocked.swept, clearance_m=clearance_m))
            if pace <= slowest or blocked.way_m <= blocked.room_m:
                return pace


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Blocked:
    """What would be too near once the arms stand: which pair, and its clearance, m, at the row where they begin to."""

    swept: Sweep
    geometry: Geometry
    clear_m: float

    @property
    def subject(self) -> str:
        """The pair, as a person reads it."""
        return self.geometry.pairs[self.swept.pair].text

    @property
    def way_m(self) -> float:
        """How much nearer the two come while the arms stop."""
        return self.clear_m - self.swept.clearance_m

    @property
    def room_m(self) -> float:
        """How much nearer they may come."""
        return self.clear_m - self.swept.required_m

    @property
    def slower(self) -> float:
        """What to try next, as a share of the pace. What was merely not shown to be clear may have room enough."""
        room_m = max(self.room_m, 0.0)
        return RESERVE * (sqrt(room_m / self.way_m) if self.way_m > room_m else 1.0)

    def findings(self, outcome: Outcome, latency_s: float, change: str) -> Findings:
        """The objection in words, `change` saying what was done about it."""
        text = (
            f"The stopping distance of {self.subject} at row {self.swept.clear_rows} is {self.way_m * 1e3:.0f} mm, "
            f"told {latency_s * 1e3:.0f} ms late; their clearance is {self.clear_m * 1e3:.0f} mm, of which "
            f"{self.swept.required_m * 1e3:.0f} mm must be left.{change}"
        )
        return checks.finding("stopping", outcome, self.subject, self.way_m, self.room_m, "m", text)


def _standing(
    chunk: ActionChunk, start: ndarray, pace: float, latency_s: float, limits: Limits
) -> Float64[ndarray, "N 14"]:
    """Where the arms would stand if they were to stop as they come to each row, at that share of the chunk's pace.

    A speed that still rises there is the next row's. What the first row leads to is reached no faster than joints go.
    """
    steps = np.diff(chunk.positions, axis=0, prepend=start[None]) * pace / chunk.period_s
    speeds = np.clip(steps, -limits.velocity, limits.velocity)
    return standing_pose(chunk.positions, speeds, np.zeros_like(speeds), latency_s, limits)
