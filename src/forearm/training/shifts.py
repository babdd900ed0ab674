"""Demonstrations that follow another trace: the same motion a few centimetres aside, so that the arms learn to obey."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_jacobian

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

SHIFT_M = (0.01, 0.06)  # m, how far an edited trace may lie from the demonstrated one
SHIFT_SHARE = 0.5  # of the arms that are free
# Around a grip small differences between trace and demonstration are the hand's own, to be corrected by what the wrist
# sees; only one that is too large for that is an order.
NEAR_SHIFT_M = (0.03, 0.06)  # m
NEAR_SHIFT_SHARE = 0.25
RAMP_ROWS = 3  # rows over which an arm moves onto a shifted trace: 0.3 s
DAMPING = 1e-4  # m², of the position pseudo-inverse
ROUNDS = 3  # joints that meet their range leave the rest of the way to the others, so often
LARGEST_TURN_RAD = 0.5  # rad, of one joint
MISSED_M = 0.004  # m, a shift that is reached less well is not one that can be followed

ARM_JOINTS = np.array([range(arm.joints.start, arm.joints.stop) for arm in BIMANUAL_YAM.arms])  # (A, 6)


def draw(free: Mask, clear: Mask, rng: np.random.Generator) -> Array:
    """Shifts (B, A, 3) m: none where an arm (B, A) is not clear of the table, rarer and larger where it is not free."""
    direction = rng.normal(size=(*free.shape, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    direction[..., 2] = np.abs(direction[..., 2])  # never into the table
    length = np.where(free, rng.uniform(*SHIFT_M, free.shape), rng.uniform(*NEAR_SHIFT_M, free.shape))
    moves = clear & (rng.random(free.shape) < np.where(free, SHIFT_SHARE, NEAR_SHIFT_SHARE))
    return (direction * (length * moves)[..., None]).astype(np.float32)


def follow(chunks: Array, shifts: Array) -> tuple[Array, Mask]:
    """Chunks (B, H, J) whose tools go `shifts` (B, A, 3) m aside, and which arms (B, A) can.

    An arm that cannot, because its joints end or would turn far, keeps its own chunk.
    """
    share = np.minimum((np.arange(chunks.shape[1]) + 1) / RAMP_ROWS, 1.0)
    wanted = shifts[:, None] * share[:, None, None]  # (B, H, A, 3)
    jacobian = tool_jacobian(chunks.astype(np.float64))  # (B, H, A, 3, 6)
    joints = chunks[..., ARM_JOINTS].astype(np.float64)  # (B, H, A, 6)
    lower, upper = BIMANUAL_YAM.lower[ARM_JOINTS], BIMANUAL_YAM.upper[ARM_JOINTS]
    turned, moving = np.zeros_like(joints), np.ones(joints.shape, dtype=bool)
    for _ in range(ROUNDS):
        missing = wanted - (jacobian @ turned[..., None])[..., 0]
        lever = jacobian * moving[..., None, :]
        square = lever @ lever.swapaxes(-1, -2) + DAMPING * np.eye(3)
        turned += (lever.swapaxes(-1, -2) @ np.linalg.solve(square, missing[..., None]))[..., 0]
        reached = np.clip(joints + turned, lower, upper)
        turned, moving = reached - joints, (reached > lower) & (reached < upper)
    missed = np.linalg.norm(wanted - (jacobian @ turned[..., None])[..., 0], axis=-1)
    possible = (missed < MISSED_M).all(1) & (np.abs(turned) < LARGEST_TURN_RAD).all((1, 3))
    moved = chunks.copy()
    moved[..., ARM_JOINTS] += np.where(possible[:, None, :, None], turned, 0.0).astype(np.float32)
    return moved, possible
