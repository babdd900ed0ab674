"""What else could have been asked in a demonstrated scene: the same picture, another sentence, another point.

A scene that is only ever shown with one sentence lets a pointer guess from the picture. Asked for either of two blocks
in the very same picture, it has to read; asked for what is not there, it has to point nowhere. Only the point is
learned from such a question: nothing was demonstrated for it, and nothing after the point sees the words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forearm.cell.demonstrator import sample_demonstration
from forearm.cell.setup import Setup
from forearm.cell.tasks import find_task
from forearm.cell.tasks.absence import missing
from forearm.cell.tasks.interface import Question, Task
from forearm.robot.embodiment import BIMANUAL_YAM

ABSENT = 6  # questions after what is not there, kept of a scene; half of them the task's own, where it has so many


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alternative:
    """Another sentence for a scene, and where in the main image each gripper would close first (A, 2), NaN for none."""

    instruction: str
    points: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alternatives:
    """What else a scene could be asked for, and sentences that name what it has not."""

    others: tuple[Alternative, ...] = ()
    absent: tuple[str, ...] = ()


def alternatives(instruction: str, seed: int, tasks: Iterable[Task]) -> Alternatives:
    """The other questions for the scene of a demonstration.

    Args:
        instruction: the demonstration's sentence.
        seed: what its scene was drawn from.
        tasks: whose sentences may ask for what is not there.

    Raises:
        InstructionError: for a sentence that is no task's.
    """
    task = find_task(instruction)
    setup = sample_demonstration(task.name, seed)
    if setup.instruction != instruction:  # recorded from another scene than the seed's
        return Alternatives()
    return Alternatives(
        others=tuple(_alternative(question) for question in task.others(setup)),
        absent=_absent(setup, task, tasks, np.random.default_rng((seed, 4))),
    )


def _absent(setup: Setup, own: Task, tasks: Iterable[Task], rng: np.random.Generator) -> tuple[str, ...]:
    near = [each for each in own.instructions() if missing(setup, each)]
    far = [each for task in tasks if task is not own for each in task.instructions() if missing(setup, each)]
    near, far = (rng.permutation(some).tolist() for some in (near, far))
    near = near[: ABSENT // 2]
    return (*near, *far[: ABSENT - len(near)])


def _alternative(question: Question) -> Alternative:
    camera = BIMANUAL_YAM.cameras[0]
    assert camera.cell_from_camera is not None  # the main camera does not move
    points = np.full((len(BIMANUAL_YAM.arms), 2), np.nan, np.float32)
    sides = [arm.name for arm in BIMANUAL_YAM.arms]
    for side, at in question.grips.items():
        pixels = camera.pinhole.project(camera.cell_from_camera.inverse().apply(np.array(at)))
        points[sides.index(side)] = pixels / np.array([camera.width, camera.height])
    return Alternative(instruction=question.instruction, points=points)
