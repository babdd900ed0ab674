"""Kinds of goods: the same task with objects of another make, some for training and some that are only ever tested."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import numpy as np

from forearm.cell.perturbations.felt import shaded
from forearm.cell.perturbations.interface import Perturbation
from forearm.cell.setup import Setup
from forearm.cell.variation import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Sku:
    """One make of the task's objects: factors on size and mass, sliding coefficient, shift of red, green and blue."""

    name: str
    size: float
    mass: float
    friction: float
    shade: Vector


TRAINING = (
    Sku(name="foam", size=1.10, mass=0.4, friction=1.2, shade=(0.06, 0.06, 0.06)),
    Sku(name="beech", size=0.95, mass=1.0, friction=0.6, shade=(-0.04, -0.04, -0.06)),
    Sku(name="moulded", size=1.00, mass=1.8, friction=0.45, shade=(0.04, -0.03, 0.04)),
    Sku(name="compact", size=0.88, mass=0.8, friction=0.7, shade=(-0.08, -0.08, -0.08)),
)
HELD_OUT = (
    Sku(name="bulky", size=1.22, mass=1.4, friction=0.55, shade=(0.10, 0.08, 0.02)),  # larger than any trained
    Sku(name="dense", size=0.84, mass=5.0, friction=0.40, shade=(-0.12, -0.10, -0.06)),  # smaller, far heavier
    Sku(name="waxed", size=1.05, mass=1.0, friction=0.25, shade=(0.02, 0.08, 0.10)),  # more slippery
)


def _of_make(setup: Setup, rng: np.random.Generator, *, makes: tuple[Sku, ...]) -> Setup:
    sku = makes[int(rng.integers(len(makes)))]
    placements = tuple(shaded(each, np.array(sku.shade)) for each in setup.placements)
    matter = replace(setup.matter, size=sku.size, mass=sku.mass, friction=sku.friction)
    return replace(setup, placements=placements, matter=matter)


SKU = Perturbation(
    name="sku",
    levels=MappingProxyType(
        {"training": partial(_of_make, makes=TRAINING), "held-out": partial(_of_make, makes=HELD_OUT)}
    ),
    held_out=frozenset({"held-out"}),
    often=3.0,  # no cell has the drawn goods
)
