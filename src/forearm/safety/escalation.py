"""Tells a livelock from progress: the same objection again and again while the tools get nowhere new.

Invariant: an objection that keeps the arms from getting where they are bound for comes back no more than `repeats`
times without a tool being somewhere it has not just had that objection, whatever was accepted in between, whichever
gate it is of, and however far the tools swing to and fro; then it is for a person.

What is only trimmed, a row clipped or a chunk slowed, keeps nobody from anywhere and is not counted. A row of refusals
counts once, and so does a hold: how long one of those is borne with is for whoever counts tries and time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.errors import ConfigError
from forearm.messages import Finding, Floats, Outcome, Verdict
from forearm.robot.kinematics import tool_poses

TRIMMING = ("position", "speed", "acceleration", "jerk", "stopping")  # checks whose LIMIT leaves the way as it was
# s between two of the guard's objections that makes them two holds: two captures of a 10 Hz camera, so that an image
# whose age swings about its limit makes one hold that lasts, and less than the 0.28 s from one stall to the next.
APART_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """When an objection counts as repeated in vain.

    Attributes:
        repeats: how often it may come back.
        moved_m: m that a tool must be from every place where it had the objection, for the count to begin again.
        within_s: s after which such a place is forgotten, if the objection did not come there again.
    """

    repeats: int = 6  # at 0.8 s a chunk: five seconds of going nowhere
    moved_m: float = 0.02  # more than a held pose sags or shakes
    within_s: float = 10.0  # an arm that goes back from a contact is there again in 2 s; a second object takes longer

    def __post_init__(self) -> None:
        if self.repeats < 1 or not self.moved_m > 0.0 or not self.within_s > 0.0:
            raise ConfigError(
                f"progress: got {self}, allowed are at least 1 repeat, m > 0 and s > 0; raise what is too small"
            )


@dataclass(slots=True, eq=False)
class _Seen:
    """How often, since a tool was somewhere new; and when the tools (A, 3) were at each place."""

    count: int
    places: list[tuple[int, Floats]]


class Escalation:
    """Counts objections of one session by check and subject, whichever gate they are of."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._refused = False
        self._held_ns: int | None = None
        self._holding_since_ns = 0

    def note_answer(self, verdict: Verdict, positions: Floats, now_ns: int) -> str:
        """Takes vetting's answer and the pose (J,) measured then; why to give up, empty while there is no reason."""
        again, self._refused = self._refused, verdict.vetted is None
        return "" if again and self._refused else self._count(verdict, positions, now_ns)

    def note_hold(self, verdict: Verdict, positions: Floats, now_ns: int) -> str:
        """Takes the guard's objection in this tick and the pose (J,) measured then; like `note_answer`."""
        again = self._held_ns is not None and now_ns - self._held_ns <= APART_S * NANOSECONDS
        self._held_ns = now_ns
        if again:
            return ""
        self._holding_since_ns = now_ns
        return self._count(verdict, positions, now_ns)

    def held_since_ns(self, now_ns: int) -> int:
        """When the guard's hold that was noted now began, moments without an objection being no end; now for none."""
        return self._holding_since_ns if self._held_ns == now_ns else now_ns

    def _count(self, verdict: Verdict, positions: Floats, now_ns: int) -> str:
        """Counts every objection that stalls."""
        tools, _ = tool_poses(positions[None])
        reasons = [self._again(finding, tools[0], now_ns) for finding in verdict.findings if _stalls(finding)]
        return next(filter(None, reasons), "")

    def _again(self, finding: Finding, tools: Floats, now_ns: int) -> str:
        """Counts this objection with the tools (A, 3) there; why to give up."""
        seen = self._seen.setdefault((finding.check, finding.subject), _Seen(0, []))
        if self._is_new(tools, seen, now_ns):
            seen.count = 0
        seen.count += 1
        if seen.count <= self._progress.repeats:
            return ""
        return (
            f"The same objection came {seen.count} times while no tool got more than "
            f"{self._progress.moved_m * 1e3:.0f} mm from where it had been: {finding.text}"
        )

    def _is_new(self, tools: Floats, seen: _Seen, now_ns: int) -> bool:
        """Whether one of the tools (A, 3) is at no place that is remembered; remembers where they are."""
        within_ns = self._progress.within_s * NANOSECONDS
        seen.places = [(at_ns, place) for at_ns, place in seen.places if now_ns - at_ns <= within_ns]
        if seen.places:
            apart = np.linalg.norm(tools - np.array([place for _, place in seen.places]), axis=-1)
            if apart.min(axis=0).max() <= self._progress.moved_m:
                for near in set(apart.argmin(axis=0).tolist()):
                    seen.places[near] = now_ns, seen.places[near][1]
                return False
        seen.places.append((now_ns, tools))
        return True


def _stalls(finding: Finding) -> bool:
    return finding.outcome >= Outcome.HOLD or finding.check not in TRIMMING
