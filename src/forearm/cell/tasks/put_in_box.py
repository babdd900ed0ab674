"""Put the named one of two blocks in the box: the words decide which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import mujoco
import numpy as np

from forearm.cell.physics import Physics
from forearm.cell.posture import OUTWARD, nearest_side, radial_yaw, start_joints, tool_down
from forearm.cell.scene import MIDLINE_Y_M
from forearm.cell.setup import Setup
from forearm.cell.tasks.blocks import (
    APART_M,
    BLOCK,
    BLOCK_HALF_M,
    BLOCK_YAW_RAD,
    CARRY_Z_M,
    HOVER_Z_M,
    add_block,
    named_first,
    opening_beside,
    square_yaw,
)
from forearm.cell.tasks.interface import Move, Question, Reach, canonical
from forearm.cell.tasks.objects import BIN_WALL_M, Triple, add_bin, standing_bin
from forearm.cell.tasks.phrasing import Phrasings
from forearm.cell.variation import COLOURS, Placement, sample_look, sample_shade
from forearm.errors import InstructionError, unknown
from forearm.geometry import Box, Goods

BLOCKS = ("block_1", "block_2")
BLOCK_X_M = (0.23, 0.38)  # m
BLOCK_OUT_M = (0.145, 0.365)  # m from the midline, to either side
BOX_HALF_M = 0.07  # m, outer
BOX_HEIGHT_M = 0.06  # m
BOX_M: Triple = (BOX_HALF_M, BOX_HALF_M, BOX_HEIGHT_M / 2)
BOX_X_M = 0.29  # m
BOX_SPREAD_M = 0.02  # m to either side in x and y
BOX_COLOUR = (0.60, 0.47, 0.33, 1.0)  # cardboard
RELEASE_Z_M = 0.085  # m, tool above the box's floor
PHRASINGS = Phrasings(
    sentence="put the {colour} block in the box",
    taught=(
        "place the {colour} block in the box",
        "put the {colour} cube into the box",
        "drop the {colour} cube in the box",
        "please put the {colour} cube into the box",
        "please place the {colour} block inside the box",
        "pick up the {colour} block and put it in the box",
        "take the {colour} cube and drop it into the box",
        "could you put the {colour} block into the box please",
        "i want the {colour} cube in the box",
        "the {colour} block goes in the box",
    ),
    held_out=(
        "please drop the {colour} block into the box",
        "pick up the {colour} cube and place it inside the box",
        "could you place the {colour} cube in the box",
        "i want the {colour} block inside the box please",
    ),
)


class PutInBox:
    """Two blocks of different colours on the table, a box on the midline; the arm on the block's side does it."""

    name = "put-in-box"
    pattern = "put the {red|green|blue|yellow} block in the box"
    phrasings = PHRASINGS

    def instructions(self) -> tuple[str, ...]:
        return tuple(f"put the {colour} block in the box" for colour in COLOURS)

    def furnish(self, spec: mujoco.MjSpec) -> None:
        for name in BLOCKS:
            add_block(spec, name)
        add_bin(spec, "box", BOX_M, BOX_COLOUR)

    def sample(self, seed: int, instruction: str | None = None, odd_start: bool = False) -> Setup:
        rng = np.random.default_rng(seed)
        colours = [str(colour) for colour in rng.permutation(list(COLOURS))[:2]]
        if instruction is not None:
            colours = named_first(colours, self.colour(instruction))[:2]
        asked = colours[0]
        if rng.random() < 0.5:
            colours.reverse()
        placements = (*_place_blocks(colours, rng), _place_box(rng))
        side = nearest_side(next(each.position[1] for each in placements if each.colour == asked))
        return Setup(
            task=self.name,
            instruction=f"put the {asked} block in the box",
            seed=seed,
            placements=placements,
            look=sample_look(rng),
            start=start_joints(rng, frozenset({side}) if odd_start else frozenset()),
            time_limit_s=15.0,
        )

    def fixtures(self, setup: Setup) -> tuple[Box, ...]:
        """The box's bottom and walls, none of which the arms ever need to touch: blocks are let go of above them."""
        return standing_bin("box", setup.placement("box").position, BOX_M)

    def other_word(self, setup: Setup) -> Setup:
        """The same scene with the other block's colour in the sentence."""
        other = next(name for name in BLOCKS if name != self.asked(setup))
        return replace(setup, instruction=f"put the {setup.placement(other).colour} block in the box")

    def others(self, setup: Setup) -> tuple[Question, ...]:
        other = self.other_word(setup)
        at = setup.placement(self.asked(other)).position
        return (Question(instruction=other.instruction, grips={nearest_side(at[1]): at}),)

    def colour(self, instruction: str) -> str:
        """The colour word of one of this task's sentences.

        Raises:
            InstructionError: for any other sentence.
        """
        for colour in COLOURS:
            if canonical(instruction) == f"put the {colour} block in the box":
                return colour
        raise InstructionError(unknown("instruction", instruction, self.instructions()))

    def asked(self, setup: Setup) -> str:
        """The name of the block that the sentence means."""
        colour = self.colour(setup.instruction)
        return next(name for name in BLOCKS if setup.placement(name).colour == colour)

    def goods(self) -> tuple[Goods, ...]:
        return (BLOCK,)

    def reached(self, setup: Setup, physics: Physics) -> bool:
        asked = self.asked(setup)
        return all(_in_box(physics, name) == (name == asked) for name in BLOCKS) and not physics.touching(asked)

    def progress(self, setup: Setup, physics: Physics) -> float:
        asked = self.asked(setup)
        if any(_in_box(physics, name) for name in BLOCKS if name != asked):
            return 0.0
        if _in_box(physics, asked):
            return 0.8 if physics.touching(asked) else 1.0
        block, box = physics.object_pose(asked).translation, physics.object_pose("box").translation
        if not physics.holders(asked):
            return 0.0
        away = float(np.hypot(*(block - box)[:2]))
        return 0.2 + 0.2 * float(block[2] > 0.06) + 0.3 * max(0.0, 1.0 - away / 0.3)

    def script(self, setup: Setup, physics: Physics) -> Iterator[Move]:
        asked = self.asked(setup)
        thing = f"the {self.colour(setup.instruction)} block"
        pose = physics.object_pose(asked)
        x, y, _ = pose.translation
        arm = nearest_side(y)
        yaw = square_yaw(float(np.arctan2(pose.rotation[1, 0], pose.rotation[0, 0])), arm, x, y)
        bx, by, _ = physics.object_pose("box").translation
        wide = opening_beside(abs(y - by) - BOX_HALF_M, yaw)

        def move(subtask: str, at: tuple[float, float, float], yaw: float, opening: float, precise: bool) -> Move:
            reach = Reach(pose=tool_down(arm, at, yaw), opening=opening)
            return Move(subtask=subtask, reaches={arm: reach}, precise=precise)

        yield move(f"reach for {thing}", (x, y, HOVER_Z_M), yaw, wide, False)
        yield move(f"lower onto {thing}", (x, y, BLOCK_HALF_M), yaw, wide, True)
        yield move(f"grasp {thing}", (x, y, BLOCK_HALF_M), yaw, 0.0, True)
        yield move("lift it", (x, y, CARRY_Z_M), yaw, 0.0, False)
        over = radial_yaw(arm, bx, by)
        yield move("carry it to the box", (bx, by, CARRY_Z_M), over, 0.0, False)
        yield move("lower it into the box", (bx, by, RELEASE_Z_M), over, 0.0, True)
        yield move("let it go", (bx, by, RELEASE_Z_M), over, 1.0, True)
        yield move("move away", (bx, by, CARRY_Z_M), over, 1.0, False)
        by += OUTWARD[arm] * 0.10
        yield move("move away", (bx - 0.04, by, CARRY_Z_M), radial_yaw(arm, bx, by), 1.0, False)


def _place_blocks(colours: list[str], rng: np.random.Generator) -> tuple[Placement, Placement]:
    while True:
        x, out = rng.uniform(*BLOCK_X_M, size=2), rng.uniform(*BLOCK_OUT_M, size=2)
        y = MIDLINE_Y_M + out * rng.choice([-1.0, 1.0], size=2)
        if np.hypot(x[0] - x[1], y[0] - y[1]) >= APART_M:
            break
    yaw = rng.uniform(-BLOCK_YAW_RAD, BLOCK_YAW_RAD, size=2)
    first, second = (
        Placement(
            name=BLOCKS[i],
            position=(float(x[i]), float(y[i]), BLOCK_HALF_M),
            yaw=float(yaw[i]),
            colour=colours[i],
            rgba=sample_shade(colours[i], rng),
        )
        for i in range(2)
    )
    return first, second


def _place_box(rng: np.random.Generator) -> Placement:
    dx, dy = rng.uniform(-BOX_SPREAD_M, BOX_SPREAD_M, size=2)
    return Placement(name="box", position=(BOX_X_M + float(dx), MIDLINE_Y_M + float(dy), 0.0))


def _in_box(physics: Physics, name: str) -> bool:
    block, box = physics.object_pose(name).translation, physics.object_pose("box").translation
    inside = np.abs((block - box)[:2]).max() < BOX_HALF_M - BIN_WALL_M
    return bool(inside and block[2] < BOX_HEIGHT_M)
