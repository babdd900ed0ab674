"""Variations of what is asked: the same in other words, or something that the scene does not have."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from forearm.cell.perturbations.interface import Perturbation
from forearm.cell.setup import Setup
from forearm.cell.tasks import TASKS, held_out_phrasings, taught_phrasings
from forearm.cell.tasks.absence import impossible, missing


def _taught(setup: Setup, rng: np.random.Generator) -> Setup:
    _, *others = taught_phrasings(setup.instruction)
    return replace(setup, said=str(rng.choice(others)))


def _held_out(setup: Setup, rng: np.random.Generator) -> Setup:
    return replace(setup, said=str(rng.choice(held_out_phrasings(setup.instruction))))


def _absent(setup: Setup, rng: np.random.Generator) -> Setup:
    return replace(setup, instruction=str(rng.choice(impossible(setup))))


def _another_task(setup: Setup, rng: np.random.Generator) -> Setup:
    others = [each for task in TASKS if task.name != setup.task for each in task.instructions()]
    return replace(setup, instruction=str(rng.choice([each for each in others if missing(setup, each)])))


def _can_be_impossible(setup: Setup) -> bool:
    return bool(impossible(setup))


SPOKEN = (
    Perturbation(
        name="phrasing",
        levels=MappingProxyType({"taught": _taught, "held-out": _held_out}),
        held_out=frozenset({"held-out"}),
    ),
    Perturbation(name="absent", levels=MappingProxyType({"colour": _absent}), applies=_can_be_impossible),
    Perturbation(name="another-task", levels=MappingProxyType({"absent": _another_task})),
)
