"""What the cell can be asked to do, and in which words: one file per task, and the one tuple that lists them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from forearm.cell.setup import Setup
from forearm.cell.tasks.clear_the_pad import ClearThePad
from forearm.cell.tasks.hand_over import HandOver
from forearm.cell.tasks.insert_peg import InsertPeg
from forearm.cell.tasks.interface import Task, canonical
from forearm.cell.tasks.lift import Lift
from forearm.cell.tasks.open_the_box import OpenTheBox
from forearm.cell.tasks.place_upright import PlaceUpright
from forearm.cell.tasks.put_everything_in_box import PutEverythingInBox
from forearm.cell.tasks.put_in_box import PutInBox
from forearm.cell.tasks.sort_by_colour import SortByColour
from forearm.cell.tasks.stack import Stack
from forearm.errors import InputError, InstructionError, listing, unknown

TASKS: tuple[Task, ...] = (
    PutInBox(),
    HandOver(),
    Lift(),
    ClearThePad(),
    Stack(),
    PutEverythingInBox(),
    OpenTheBox(),
    SortByColour(),
    PlaceUpright(),
    InsertPeg(),
)


def understood(said: str, tasks: Sequence[Task] = TASKS) -> str:
    """The sentence of one of `tasks` that `said` is a way to say; capitals, spaces and punctuation do not matter.

    Raises:
        InstructionError: for anything that is not one of the tasks' phrasings, listing what can be done.
    """
    sentence, meanings = canonical(said), _meanings(tuple(tasks))
    if sentence in meanings:
        return meanings[sentence]
    near = difflib.get_close_matches(sentence, meanings, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "ask for one of these"
    raise InstructionError(
        f"instruction: got {said!r}, allowed are {listing(repr(task.pattern) for task in tasks)}; {hint}"
    )


def find_task(instruction: str, tasks: Sequence[Task] = TASKS) -> Task:
    """The one of `tasks` that `instruction` asks for, in whichever of its phrasings.

    Raises:
        InstructionError: for any sentence that is none of theirs, listing what can be done.
    """
    sentence = understood(instruction, tasks)
    return next(task for task in tasks if sentence in task.instructions())


def scene(said: str, seed: int, tasks: Sequence[Task] = TASKS) -> Setup:
    """The scene of `seed` in which what was said can be done, which goes into it as it was said.

    Raises:
        InstructionError: for anything that is not one of the tasks' phrasings, listing what can be done.
    """
    sentence = understood(said, tasks)
    setup = find_task(sentence, tasks).sample(seed, sentence)
    return replace(setup, said=" ".join(said.split()))


def refuse_misunderstood(setup: Setup) -> None:
    """Lets a setup pass in which what was said means the instruction.

    Raises:
        InstructionError: for any other.
    """
    meant = understood(setup.spoken)
    if meant != setup.instruction:
        raise InstructionError(
            f"instruction: got {setup.spoken!r} for {setup.instruction!r}, it means {meant!r}; say that"
        )


def taught_phrasings(instruction: str) -> tuple[str, ...]:
    """Every way to ask for the same that models are taught, the task's own sentence first.

    Raises:
        InstructionError: for a sentence that is no task's.
    """
    return find_task(instruction).phrasings.taught_for(understood(instruction))


def held_out_phrasings(instruction: str) -> tuple[str, ...]:
    """Every way to ask for the same that no model is taught, made of words that they are taught.

    Raises:
        InstructionError: for a sentence that is no task's.
    """
    return find_task(instruction).phrasings.held_out_for(understood(instruction))


def task_named(name: str, tasks: Sequence[Task] = TASKS) -> Task:
    """The one of `tasks` called `name`.

    Raises:
        InputError: for a name that is none of theirs.
    """
    for task in tasks:
        if task.name == name:
            return task
    raise InputError(unknown("task", name, [task.name for task in tasks]))


@cache
def _meanings(tasks: tuple[Task, ...]) -> Mapping[str, str]:
    """Every phrasing of these tasks, and the task's own sentence that it says."""
    return {
        phrasing: sentence
        for task in tasks
        for sentence in task.instructions()
        for phrasing in (*task.phrasings.taught_for(sentence), *task.phrasings.held_out_for(sentence))
    }
