"""The batches of a run, each decided by its step alone, made when they are asked for or ahead of that."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from forearm.data.dataset import Dataset as Demonstrations
from forearm.training.batch import Batch, Lessons, Undeveloped
from forearm.training.recipe import Recipe

HELD_OUT = 40  # every so many episodes one is kept from training, for the open-loop figures
AHEAD = max(
    1, (os.cpu_count() or 1) - 2
)  # processes that make batches for an accelerator: one step takes it less time than one batch takes a core
LONGEST_S = 120.0  # s to wait for a batch; then the run ends, to be resumed, instead of waiting for ever


def split(dataset: Demonstrations) -> tuple[np.ndarray, np.ndarray]:
    """Ticks to learn from, and ticks of the held-out episodes."""
    episodes = np.repeat(np.arange(len(dataset.seeds)), np.diff(dataset.starts))
    held_out = episodes % HELD_OUT == HELD_OUT - 1
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


class Feed(Dataset[Undeveloped]):
    """Step number to batch, for one of a run's processes. Deterministic in (recipe, step, rank)."""

    def __init__(self, lessons: Lessons, recipe: Recipe, rank: int) -> None:
        self._lessons, self._recipe, self._rank = lessons, recipe, rank
        self._ticks, _ = split(lessons.dataset)
        chance = lessons.weight[self._ticks]
        self._chance = chance / chance.sum()

    def __len__(self) -> int:
        return self._recipe.steps

    def __getitem__(self, step: int) -> Undeveloped:
        recipe = self._recipe
        rng = np.random.default_rng((recipe.seed, step, self._rank))
        index = rng.choice(self._ticks, recipe.batch // recipe.processes, p=self._chance)
        return self._lessons.undeveloped(index, rng, recipe.asking, mirrored=recipe.mirrored, shifted=recipe.shifted)

    def batches(self, first: int, device: torch.device) -> Iterator[Batch]:
        """The batches from step `first` on, on `device`; for an accelerator other processes work ahead.

        Raises:
            RuntimeError: when one of those processes died or hangs.
        """
        steps = range(first, len(self))
        if device.type == "cpu":
            yield from (self[step].develop(device) for step in steps)
            return
        loader = DataLoader(self, batch_size=None, sampler=steps, num_workers=AHEAD, pin_memory=True, timeout=LONGEST_S)
        yield from (batch.develop(device) for batch in loader)
