"""What each suite tries: every variation that has something to change, on the same seeds as the clean scenes.

Invariant: a suite with variations holds the clean trials of its seeds too, so that each variation has its pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from forearm.cell.perturbations import PERTURBATIONS, applies, variations_of
from forearm.cell.perturbations.cells import CELL
from forearm.cell.perturbations.spoken import SPOKEN
from forearm.cell.perturbations.timed import TIMED
from forearm.cell.tasks import task_named
from forearm.errors import InputError
from forearm.evaluation.trial import Trial, Words

Suite = Literal["clean", "perturbed", "cells", "latency", "language"]


def planned(
    suite: Suite, tasks: Sequence[str], seeds: range, words: Words = "asked", only: Sequence[str] = ()
) -> list[Trial]:
    """The suite's trials: clean ones first, then variation by variation.

    Args:
        suite: clean tries no variation, perturbed one thing at a time, cells other cells, latency what comes late,
            language other words for the same and what is not there.
        tasks: their names.
        seeds: not empty.
        words: for every trial.
        only: these variations of the suite alone, NAME or NAME:LEVEL; all of them where empty.

    Raises:
        InputError: for a task or variation that there is none of, one of another suite, or one that no task has
            anything for.
    """
    trials = [Trial(task=task, seed=seed, words=words) for task in tasks for seed in seeds]
    trials[0].setup()  # a task or words that there are none of is refused before anything starts
    scenes = {task: task_named(task).sample(seeds[0]) for task in tasks}
    for variation in _variations(suite, only):
        fitting = [task for task in tasks if applies(variation, scenes[task])]
        if only and not fitting:
            raise InputError(
                f"variation {variation}: got tasks {', '.join(tasks)}, allowed are tasks that have what it changes; "
                "leave one of them out"
            )
        trials += [Trial(task=task, seed=seed, words=words, variation=variation) for task in fitting for seed in seeds]
    return trials


def _variations(suite: Suite, only: Sequence[str]) -> list[str]:
    of_their_own = {"cells": (CELL,), "latency": TIMED, "language": SPOKEN}
    others = [each.name for suited in of_their_own.values() for each in suited]
    names = {
        "clean": [],
        "perturbed": [each.name for each in PERTURBATIONS if each.name not in others],
        **{name: [each.name for each in suited] for name, suited in of_their_own.items()},
    }[suite]
    wanted = [variation for text in only for variation in variations_of(text)]
    for variation in wanted:
        if variation.partition(":")[0] not in names:
            raise InputError(
                f"variation {variation}: got suite {suite!r}, it has {', '.join(names) or 'none'}; name another suite"
            )
    return wanted or [variation for name in names for variation in variations_of(name)]
