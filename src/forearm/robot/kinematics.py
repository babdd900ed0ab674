"""Where every link and tool of the bimanual YAM station is, for any batch of joint positions, in numpy alone.

All results are in the cell frame (left base: x forward, y left, z up; metres). Positions (..., 14) are in embodiment
order; leading dimensions are a batch, and one call walks the chain once for both arms and the whole batch. Arms come
out in embodiment order (left, right), links in the order of `LINKS`.

Source of every constant: `yam_station_linear_4310_d405.xml` of dreamscale-i2rt 1.3.6.post1 (MIT), bodies of the left
arm; the right one repeats them. Components below 1e-12 there (a CAD export's rounding) are zero here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from forearm.geometry import rotation_from_quaternion
from forearm.robot.embodiment import BIMANUAL_YAM, GRIPPER_STROKE_M

LINKS = ("base", "link1", "link2", "link3", "link4", "link5", "gripper", "tip_left", "tip_right")
CHAIN = 6  # revolute joints of one arm; joint k (from 1) moves LINKS[k] and everything behind it
_BLOCK = 64  # rows worked on at once
DAMPING_M = 1e-3  # m/rad, of the least-squares step: a stretched arm must not whirl
ROUNDS = 8  # of Newton's method; 3 cm converge in 3

_ARM_JOINTS = np.array([list(range(arm.joints.start, arm.joints.stop)) for arm in BIMANUAL_YAM.arms])  # (2, 6)
_GRIPPERS = BIMANUAL_YAM.grippers  # (2,)

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
_TOOL_FRAME = np.eye(4)
_TOOL_FRAME[:3, 3] = (3.88982673e-05, 9.68103407e-05, 0.144650259)
_TOOL_FRAME[:3, :3] = rotation_from_quaternion(np.array([-0.7071067811865476, 0.0, 0.0, -0.7071067811865476]))


def _skew(axes: ndarray) -> Float64[ndarray, "n 3 3"]:
    """Cross-product matrices."""
    return np.cross(axes[:, None, :], np.eye(3)[None]).swapaxes(-1, -2)


# Rodrigues: parent_from_link(q) = F (I + K²) + sin q F K - cos q F K², with F the pose at zero and K the axis' cross
# product. `_BASIS` (6, 3, 16) holds those three as flat 4x4 matrices: one product with (1, sin, cos) makes a batch.
_K = _skew(_AXES)
_FIXED = rotation_from_quaternion(_QUATERNIONS)
_PARTS = np.zeros((CHAIN, 3, 4, 4))
_PARTS[:, :, :3, :3] = np.stack([_FIXED @ (np.eye(3) + _K @ _K), _FIXED @ _K, -_FIXED @ _K @ _K], axis=1)
_PARTS[:, 0, :3, 3] = _TRANSLATIONS
_PARTS[:, 0, 3, 3] = 1.0
_BASIS = _PARTS.reshape(CHAIN, 3, 16)

_BASE_FRAMES = np.tile(np.eye(4), (len(BIMANUAL_YAM.arms), 1, 1, 1))  # cell_from_base (2, 1, 4, 4)
_BASE_FRAMES[:, 0, :3, 3] = [arm.base for arm in BIMANUAL_YAM.arms]
_SHUT_TIPS = np.tile(np.eye(4), (2, 1, 1, 1, 1))  # gripper_from_tip (2 tips, 1, 1, 4, 4) at opening 0
_SHUT_TIPS[..., :3, :3] = _TIP_ROTATION
_SHUT_TIPS[:, 0, 0, :3, 3] = _TIP_TRANSLATIONS
_SLIDES = np.zeros((2, 1, 1, 4, 4))  # what opening 1 adds to that
_SLIDES[:, 0, 0, :3, 3] = _TIP_STROKES


def link_frames(positions: Float64[ndarray, "N 14"]) -> Float64[ndarray, "9 2 N 4 4"]:
    """cell_from_link as homogeneous matrices, m, of every link (in the order of `LINKS`), arm and row.

    The grippers' openings are taken as they are, also outside 0..1. NaN in gives NaN out, in that arm. About 30 µs for
    one row and 0.1 ms for 30.
    """
    arms, rows = len(_ARM_JOINTS), len(positions)
    angles = positions.T.take(_ARM_JOINTS.T, axis=0).reshape(CHAIN, arms * rows)
    turns = np.ones((CHAIN, arms * rows, 3))
    np.sin(angles, out=turns[..., 1])
    np.cos(angles, out=turns[..., 2])
    steps = (turns @ _BASIS).reshape(CHAIN, arms, rows, 4, 4)
    frames = np.empty((len(LINKS), arms, rows, 4, 4))
    frames[0] = _BASE_FRAMES
    for joint in range(CHAIN):
        np.matmul(frames[joint], steps[joint], out=frames[joint + 1])
    tips = _SHUT_TIPS + positions.T.take(_GRIPPERS, axis=0)[..., None, None] * _SLIDES
    np.matmul(frames[CHAIN], tips, out=frames[CHAIN + 1 :])
    return frames


def _blocks(positions: Float64[ndarray, "*batch 14"]) -> Iterator[tuple[slice, Float64[ndarray, "n 2 9 4 4"]]]:
    """Frames of the flattened batch, a few rows at a time: what fits the cache is several times faster."""
    flat = positions.reshape(-1, positions.shape[-1])
    for begin in range(0, len(flat), _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        yield rows, link_frames(flat[rows]).transpose(2, 1, 0, 3, 4)


def _collected(positions: ndarray, select: Callable[[ndarray], ndarray], shape: tuple[int, ...]) -> ndarray:
    """What `select` makes of each block's frames, as (*batch, *shape)."""
    batch = positions.shape[:-1]
    result = np.empty((prod(batch), *shape))
    for rows, frames in _blocks(positions):
        result[rows] = select(frames)
    return result.reshape(*batch, *shape)


def link_poses(
    positions: Float64[ndarray, "*batch 14"],
) -> tuple[Float64[ndarray, "*batch 2 9 3"], Float64[ndarray, "*batch 2 9 3 3"]]:
    """Where every link is: translations (..., 2, 9, 3) m and rotations (..., 2, 9, 3, 3), in the order of `LINKS`.

    See `link_frames` for openings outside 0..1, NaN and cost.
    """
    frames = _collected(positions, lambda block: block, (len(_ARM_JOINTS), len(LINKS), 4, 4))
    return frames[..., :3, 3], frames[..., :3, :3]


def tool_poses(
    positions: Float64[ndarray, "*batch 14"],
) -> tuple[Float64[ndarray, "*batch 2 3"], Float64[ndarray, "*batch 2 3 3"]]:
    """Where both tool frames are: translations (..., 2, 3) m and rotations (..., 2, 3, 3). 100,000 rows take seconds.

    The tool frame lies between the fingertips: z along the approach, y along the closing direction of the fingers.
    """
    frames = _collected(positions, lambda block: block[:, :, CHAIN] @ _TOOL_FRAME, (len(_ARM_JOINTS), 4, 4))
    return frames[..., :3, 3], frames[..., :3, :3]


def tools_on(
    frames: Float64[ndarray, "9 2 N 4 4"],
) -> tuple[Float64[ndarray, "N 2 3"], Float64[ndarray, "N 2 3 3"]]:
    """What `tool_poses` says, for links that are placed already, as `link_frames` gives them."""
    tools = (frames[CHAIN] @ _TOOL_FRAME).swapaxes(0, 1)
    return tools[..., :3, 3], tools[..., :3, :3]


def tool_jacobian(positions: Float64[ndarray, "*batch 14"]) -> Float64[ndarray, "*batch 2 3 6"]:
    """Velocity of each tool's origin per velocity of its own arm's six joints, m/rad, in the cell frame."""
    return _collected(positions, _jacobian, (len(_ARM_JOINTS), 3, CHAIN))


def with_tool_at(positions: Float64[ndarray, " 14"], arm: int, goal: Float64[ndarray, " 3"]) -> Float64[ndarray, " 14"]:
    """These positions with that arm's tool at `goal`, m, or as near as it gets, by damped least squares.

    It may turn a little, and joints may leave their range. About 1 ms.
    """
    moved, joints = positions.copy(), _ARM_JOINTS[arm]
    for _ in range(ROUNDS):
        lever = tool_jacobian(moved)[arm]
        missing = goal - tool_poses(moved)[0][arm]
        moved[joints] += lever.T @ np.linalg.solve(lever @ lever.T + DAMPING_M**2 * np.eye(3), missing)
    return moved


def _jacobian(frames: Float64[ndarray, "n 2 9 4 4"]) -> Float64[ndarray, "n 2 3 6"]:
    """Column k is the axis of joint k + 1 times the lever from that joint to the tool."""
    tool = (frames[:, :, CHAIN] @ _TOOL_FRAME)[..., :3, 3]
    moving = frames[:, :, 1 : CHAIN + 1]
    axes = (moving[..., :3, :3] @ _AXES[:, :, None])[..., 0]
    levers = tool[:, :, None] - moving[..., :3, 3]
    return np.cross(axes, levers).swapaxes(-1, -2)
