"""Where every link and tool of the bimanual YAM station is, for any batch of joint positions, in numpy alone.

All results are in the cell frame (left base: x forward, y left, z up; metres). Positions (..., 14) are in embodiment
order; leading dimensions are a batch, and one call walks the chain once for both arms and the whole batch. Arms come
out in embodiment order (left, right), links in the order of `LINKS`.

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


# Rodrigues: parent_from_link(q) = F (I + K²) + sin q F K - cos q F K², with F the pose at zero and K the axis' cross
# product. `_BASIS` (6, 12, 3) holds those three as rows of 3x4 matrices: one product with (1, sin, cos) makes a batch.
_K = _skew(_AXES)
_FIXED = rotation_from_quaternion(_QUATERNIONS)
_PARTS = np.zeros((CHAIN, 3, 4, 3))
_PARTS[:, :, :3] = np.stack([_FIXED @ (np.eye(3) + _K @ _K), _FIXED @ _K, -_FIXED @ _K @ _K], axis=-1)
_PARTS[:, :, 3, 0] = _TRANSLATIONS
_BASIS = _PARTS.reshape(CHAIN, 12, 3)


def link_frames(positions: Float64[ndarray, "N 14"]) -> Float64[ndarray, "3 4 9 2 N"]:
    """Every link's rotation (columns 0..2) and origin (column 3, m) for N rows, batch last: the layout that is fast.

    Axes: coordinate, column, link as in `LINKS`, arm, row. The grippers' openings are taken as they are, also outside
    0..1. NaN in gives NaN out, in that arm. About 60 µs for one row and 0.1 ms for 30.
    """
    batch = (len(_BASES), len(positions))
    angles = positions.T[_ARM_JOINTS.T].reshape(CHAIN, -1)
    turns = np.ones((CHAIN, 3, angles.shape[1]))
    np.sin(angles, out=turns[:, 1])
    np.cos(angles, out=turns[:, 2])
    steps = (_BASIS @ turns).reshape(CHAIN, 3, 4, *batch)
    frames = np.empty((3, 4, len(LINKS), *batch))
    frames[:, :3, 0] = np.eye(3)[..., None, None]
    frames[:, 3, 0] = _BASES.T[..., None]
    for joint in range(CHAIN):
        np.einsum("ijan,jkan->ikan", frames[:, :3, joint], steps[joint], out=frames[:, :, joint + 1])
        frames[:, 3, joint + 1] += frames[:, 3, joint]
    gripper = frames[:, :, CHAIN]
    slides = _TIP_TRANSLATIONS.T[..., None, None] + _TIP_STROKES.T[..., None, None] * positions.T[_GRIPPERS]
    frames[:, 3, 7:] = np.einsum("ijan,jtan->itan", gripper[:, :3], slides) + gripper[:, 3, None]
    frames[:, :3, 7:] = np.einsum("ijan,jk->ikan", gripper[:, :3], _TIP_ROTATION)[:, :, None]
    return frames


def _poses(positions: Float64[ndarray, "*batch 14"]) -> tuple[ndarray, ndarray]:
    """Rotations (*batch, 2, 9, 3, 3) and origins (*batch, 2, 9, 3), in the layout that reads well."""
    frames = link_frames(positions.reshape(-1, positions.shape[-1]))
    by_row = np.moveaxis(frames, (4, 3, 2), (0, 1, 2)).reshape(*positions.shape[:-1], *frames.shape[3:1:-1], 3, 4)
    return by_row[..., :3], by_row[..., 3]


def link_poses(
    positions: Float64[ndarray, "*batch 14"],
) -> tuple[Float64[ndarray, "*batch 2 9 3"], Float64[ndarray, "*batch 2 9 3 3"]]:
    """Where every link is: translations (..., 2, 9, 3) m and rotations (..., 2, 9, 3, 3), in the order of `LINKS`.

    See `link_frames` for openings outside 0..1, NaN and cost.
    """
    rotations, translations = _poses(positions)
    return translations, rotations


def tool_poses(
    positions: Float64[ndarray, "*batch 14"],
) -> tuple[Float64[ndarray, "*batch 2 3"], Float64[ndarray, "*batch 2 3 3"]]:
    """Where both tool frames are: translations (..., 2, 3) m and rotations (..., 2, 3, 3).

    The tool frame lies between the fingertips: z along the approach, y along the closing direction of the fingers.
    """
    rotations, origins = _poses(positions)
    gripper = rotations[..., CHAIN, :, :]
    return origins[..., CHAIN, :] + gripper @ _TOOL_TRANSLATION, gripper @ _TOOL_ROTATION


def tool_jacobian(positions: Float64[ndarray, "*batch 14"]) -> Float64[ndarray, "*batch 2 3 6"]:
    """Velocity of each tool's origin per velocity of its own arm's six joints, m/rad, in the cell frame."""
    rotations, origins = _poses(positions)
    tool = origins[..., CHAIN, :] + rotations[..., CHAIN, :, :] @ _TOOL_TRANSLATION
    axes = (rotations[..., 1 : CHAIN + 1, :, :] @ _AXES[:, :, None])[..., 0]
    arms = tool[..., None, :] - origins[..., 1 : CHAIN + 1, :]
    return np.cross(axes, arms).swapaxes(-1, -2)
