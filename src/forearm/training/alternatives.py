"""What else could have been asked for in a demonstrated scene: the same picture, another sentence, another point.

A scene that is only ever shown with one sentence lets a pointer guess from the picture. Asked for either of two blocks
in the very same picture, it has to read. Only the point is learned from such a question: nothing was demonstrated for
it, and nothing after the point sees the words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forearm.cell.demonstrator import sample_demonstration
from forearm.cell.posture import nearest_side
from forearm.cell.tasks import find_task
from forearm.cell.tasks.put_in_box import PutInBox
from forearm.robot.embodiment import BIMANUAL_YAM


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alternative:
    """Another sentence for a scene, and where in the main image each gripper would close first (A, 2), NaN for none."""

    instruction: str
    points: NDArray[np.float32]


def alternative(instruction: str, seed: int) -> Alternative | None:
    """The other question that the scene of a demonstration could have been asked; None where there is only one.

    Args:
        instruction: the demonstration's sentence.
        seed: what its scene was drawn from.

    Raises:
        InstructionError: for a sentence that is no task's.
    """
    task = find_task(instruction)
    setup = sample_demonstration(task.name, seed)
    if not isinstance(task, PutInBox) or setup.instruction != instruction:
        return None
    other = task.other_word(setup)
    at = np.array(setup.placement(task.asked(other)).position)
    camera = BIMANUAL_YAM.cameras[0]
    assert camera.cell_from_camera is not None  # the main camera does not move
    pixels = camera.pinhole.project(camera.cell_from_camera.inverse().apply(at))
    points = np.full((len(BIMANUAL_YAM.arms), 2), np.nan, np.float32)
    sides = [arm.name for arm in BIMANUAL_YAM.arms]
    points[sides.index(nearest_side(at[1]))] = pixels / np.array([camera.width, camera.height])
    return Alternative(instruction=other.instruction, points=points)
