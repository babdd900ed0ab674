"""What each suite tries: every variation that has something to change, on the same seeds as the clean scenes.

Invariant: a suite with variations holds the clean trials of its seeds too, so that each variation has its pair.
"""

from __future__ import annotations

from collections.abc import Sequence

from forearm.cell.perturbations import applies, variations_of
from forearm.cell.tasks import task_named
from forearm.cell.tasks.interface import Staged, Task
from forearm.errors import InputError, listing
from forearm.evaluation.suites import Suite
from forearm.evaluation.trial import Trial, Words


def tasks_of(suite: Suite, asked: Sequence[str], known: Sequence[Task]) -> tuple[str, ...]:
    """The tasks that are tried: those asked for, or all of the suite that the policy can do.

    Args:
        suite: may be for some tasks only.
        asked: names; all where empty.
        known: what the policy can be asked to do: what a model was never taught says nothing about it.

    Raises:
        InputError: for a task that is not known, one that the suite is not for, or a policy that knows none of them.
    """
    chosen = [task_named(name, known) for name in dict.fromkeys(asked)] or [
        task for task in known if _fits(suite, task)
    ]
    unfit = [task.name for task in chosen if not _fits(suite, task)] if chosen else [task.name for task in known]
    if unfit:
        remedy = "leave it out" if asked else "evaluate a policy that was taught one of them, or the demonstrator"
        raise InputError(f"suite {suite.name}: got {listing(unfit)}, allowed are tasks of many parts; {remedy}")
    return tuple(task.name for task in chosen)


def planned(
    suite: Suite, tasks: Sequence[str], seeds: range, words: Words = "asked", only: Sequence[str] = ()
) -> list[Trial]:
    """The suite's trials: clean ones first, then variation by variation.

    Args:
        suite: what is varied.
        tasks: their names.
        seeds: not empty.
        words: for every trial.
        only: these variations of the suite alone, NAME or NAME:LEVEL; all of them where empty.

    Raises:
        InputError: for a task or variation that there is none of, one of another suite, or one that no task has
            anything for.
    """
    trials = [Trial(task=task, seed=seed, words=words) for task in tasks for seed in seeds]
    for task in tasks:
        Trial(
            task=task, seed=seeds[0], words=words
        ).setup()  # words that it has none of are refused before anything starts
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


def _fits(suite: Suite, task: Task) -> bool:
    return isinstance(task, Staged) or not suite.staged


def _variations(suite: Suite, only: Sequence[str]) -> list[str]:
    names = suite.variations()
    wanted = [variation for text in only for variation in variations_of(text)]
    for variation in wanted:
        if variation.partition(":")[0] not in names:
            raise InputError(
                f"variation {variation}: got suite {suite.name!r}, it has {', '.join(names) or 'none'}; "
                "name another suite"
            )
    return wanted or [variation for name in names for variation in variations_of(name)]
