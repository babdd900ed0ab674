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
from forearm.errors import InputError, unknown

PERTURBATIONS: tuple[Perturbation, ...] = (*SEEN, *FELT, SKU, *TIMED, CELL, *SPOKEN)


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
    """The setup as `NAME:LEVEL` makes it, the same every time.

    Raises:
        InputError: for a name or level that there is none of, or a scene without what it changes.
    """
    name, _, level = variation.partition(":")
    perturbation = perturbation_named(name)
    change = _change(perturbation, level)
    if not perturbation.applies(setup):
        raise InputError(
            f"variation {variation}: got a scene of {setup.task}, allowed are tasks that have what it changes; "
            "leave one of them out"
        )
    rng = np.random.default_rng((setup.seed, 11, crc32(name.encode())))
    return replace(change(setup, rng), variation=variation)


def _change(perturbation: Perturbation, level: str) -> Change:
    if level not in perturbation.levels:
        raise InputError(unknown(f"level of {perturbation.name}", level, perturbation.levels))
    return perturbation.levels[level]
