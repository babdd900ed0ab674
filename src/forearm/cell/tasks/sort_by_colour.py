"""Sort blocks by colour into two bins that no arm can reach both of: what lies on the wrong side is passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import mujoco
import numpy as np

from forearm.cell.physics import Physics
from forearm.cell.posture import OTHER, OUTWARD, begun, nearest_side, start_joints
from forearm.cell.scene import MIDLINE_Y_M
from forearm.cell.setup import Setup
from forearm.cell.tasks.blocks import (
    BLOCK,
    BLOCK_HALF_M,
    Span,
    add_block,
    drop,
    lying,
    put,
    retreat,
    scatter,
    some_inside,
    take,
    together,
)
from forearm.cell.tasks.interface import Move, Question, meaning
from forearm.cell.tasks.objects import BIN_WALL_M, Triple, add_bin, standing_bin
from forearm.cell.tasks.phrasing import Phrasings
from forearm.cell.variation import COLOURS, Placement, sample_look, sample_shade
from forearm.geometry import Box, Goods

SENTENCE = "sort the blocks by colour"
BLOCKS = ("block_1", "block_2", "block_3", "block_4")
BINS = ("bin_1", "bin_2")
BLOCK_X_M: Span = (0.20, 0.38)  # m
BLOCK_OUT_M: Span = (0.135, 0.21)  # m from the midline: room for fingers beside the bins
BIN_HALF_M: Triple = (0.075, 0.06, 0.025)  # m, outer: two blocks side by side, and room for one that tipped over
BIN_X_M = 0.28  # m
BIN_OUT_M = 0.36  # m from the midline
BIN_SPREAD_M = 0.01  # m to either side in x and y
IN_YAW_RAD = 0.2  # rad to either side, of what lies in a bin from the start
BESIDE_M = 0.035  # m from a bin's middle to where each of its two blocks is dropped
PASS_X_M = 0.29  # m, where on the midline a block changes arms
MIDDLE_M = 0.06  # m from the midline: what lies nearer was put there for the arm that has its bin
HEAPED = 0.3  # of the scenes that begin anywhere have a block on another
ASKEW_M = 0.025  # m to either side in x and y, of one that was dropped onto another: from half a block on it leans
MIDDLE_SPREAD_M = 0.02  # m to either side in x and y, of what lies there from the start
ASIDE_M = (0.28, 0.24)  # m, x and from the midline: the giver while the other arm takes
PHRASINGS = Phrasings(
    sentence=SENTENCE,
    taught=(
        "sort the cubes by colour",
        "please sort all the blocks by colour",
        "put each block into the bin of its colour",
        "place every cube in the bin of the same colour",
        "sort the blocks into the bins by colour",
        "could you put every block in the bin that has its colour please",
        "each cube goes into the bin of its own colour",
        "tidy the cubes into the bins by colour",
    ),
    held_out=(
        "please sort the cubes into the bins by colour",
        "put every cube into the bin of its own colour",
        "each block goes in the bin that has the same colour",
        "could you sort all the cubes by colour please",
    ),
)


class SortByColour:
    """Two blocks of each of two colours, two on either side, and a bin of each colour, one on either side.

    A block belongs into the bin of its colour. Each arm reaches the bin on its own side only; blocks on the wrong side
    are put down in the middle by one arm and taken from there by the other.
    """

    name = "sort-by-colour"
    pattern = SENTENCE
    phrasings = PHRASINGS

    def instructions(self) -> tuple[str, ...]:
        return (SENTENCE,)

    def furnish(self, spec: mujoco.MjSpec) -> None:
        for name in BLOCKS:
            add_block(spec, name)
        for name in BINS:
            add_bin(spec, name, BIN_HALF_M, (0.5, 0.5, 0.5, 1.0))

    def sample(self, seed: int, instruction: str | None = None, odd_start: bool = False) -> Setup:
        if instruction is not None:
            meaning(instruction, {SENTENCE: ()})  # refuses any other
        rng = np.random.default_rng(seed)
        two = [str(colour) for colour in rng.permutation(list(COLOURS))[:2]]
        colours = [str(colour) for colour in rng.permutation([*two, *two])]
        places = scatter([*OTHER, *OTHER], BLOCK_X_M, BLOCK_OUT_M, rng)
        blocks = [lying(*each, rng) for each in zip(BLOCKS, colours, places, strict=True)]
        bins = [_place_bin(*each, rng) for each in zip(BINS, OTHER, two, strict=True)]
        if odd_start:
            blocks = _one_in_the_middle(some_inside(blocks, _spots(bins), IN_YAW_RAD, rng), bins, rng)
            blocks = _one_on_another(blocks, bins, rng)
        return Setup(
            task=self.name,
            instruction=SENTENCE,
            seed=seed,
            placements=(*blocks, *bins),
            look=sample_look(rng),
            start=start_joints(rng, begun(rng) if odd_start else frozenset()),
            time_limit_s=75.0,
        )

    def others(self, setup: Setup) -> tuple[Question, ...]:
        return ()

    def fixtures(self, setup: Setup) -> tuple[Box, ...]:
        """Both bins: blocks are let go of above them."""
        return tuple(box for name in BINS for box in standing_bin(name, setup.placement(name).position, BIN_HALF_M))

    def goods(self) -> tuple[Goods, ...]:
        return (BLOCK,)

    def reached(self, setup: Setup, physics: Physics) -> bool:
        return all(self.stages(setup, physics).values()) and not any(physics.touching(name) for name in BLOCKS)

    def progress(self, setup: Setup, physics: Physics) -> float:
        if self.reached(setup, physics):
            return 1.0
        return sum(self.stages(setup, physics).values()) * 0.96 / len(BLOCKS)

    def stages(self, setup: Setup, physics: Physics) -> Mapping[str, bool]:
        return {name: _in_bin(physics, name, _bin_for(setup, name)) for name in BLOCKS}

    def script(self, setup: Setup, physics: Physics) -> Iterator[Move]:
        left = [name for name, sorted_in in self.stages(setup, physics).items() if not sorted_in]
        passed = [name for name in left if _out(physics, name) < MIDDLE_M]
        for name in passed:
            taker = _side_for(setup, name)
            yield from _out_of_the_way(physics, OTHER[taker])
            yield from _bin_all(setup, physics, taker, [name])
            yield retreat(taker, *ASIDE_M)
        left = [name for name in left if name not in passed]
        lists = {arm: _from_the_middle(physics, left, arm) for arm in OTHER}
        own = {arm: [name for name in names if _side_for(setup, name) == arm] for arm, names in lists.items()}
        yield from together(*(_bin_all(setup, physics, arm, own[arm]) for arm in OTHER))
        strays = [name for names in lists.values() for name in names if _side_for(setup, name) != _side(physics, name)]
        for name in sorted(strays, key=lambda each: _out(physics, each)):
            giver = _side(physics, name)
            yield from take(physics, giver, name, _thing(setup, name))
            yield from put(
                physics,
                giver,
                name,
                (PASS_X_M, MIDLINE_Y_M, setup.matter.lying_m(BLOCK_HALF_M) + 0.002),
                "in the middle",
            )
            yield retreat(giver, *ASIDE_M)
            yield from _bin_all(setup, physics, OTHER[giver], [name])
            yield retreat(OTHER[giver], *ASIDE_M)


def _out_of_the_way(physics: Physics, arm: str) -> Iterator[Move]:
    """Sends an arm aside whose tool is nearer to the middle than that."""
    if abs(float(physics.tool_pose(arm).translation[1]) - MIDLINE_Y_M) < ASIDE_M[1]:
        yield retreat(arm, *ASIDE_M)


def _bin_all(setup: Setup, physics: Physics, arm: str, names: list[str]) -> Iterator[Move]:
    for name in names:
        yield from take(physics, arm, name, _thing(setup, name))
        there = _bin_for(setup, name)
        at = physics.object_pose(there).translation
        others = [physics.object_pose(each).translation for each in BLOCKS if _in_bin(physics, each, there)]
        dx = BESIDE_M if others and others[0][0] < at[0] else -BESIDE_M
        yield from drop(arm, (float(at[0]) + dx, float(at[1])), 2 * BIN_HALF_M[2], "the bin")


def _place_bin(name: str, side: str, colour: str, rng: np.random.Generator) -> Placement:
    dx, dy = rng.uniform(-BIN_SPREAD_M, BIN_SPREAD_M, size=2).tolist()
    y = MIDLINE_Y_M + OUTWARD[side] * BIN_OUT_M + dy
    rgba = sample_shade(colour, rng)
    return Placement(name=name, position=(BIN_X_M + dx, y, 0.0), colour=colour, rgba=rgba)


def _one_in_the_middle(blocks: list[Placement], bins: list[Placement], rng: np.random.Generator) -> list[Placement]:
    """The blocks, as often as not with one where an arm has put it down for the other and been called away."""
    sides = {each.colour: nearest_side(each.position[1]) for each in bins}
    strays = [
        number
        for number, block in enumerate(blocks)
        if abs(block.position[1] - MIDLINE_Y_M) <= BLOCK_OUT_M[1]
        and nearest_side(block.position[1]) != sides[block.colour]
    ]
    if not strays or rng.random() < 0.5:
        return blocks
    number, (dx, dy) = int(rng.choice(strays)), rng.uniform(-MIDDLE_SPREAD_M, MIDDLE_SPREAD_M, size=2).tolist()
    result = list(blocks)
    result[number] = replace(blocks[number], position=(PASS_X_M + dx, MIDLINE_Y_M + dy, BLOCK_HALF_M))
    return result


def _one_on_another(blocks: list[Placement], bins: list[Placement], rng: np.random.Generator) -> list[Placement]:
    """The blocks, sometimes with one that was dropped onto the other in its bin, where it lies, leans or slides off."""
    if rng.random() >= HEAPED:
        return blocks
    there = bins[int(rng.integers(len(bins)))]
    numbers = [number for number, block in enumerate(blocks) if block.colour == there.colour]
    lower, upper = rng.permutation(numbers).tolist()
    x, y, _ = there.position
    x += float(rng.choice([-BESIDE_M, BESIDE_M]))
    dx, dy = rng.uniform(-ASKEW_M, ASKEW_M, size=2).tolist()
    result = list(blocks)
    for number, at in (
        (lower, (x, y, BIN_WALL_M + BLOCK_HALF_M)),
        (upper, (x + dx, y + dy, BIN_WALL_M + 3 * BLOCK_HALF_M)),
    ):
        result[number] = replace(blocks[number], position=at, yaw=float(rng.uniform(-IN_YAW_RAD, IN_YAW_RAD)))
    return result


def _spots(bins: list[Placement]) -> Callable[[Placement], tuple[float, float]]:
    """Where in the bin of its colour an arm would put a block, the first one and then the second beside it."""
    there = {each.colour: each.position for each in bins}
    dealt = {colour: iter((-BESIDE_M, BESIDE_M)) for colour in there}

    def spot(block: Placement) -> tuple[float, float]:
        x, y, _ = there[block.colour]
        return x + next(dealt[block.colour]), y

    return spot


def _from_the_middle(physics: Physics, names: Sequence[str], arm: str) -> list[str]:
    """Those of the blocks that lie on an arm's side, the nearest to the midline first."""
    return sorted((name for name in names if _side(physics, name) == arm), key=lambda name: _out(physics, name))


def _side(physics: Physics, name: str) -> str:
    return nearest_side(physics.object_pose(name).translation[1])


def _out(physics: Physics, name: str) -> float:
    return abs(float(physics.object_pose(name).translation[1]) - MIDLINE_Y_M)


def _bin_for(setup: Setup, name: str) -> str:
    """The bin that has the block's colour."""
    colour = setup.placement(name).colour
    return next(each for each in BINS if setup.placement(each).colour == colour)


def _side_for(setup: Setup, name: str) -> str:
    """The arm that reaches that bin."""
    return nearest_side(setup.placement(_bin_for(setup, name)).position[1])


def _thing(setup: Setup, name: str) -> str:
    return f"the {setup.placement(name).colour} block"


def _in_bin(physics: Physics, name: str, there: str) -> bool:
    offset = np.abs(physics.object_pose(name).translation - physics.object_pose(there).translation)
    return bool(offset[0] < BIN_HALF_M[0] and offset[1] < BIN_HALF_M[1] and offset[2] < 2 * BIN_HALF_M[2])
