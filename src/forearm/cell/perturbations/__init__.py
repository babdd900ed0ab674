"""What may be different about a cell: every perturbation by name, and the one tuple that lists them.

Invariant: a varied setup depends on the setup, the perturbation's name and the level's alone.
"""

from __future__ import annotations

from dataclasses import replace
from zlib import crc32

import numpy as np

from forearm.cell.perturbations.cells import CELL
from forearm.cell.perturbations.felt import FELT
from forearm.cell.perturbations.goods import SKU
from forearm.cell.perturbations.interface import Change, Perturbation
from forearm.cell.perturbations.seen import SEEN
from forearm.cell.perturbations.spoken import SPOKEN
from forearm.cell.perturbations.timed import TIMED
from forearm.cell.setup import Setup
from forearm.errors import InputError, listing, unknown

PERTURBATIONS: tuple[Perturbation, ...] = (*SEEN, *FELT, SKU, *TIMED, CELL, *SPOKEN)
TOGETHER = "+"
MIXED = (0.35, 0.35, 0.3)  # chance of one, two and three things different in a recorded scene


def perturbation_named(name: str) -> Perturbation:
    """The perturbation called `name`.

    Raises:
        InputError: for a name that is none of theirs.
    """
    for perturbation in PERTURBATIONS:
        if perturbation.name == name:
            return perturbation
    raise InputError(unknown("variation", name, [each.name for each in PERTURBATIONS]))


def variations_of(text: str) -> tuple[str, ...]:
    """`NAME:LEVEL` as it is, and `NAME` as each of its levels.

    Raises:
        InputError: for a name or a level that there is none of.
    """
    name, colon, level = text.partition(":")
    perturbation = perturbation_named(name)
    if not colon:
        return tuple(f"{name}:{each}" for each in perturbation.levels)
    _change(perturbation, level)
    return (text,)


def applies(variation: str, setup: Setup) -> bool:
    """Whether the scene has what `NAME:LEVEL` changes: a tray has no fixture to shift.

    Raises:
        InputError: for a name that there is none of.
    """
    return perturbation_named(variation.partition(":")[0]).applies(setup)


def varied(setup: Setup, variation: str) -> Setup:
    """The setup as `NAME:LEVEL` makes it, or several of them joined by "+" one after the other; the same every time.

    Raises:
        InputError: for a name or level that there is none of, or a scene without what it changes.
    """
    for each in variation.split(TOGETHER):
        name, _, level = each.partition(":")
        perturbation = perturbation_named(name)
        change = _change(perturbation, level)
        if not perturbation.applies(setup):
            raise InputError(
                f"variation {each}: got a scene of {setup.task}, allowed are tasks that have what it changes; "
                "leave one of them out"
            )
        setup = change(setup, np.random.default_rng((setup.seed, 11, crc32(name.encode()))))
    return replace(setup, variation=variation)


def mixed(setup: Setup, rng: np.random.Generator) -> Setup:
    """The setup with a few things about its cell different at once, at levels that are not held out."""
    fitting = [each for each in (*SEEN, *FELT, SKU, CELL) if each.applies(setup)]
    count = int(rng.choice(len(MIXED), p=MIXED)) + 1
    often = np.array([each.often for each in fitting])
    chosen = [fitting[int(place)] for place in rng.choice(len(fitting), count, replace=False, p=often / often.sum())]
    chosen.sort(key=lambda each: each is not CELL)  # a cell is what the others then change
    levels = [sorted(each.levels.keys() - each.held_out) for each in chosen]
    names = [f"{each.name}:{rng.choice(some)}" for each, some in zip(chosen, levels, strict=True)]
    return varied(setup, TOGETHER.join(names))


def levels_to_teach(variation: str) -> tuple[str, ...]:
    """`NAME:LEVEL` as it is, and `NAME` as each of its levels that may be trained on.

    Raises:
        InputError: for a name or level that there is none of, and for one that is held out.
    """
    name = variation.partition(":")[0]
    held_out = {f"{name}:{level}" for level in perturbation_named(name).held_out}
    allowed = tuple(each for each in variations_of(variation) if each not in held_out)
    if not allowed:
        others = [each for each in variations_of(name) if each not in held_out]
        raise InputError(
            f"variation: got {variation}, which is held out, allowed are {listing(others)}; measure with it alone"
        )
    return allowed


def for_training(setup: Setup, variation: str, rng: np.random.Generator) -> Setup:
    """The setup as one of `levels_to_teach` makes it, drawn, beside what it has already.

    Raises:
        InputError: as that does, and for a scene without what it changes.
    """
    return varied(setup, str(rng.choice(levels_to_teach(variation))))


def _change(perturbation: Perturbation, level: str) -> Change:
    if level not in perturbation.levels:
        raise InputError(unknown(f"level of {perturbation.name}", level, perturbation.levels))
    return perturbation.levels[level]
