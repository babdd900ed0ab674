"""Sentences that ask for what a scene does not have."""

from __future__ import annotations

from itertools import pairwise

from forearm.cell.setup import Setup
from forearm.cell.variation import COLOURS

NOUNS = frozenset({"bar", "bin", "block", "box", "lid", "pad", "peg", "socket", "tray"})


def missing(setup: Setup, instruction: str | None = None) -> tuple[str, ...]:
    """What one of the tasks' sentences, the setup's own by default, names and the scene has not, as "green block"."""
    kinds = {(placement.name.partition("_")[0], placement.colour) for placement in setup.placements}
    nouns = {noun for noun, _ in kinds}
    found = list[str]()
    for before, word in pairwise(["", *(setup.instruction if instruction is None else instruction).split()]):
        noun = word.removesuffix("s")
        if noun in NOUNS and before in COLOURS and (noun, before) not in kinds:
            found.append(f"{before} {noun}")
        elif noun in NOUNS and noun not in nouns:
            found.append(noun)
    return tuple(found)


def impossible(setup: Setup) -> tuple[str, ...]:
    """Sentences of the same task that cannot be done in the scene: its own, with a colour that nothing there has.

    Empty where it names no colour, or all are there.
    """
    words = setup.instruction.split()
    there = {placement.colour for placement in setup.placements}
    return tuple(
        " ".join([*words[:place], colour, *words[place + 1 :]])
        for place, word in enumerate(words)
        if word in COLOURS
        for colour in COLOURS
        if colour not in there
    )
