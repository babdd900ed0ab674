"""Open the box and put the named block in it: one arm holds the lid open while the other one puts the block in."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from forearm.cell.physics import Physics
from forearm.cell.posture import OTHER, OUTWARD, nearest_side, radial_yaw, start_joints
from forearm.cell.scene import MIDLINE_Y_M
from forearm.cell.setup import Setup
from forearm.cell.tasks.blocks import (
    BLOCK,
    CARRY_Z_M,
    Span,
    add_block,
    alone,
    drop,
    lying,
    named_first,
    scatter,
    take,
    together,
)
from forearm.cell.tasks.interface import Move, Question, meaning
from forearm.cell.tasks.objects import Triple, add_bin, add_body, add_part, standing_bin
from forearm.cell.tasks.phrasing import Phrasings
from forearm.cell.variation import COLOURS, Placement, sample_look
from forearm.geometry import Box, Goods

SENTENCES = {f"open the box and put the {colour} block in it": colour for colour in COLOURS}
BLOCKS = ("block_1", "block_2")
BLOCK_X_M: Span = (0.23, 0.38)  # m
BLOCK_OUT_M: Span = (0.23, 0.365)  # m from the midline: nothing is in the way of the hand over the box
BOX_HALF_M: Triple = (0.065, 0.065, 0.03)  # m, outer
BOX_X_M = 0.29  # m
BOX_SPREAD_M = 0.015  # m to either side in x and y
BOX_COLOUR = (0.60, 0.47, 0.33, 1.0)  # cardboard
LID_HALF_M: Triple = (0.07, 0.07, 0.003)  # m, the plate
LID_YAW_RAD = 0.1  # rad to either side
LID_COLOUR = (0.70, 0.57, 0.42, 1.0)
KNOB_HALF_M: Triple = (0.012, 0.012, 0.014)  # m, on the middle of the plate
KNOB_COLOUR = (0.22, 0.23, 0.25, 1.0)
LID_KG = 0.06
LID = Goods(  # about the knob's middle in the tool frame, the plate below it
    name="lid",
    half=(LID_HALF_M[0], LID_HALF_M[1], KNOB_HALF_M[2] + LID_HALF_M[2]),
    width_m=2 * KNOB_HALF_M[1],
    centre=(0.0, 0.0, LID_HALF_M[2]),
)
HELD_M = (0.28, 0.24)  # m, x and from the midline: where the lid is held meanwhile
PHRASINGS = Phrasings(
    sentence="open the box and put the {colour} block in it",
    taught=(
        "open the box and place the {colour} block inside",
        "please open the box and drop the {colour} cube in it",
        "take the lid off and put the {colour} block in the box",
        "lift the lid and drop the {colour} block into the box",
        "remove the lid from the box and place the {colour} cube inside",
        "hold the lid open and put the {colour} cube into the box",
        "open the box for the {colour} block and put it inside",
        "could you open the box and put the {colour} cube in it please",
    ),
    held_out=(
        "please open the box and put the {colour} block inside",
        "lift the lid and place the {colour} cube in the box",
        "take the lid off the box and drop the {colour} cube inside",
        "hold the box open and put the {colour} block in it",
    ),
)


class OpenTheBox:
    """A box on the midline under a loose lid with a knob, and two blocks of different colours on either side of it.

    The lid is too wide for the hand that holds the block, and stays in the other arm's hand until the block is in.
    """

    name = "open-the-box"
    pattern = "open the box and put the {red|green|blue|yellow} block in it"
    phrasings = PHRASINGS

    def instructions(self) -> tuple[str, ...]:
        return tuple(SENTENCES)

    def furnish(self, spec: mujoco.MjSpec) -> None:
        for name in BLOCKS:
            add_block(spec, name)
        add_bin(spec, "box", BOX_HALF_M, BOX_COLOUR)
        lid = add_body(spec, "lid", free=True)  # its frame is in the middle of the knob, where it is taken
        add_part(lid, (0.0, 0.0, -KNOB_HALF_M[2] - LID_HALF_M[2]), LID_HALF_M, LID_COLOUR, 0.8 * LID_KG)
        add_part(lid, (0.0, 0.0, 0.0), KNOB_HALF_M, KNOB_COLOUR, 0.2 * LID_KG)

    def sample(self, seed: int, instruction: str | None = None, odd_start: bool = False) -> Setup:
        rng = np.random.default_rng(seed)
        colours = [str(colour) for colour in rng.permutation(list(COLOURS))[:2]]
        if instruction is not None:
            colours = named_first(colours, self.colour(instruction))[:2]
        names = [str(name) for name in rng.permutation(BLOCKS)]
        places = scatter([str(side) for side in rng.choice(list(OTHER), size=2)], BLOCK_X_M, BLOCK_OUT_M, rng)
        blocks = [lying(*each, rng) for each in zip(names, colours, places, strict=True)]
        dx, dy = rng.uniform(-BOX_SPREAD_M, BOX_SPREAD_M, size=2).tolist()
        at = (BOX_X_M + dx, MIDLINE_Y_M + dy)
        closed = (*at, 2 * BOX_HALF_M[2] + 2 * LID_HALF_M[2] + KNOB_HALF_M[2])
        lid = Placement(name="lid", position=closed, yaw=float(rng.uniform(-LID_YAW_RAD, LID_YAW_RAD)))
        return Setup(
            task=self.name,
            instruction=f"open the box and put the {colours[0]} block in it",
            seed=seed,
            placements=(*blocks, lid, Placement(name="box", position=(*at, 0.0))),
            look=sample_look(rng),
            start=start_joints(rng, frozenset(OTHER) if odd_start else frozenset()),
            time_limit_s=22.0,
        )

    def others(self, setup: Setup) -> tuple[Question, ...]:
        return tuple(_question(setup, name) for name in BLOCKS if name != self._asked(setup))

    def colour(self, instruction: str) -> str:
        """The colour word of one of this task's sentences.

        Raises:
            InstructionError: for any other sentence.
        """
        return meaning(instruction, SENTENCES)

    def fixtures(self, setup: Setup) -> tuple[Box, ...]:
        """The box: its lid is taken by the knob, and the block let go of above it."""
        return standing_bin("box", setup.placement("box").position, BOX_HALF_M)

    def goods(self) -> tuple[Goods, ...]:
        return (BLOCK, LID)

    def reached(self, setup: Setup, physics: Physics) -> bool:
        asked = self._asked(setup)
        return all(_in_box(physics, name) == (name == asked) for name in BLOCKS) and not physics.touching(asked)

    def progress(self, setup: Setup, physics: Physics) -> float:
        if self.reached(setup, physics):
            return 1.0
        asked, lid, box = self._asked(setup), physics.object_pose("lid"), physics.object_pose("box")
        aside = float(np.hypot(*(lid.translation - box.translation)[:2])) > BOX_HALF_M[0]
        return 0.4 * aside + (0.4 if _in_box(physics, asked) else 0.1 * len(physics.holders(asked)))

    def script(self, setup: Setup, physics: Physics) -> Iterator[Move]:
        asked = self._asked(setup)
        worker = nearest_side(physics.object_pose(asked).translation[1])
        helper, thing = OTHER[worker], f"the {self.colour(setup.instruction)} block"
        yield from together(take(physics, helper, "lid", "the lid"), take(physics, worker, asked, thing))
        x, y = HELD_M[0], MIDLINE_Y_M + OUTWARD[helper] * HELD_M[1]
        yield alone(helper, "hold the lid open", (x, y, CARRY_Z_M), radial_yaw(helper, x, y), 0.0)
        bx, by, _ = physics.object_pose("box").translation.tolist()
        yield from drop(worker, (bx, by), 2 * BOX_HALF_M[2], "the box", back_m=0.10)

    def _asked(self, setup: Setup) -> str:
        colour = self.colour(setup.instruction)
        return next(name for name in BLOCKS if setup.placement(name).colour == colour)


def _question(setup: Setup, name: str) -> Question:
    block = setup.placement(name)
    worker = nearest_side(block.position[1])
    grips = {worker: block.position, OTHER[worker]: setup.placement("lid").position}
    return Question(instruction=f"open the box and put the {block.colour} block in it", grips=grips)


def _in_box(physics: Physics, name: str) -> bool:
    offset = physics.object_pose(name).translation - physics.object_pose("box").translation
    return bool(np.abs(offset[:2]).max() < BOX_HALF_M[0] and offset[2] < 2 * BOX_HALF_M[2])
