"""The station's left-right symmetry: what one arm does, the other one does as in a mirror."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from forearm.robot.embodiment import ARM_SPACING_M

MIRROR_Y_M = -ARM_SPACING_M / 2.0  # m, the plane y = -0.305 of the cell frame, half-way between the two bases

_SWAPPED = np.array([*range(7, 14), *range(7)])  # each arm takes the other's joints
_SIGNS = np.tile([-1.0, 1.0, 1.0, 1.0, -1.0, -1.0, 1.0], 2)  # joints 1, 5 and 6 turn about axes in the mirror plane


def mirror_positions(positions: Float64[ndarray, "*batch 14"]) -> Float64[ndarray, "*batch 14"]:
    """Joint positions of the mirrored pose: arms swapped, joints 1, 5 and 6 negated, grippers swapped. Its own inverse.

    The mirrored tool is the mirror image to 0.3 mm (the tool frame sits 0.1 mm off the flange's axis). Joint 1's range
    is not symmetric (-2.617 .. 3.141): a pose beyond 2.617 has a mirror image that the other arm cannot take.
    """
    return positions[..., _SWAPPED] * _SIGNS


def mirror_points(points: Float64[ndarray, "*batch 3"]) -> Float64[ndarray, "*batch 3"]:
    """Points of the cell frame, m, seen in the mirror. Its own inverse."""
    return points * np.array([1.0, -1.0, 1.0]) + np.array([0.0, 2.0 * MIRROR_Y_M, 0.0])
