"""What a task is: its sentences, its scenes, when it is done, how a scripted solver does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import mujoco

from forearm.cell.physics import Physics
from forearm.cell.setup import Setup
from forearm.cell.tasks.phrasing import Phrasings
from forearm.cell.variation import Vector
from forearm.errors import InstructionError, unknown
from forearm.geometry import Box, Goods, Pose
from forearm.sentence import words_of

Meaning = TypeVar("Meaning")

HOLD_S = 0.3  # s, how long a task's goal must hold to count as reached


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reach:
    """Where one arm's tool is to be (cell_from_tool) and how far its gripper open, 0..1, at the end of a move."""

    pose: Pose
    opening: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Move:
    """One stretch of a script: arms named in `reaches` go there together, the others stay.

    `subtask` says it in words. A `precise` move is near contact. `least_s` is the shortest it may take.
    """

    subtask: str
    reaches: Mapping[str, Reach]
    precise: bool = False
    least_s: float = 0.4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """A sentence that a scene could be asked for, and where (x, y, z) m the arms that begin would close their hands."""

    instruction: str
    grips: Mapping[str, Vector]


class Task(Protocol):
    """One thing the cell can be asked to do. Stateless: a run's state is its `Setup` and `Physics`."""

    @property
    def name(self) -> str:
        """Its name on command lines and in results."""
        ...

    @property
    def pattern(self) -> str:
        """Its sentences as one, with the choices in braces."""
        ...

    @property
    def phrasings(self) -> Phrasings:
        """Other ways to say its sentences."""
        ...

    def instructions(self) -> tuple[str, ...]:
        """Every sentence of its own, one for each thing that it can mean."""
        ...

    def furnish(self, spec: mujoco.MjSpec) -> None:
        """Adds the task's objects to the cell."""
        ...

    def sample(self, seed: int, instruction: str | None = None, odd_start: bool = False) -> Setup:
        """A scene in which `instruction` (or one that `seed` picks) can be done.

        With `odd_start` the working arms start off home, and of a task of many parts some may be done.

        Raises:
            InstructionError: for a sentence that is not this task's.
        """
        ...

    def others(self, setup: Setup) -> tuple[Question, ...]:
        """What else of its own that scene could be asked for at the start."""
        ...

    def fixtures(self, setup: Setup) -> tuple[Box, ...]:
        """What stands in that scene, stays there, and is not to be touched by the arms."""
        ...

    def goods(self) -> tuple[Goods, ...]:
        """What the arms may hold in its scenes, as it is meant to be taken."""
        ...

    def reached(self, setup: Setup, physics: Physics) -> bool:
        """Whether the goal holds at this instant."""
        ...

    def progress(self, setup: Setup, physics: Physics) -> float:
        """How far the task is, 0..1; 1 only where `reached`."""
        ...

    def script(self, setup: Setup, physics: Physics) -> Iterator[Move]:
        """The moves that do it, each made from the true poses at the moment it is asked for."""
        ...


@runtime_checkable
class Staged(Task, Protocol):
    """A task of many parts that can be done one by one, and are counted one by one."""

    def stages(self, setup: Setup, physics: Physics) -> Mapping[str, bool]:
        """Its parts by name, and whether each is done at this instant."""
        ...


def canonical(instruction: str) -> str:
    """The sentence in lower case with single spaces and without punctuation."""
    return " ".join(words_of(instruction))


def meaning(instruction: str, meanings: Mapping[str, Meaning]) -> Meaning:
    """What a task's sentence means, of `meanings` by sentence.

    Raises:
        InstructionError: for any other sentence.
    """
    sentence = canonical(instruction)
    if sentence not in meanings:
        raise InstructionError(unknown("instruction", instruction, meanings))
    return meanings[sentence]
