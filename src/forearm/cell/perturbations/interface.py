"""What a perturbation is: a name, its levels, and what each makes of a setup.

Invariant: a level draws the same things for a seed as its neighbours do and only goes further, so that equal seeds can
be compared between levels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Protocol

import numpy as np

from forearm.cell.setup import Setup

Change = Callable[[Setup, np.random.Generator], Setup]
SEVERITIES = ("mild", "strong", "worst")


class Vary(Protocol):
    """A change that can go further or less far."""

    def __call__(self, setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
        """The setup changed by `amount`, in the unit that its table states."""
        ...


def either_way(rng: np.random.Generator) -> float:
    """1 or -1, alike."""
    return float(rng.choice([-1.0, 1.0]))


def any_setup(setup: Setup) -> bool:
    """Every scene has what this needs."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Perturbation:
    """One thing about the cell that may be different.

    Attributes:
        name: as people write it.
        levels: what each level makes of a setup, from the least to the most where they are ordered.
        amounts: how far each level goes, in the unit that its table states; empty where levels are kinds.
        held_out: levels that nothing may ever be trained on.
        applies: whether a scene has what is changed.
        often: how much likelier than others it is to be what differs in a recorded scene.
    """

    name: str
    levels: Mapping[str, Change]
    amounts: Mapping[str, float] = field(default_factory=dict[str, float])
    held_out: frozenset[str] = frozenset()
    applies: Callable[[Setup], bool] = any_setup
    often: float = 1.0


def graded(
    name: str,
    vary: Vary,
    amounts: tuple[float, float, float],
    applies: Callable[[Setup], bool] = any_setup,
    *,
    often: float = 1.0,
) -> Perturbation:
    """A perturbation whose levels are `SEVERITIES`, one amount each."""
    by_level: Mapping[str, float] = MappingProxyType(dict(zip(SEVERITIES, amounts, strict=True)))
    levels = {level: partial(vary, amount=amount) for level, amount in by_level.items()}
    return Perturbation(name=name, levels=MappingProxyType(levels), amounts=by_level, applies=applies, often=often)
