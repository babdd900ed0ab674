"""Stack one named block on another: one arm brings the lower one to the middle, then the other puts the upper on it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import mujoco
import numpy as np

from forearm.cell.physics import Physics
from forearm.cell.posture import OTHER, nearest_side, start_joints
from forearm.cell.scene import MIDLINE_Y_M
from forearm.cell.setup import Setup
from forearm.cell.tasks.blocks import (
    BLOCK,
    BLOCK_HALF_M,
    Span,
    add_block,
    lying,
    named_first,
    put,
    retreat,
    scatter,
    take,
)
from forearm.cell.tasks.interface import Move, Question, meaning
from forearm.cell.tasks.phrasing import Phrasings
from forearm.cell.variation import COLOURS, Placement, sample_look
from forearm.geometry import Box, Goods

SENTENCES = {
    f"stack the {upper} block on the {lower} block": (upper, lower)
    for upper in COLOURS
    for lower in COLOURS
    if upper != lower
}
BLOCKS = ("block_1", "block_2", "block_3")
BLOCK_X_M: Span = (0.23, 0.38)  # m
BLOCK_OUT_M: Span = (0.21, 0.365)  # m from the midline: nothing is in the way of the hand in the middle
MIDDLE_X_M = 0.30  # m, where on the midline they are stacked
ON_M = 0.016  # m between the middles in x and y at the most, so that the upper one stands by itself
HIGH_M = 0.004  # m, how far off its height a block may be and still lie on the table, or stand on the other
FLAT = np.cos(np.radians(5.0))  # least upward component of the upper block's up axis
PHRASINGS = Phrasings(
    sentence="stack the {upper} block on the {lower} block",
    taught=(
        "put the {upper} block on the {lower} block",
        "place the {upper} cube on top of the {lower} cube",
        "please stack the {upper} cube on the {lower} one",
        "please set the {upper} block on top of the {lower} block",
        "stack {upper} on {lower}",
        "put the {upper} cube onto the {lower} block please",
        "the {upper} block goes on top of the {lower} one",
        "could you place the {upper} block onto the {lower} cube",
    ),
    held_out=(
        "please put the {upper} cube on top of the {lower} one",
        "stack the {upper} cube onto the {lower} cube",
        "could you set the {upper} cube on the {lower} block",
        "the {upper} cube goes on the {lower} cube",
    ),
)


class Stack:
    """Three blocks of different colours; the sentence names the upper and the lower, which lie on different sides.

    The arm of the upper one begins when the lower one stands: whose turn it is tells the two apart.
    """

    name = "stack"
    pattern = "stack the {red|green|blue|yellow} block on the {red|green|blue|yellow} block"
    phrasings = PHRASINGS

    def instructions(self) -> tuple[str, ...]:
        return tuple(SENTENCES)

    def furnish(self, spec: mujoco.MjSpec) -> None:
        for name in BLOCKS:
            add_block(spec, name)

    def sample(self, seed: int, instruction: str | None = None, odd_start: bool = False) -> Setup:
        rng = np.random.default_rng(seed)
        colours = [str(colour) for colour in rng.permutation(list(COLOURS))]
        if instruction is not None:
            colours = named_first(colours, *self.colours(instruction))
        side = str(rng.choice(list(OTHER)))
        places = scatter([side, OTHER[side], str(rng.choice(list(OTHER)))], BLOCK_X_M, BLOCK_OUT_M, rng)
        names = [str(name) for name in rng.permutation(BLOCKS)]
        blocks = [lying(*each, rng) for each in zip(names, colours[:3], places, strict=True)]
        return Setup(
            task=self.name,
            instruction=f"stack the {colours[0]} block on the {colours[1]} block",
            seed=seed,
            placements=tuple(blocks),
            look=sample_look(rng),
            start=start_joints(rng, frozenset(OTHER) if odd_start else frozenset()),
            time_limit_s=32.0,
        )

    def others(self, setup: Setup) -> tuple[Question, ...]:
        pairs = permutations((setup.placement(name) for name in BLOCKS), 2)
        asked = (
            _question(*pair) for pair in pairs if len({nearest_side(each.position[1]) for each in pair}) == len(pair)
        )
        return tuple(each for each in asked if each.instruction != setup.instruction)

    def colours(self, instruction: str) -> tuple[str, str]:
        """The upper and the lower block's colour words of one of this task's sentences.

        Raises:
            InstructionError: for any other sentence.
        """
        return meaning(instruction, SENTENCES)

    def fixtures(self, setup: Setup) -> tuple[Box, ...]:
        """None: everything here is to be moved, or may be."""
        return ()

    def goods(self) -> tuple[Goods, ...]:
        return (BLOCK,)

    def reached(self, setup: Setup, physics: Physics) -> bool:
        upper, lower = self._named(setup)
        return _stands_on(setup, physics, upper, lower) and not physics.touching(upper) and not physics.touching(lower)

    def progress(self, setup: Setup, physics: Physics) -> float:
        upper, lower = self._named(setup)
        if _stands_on(setup, physics, upper, lower):
            return 0.8 if physics.touching(upper) or physics.touching(lower) else 1.0
        apart = float(np.hypot(*(physics.object_pose(upper).translation - physics.object_pose(lower).translation)[:2]))
        held = 0.1 * len(physics.holders(upper)) + 0.1 * len(physics.holders(lower))
        return held + 0.4 * max(0.0, 1.0 - apart / 0.4)

    def script(self, setup: Setup, physics: Physics) -> Iterator[Move]:
        (upper, lower), (one, other) = self._named(setup), self.colours(setup.instruction)
        above, below = (nearest_side(physics.object_pose(name).translation[1]) for name in (upper, lower))
        yield from take(physics, below, lower, f"the {other} block")
        middle = (MIDDLE_X_M, MIDLINE_Y_M, setup.matter.lying_m(BLOCK_HALF_M) + 0.002)
        yield from put(physics, below, lower, middle, "in the middle")
        yield retreat(below, MIDDLE_X_M, BLOCK_OUT_M[0])
        yield from take(physics, above, upper, f"the {one} block")
        x, y, z = physics.object_pose(lower).translation.tolist()
        yield from put(
            physics, above, upper, (x, y, z + 2 * setup.matter.size * BLOCK_HALF_M + 0.002), f"on the {other} block"
        )

    def _named(self, setup: Setup) -> tuple[str, str]:
        by_colour = {setup.placement(name).colour: name for name in BLOCKS}
        upper, lower = self.colours(setup.instruction)
        return by_colour[upper], by_colour[lower]


def _question(upper: Placement, lower: Placement) -> Question:
    grips = {nearest_side(lower.position[1]): lower.position}  # the arm of the upper one waits
    return Question(instruction=f"stack the {upper.colour} block on the {lower.colour} block", grips=grips)


def _stands_on(setup: Setup, physics: Physics, upper: str, lower: str) -> bool:
    top, under = physics.object_pose(upper), physics.object_pose(lower)
    x, y, z = top.translation - under.translation
    higher = abs(z - 2 * setup.matter.size * BLOCK_HALF_M) < HIGH_M
    lies = under.translation[2] - setup.matter.lying_m(BLOCK_HALF_M) < HIGH_M
    return bool(max(abs(x), abs(y)) < ON_M and higher and lies and top.rotation[2, 2] > FLAT)
