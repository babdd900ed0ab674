"""The workspace of a scene, as its task describes it: what a session's gates keep the arms, and their goods, clear of.

Invariant: sizes and places are those that are stated for the task and its setup, never what the cell's physics knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from forearm.cell.setup import Setup
from forearm.cell.tasks import task_named
from forearm.geometry import Goods
from forearm.safety.workspace import SOMETHING, Workspace

SMALLEST_MAKE = 0.75  # share of the sizes that a task states: this station runs makes of its goods down to that


def workspace_of(setup: Setup) -> Workspace:
    """What stands in that scene, and what may be held there.

    Raises:
        InputError: for a setup whose task is unknown.
    """
    task = task_named(setup.task)
    goods = tuple(replace(each, smallest=SMALLEST_MAKE) for each in task.goods())
    return Workspace(
        fixtures=task.fixtures(setup),
        goods=goods,
        touching=_touching(goods),
    )


def _touching(goods: Sequence[Goods]) -> tuple[tuple[str, str], ...]:
    """What is brought together on purpose; something as wide as none of the goods may still be whichever of them."""
    rules = [(each.name, other) for each in goods for other in each.meets]
    names, each_meets = {each.name for each in goods}, [set(each.meets) for each in goods]
    whichever = set[str].intersection(*each_meets) if each_meets else set[str]()
    rules += [(SOMETHING, other) for other in sorted(whichever)]
    return (*rules, (SOMETHING, SOMETHING)) if goods and names <= whichever else tuple(rules)
