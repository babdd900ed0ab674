"""What each arm does when something is wrong: a table of every cause, the arm it is about, and what the grippers hold.

Invariant: the arms stop as a pair. One arm's fault decides for both; an arm never draws back alone from what both may
hold; and torque is never cut, because YAM arms fall without it: every row ends with the arms under power.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from forearm.messages import Finding, Floats, Observation, Outcome
from forearm.robot.embodiment import Embodiment

# Closing is negative. In the cell free fingers at rest press with 0 N, fingers on a handle, bar or block with 15-28 N.
PRESSING_N = 3.0  # N; fingers under way press too and count as holding: that errs on the side of standing still


class StopKind(Enum):
    """What an arm does, from the least to the most. In every one it is under power."""

    SLOW = "slow"
    """Stops, then goes on at reduced speed for a while."""
    HOLD = "hold"
    """Brakes to rest and stands until what was wrong is right again."""
    RETREAT = "retreat"
    """Stops, then goes back the way it came, vetted like any motion, at reduced speed."""
    PROTECTIVE = "protective"
    """Stands until a person resets it; the session ends."""


class Cause(Enum):
    """Why, as far as it matters for what to do."""

    FAULT = "fault"
    """A check broke, the arms cannot be read, or what they say cannot be."""
    EXTERNAL = "external"
    """The cell's own stop input asks for it."""
    PERSON = "person"
    """Somebody asked the session to end."""
    SENSES = "senses"
    """What is seen or measured is not of now."""
    CONTACT = "contact"
    """An arm strains, or does not follow."""
    APPROACH = "approach"
    """The arms come near something faster than they could stop."""
    COMMAND = "command"
    """The set-point may not be sent."""
    DECISIONS = "decisions"
    """There is no vetted decision to follow."""


class Faulty(Enum):
    """Which arm it is about."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"
    """Both, neither in particular, or not known."""


class Holding(Enum):
    """What the grippers hold."""

    APART = "apart"
    """Neither holds anything."""
    ONE = "one"
    """One of them holds something."""
    SHARED = "shared"
    """Both hold something; fingers cannot feel whether it is one thing, so it is taken to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Each:
    """What either arm does."""

    left: StopKind
    right: StopKind

    @property
    def hardest(self) -> StopKind:
        """The one of the two that is the most."""
        return max(self.left, self.right, key=list(StopKind).index)


_PROTECTIVE = Each(left=StopKind.PROTECTIVE, right=StopKind.PROTECTIVE)
_HOLD = Each(left=StopKind.HOLD, right=StopKind.HOLD)
_SLOW = Each(left=StopKind.SLOW, right=StopKind.SLOW)
# The arm that touched something goes back where it came from; the other one keeps out of its way by standing.
_LEFT_BACK = Each(left=StopKind.RETREAT, right=StopKind.HOLD)
_RIGHT_BACK = Each(left=StopKind.HOLD, right=StopKind.RETREAT)

STOPS: Mapping[tuple[Cause, Faulty, Holding], Each] = {
    (Cause.FAULT, Faulty.LEFT, Holding.APART): _PROTECTIVE,
    (Cause.FAULT, Faulty.RIGHT, Holding.APART): _PROTECTIVE,
    (Cause.FAULT, Faulty.BOTH, Holding.APART): _PROTECTIVE,
    (Cause.FAULT, Faulty.LEFT, Holding.ONE): _PROTECTIVE,
    (Cause.FAULT, Faulty.RIGHT, Holding.ONE): _PROTECTIVE,
    (Cause.FAULT, Faulty.BOTH, Holding.ONE): _PROTECTIVE,
    (Cause.FAULT, Faulty.LEFT, Holding.SHARED): _PROTECTIVE,
    (Cause.FAULT, Faulty.RIGHT, Holding.SHARED): _PROTECTIVE,
    (Cause.FAULT, Faulty.BOTH, Holding.SHARED): _PROTECTIVE,
    (Cause.EXTERNAL, Faulty.LEFT, Holding.APART): _PROTECTIVE,
    (Cause.EXTERNAL, Faulty.RIGHT, Holding.APART): _PROTECTIVE,
    (Cause.EXTERNAL, Faulty.BOTH, Holding.APART): _PROTECTIVE,
    (Cause.EXTERNAL, Faulty.LEFT, Holding.ONE): _PROTECTIVE,
    (Cause.EXTERNAL, Faulty.RIGHT, Holding.ONE): _PROTECTIVE,
    (Cause.EXTERNAL, Faulty.BOTH, Holding.ONE): _PROTECTIVE,
    (Cause.EXTERNAL, Faulty.LEFT, Holding.SHARED): _PROTECTIVE,
    (Cause.EXTERNAL, Faulty.RIGHT, Holding.SHARED): _PROTECTIVE,
    (Cause.EXTERNAL, Faulty.BOTH, Holding.SHARED): _PROTECTIVE,
    (Cause.PERSON, Faulty.LEFT, Holding.APART): _PROTECTIVE,
    (Cause.PERSON, Faulty.RIGHT, Holding.APART): _PROTECTIVE,
    (Cause.PERSON, Faulty.BOTH, Holding.APART): _PROTECTIVE,
    (Cause.PERSON, Faulty.LEFT, Holding.ONE): _PROTECTIVE,
    (Cause.PERSON, Faulty.RIGHT, Holding.ONE): _PROTECTIVE,
    (Cause.PERSON, Faulty.BOTH, Holding.ONE): _PROTECTIVE,
    (Cause.PERSON, Faulty.LEFT, Holding.SHARED): _PROTECTIVE,
    (Cause.PERSON, Faulty.RIGHT, Holding.SHARED): _PROTECTIVE,
    (Cause.PERSON, Faulty.BOTH, Holding.SHARED): _PROTECTIVE,
    (Cause.SENSES, Faulty.LEFT, Holding.APART): _HOLD,
    (Cause.SENSES, Faulty.RIGHT, Holding.APART): _HOLD,
    (Cause.SENSES, Faulty.BOTH, Holding.APART): _HOLD,
    (Cause.SENSES, Faulty.LEFT, Holding.ONE): _HOLD,
    (Cause.SENSES, Faulty.RIGHT, Holding.ONE): _HOLD,
    (Cause.SENSES, Faulty.BOTH, Holding.ONE): _HOLD,
    (Cause.SENSES, Faulty.LEFT, Holding.SHARED): _HOLD,
    (Cause.SENSES, Faulty.RIGHT, Holding.SHARED): _HOLD,
    (Cause.SENSES, Faulty.BOTH, Holding.SHARED): _HOLD,
    (Cause.CONTACT, Faulty.LEFT, Holding.APART): _LEFT_BACK,
    (Cause.CONTACT, Faulty.RIGHT, Holding.APART): _RIGHT_BACK,
    (Cause.CONTACT, Faulty.BOTH, Holding.APART): _HOLD,
    (Cause.CONTACT, Faulty.LEFT, Holding.ONE): _HOLD,
    (Cause.CONTACT, Faulty.RIGHT, Holding.ONE): _HOLD,
    (Cause.CONTACT, Faulty.BOTH, Holding.ONE): _HOLD,
    (Cause.CONTACT, Faulty.LEFT, Holding.SHARED): _HOLD,
    (Cause.CONTACT, Faulty.RIGHT, Holding.SHARED): _HOLD,
    (Cause.CONTACT, Faulty.BOTH, Holding.SHARED): _HOLD,
    (Cause.APPROACH, Faulty.LEFT, Holding.APART): _SLOW,
    (Cause.APPROACH, Faulty.RIGHT, Holding.APART): _SLOW,
    (Cause.APPROACH, Faulty.BOTH, Holding.APART): _SLOW,
    (Cause.APPROACH, Faulty.LEFT, Holding.ONE): _SLOW,
    (Cause.APPROACH, Faulty.RIGHT, Holding.ONE): _SLOW,
    (Cause.APPROACH, Faulty.BOTH, Holding.ONE): _SLOW,
    (Cause.APPROACH, Faulty.LEFT, Holding.SHARED): _SLOW,
    (Cause.APPROACH, Faulty.RIGHT, Holding.SHARED): _SLOW,
    (Cause.APPROACH, Faulty.BOTH, Holding.SHARED): _SLOW,
    (Cause.COMMAND, Faulty.LEFT, Holding.APART): _HOLD,
    (Cause.COMMAND, Faulty.RIGHT, Holding.APART): _HOLD,
    (Cause.COMMAND, Faulty.BOTH, Holding.APART): _HOLD,
    (Cause.COMMAND, Faulty.LEFT, Holding.ONE): _HOLD,
    (Cause.COMMAND, Faulty.RIGHT, Holding.ONE): _HOLD,
    (Cause.COMMAND, Faulty.BOTH, Holding.ONE): _HOLD,
    (Cause.COMMAND, Faulty.LEFT, Holding.SHARED): _HOLD,
    (Cause.COMMAND, Faulty.RIGHT, Holding.SHARED): _HOLD,
    (Cause.COMMAND, Faulty.BOTH, Holding.SHARED): _HOLD,
    (Cause.DECISIONS, Faulty.LEFT, Holding.APART): _HOLD,
    (Cause.DECISIONS, Faulty.RIGHT, Holding.APART): _HOLD,
    (Cause.DECISIONS, Faulty.BOTH, Holding.APART): _HOLD,
    (Cause.DECISIONS, Faulty.LEFT, Holding.ONE): _HOLD,
    (Cause.DECISIONS, Faulty.RIGHT, Holding.ONE): _HOLD,
    (Cause.DECISIONS, Faulty.BOTH, Holding.ONE): _HOLD,
    (Cause.DECISIONS, Faulty.LEFT, Holding.SHARED): _HOLD,
    (Cause.DECISIONS, Faulty.RIGHT, Holding.SHARED): _HOLD,
    (Cause.DECISIONS, Faulty.BOTH, Holding.SHARED): _HOLD,
}

_SENSES = frozenset({"age", "camera", "depth", "backwards", "clock", "sequence", "frozen", "epoch", "model"})
_CONTACT = frozenset({"effort", "tracking"})
_APPROACH = "stopping"


def cause_of(findings: Sequence[Finding]) -> Cause:
    """The cause behind a guard's findings: what makes the others doubtful comes first."""
    checks = {finding.check for finding in findings}
    if not findings or any(finding.outcome is Outcome.STOP for finding in findings):
        return Cause.FAULT
    if checks & _SENSES:
        return Cause.SENSES
    if checks & _CONTACT:
        return Cause.CONTACT
    return Cause.APPROACH if checks == {_APPROACH} else Cause.COMMAND


def faulty_arm(findings: Sequence[Finding]) -> Faulty:
    """The one arm that the findings are about; BOTH where they name two, or none."""
    named = {arm for arm in (Faulty.LEFT, Faulty.RIGHT) for finding in findings if arm.value in finding.subject}
    return named.pop() if len(named) == 1 else Faulty.BOTH


def holding(observation: Observation, embodiment: Embodiment) -> Holding:
    """What the grippers hold, felt by their efforts; one that cannot be read may hold something."""
    return (Holding.APART, Holding.ONE, Holding.SHARED)[int(_pressing(observation, embodiment).sum())]


def resting_pose(observation: Observation, sent: Floats | None, embodiment: Embodiment) -> Floats:
    """(J,) the set-point of a robot that was just told to stop, given what it was sent last, None for nothing.

    That is where it was measured; but a gripper that presses on something keeps the opening that it was told, where
    that is tighter: a robot that stops lets go of nothing, and what follows must not either.
    """
    pose = np.array(observation.positions)
    if sent is not None:
        pressing = embodiment.grippers[_pressing(observation, embodiment)]
        pose[pressing] = np.minimum(pose[pressing], sent[pressing])
    return pose


def _pressing(observation: Observation, embodiment: Embodiment) -> NDArray[np.bool_]:
    """(A,) whether each gripper presses on something, or cannot be shown not to."""
    return ~(observation.efforts[embodiment.grippers] > -PRESSING_N)
