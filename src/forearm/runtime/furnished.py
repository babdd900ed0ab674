"""The workspace of a scene, as its task describes it: what a session's gates keep the arms, and their goods, clear of.

Invariant: sizes and places are those that are stated for the task and its setup, never what the cell's physics knows.
"""

from __future__ import annotations

from forearm.cell.setup import Setup
from forearm.cell.tasks import task_named
from forearm.safety.workspace import Workspace


def workspace_of(setup: Setup) -> Workspace:
    """What stands in that scene, and what may be held there.

    Raises:
        InputError: for a setup whose task is unknown.
    """
    task = task_named(setup.task)
    goods = task.goods()
    return Workspace(
        fixtures=task.fixtures(setup),
        goods=goods,
        touching=tuple((each.name, other) for each in goods for other in each.meets),
    )
