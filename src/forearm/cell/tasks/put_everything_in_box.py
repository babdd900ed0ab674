"""Put everything in the box: both arms empty their own sides of the table, and take turns over the box."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import mujoco
import numpy as np
from numpy.typing import NDArray

from forearm.cell.physics import Physics
from forearm.cell.posture import OTHER, OUTWARD, begun, nearest_side, radial_yaw, start_joints
from forearm.cell.scene import MIDLINE_Y_M
from forearm.cell.setup import Setup
from forearm.cell.tasks.blocks import BLOCK, Span, add_block, drop, lying, scatter, some_inside, take, together
from forearm.cell.tasks.interface import Move, Question, meaning
from forearm.cell.tasks.objects import Triple, add_bin, standing_bin
from forearm.cell.tasks.phrasing import Phrasings
from forearm.cell.variation import COLOURS, Placement, sample_look, sample_shade
from forearm.geometry import Box, Goods

SENTENCE = "put everything in the box"
BLOCKS = ("block_1", "block_2", "block_3")
BARS = ("bar_1", "bar_2")
THINGS = (*BLOCKS, *BARS)
BAR_HALF_M: Triple = (0.015, 0.035, 0.015)  # m
BAR_IN_HAND_M: Triple = (BAR_HALF_M[1], BAR_HALF_M[0], BAR_HALF_M[2])  # m, lying across the fingers
BAR_KG = 0.05
BAR_YAW_RAD = 0.4  # rad to either side of where the hand that takes it is at ease
THING_X_M: Span = (0.22, 0.38)  # m
THING_OUT_M: Span = (0.20, 0.37)  # m from the midline: the other arm's hand fits over the box meanwhile
BOX_HALF_M: Triple = (0.105, 0.085, 0.035)  # m, outer: three things side by side, and what lies askew
BOX_X_M = 0.29  # m
BOX_SPREAD_M = 0.015  # m to either side in x and y
BOX_COLOUR = (0.60, 0.47, 0.33, 1.0)  # cardboard
PLACES_M = (0.0, 0.06, -0.06)  # m, along x from the box's middle: an arm's first, second and third thing
HALF_OUT_M = 0.04  # m from the box's middle towards the arm's own side
AWAY_M = 0.16  # m from the box's middle, where a hand that let go leaves the box to the other
IN_YAW_RAD = 0.1  # rad to either side, of what lies in the box from the start
PHRASINGS = Phrasings(
    sentence=SENTENCE,
    taught=(
        "place everything in the box",
        "please put everything into the box",
        "put all the things into the box",
        "everything on the table goes in the box",
        "put all the blocks and bars in the box",
        "pack everything into the box",
        "could you place all of it inside the box please",
        "tidy everything away into the box",
        "clear the table and put everything in the box",
    ),
    held_out=(
        "please pack all the things into the box",
        "place all the blocks and bars into the box",
        "could you put everything on the table inside the box",
        "clear everything away into the box",
    ),
)


class PutEverythingInBox:
    """Three blocks and two bars on both sides of a box on the midline; each arm has two or three on its side.

    Only one hand fits over the box. While it is there, the other arm takes its next thing and waits with it.
    """

    name = "put-everything-in-box"
    pattern = SENTENCE
    phrasings = PHRASINGS

    def instructions(self) -> tuple[str, ...]:
        return (SENTENCE,)

    def furnish(self, spec: mujoco.MjSpec) -> None:
        for name in BLOCKS:
            add_block(spec, name)
        for name in BARS:
            add_block(spec, name, BAR_HALF_M, BAR_KG)
        add_bin(spec, "box", BOX_HALF_M, BOX_COLOUR)

    def sample(self, seed: int, instruction: str | None = None, odd_start: bool = False) -> Setup:
        if instruction is not None:
            meaning(instruction, {SENTENCE: ()})  # refuses any other
        rng = np.random.default_rng(seed)
        sides = [str(side) for side in rng.permutation([*OTHER, *OTHER, str(rng.choice(list(OTHER)))])]
        places = scatter(sides, THING_X_M, THING_OUT_M, rng)
        colours = [str(colour) for colour in rng.choice(list(COLOURS), size=len(THINGS))]
        blocks = [lying(*each, rng) for each in zip(BLOCKS, colours, places, strict=False)]
        bars = [_place_bar(*each, rng) for each in zip(BARS, colours[3:], places[3:], strict=True)]
        dx, dy = rng.uniform(-BOX_SPREAD_M, BOX_SPREAD_M, size=2).tolist()
        box = Placement(name="box", position=(BOX_X_M + dx, MIDLINE_Y_M + dy, 0.0))
        things = [*blocks, *bars]
        if odd_start:
            things = some_inside(things, _spots(box), IN_YAW_RAD, rng)
        return Setup(
            task=self.name,
            instruction=SENTENCE,
            seed=seed,
            placements=(*things, box),
            look=sample_look(rng),
            start=start_joints(rng, begun(rng) if odd_start else frozenset()),
            time_limit_s=50.0,
        )

    def others(self, setup: Setup) -> tuple[Question, ...]:
        return ()

    def fixtures(self, setup: Setup) -> tuple[Box, ...]:
        """The box: things are let go of above it."""
        return standing_bin("box", setup.placement("box").position, BOX_HALF_M)

    def goods(self) -> tuple[Goods, ...]:
        return (BLOCK, Goods(name="bar", half=BAR_IN_HAND_M, width_m=2 * BAR_HALF_M[0]))

    def reached(self, setup: Setup, physics: Physics) -> bool:
        return all(_in_box(physics, name) and not physics.touching(name) for name in THINGS)

    def progress(self, setup: Setup, physics: Physics) -> float:
        if self.reached(setup, physics):
            return 1.0
        return sum(self.stages(setup, physics).values()) * 0.9 / len(THINGS)

    def stages(self, setup: Setup, physics: Physics) -> Mapping[str, bool]:
        return {name: _in_box(physics, name) for name in THINGS}

    def script(self, setup: Setup, physics: Physics) -> Iterator[Move]:
        turns = _turns(physics)
        taken = _taken(physics)
        yield from take(physics, *turns[0], _kind(setup, turns[0][1]), _turn(turns[0][1]))
        for (arm, _), (following, coming) in zip(turns, [*turns[1:], ("", "")], strict=True):
            x, y, _ = physics.object_pose("box").translation.tolist()
            half = arm if taken[arm] < len(PLACES_M) else OTHER[arm]  # something rolled over the middle
            at = (x + PLACES_M[taken[half]], y + OUTWARD[half] * HALF_OUT_M)
            dropping = drop(
                arm, at, 2 * BOX_HALF_M[2], "the box", back_m=AWAY_M - OUTWARD[arm] * OUTWARD[half] * HALF_OUT_M
            )
            taking = take(physics, following, coming, _kind(setup, coming), _turn(coming)) if coming else iter(())
            if following == arm:
                yield from dropping
                yield from taking
            else:
                yield from together(dropping, taking)
            taken[half] += 1


def _turns(physics: Physics) -> list[tuple[str, str]]:
    """Which arm puts which thing in, in order: the nearest to the box first, arms by turns.

    Who has more begins; of two that have equally many, who has the nearest.
    """
    at = {name: physics.object_pose(name).translation for name in THINGS}
    lists = {
        arm: sorted(
            (name for name in THINGS if nearest_side(at[name][1]) == arm and not _in_box(physics, name)),
            key=lambda name: _out(at[name]),
        )
        for arm in OTHER
    }
    more, fewer = sorted(lists, key=lambda arm: (-len(lists[arm]), *(_out(at[name]) for name in lists[arm][:1])))
    return [(arm, lists[arm][k]) for k in range(len(lists[more])) for arm in (more, fewer) if k < len(lists[arm])]


def _taken(physics: Physics) -> dict[str, int]:
    """How many things lie on each arm's side of the box."""
    box = physics.object_pose("box").translation
    inside = [physics.object_pose(name).translation - box for name in THINGS if _in_box(physics, name)]
    return {arm: sum(OUTWARD[arm] * float(offset[1]) > 0 for offset in inside) for arm in OTHER}


def _spots(box: Placement) -> Callable[[Placement], tuple[float, float]]:
    """Where in the box the arm on a thing's side would put it, its first one, its second and so on."""
    (x, y, _), dealt = box.position, {arm: iter(PLACES_M) for arm in OTHER}

    def spot(thing: Placement) -> tuple[float, float]:
        arm = nearest_side(thing.position[1])
        return x + next(dealt[arm]), y + OUTWARD[arm] * HALF_OUT_M

    return spot


def _out(at: NDArray[np.float64]) -> float:
    return abs(float(at[1]) - MIDLINE_Y_M)


def _place_bar(name: str, colour: str, at: tuple[float, float], rng: np.random.Generator) -> Placement:
    side = nearest_side(at[1])
    yaw = radial_yaw(side, *at) - OUTWARD[side] * 0.3 + float(rng.uniform(-BAR_YAW_RAD, BAR_YAW_RAD))
    rgba = sample_shade(colour, rng)
    return Placement(name=name, position=(*at, BAR_HALF_M[2]), yaw=yaw, colour=colour, rgba=rgba)


def _kind(setup: Setup, name: str) -> str:
    return f"the {setup.placement(name).colour} {'bar' if name in BARS else 'block'}"


def _turn(name: str) -> float:
    """The angle in rad after which the thing looks the same to the fingers."""
    return np.pi if name in BARS else np.pi / 2


def _in_box(physics: Physics, name: str) -> bool:
    offset = physics.object_pose(name).translation - physics.object_pose("box").translation
    return bool((np.abs(offset) < (*BOX_HALF_M[:2], 2 * BOX_HALF_M[2])).all())
