"""Where every link and tool of the bimanual YAM station is, for any batch of joint positions, in numpy alone.

All results are in the cell frame (left base: x forward, y left, z up; metres). Positions (..., 14) are in embodiment
order; leading dimensions are a batch, and one call walks each arm's chain once for the whole batch. Arms come out in
embodiment order (left, right), links in the order of `LINKS`.

Source of every constant: `yam_station_linear_4310_d405.xml` of dreamscale-i2rt 1.3.6.post1 (MIT), bodies of the left
arm; the right one repeats them. Components below 1e-12 there (a CAD export's rounding) are zero here.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from forearm.geometry import rotation_from_quaternion
from forearm.robot.embodiment import BIMANUAL_YAM, GRIPPER_STROKE_M

LINKS = ("base", "link1", "link2", "link3", "link4", "link5", "gripper", "tip_left", "tip_right")
CHAIN = 6  # revolute joints of one arm; joint k (from 1) moves LINKS[k] and everything behind it

_ARM_JOINTS = np.array([list(range(arm.joints.start, arm.joints.stop)) for arm in BIMANUAL_YAM.arms])  # (2, 6)
_GRIPPERS = BIMANUAL_YAM.grippers  # (2,)
_BASES = np.array([arm.base for arm in BIMANUAL_YAM.arms])  # m, (2, 3)

# Parent → link with the joint at zero: translation in m and quaternion wxyz, and the joint's axis in the link's frame.
_TRANSLATIONS = np.array(
    [
        (-2.49777947129965e-07, -9.17402363407408e-13, 0.0679999999995413),  # base → link1
        (-0.0455, -0.0339, -0.02),  # link1 → link2
        (4.08431e-07, -0.0688, 0.264),  # link2 → link3
        (-0.0600003, -0.0688, -0.244999),  # link3 → link4
        (-0.0405003, 0.0338995, -0.0739989),  # link4 → link5
        (0.0404996, 2.39858e-07, -0.0356),  # link5 → gripper
    ]
)
_QUATERNIONS = np.array(
    [
        (1.2986717346404163e-06, 0.70710807985828106, 1.2986765049368206e-06, -0.70710548251004379),
        (-1.3267948966775328e-06, 0.0, 0.0, 0.99999999999911982),
        (-1.3267948966775328e-06, 0.0, 0.0, 0.99999999999911982),
        (1.0, 0.0, 0.0, 0.0),
        (1.0, 0.0, 0.0, 0.0),
        (0.0, 0.7071067811865204, 0.7071067811865748, 0.0),
    ]
)
_AXES = np.array([(-1.0, 0, 0), (0, 1.0, 0), (0, 1.0, 0), (0, 1.0, 0), (1.0, 0, 0), (0, 0, 1.0)])

# Gripper → closed finger, m; both fingers are turned alike and slide along the gripper's x, away from each other.
_TIP_TRANSLATIONS = np.array([(0.0445119, -0.0239931, 0.0566829), (-0.0445119, 0.0239931, 0.0566829)])
_TIP_STROKES = np.array([(-GRIPPER_STROKE_M, 0.0, 0.0), (GRIPPER_STROKE_M, 0.0, 0.0)])
_TIP_ROTATION = rotation_from_quaternion(np.array([0.0, 0.7071067811865476, 0.7071067811865476, 0.0]))

# Gripper → tool frame (sites tcp_left and tcp_right: between the fingertips, the same at every opening), m.
_TOOL_TRANSLATION = np.array([3.88982673e-05, 9.68103407e-05, 0.144650259])
_TOOL_ROTATION = rotation_from_quaternion(np.array([-0.7071067811865476, 0.0, 0.0, -0.7071067811865476]))


def _skew(axes: Float64[ndarray, "n 3"]) -> Float64[ndarray, "n 3 3"]:
    """Cross-product matrices."""
    return np.cross(axes[:, None, :], np.eye(3)[None]).swapaxes(-1, -2)


# Rodrigues: parent_from_link(q) = F (I + sin q K + (1 - cos q) K²) with F the rotation at zero; the products are fixed.
_FIXED = rotation_from_quaternion(_QUATERNIONS)
_SINE = _FIXED @ _skew(_AXES)
_VERSINE = _FIXED @ _skew(_AXES) @ _skew(_AXES)


def _chain(positions: Float64[ndarray, "*batch 14"]) -> tuple[list[ndarray], list[ndarray]]:
    """Rotations (..., 2, 3, 3) and origins (..., 2, 3) of link1 to gripper, both arms at once."""
    angles = positions[..., _ARM_JOINTS, None, None]
    steps = _FIXED + np.sin(angles) * _SINE + (1.0 - np.cos(angles)) * _VERSINE
    rotation = steps[..., 0, :, :]
    origin = np.broadcast_to(_BASES + _TRANSLATIONS[0], (*rotation.shape[:-1],))
    rotations, origins = [rotation], [origin]
    for joint in range(1, CHAIN):
        origin = origin + rotation @ _TRANSLATIONS[joint]
        rotation = rotation @ steps[..., joint, :, :]
        rotations.append(rotation)
        origins.append(origin)
    return rotations, origins


def link_poses(
    positions: Float64[ndarray, "*batch 14"],
) -> tuple[Float64[ndarray, "*batch 2 9 3"], Float64[ndarray, "*batch 2 9 3 3"]]:
    """Where every link is: translations (..., 2, 9, 3) m and rotations (..., 2, 9, 3, 3), in the order of `LINKS`.

    The grippers' openings are taken as they are, also outside 0..1. NaN in gives NaN out. About 0.2 ms for 30 rows.
    """
    chain_rotations, chain_origins = _chain(positions)
    gripper, at = chain_rotations[-1], chain_origins[-1]
    shape = at.shape[:-1]
    translations = np.empty((*shape, len(LINKS), 3))
    rotations = np.empty((*shape, len(LINKS), 3, 3))
    translations[..., 0, :] = _BASES
    rotations[..., 0, :, :] = np.eye(3)
    for link, (rotation, origin) in enumerate(zip(chain_rotations, chain_origins, strict=True), start=1):
        translations[..., link, :] = origin
        rotations[..., link, :, :] = rotation
    slides = _TIP_TRANSLATIONS + positions[..., _GRIPPERS, None, None] * _TIP_STROKES
    translations[..., 7:, :] = at[..., None, :] + slides @ gripper.swapaxes(-1, -2)
    rotations[..., 7:, :, :] = (gripper @ _TIP_ROTATION)[..., None, :, :]
    return translations, rotations


def tool_poses(
    positions: Float64[ndarray, "*batch 14"],
) -> tuple[Float64[ndarray, "*batch 2 3"], Float64[ndarray, "*batch 2 3 3"]]:
    """Where both tool frames are: translations (..., 2, 3) m and rotations (..., 2, 3, 3).

    The tool frame lies between the fingertips: z along the approach, y along the closing direction of the fingers.
    """
    rotations, origins = _chain(positions)
    return origins[-1] + rotations[-1] @ _TOOL_TRANSLATION, rotations[-1] @ _TOOL_ROTATION


def tool_jacobian(positions: Float64[ndarray, "*batch 14"]) -> Float64[ndarray, "*batch 2 3 6"]:
    """Velocity of each tool's origin per velocity of its own arm's six joints, m/rad, in the cell frame."""
    rotations, origins = _chain(positions)
    tool = origins[-1] + rotations[-1] @ _TOOL_TRANSLATION
    axes = (np.stack(rotations, axis=-3) @ _AXES[:, :, None])[..., 0]
    arms = tool[..., None, :] - np.stack(origins, axis=-2)
    return np.cross(axes, arms).swapaxes(-1, -2)
