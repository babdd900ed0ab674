"""Named changes to a model's plan, each made for one scene with its truth: does the plan cause the action?"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

import numpy as np

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.cell.tasks.interface import Task
from forearm.cell.tasks.put_in_box import BLOCKS, PutInBox
from forearm.errors import InputError
from forearm.evaluation.trial import Trial
from forearm.messages import Floats, Observation
from forearm.policy.reasoning import Edit, Intervention
from forearm.robot.embodiment import BIMANUAL_YAM


def point(robot: CellRobot) -> Intervention:
    """Points at the other block before the trace is planned; the arm should take that one."""
    return Intervention(point=_at_other_block(robot))


def stated_point(robot: CellRobot) -> Intervention:
    """Points at the other block after the trace is planned; nothing should change."""
    return Intervention(stated_point=_at_other_block(robot))


def erase(robot: CellRobot) -> Intervention:
    """Hides the plan from the action expert; nothing should succeed."""
    return Intervention(erase_plan=True)


def refuse_unfit(name: str | None, trials: Iterable[Trial]) -> None:
    """Refuses an intervention that some of the trials' tasks have nothing for, before anything starts.

    Raises:
        InputError: that names the task.
    """
    for task in dict.fromkeys(trial.task for trial in trials) if name in ON_POINTS else ():
        _require_two_things(task_named(task))


ON_POINTS = ("point", "stated-point")
INTERVENTIONS = MappingProxyType({"point": point, "stated-point": stated_point, "erase": erase})


def _require_two_things(task: Task) -> PutInBox:
    if not isinstance(task, PutInBox):
        raise InputError(f"intervention on points: got task {task.name!r}, only {PutInBox.name!r} has two objects")
    return task


def _at_other_block(robot: CellRobot) -> Edit:
    """Points at the block that was not asked for, with the arm on its side, until a block is taken.

    Raises:
        InputError: for a scene without two blocks.
    """
    setup, task = robot.setup, _require_two_things(task_named(robot.setup.task))
    other = next(name for name in BLOCKS if name != task.asked(setup))
    camera = BIMANUAL_YAM.cameras[0]
    assert camera.cell_from_camera is not None  # the main camera does not move
    camera_from_cell = camera.cell_from_camera.inverse()

    def edited(_: Observation, points: Floats) -> Floats:
        if robot.taken() is not None:
            return points
        at = robot.object_pose(other).translation
        nearest = int(np.argmin([abs(at[1] - arm.base[1]) for arm in BIMANUAL_YAM.arms]))
        changed = np.full_like(points, np.nan)
        pixels = camera.pinhole.project(camera_from_cell.apply(at))
        changed[nearest] = pixels / np.array([camera.width, camera.height])
        return changed

    return edited
