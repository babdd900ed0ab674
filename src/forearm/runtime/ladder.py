"""Which rungs are climbed for which condition, in which order: a literal table.

Invariant: every condition has a row, and every row ends by asking a person. A rung is taken only while the grippers
hold what it may be taken with, and one that moves only while nothing unseen is known to stand in the cell; else the
next one is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from types import MappingProxyType

from forearm.runtime.conditions import Condition
from forearm.safety.stops import Holding


class Rung(Enum):
    """One thing that can be tried, in the words of events and reports."""

    REPERCEIVE = "perceive again"
    """Stand until every image is newer than the trouble."""
    REPLAN = "wait and decide anew"
    """Stand for a while, each time longer, and ask the policy afresh, with new noise."""
    RETREAT = "retreat"
    """Go back the way both arms came for a moment, then ask afresh.

    Not with what both may hold: on that way they may not have held it yet.
    """
    RETRACE = "go back to where its map agreed"
    """Go along the way both arms came to the nearest place where the policy's map agreed, then ask afresh.

    Another scene may be seen right from there. Not with what both may hold.
    """
    BACK_OFF = "back off"
    """The arm in trouble opens and rises to hover."""
    MAKE_WAY = "make way"
    """Every arm that holds nothing opens and goes back to where it began, so that either arm may try."""
    START_OVER = "start over"
    """What is held is set down where it was taken; then every arm opens, rises and goes back to where it began.

    Not with what both may hold: each took it elsewhere, and they would pull it apart.
    """
    ASK = "ask the operator"
    """A person has to decide; a protective stop if nobody does."""


_WHATEVER = frozenset(Holding)
_NOT_SHARED = _WHATEVER - {Holding.SHARED}
PERMITTED: Mapping[Rung, frozenset[Holding]] = MappingProxyType(
    {
        Rung.REPERCEIVE: _WHATEVER,  # both stand
        Rung.REPLAN: _WHATEVER,
        Rung.RETREAT: _NOT_SHARED,
        Rung.RETRACE: _NOT_SHARED,
        Rung.BACK_OFF: _WHATEVER,  # moves none that holds anything
        Rung.MAKE_WAY: _WHATEVER,
        Rung.START_OVER: _NOT_SHARED,
        Rung.ASK: _WHATEVER,
    }
)
"""What the grippers may hold when a rung is taken."""
STANDING = frozenset({Rung.REPERCEIVE, Rung.REPLAN, Rung.ASK})
"""Rungs that move nothing."""

# A policy knows best what it was taught to begin with: arms where a task starts, and nothing in their hands.
LADDER: Mapping[Condition, tuple[Rung, ...]] = MappingProxyType(
    {
        Condition.FAILED_GRASP: (
            Rung.BACK_OFF,
            Rung.START_OVER,
            Rung.MAKE_WAY,  # if another arm holds what this one failed to take, it may go on alone
            Rung.START_OVER,
            Rung.MAKE_WAY,
            Rung.ASK,
        ),
        Condition.DROPPED_OBJECT: (Rung.START_OVER, Rung.START_OVER, Rung.MAKE_WAY, Rung.START_OVER, Rung.ASK),
        Condition.SLIPPED_HAND_OVER: (Rung.MAKE_WAY, Rung.START_OVER, Rung.MAKE_WAY, Rung.ASK),
        Condition.INTERRUPTED: (Rung.REPLAN, Rung.REPLAN, Rung.REPLAN, Rung.REPLAN, Rung.ASK),
        Condition.BLOCKED_PATH: (Rung.REPLAN, Rung.RETREAT, Rung.REPLAN, Rung.RETREAT, Rung.REPLAN, Rung.ASK),
        Condition.STALE_PERCEPTION: (Rung.REPERCEIVE, Rung.ASK),
        # What the model does not see may pass by itself; and what it sees wrong from here it may see right from there.
        Condition.MISPERCEPTION: (
            Rung.REPERCEIVE,
            Rung.RETRACE,
            Rung.REPLAN,
            Rung.RETRACE,
            Rung.RETRACE,
            Rung.START_OVER,
            Rung.REPLAN,
            Rung.ASK,
        ),
        Condition.NO_PROGRESS: (Rung.REPLAN, Rung.START_OVER, Rung.REPLAN, Rung.START_OVER, Rung.ASK),
    }
)


def next_rung(condition: Condition, number: int, held: Holding, barred: Collection[Rung] = ()) -> int:
    """The number, from 0, of the first rung for the condition from `number` on that may be taken with what is held.

    None of the `barred` ones. Beyond the last rung it is the last one, asking, which may always be taken.
    """
    rungs = LADDER[condition]
    last = len(rungs) - 1
    allowed = (each for each in range(min(number, last), last) if rungs[each] not in barred)
    return next((each for each in allowed if held in PERMITTED[rungs[each]]), last)
