"""What the cell can be asked to do: one file per task, and the one tuple that lists them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from forearm.cell.tasks.clear_the_pad import ClearThePad
from forearm.cell.tasks.hand_over import HandOver
from forearm.cell.tasks.interface import Task, canonical
from forearm.cell.tasks.lift import Lift
from forearm.cell.tasks.open_the_box import OpenTheBox
from forearm.cell.tasks.put_everything_in_box import PutEverythingInBox
from forearm.cell.tasks.put_in_box import PutInBox
from forearm.cell.tasks.stack import Stack
from forearm.errors import InputError, InstructionError, listing, unknown

TASKS: tuple[Task, ...] = (PutInBox(), HandOver(), Lift(), ClearThePad(), Stack(), PutEverythingInBox(), OpenTheBox())


def find_task(instruction: str, tasks: Sequence[Task] = TASKS) -> Task:
    """The one of `tasks` that `instruction` asks for; capitals, spaces and a final period do not matter.

    Raises:
        InstructionError: for any sentence that is not one of the tasks', listing what can be done.
    """
    sentence = canonical(instruction)
    known = {known: task for task in tasks for known in task.instructions()}
    if sentence in known:
        return known[sentence]
    near = difflib.get_close_matches(sentence, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "ask for one of these"
    raise InstructionError(
        f"instruction: got {instruction!r}, allowed are {listing(repr(task.pattern) for task in tasks)}; {hint}"
    )


def task_named(name: str, tasks: Sequence[Task] = TASKS) -> Task:
    """The one of `tasks` called `name`.

    Raises:
        InputError: for a name that is none of theirs.
    """
    for task in tasks:
        if task.name == name:
            return task
    raise InputError(unknown("task", name, [task.name for task in tasks]))
