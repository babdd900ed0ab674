"""Sentences that ask for what a scene does not have.

A task's things are always there, in some colours; so what may be missing is what a sentence names by its colour.
"""

from __future__ import annotations

from forearm.cell.setup import Setup
from forearm.cell.variation import COLOURS


def missing(setup: Setup) -> tuple[str, ...]:
    """The colours that the instruction names and nothing in the scene has; empty where it can be done."""
    there = _colours(setup)
    return tuple(word for word in setup.instruction.split() if word in COLOURS and word not in there)


def impossible(setup: Setup) -> tuple[str, ...]:
    """Sentences of the same task that cannot be done in the scene: its own, with a colour that nothing there has.

    Empty where it names no colour, or all are there.
    """
    words = setup.instruction.split()
    absent = [colour for colour in COLOURS if colour not in _colours(setup)]
    return tuple(
        " ".join([*words[:place], colour, *words[place + 1 :]])
        for place, word in enumerate(words)
        if word in COLOURS
        for colour in absent
    )


def _colours(setup: Setup) -> set[str]:
    return {placement.colour for placement in setup.placements}
