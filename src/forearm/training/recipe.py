"""Complete training runs as functions: what is recorded, what is learned from it, for how long."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from forearm.errors import InputError, unknown
from forearm.model.sizes import NANO, STATION, Sizes
from forearm.training.objective import Weights
from forearm.training.questions import AS_DEMONSTRATED, WITH_OTHERS, Asking


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Which demonstrations.

    Attributes:
        counts: successes of each task.
        seed: draws them all.
        varied: the share in which the cell is varied.
        variation: what differs in every scene besides, NAME:LEVEL or NAME; scenes without what it changes are left out.
        visits: a model; each demonstration begins where it has got to with the scene, instead of at its beginning.
    """

    counts: dict[str, int]
    seed: int = 0
    varied: float = 0.0
    variation: str = ""
    visits: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One training run.

    Attributes:
        name: of the model it makes.
        recording: its demonstrations.
        learner: which kind of model; one of `learners.LEARNERS`.
        sizes: of the network.
        asking: in which words.
        turns: the tasks in which an arm that waits for the other points nowhere. Words reach the arms through points
            alone: where they, or what is seen, decide whose turn it is, the points must say it.
        mirrored: the share of samples that are seen, asked and done the other way round.
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
    sizes: Sizes = NANO
    asking: Asking = WITH_OTHERS
    turns: tuple[str, ...] = ()
    mirrored: float = 0.5
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
    return replace(nano(), name="reactive", learner="reactive", asking=AS_DEMONSTRATED, shifted=False)


def station() -> Recipe:
    """A larger model: ten tasks, in a cell that is never twice the same, asked in many words."""
    return Recipe(
        name="station",
        recording=Recording(
            counts={
                "put-in-box": 500,
                "hand-over": 380,
                "lift": 150,
                "clear-the-pad": 360,
                "stack": 480,
                "open-the-box": 360,
                "put-everything-in-box": 120,
                "place-upright": 360,
                "insert-peg": 360,
                "sort-by-colour": 900,
            },
            seed=1,
            varied=0.7,
        ),
        steps=26_000,
        sizes=STATION,
        turns=("stack", "put-everything-in-box", "sort-by-colour"),
        asking=Asking(other=0.4, absent=0.15, rephrased=0.6),
        batch=128,
        warmup=300,
    )


def station_settled() -> Recipe:
    """The last steps from a station that was broken off at its full rate: gently down to nothing."""
    return replace(
        station(), name="station-settled", steps=1_000, batch=64, rate=3e-4, warmup=20, decay=1.0, average=0.99
    )


def station_closer() -> Recipe:
    """A closer look for a station that has none, with `--tune added`: new parts alone, which can be quick about it."""
    sizes = replace(STATION, closer=True)
    return replace(station_settled(), name="station-closer", sizes=sizes, steps=1_500, rate=1e-3, warmup=50)


def act() -> Recipe:
    """Action Chunking with Transformers at our size, on the same demonstrations for as many steps: a peer beside us."""
    return replace(reactive(), name="act", learner="act")


RECIPES = (nano, station, station_settled, station_closer, reactive, act)


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
