"""Which rungs are climbed for which condition, in which order: a literal table.

Invariant: every condition has a row, and every row ends by asking a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from forearm.runtime.conditions import Condition


class Rung(Enum):
    """One thing that can be tried, in the words of events and reports."""

    REPERCEIVE = "perceive again"
    """Stand until every image is newer than the trouble."""
    REPLAN = "wait and decide anew"
    """Stand for a while, each time longer, and ask the policy afresh, with new noise."""
    RETREAT = "retreat"
    """Go back the way both arms came for a moment, then ask afresh."""
    BACK_OFF = "back off"
    """The arm in trouble opens and rises to hover."""
    SET_DOWN = "set down"
    """What the other arm holds is set down where it was taken; then both open and rise."""
    MAKE_WAY = "make way"
    """Every arm that holds nothing opens and goes back to where it began, so that either arm may try."""
    ASK = "ask the operator"
    """A person has to decide; a protective stop if nobody does."""


LADDER: Mapping[Condition, tuple[Rung, ...]] = MappingProxyType(
    {
        Condition.FAILED_GRASP: (Rung.BACK_OFF, Rung.SET_DOWN, Rung.MAKE_WAY, Rung.BACK_OFF, Rung.MAKE_WAY, Rung.ASK),
        Condition.DROPPED_OBJECT: (Rung.SET_DOWN, Rung.MAKE_WAY, Rung.BACK_OFF, Rung.MAKE_WAY, Rung.ASK),
        Condition.SLIPPED_HAND_OVER: (Rung.MAKE_WAY, Rung.BACK_OFF, Rung.MAKE_WAY, Rung.ASK),
        Condition.INTERRUPTED: (Rung.REPLAN, Rung.REPLAN, Rung.REPLAN, Rung.REPLAN, Rung.ASK),
        Condition.BLOCKED_PATH: (Rung.REPLAN, Rung.RETREAT, Rung.REPLAN, Rung.RETREAT, Rung.REPLAN, Rung.ASK),
        Condition.STALE_PERCEPTION: (Rung.REPERCEIVE, Rung.ASK),
        Condition.NO_PROGRESS: (Rung.REPLAN, Rung.BACK_OFF, Rung.MAKE_WAY, Rung.ASK),
    }
)
