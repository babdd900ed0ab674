"""Which of what a camera measures is the arms themselves: their place is known from their joints, whatever is seen."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from forearm.geometry import Pose
from forearm.robot.embodiment import Camera
from forearm.safety.capsules import RADII, capsule_ends

OWN_M = 0.02  # m round an arm's capsules that count as the arm: how far it moves between an image and its joints


def points_measured(
    metres: Float64[ndarray, "H W"],
    rows: Int64[ndarray, " N"],
    columns: Int64[ndarray, " N"],
    camera: Camera,
    placed: Pose,
) -> Float64[ndarray, "N 3"]:
    """What pixels of a depth image show, in the cell frame, m; not finite where `metres` is not.

    `placed` is where the camera stands in the cell; the image may be of another size than the camera's.
    """
    height, width = metres.shape
    pixels = np.stack([(columns + 0.5) / width * camera.width, (rows + 0.5) / height * camera.height], axis=-1)
    return placed.apply(camera.pinhole.unproject(pixels, metres[rows, columns]))


def of_the_arms(points: Float64[ndarray, "N 3"], positions: Float64[ndarray, " 14"]) -> Bool[ndarray, " N"]:
    """Whether points of the cell frame are the arms' own at that pose; one that is not finite is nobody's."""
    starts, ends = (each[..., 0].T for each in capsule_ends(positions[None]))  # (C, 3)
    along = ends - starts
    offset = points[:, None, :] - starts
    share = np.clip((offset * along).sum(-1) / (along * along).sum(-1), 0.0, 1.0)
    apart = np.linalg.norm(offset - share[..., None] * along, axis=-1) - RADII
    return apart.min(axis=1, initial=np.inf) <= OWN_M
