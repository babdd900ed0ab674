"""One recording as arrays, before it is written and after it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forearm.errors import DatasetError

FPS = 10  # Hz, policy ticks; one row of an action chunk each
NO_SEED = -1  # of an episode whose scene cannot be drawn again, because it was not drawn here


def as_visited(seed: int) -> int:
    """What stands for the scene of a seed as a model has left it: no draw makes that again. Its own inverse."""
    return -2 - seed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Episode:
    """T ticks of one demonstration, `FPS` a second.

    Attributes:
        instruction: the person's sentence.
        images: camera name to (T, H, W, 3) uint8 RGB.
        depth_cells: (T, h, w) float32 m, median measured depth in each cell of the main camera's grid, NaN unknown.
        positions: (T, J) float32, measured, embodiment order and units.
        actions: (T, J) float32, the target to be reached at the next tick.
        subtasks: T phrases.
        seed: draws the scene again; `NO_SEED` for one that was not drawn, `as_visited` for one that was left so.
    """

    instruction: str
    images: Mapping[str, NDArray[np.uint8]]
    depth_cells: NDArray[np.float32]
    positions: NDArray[np.float32]
    actions: NDArray[np.float32]
    subtasks: tuple[str, ...]
    seed: int

    def __post_init__(self) -> None:
        lengths = {len(self.positions), len(self.actions), len(self.depth_cells), len(self.subtasks)}
        lengths |= {len(frames) for frames in self.images.values()}
        if len(lengths) != 1 or 0 in lengths:
            raise DatasetError(f"episode arrays: got lengths {sorted(lengths)}, all must be one length > 0")

    def __len__(self) -> int:
        return len(self.positions)
