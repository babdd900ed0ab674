"""Which part of its task a run of the cell is in, told from the truth alone.

A phase is of one thing that is handled: two arms, or one after the other, may be in several at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from forearm.cell.physics import Physics
from forearm.cell.scene import MIDLINE_Y_M
from forearm.cell.setup import Setup
from forearm.cell.tasks.insert_peg import MOUTH_M, RIM_M
from forearm.cell.tasks.stack import MIDDLE_X_M
from forearm.messages import Floats
from forearm.robot.embodiment import BIMANUAL_YAM

PHASES_OF: Mapping[str, tuple[str, ...]] = {
    "put-in-box": ("approach", "grasp", "carry", "place"),
    "hand-over": ("approach", "grasp", "carry", "exchange", "place"),
    "lift": ("approach", "grasp", "carry"),
    "clear-the-pad": ("approach", "grasp", "carry", "place"),
    "stack": ("approach", "grasp", "carry", "place"),
    "put-everything-in-box": ("approach", "grasp", "carry", "place"),
    "open-the-box": ("approach", "grasp", "carry", "place"),
    "sort-by-colour": ("approach", "grasp", "carry", "place"),
    "place-upright": ("approach", "grasp", "carry", "exchange", "place"),
    "insert-peg": ("approach", "grasp", "carry", "place", "insertion"),
}
GOALS: Mapping[str, tuple[str, ...]] = {
    "put-in-box": ("box",),
    "hand-over": ("pad",),
    "clear-the-pad": ("pad",),
    "put-everything-in-box": ("box",),
    "open-the-box": ("box",),
    "sort-by-colour": ("bin_1", "bin_2"),
    "place-upright": ("pad",),
    "insert-peg": ("socket",),
}
"""Where each task's things are to go, by what stands there."""
MIDDLES: Mapping[str, tuple[float, float]] = {"stack": (MIDDLE_X_M, MIDLINE_Y_M)}
"""The same, (x, y) m, where nothing stands there yet."""
IN_TURN: Mapping[str, int] = {"stack": 2, "put-everything-in-box": 5, "sort-by-colour": 4}
"""How many things go through the phases one after another, where it is more than one."""

CLOSING = 0.05  # opening between what a gripper was told and where it is: it is closing
AMID_M = 0.01  # m round a thing's boxes within which a tool is about to take it
LIFTED_M = 0.02  # m
NEAR_GOAL_M = 0.10  # m, in the plane


def goals_of(setup: Setup) -> list[tuple[float, float]]:
    """Where (x, y) m the things of that scene are to go."""
    at = [setup.placement(name).position for name in GOALS.get(setup.task, ())]
    middle = [MIDDLES[setup.task]] if setup.task in MIDDLES else []
    return [*((x, y) for x, y, _ in at), *middle]


def phases(setup: Setup, physics: Physics, told: Floats) -> dict[str, str]:
    """The phase of each thing that is being handled, by its name; "approach" of none while nothing is.

    Args:
        setup: the scene as it began.
        physics: the truth.
        told: (J,) the last command.
    """
    things = [each.name for each in setup.placements if physics.is_free(each.name)]
    taken = dict.fromkeys(_taken(physics, told, things), "grasp")
    held = {name: _of_held(setup, physics, name) for name in things if physics.holders(name)}
    return taken | held or {"": "approach"}


def _taken(physics: Physics, told: Floats, things: list[str]) -> Iterator[str]:
    """What hands are closing on."""
    for arm in BIMANUAL_YAM.arms:
        if told[arm.gripper] < physics.positions[arm.gripper] - CLOSING:
            tool = physics.tool_pose(arm.name).translation
            yield from (name for name in things if physics.surrounds(name, tool, AMID_M))


def _of_held(setup: Setup, physics: Physics, name: str) -> str:
    """The phase of a thing that is held."""
    here, began = physics.object_pose(name).translation, setup.placement(name).position
    risen_m = here[2] - began[2]
    for goal in goals_of(setup):
        off_m = float(np.hypot(*(here[:2] - goal)))
        if np.hypot(began[0] - goal[0], began[1] - goal[1]) < NEAR_GOAL_M:
            continue  # it is taken away from there
        if "insertion" in PHASES_OF[setup.task] and off_m < MOUTH_M[0] and risen_m < RIM_M:
            return "insertion"
        if off_m < NEAR_GOAL_M:
            return "place"
    if "exchange" in PHASES_OF[setup.task] and len(physics.holders(name)) > 1:
        return "exchange"
    return "carry" if risen_m > LIFTED_M else "grasp"
