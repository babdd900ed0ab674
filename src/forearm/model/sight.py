"""What the small reasoner is given and gives, between robot units and network units, in training and serving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from forearm.errors import CheckpointError
from forearm.model.reasoner import LENGTH_M
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses

Array = NDArray[np.float32]
SMALLEST_SCALE = 1e-3  # rad or opening: a joint that never moved in the data is not blown up to noise


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scales:
    """Means and standard deviations of joint positions (J,), and of each row of a chunk (H, J).

    Joint targets are taken relative to the measured position, so that a chunk starts where the arm is; grippers are
    absolute.
    """

    position_mean: Array
    position_std: Array
    chunk_mean: Array
    chunk_std: Array

    @classmethod
    def of(cls, positions: Array, chunks: Array) -> Scales:
        """From positions (N, J) and the absolute chunks (N, H, J) that follow them."""
        moves = relative(chunks, positions)
        return cls(
            position_mean=positions.mean(0),
            position_std=np.maximum(positions.std(0), SMALLEST_SCALE),
            chunk_mean=moves.mean(0),
            chunk_std=np.maximum(moves.std(0), SMALLEST_SCALE),
        )

    @classmethod
    def from_json(cls, values: Mapping[str, list[float]]) -> Scales:
        """From what `to_json` made.

        Raises:
            CheckpointError: when an entry is missing or not finite.
        """
        arrays = dict[str, Array]()
        for each in fields(cls):
            array = np.array(values.get(each.name, np.nan), dtype=np.float32)
            if array.ndim == 0 or not np.isfinite(array).all():
                raise CheckpointError(
                    f"scales.{each.name}: missing or not finite; take the checkpoint from its source again"
                )
            arrays[each.name] = array
        return cls(**arrays)

    def to_json(self) -> dict[str, object]:
        """Plain lists, for a checkpoint's config."""
        return {each.name: getattr(self, each.name).tolist() for each in fields(self)}

    def state(self, positions: Array, tools: Array) -> Array:
        """(N, A, 10) network units: each arm's joints and opening, and where its tool is."""
        joints = ((positions - self.position_mean) / self.position_std).reshape(
            len(positions), len(BIMANUAL_YAM.arms), -1
        )
        return np.concatenate([joints, tools / LENGTH_M], axis=-1, dtype=np.float32)

    def encode(self, chunks: Array, positions: Array) -> Array:
        """Absolute chunks (N, H, J) in network units."""
        return ((relative(chunks, positions) - self.chunk_mean) / self.chunk_std).astype(np.float32)

    def decode(self, actions: Array, positions: Array) -> Array:
        """Absolute chunks (N, H, J) from network units, inside the joints' ranges."""
        moves = actions * self.chunk_std + self.chunk_mean
        absolute = moves + positions[:, None] * _relative_joints()
        return np.clip(absolute, BIMANUAL_YAM.lower, BIMANUAL_YAM.upper).astype(np.float32)


def relative(chunks: Array, positions: Array) -> Array:
    """Chunks (N, H, J) as moves from the measured positions (N, J); grippers stay absolute."""
    return np.asarray(chunks - positions[:, None] * _relative_joints(), dtype=np.float32)


def _relative_joints() -> Array:
    mask = np.ones(len(BIMANUAL_YAM.joints), dtype=np.float32)
    mask[BIMANUAL_YAM.grippers] = 0.0
    return mask


def tools_at(positions: Array) -> Array:
    """(N, A, 3) m: where the tools are, in the cell frame."""
    return tool_poses(positions.astype(np.float64))[0].astype(np.float32)


def pixels(images: NDArray[np.uint8]) -> Array:
    """Images (..., H, W, 3) uint8 as (..., 3, H, W) in -1..1."""
    return np.moveaxis(images, -1, -3).astype(np.float32) / 127.5 - 1.0
