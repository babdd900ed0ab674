"""Clear the pad of what stands on it, then put the named block there: one arm clears, the other one puts."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from forearm.cell.physics import Physics
from forearm.cell.posture import OTHER, OUTWARD, nearest_side, start_joints
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
    scatter,
    take,
    together,
)
from forearm.cell.tasks.interface import Move, Question, meaning
from forearm.cell.tasks.objects import Triple, add_body, add_part
from forearm.cell.tasks.phrasing import Phrasings
from forearm.cell.variation import COLOURS, Placement, sample_look
from forearm.geometry import Box, Goods

SENTENCES = {f"clear the pad and put the {colour} block on it": colour for colour in COLOURS}
BLOCKS = ("block_1", "block_2")  # the named one first
BLOCK_X_M: Span = (0.23, 0.38)  # m
BLOCK_OUT_M: Span = (0.21, 0.365)  # m from the midline: nothing is in the way of the hand over the pad
OBSTACLE_HALF_M: Triple = (0.02, 0.02, 0.04)  # m
OBSTACLE_KG = 0.08
OBSTACLE_COLOUR = (0.45, 0.46, 0.48, 1.0)
OBSTACLE_SPREAD_M = 0.008  # m to either side of the middle in x and y: no block fits on the pad beside it
PAD_HALF_M: Triple = (0.05, 0.05, 0.002)  # m
PAD_COLOUR = (0.30, 0.32, 0.36, 1.0)
PAD_X_M = 0.30  # m
PAD_SPREAD_M = 0.02  # m to either side in x and y
ASIDE_M = tuple((x, out) for x in (0.25, 0.35) for out in (0.22, 0.32))  # m, x and from the midline: where it may go
UPRIGHT = np.cos(np.radians(10.0))  # least upward component of an axis that stands
PHRASINGS = Phrasings(
    sentence="clear the pad and put the {colour} block on it",
    taught=(
        "empty the pad and place the {colour} block on it",
        "please clear the pad and put the {colour} cube on it",
        "make room on the pad and set the {colour} block there",
        "clear the pad for the {colour} cube and put it there",
        "move the grey block away and place the {colour} block on the pad",
        "take the grey block off the pad and put the {colour} cube on it",
        "free the pad then put the {colour} block on it",
        "could you empty the pad and set the {colour} cube on it please",
    ),
    held_out=(
        "please free the pad and place the {colour} cube on it",
        "empty the pad then put the {colour} block there",
        "move the grey block off the pad and set the {colour} block there",
        "could you clear the pad and place the {colour} block on it",
    ),
)


class ClearThePad:
    """A pad on the midline with a tall grey block in its middle, two blocks of different colours on either side of it.

    The grey block is in the way because the named block cannot stand on the pad beside it. The arm on the named block's
    side puts that on the pad, after the other arm has set the grey one down on its own side.
    """

    name = "clear-the-pad"
    pattern = "clear the pad and put the {red|green|blue|yellow} block on it"
    phrasings = PHRASINGS

    def instructions(self) -> tuple[str, ...]:
        return tuple(SENTENCES)

    def furnish(self, spec: mujoco.MjSpec) -> None:
        for name in BLOCKS:
            add_block(spec, name)
        add_block(spec, "obstacle", OBSTACLE_HALF_M, OBSTACLE_KG)
        add_part(add_body(spec, "pad", free=False), (0.0, 0.0, PAD_HALF_M[2]), PAD_HALF_M, PAD_COLOUR)

    def sample(self, seed: int, instruction: str | None = None, odd_start: bool = False) -> Setup:
        rng = np.random.default_rng(seed)
        colours = [str(colour) for colour in rng.permutation(list(COLOURS))[:2]]
        if instruction is not None:
            colours = named_first(colours, self.colour(instruction))[:2]
        places = scatter([str(side) for side in rng.choice(list(OTHER), size=2)], BLOCK_X_M, BLOCK_OUT_M, rng)
        blocks = [lying(*each, rng) for each in zip(BLOCKS, colours, places, strict=True)]
        dx, dy = rng.uniform(-PAD_SPREAD_M, PAD_SPREAD_M, size=2).tolist()
        pad = Placement(name="pad", position=(PAD_X_M + dx, MIDLINE_Y_M + dy, 0.0))
        return Setup(
            task=self.name,
            instruction=f"clear the pad and put the {colours[0]} block on it",
            seed=seed,
            placements=(*blocks, _obstacle(pad, rng), pad),
            look=sample_look(rng),
            start=start_joints(rng, frozenset(OTHER) if odd_start else frozenset()),
            time_limit_s=25.0,
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
        """None: the pad is as flat as the table, and blocks are set down on it."""
        return ()

    def goods(self) -> tuple[Goods, ...]:
        return (BLOCK, Goods(name="obstacle", half=OBSTACLE_HALF_M, width_m=2 * OBSTACLE_HALF_M[1]))

    def reached(self, setup: Setup, physics: Physics) -> bool:
        asked = self._asked(setup)
        free = not physics.touching(asked) and not physics.touching("obstacle")
        only = not any(_on_pad(physics, name) for name in (*BLOCKS, "obstacle") if name != asked)
        standing = physics.object_pose("obstacle").rotation[2, 2] > UPRIGHT
        return free and only and bool(standing) and _lies_on_pad(setup, physics, asked)

    def progress(self, setup: Setup, physics: Physics) -> float:
        if self.reached(setup, physics):
            return 1.0
        asked = self._asked(setup)
        cleared = 0.4 * (not _on_pad(physics, "obstacle")) + 0.1 * (not physics.touching("obstacle"))
        return cleared + (0.3 if _lies_on_pad(setup, physics, asked) else 0.1 * len(physics.holders(asked)))

    def script(self, setup: Setup, physics: Physics) -> Iterator[Move]:
        asked = self._asked(setup)
        worker = nearest_side(physics.object_pose(asked).translation[1])
        helper, thing = OTHER[worker], f"the {self.colour(setup.instruction)} block"
        yield from together(take(physics, helper, "obstacle", "the grey block"), take(physics, worker, asked, thing))
        x, y = _aside(physics, helper)
        yield from put(physics, helper, "obstacle", (x, y, setup.matter.lying_m(OBSTACLE_HALF_M[2]) + 0.002), "aside")
        px, py, _ = physics.object_pose("pad").translation.tolist()
        above = setup.matter.lying_m(BLOCK_HALF_M) + 2 * PAD_HALF_M[2] + 0.002
        yield from put(physics, worker, asked, (px, py, above), "on the pad")

    def _asked(self, setup: Setup) -> str:
        colour = self.colour(setup.instruction)
        return next(name for name in BLOCKS if setup.placement(name).colour == colour)


def _question(setup: Setup, name: str) -> Question:
    block = setup.placement(name)
    worker = nearest_side(block.position[1])
    grips = {worker: block.position, OTHER[worker]: setup.placement("obstacle").position}
    return Question(instruction=f"clear the pad and put the {block.colour} block on it", grips=grips)


def _obstacle(pad: Placement, rng: np.random.Generator) -> Placement:
    dx, dy = rng.uniform(-OBSTACLE_SPREAD_M, OBSTACLE_SPREAD_M, size=2).tolist()
    x, y, _ = pad.position
    return Placement(
        name="obstacle",
        position=(x + dx, y + dy, 2 * PAD_HALF_M[2] + OBSTACLE_HALF_M[2]),
        yaw=float(rng.uniform(-0.6, 0.6)),
        rgba=OBSTACLE_COLOUR,
    )


def _aside(physics: Physics, helper: str) -> tuple[float, float]:
    """Where (x, y) m on the helper's side there is most room."""
    blocks = np.array([physics.object_pose(name).translation[:2] for name in BLOCKS])
    places = [(x, MIDLINE_Y_M + OUTWARD[helper] * out) for x, out in ASIDE_M]
    return max(places, key=lambda place: float(np.linalg.norm(blocks - place, axis=1).min()))


def _on_pad(physics: Physics, name: str) -> bool:
    offset = np.abs(physics.object_pose(name).translation - physics.object_pose("pad").translation)
    return bool(offset[:2].max() < PAD_HALF_M[0] + BLOCK_HALF_M)


def _lies_on_pad(setup: Setup, physics: Physics, name: str) -> bool:
    block, pad = physics.object_pose(name).translation, physics.object_pose("pad").translation
    within = np.abs(block - pad)[:2].max() < PAD_HALF_M[0]
    return bool(within and block[2] < setup.matter.lying_m(BLOCK_HALF_M) + 2 * PAD_HALF_M[2] + 0.006)
