"""Tells a livelock from progress: the same objection again and again while the tools get nowhere.

Invariant: an objection that keeps the arms from getting where they are bound for is not repeated more than `repeats`
times without the tools having moved, whatever was accepted in between; then it is for a person.

What is only trimmed, a row clipped or a chunk slowed, keeps nobody from anywhere and is not counted. A row of refusals
counts once: how long one of those is borne with is for whoever counts tries and time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forearm.errors import ConfigError
from forearm.messages import Finding, Floats, Outcome, Verdict
from forearm.robot.kinematics import tool_poses

TRIMMING = ("position", "speed", "acceleration", "jerk")  # checks whose LIMIT leaves the way as it was


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """When an objection counts as repeated in vain.

    Attributes:
        repeats: how often it may come back.
        moved_m: m that a tool must have moved from where it was at the first one, for the count to begin again.
    """

    repeats: int = 6  # at 0.8 s a chunk: five seconds of going nowhere
    moved_m: float = 0.02  # more than a held pose sags or shakes

    def __post_init__(self) -> None:
        if self.repeats < 1 or not self.moved_m > 0.0:
            raise ConfigError(f"progress: got {self}, allowed are at least 1 repeat and m > 0; raise what is too small")


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    count: int
    tools: Floats


class Escalation:
    """Counts objections of one session by check and subject."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._refused = False

    def note(self, verdict: Verdict, positions: Floats) -> str:
        """Takes vetting's answer and the pose (J,) measured then; why to give up, empty while there is no reason."""
        again, self._refused = self._refused, verdict.vetted is None
        if again and self._refused:
            return ""
        tools, _ = tool_poses(positions[None])
        reasons = [self._count(finding, tools[0]) for finding in verdict.findings if _stalls(finding)]
        return next(filter(None, reasons), "")

    def _count(self, finding: Finding, tools: Floats) -> str:
        key = (finding.check, finding.subject)
        seen = self._seen.get(key)
        if seen is None or np.linalg.norm(tools - seen.tools, axis=-1).max() > self._progress.moved_m:
            seen = _Seen(0, tools)
        self._seen[key] = seen = _Seen(seen.count + 1, seen.tools)
        if seen.count <= self._progress.repeats:
            return ""
        return (
            f"The same objection came {seen.count} times while no tool moved by more than "
            f"{self._progress.moved_m * 1e3:.0f} mm: {finding.text}"
        )


def _stalls(finding: Finding) -> bool:
    return finding.outcome >= Outcome.HOLD or finding.check not in TRIMMING
