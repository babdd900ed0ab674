"""What can be trained: for each kind of model how it is made, what it is taught, how it is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forearm.errors import ConfigError, unknown
from forearm.model import checkpoint
from forearm.model.act import ACT
from forearm.model.checkpoint import Kind
from forearm.model.reactive import Reactive
from forearm.model.reasoner import Reasoner, ReasonerConfig
from forearm.training import objective
from forearm.training.batch import Batch, Lessons
from forearm.training.held_out import open_loop
from forearm.training.objective import Weights

Model = Reasoner | Reactive | ACT
Ticks = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """One kind of model.

    Attributes:
        name: in recipes.
        kind: in checkpoints.
        losses: of one batch, by name, with their weighted sum as "total".
        measure: figures on held-out ticks of the checkpoint in a folder.
    """

    name: str
    kind: Kind
    losses: Callable[[Model, Batch, Weights, torch.Generator], dict[str, Tensor]]
    measure: Callable[[Path, Lessons, Ticks], Mapping[str, float]]

    def build(self, config: ReasonerConfig, seed: int) -> Model:
        """Fresh weights, decided by `seed` alone."""
        torch.manual_seed(seed)  # layers that fill their own weights draw from the global generator
        model = self.kind(config)
        model.initialise(torch.Generator().manual_seed(seed))
        return model


def _reasoner_losses(model: Model, batch: Batch, weights: Weights, generator: torch.Generator) -> dict[str, Tensor]:
    assert isinstance(model, Reasoner)
    return objective.losses(model, batch, weights, generator)


def _reactive_losses(model: Model, batch: Batch, weights: Weights, generator: torch.Generator) -> dict[str, Tensor]:
    assert isinstance(model, Reactive)
    return objective.reactive_losses(model, batch, weights, generator)


def _act_losses(model: Model, batch: Batch, weights: Weights, generator: torch.Generator) -> dict[str, Tensor]:
    assert isinstance(model, ACT)
    return objective.act_losses(model, batch, generator)


def _measure_reasoner(folder: Path, lessons: Lessons, ticks: Ticks) -> Mapping[str, float]:
    return asdict(open_loop(checkpoint.read(folder), lessons, ticks))


def _measure_nothing(folder: Path, lessons: Lessons, ticks: Ticks) -> Mapping[str, float]:
    return {}  # it says nothing that could be compared; what it does is measured by running it


LEARNERS = (
    Learner(name="reasoner", kind=Reasoner, losses=_reasoner_losses, measure=_measure_reasoner),
    Learner(name="reactive", kind=Reactive, losses=_reactive_losses, measure=_measure_nothing),
    Learner(name="act", kind=ACT, losses=_act_losses, measure=_measure_nothing),
)


def learner_named(name: str) -> Learner:
    """The learner of that name.

    Raises:
        ConfigError: for a name that is none of theirs.
    """
    for learner in LEARNERS:
        if learner.name == name:
            return learner
    raise ConfigError(unknown("learner", name, [learner.name for learner in LEARNERS]))
