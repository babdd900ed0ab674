"""Complete training runs as functions: what is recorded, what is learned from it, for how long."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from forearm.errors import InputError, unknown
from forearm.training.objective import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Which demonstrations: successes per task, and the seed that draws them all."""

    counts: dict[str, int]
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One training run.

    Attributes:
        name: of the model it makes.
        recording: its demonstrations.
        learner: which kind of model; one of `learners.LEARNERS`.
        other_words: share of the samples with a choice at which the point is asked with the scene's other sentence.
        shifted: whether some chunks follow a trace moved aside; to a model that is told no trace that is noise.
        steps: optimiser steps.
        batch: samples a step, over all processes.
        processes: one thread each; gradients are averaged between them.
        rate: peak learning rate; `warmup` steps to reach it, and down to zero over the last `decay` share of the steps.
        weight_decay, clip, average: of AdamW, of the gradient's norm, and of the weights' running mean.
        weights: of the losses.
        seed: of initial weights, batches and noise.
    """

    name: str
    recording: Recording
    steps: int
    learner: str = "reasoner"
    other_words: float = 0.5
    shifted: bool = True
    batch: int = 48
    processes: int = 2
    rate: float = 1e-3
    warmup: int = 150
    decay: float = 0.35
    weight_decay: float = 0.02
    clip: float = 1.0
    average: float = 0.998
    weights: Weights = field(default_factory=Weights)
    seed: int = 0


def nano() -> Recipe:
    """The model that ships: three tasks, 1,150 demonstrations, under 90 minutes on two cores, recording included."""
    return Recipe(
        name="nano",
        recording=Recording(counts={"put-in-box": 560, "hand-over": 440, "lift": 150}),
        steps=11_000,
    )


def reactive() -> Recipe:
    """The same without reasoning, on the same demonstrations for as many steps: what depth, point and trace buy."""
    return replace(nano(), name="reactive", learner="reactive", other_words=0.0, shifted=False)


def act() -> Recipe:
    """Action Chunking with Transformers at our size, on the same demonstrations for as many steps: a peer beside us."""
    return replace(reactive(), name="act", learner="act")


RECIPES = (nano, reactive, act)


def recipe_named(name: str) -> Recipe:
    """The recipe that makes the model called `name`.

    Raises:
        InputError: for a name that is none of theirs.
    """
    recipes = [make() for make in RECIPES]
    for recipe in recipes:
        if recipe.name == name:
            return recipe
    raise InputError(unknown("recipe", name, [recipe.name for recipe in recipes]))
