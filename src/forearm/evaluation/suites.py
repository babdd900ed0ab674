"""The suites that can be asked for by name: one line each, and a function where there is something to vary.

Invariant: reading this table costs nothing; what a suite varies is looked up when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forearm.errors import InputError, unknown


def _nothing() -> list[str]:
    return []


def _one_thing() -> list[str]:
    from forearm.cell.perturbations import PERTURBATIONS

    apart = {*_cells(), *_what_comes_late(), *_what_is_said()}
    return [each.name for each in PERTURBATIONS if each.name not in apart]


def _cells() -> list[str]:
    from forearm.cell.perturbations.cells import CELL

    return [CELL.name]


def _what_comes_late() -> list[str]:
    from forearm.cell.perturbations.timed import TIMED

    return [each.name for each in TIMED]


def _what_is_said() -> list[str]:
    from forearm.cell.perturbations.spoken import SPOKEN

    return [each.name for each in SPOKEN]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What is tried under one name.

    Attributes:
        name: as a person writes it.
        tries: what it tries, in words for its help.
        variations: the names of the perturbations that it tries beside the clean scenes.
        staged: whether only tasks of many parts, which are counted one by one, are in it.
    """

    name: str
    tries: str
    variations: Callable[[], Sequence[str]] = _nothing
    staged: bool = False


SUITES = (
    Suite(name="clean", tries="scenes as they are"),
    Suite(
        name="perturbed",
        tries="one thing otherwise at a time: light, table, cameras, objects, wear",
        variations=_one_thing,
    ),
    Suite(name="cells", tries="other cells of the same kind", variations=_cells),
    Suite(name="latency", tries="pictures and decisions come late", variations=_what_comes_late),
    Suite(
        name="language",
        tries="other words for the same, taught and held out, and what is not there, which is to be refused",
        variations=_what_is_said,
    ),
    Suite(name="long-horizon", tries="tasks of many parts, with how many of them were done", staged=True),
)


def suite_named(name: str) -> Suite:
    """The suite called `name`.

    Raises:
        InputError: for a name that is none of theirs.
    """
    for suite in SUITES:
        if suite.name == name:
            return suite
    raise InputError(unknown("suite", name, [suite.name for suite in SUITES]))
