"""Stand a lying bar upright on the pad: it turns up on the way, because the arms take it from different directions."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np
from numpy.typing import NDArray

from forearm.cell.physics import Physics
from forearm.cell.posture import OTHER, OUTWARD, nearest_side, radial_yaw, start_joints, tool_ahead, tool_down
from forearm.cell.scene import MIDLINE_Y_M
from forearm.cell.setup import Setup
from forearm.cell.tasks.blocks import (
    CARRY_Z_M,
    HOVER_Z_M,
    Span,
    add_block,
    alone,
    named_first,
    retreat,
    scatter,
    square_yaw,
    to,
    together,
)
from forearm.cell.tasks.interface import Move, Question, meaning
from forearm.cell.tasks.objects import Triple, add_body, add_part
from forearm.cell.tasks.phrasing import Phrasings
from forearm.cell.variation import COLOURS, Placement, sample_look, sample_shade
from forearm.geometry import Box, Goods, Pose

Array = NDArray[np.float64]

SENTENCES = {f"pass the {colour} bar across and stand it on the pad": colour for colour in COLOURS}
BARS = ("bar_1", "bar_2")
BAR_HALF_M: Triple = (0.07, 0.015, 0.015)  # m, lying along x
BAR_KG = 0.08
BAR_X_M: Span = (0.21, 0.37)  # m
BAR_OUT_M: Span = (0.17, 0.35)  # m from the midline, on the giver's side
BARS_APART_M = 0.15  # m, so that fingers fit between them
BAR_YAW_RAD = 0.4  # rad to either side of where the hand that takes it is at ease
GIVEN_M = 0.04  # m from the bar's middle to where the giver holds it
TAKEN_M = 0.04  # m to where the receiver holds it, on the other side
BAR_IN_HAND_M: Triple = (BAR_HALF_M[0] + TAKEN_M, BAR_HALF_M[1], BAR_HALF_M[2])  # m, lying across the fingers
PAD_HALF_M: Triple = (0.06, 0.06, 0.002)  # m
PAD_X_M = 0.30  # m
PAD_OUT_M = 0.20  # m from the midline, on the receiver's side
PAD_SPREAD_M = 0.02  # m to either side in x and y
PAD_COLOUR = (0.30, 0.32, 0.36, 1.0)
DOWN_RAD = np.pi / 2  # rad below the horizontal
MEET_M = (0.30, MIDLINE_Y_M, 0.15)  # m, the bar's middle when it changes hands
MEET_TURN_RAD = 1.13  # rad from straight ahead, inwards: the way the receiver's hand points there
BEHIND_M = 0.10  # m, from where it takes the bar, the receiver waits for it
PAST_M = 0.10  # m, the way the giver's open fingers slide off along the bar: at their height they cannot go up
TURN_M = (0.31, 0.17, 0.18)  # m, x, from the midline and height: where the receiver's hand tilts, with room for the bar
ASIDE_M = (0.24, 0.26)  # m, x and from the midline: the giver when it has done its part
HIGH_M = 0.022  # m, a standing bar's middle off its height at the most: a larger bar's, not one's on another bar
UPRIGHT = np.cos(np.radians(5.0))  # least vertical component of the axis of a bar that stands
PHRASINGS = Phrasings(
    sentence="pass the {colour} bar across and stand it on the pad",
    taught=(
        "pass the {colour} bar over and place it upright on the pad",
        "please stand the {colour} bar upright on the pad",
        "hand the {colour} rod across and stand it up on the pad",
        "stand the {colour} rod on the pad",
        "place the {colour} bar upright on the pad",
        "give the {colour} bar to the other arm and stand it on the pad",
        "the {colour} rod should stand upright on the pad",
        "could you pass the {colour} rod across and set it upright on the pad",
    ),
    held_out=(
        "please stand the {colour} rod up on the pad",
        "hand the {colour} bar over and set it upright on the pad",
        "give the {colour} rod to the other arm and stand it up",
        "the {colour} bar should stand on the pad",
    ),
)


class PlaceUpright:
    """Two bars of different colours lie on one side, a pad is on the other; the sentence names one of the bars.

    The hand that takes a lying bar from above holds it across its length, and level. In the middle the other hand takes
    it by its end, lengthwise, and points down with it.
    """

    name = "place-upright"
    pattern = "pass the {red|green|blue|yellow} bar across and stand it on the pad"
    phrasings = PHRASINGS

    def instructions(self) -> tuple[str, ...]:
        return tuple(SENTENCES)

    def furnish(self, spec: mujoco.MjSpec) -> None:
        for name in BARS:
            add_block(spec, name, BAR_HALF_M, BAR_KG)
        pad = add_body(spec, "pad", free=False)
        add_part(pad, (0.0, 0.0, PAD_HALF_M[2]), PAD_HALF_M, PAD_COLOUR)

    def sample(self, seed: int, instruction: str | None = None, odd_start: bool = False) -> Setup:
        rng = np.random.default_rng(seed)
        colours = [str(colour) for colour in rng.permutation(list(COLOURS))[:2]]
        if instruction is not None:
            colours = named_first(colours, self.colour(instruction))[:2]
        giver = str(rng.choice(list(OTHER)))
        names = [str(name) for name in rng.permutation(BARS)]
        places = scatter([giver, giver], BAR_X_M, BAR_OUT_M, rng, BARS_APART_M)
        bars = [_lying(giver, *each, rng) for each in zip(names, colours, places, strict=True)]
        dx, dy = rng.uniform(-PAD_SPREAD_M, PAD_SPREAD_M, size=2).tolist()
        pad_y = MIDLINE_Y_M - OUTWARD[giver] * PAD_OUT_M + dy
        return Setup(
            task=self.name,
            instruction=f"pass the {colours[0]} bar across and stand it on the pad",
            seed=seed,
            placements=(*bars, Placement(name="pad", position=(PAD_X_M + dx, pad_y, 0.0))),
            look=sample_look(rng),
            start=start_joints(rng, frozenset(OTHER) if odd_start else frozenset()),
            time_limit_s=30.0,
        )

    def others(self, setup: Setup) -> tuple[Question, ...]:
        return tuple(_question(setup, name) for name in BARS if name != self._asked(setup))

    def colour(self, instruction: str) -> str:
        """The colour word of one of this task's sentences.

        Raises:
            InstructionError: for any other sentence.
        """
        return meaning(instruction, SENTENCES)

    def fixtures(self, setup: Setup) -> tuple[Box, ...]:
        """None: the pad is as flat as the table."""
        return ()

    def goods(self) -> tuple[Goods, ...]:
        """The bar, taken at either end; the other hand takes it over from behind its end."""
        return (Goods(name="bar", half=BAR_IN_HAND_M, width_m=2 * BAR_HALF_M[1], meets=("fingers", "gripper", "bar")),)

    def reached(self, setup: Setup, physics: Physics) -> bool:
        asked = self._asked(setup)
        return _stands_on_pad(physics, asked) and not physics.touching(asked)

    def progress(self, setup: Setup, physics: Physics) -> float:
        asked = self._asked(setup)
        if _stands_on_pad(physics, asked):
            return 0.9 if physics.touching(asked) else 1.0
        giver = nearest_side(setup.placement(asked).position[1])
        holders = physics.holders(asked)
        if OTHER[giver] in holders:
            return 0.5 if giver in holders else 0.7
        return 0.3 if giver in holders else 0.0

    def script(self, setup: Setup, physics: Physics) -> Iterator[Move]:
        asked = self._asked(setup)
        giver = nearest_side(physics.object_pose(asked).translation[1])
        thing = f"the {setup.placement(asked).colour} bar"
        yield from together(_fetch(physics, giver, asked, thing), _get_ready(OTHER[giver]))
        yield from _hand_over(physics, giver, asked, thing)
        yield from _stand_up(physics, giver, asked)

    def _asked(self, setup: Setup) -> str:
        colour = self.colour(setup.instruction)
        return next(name for name in BARS if setup.placement(name).colour == colour)


def _lying(giver: str, name: str, colour: str, at: tuple[float, float], rng: np.random.Generator) -> Placement:
    eased = radial_yaw(giver, *at) - OUTWARD[giver] * 0.3 + np.pi / 2
    yaw = eased + float(rng.uniform(-BAR_YAW_RAD, BAR_YAW_RAD))
    rgba = sample_shade(colour, rng)
    return Placement(name=name, position=(*at, BAR_HALF_M[2]), yaw=yaw, colour=colour, rgba=rgba)


def _question(setup: Setup, name: str) -> Question:
    bar = setup.placement(name)
    giver = nearest_side(bar.position[1])
    at, _ = _grip(giver, bar.position, bar.yaw)
    taken = _meeting(OTHER[giver], -TAKEN_M, 0.0).translation
    return Question(
        instruction=f"pass the {bar.colour} bar across and stand it on the pad",
        grips={giver: at, OTHER[giver]: (float(taken[0]), float(taken[1]), float(taken[2]))},
    )


def _grip(giver: str, bar: Triple, axis: float) -> tuple[Triple, float]:
    """Where to take a bar that lies `axis` rad from x with its middle at `bar` m, and the tool's yaw.

    That is on the camera's side of its middle: the longer end points the other way.
    """
    yaw = square_yaw(axis - np.pi / 2, giver, *bar[:2], np.pi)
    x, y, z = (np.array(bar) - GIVEN_M * tool_down(giver, bar, yaw).rotation[:, 0]).tolist()
    return (x, y, z), yaw


def _fetch(physics: Physics, giver: str, name: str, thing: str) -> Iterator[Move]:
    bar = physics.object_pose(name)
    x, y, z = bar.translation.tolist()
    at, yaw = _grip(giver, (x, y, z), float(np.arctan2(bar.rotation[1, 0], bar.rotation[0, 0])))
    yield alone(giver, f"reach for {thing}", (*at[:2], HOVER_Z_M), yaw, 1.0)
    yield alone(giver, f"lower onto {thing}", at, yaw, 1.0, precise=True)
    yield alone(giver, f"grasp {thing}", at, yaw, 0.0, precise=True)
    yield alone(giver, "lift it", (*at[:2], CARRY_Z_M), yaw, 0.0)


def _get_ready(receiver: str) -> Iterator[Move]:
    """The receiver's open hand to behind where it will take the bar, level."""
    behind = _meeting(receiver, -TAKEN_M - BEHIND_M, 0.0)
    for pose in (_turning(receiver, DOWN_RAD), _turning(receiver, 0.0), behind):
        yield to(receiver, "get ready to take it", pose, 1.0)


def _hand_over(physics: Physics, giver: str, name: str, thing: str) -> Iterator[Move]:
    receiver = OTHER[giver]
    give = _meeting(receiver, GIVEN_M, DOWN_RAD)
    yield to(giver, f"bring {thing} to the middle", give, 0.0)
    yield to(giver, f"bring {thing} to the middle", give, 0.0, precise=True)  # and stay there
    bar = physics.object_pose(name)
    along = bar.rotation[:, 0] * np.sign(bar.rotation[:, 0] @ -give.rotation[:, 0])
    taking = f"take {thing} by its end with the {receiver} arm"
    take = tool_ahead(bar.translation - TAKEN_M * along, float(np.arctan2(along[1], along[0])), 0.0)
    yield to(receiver, taking, take, 1.0, precise=True)
    yield to(receiver, taking, take, 0.0, precise=True)
    leaving = f"let go with the {giver} arm"
    yield to(giver, leaving, give, 1.0, precise=True)
    yield to(giver, leaving, _meeting(receiver, GIVEN_M + PAST_M, DOWN_RAD), 1.0, precise=True)


def _stand_up(physics: Physics, giver: str, name: str) -> Iterator[Move]:
    receiver = OTHER[giver]
    level, down = (_turning(receiver, dip) for dip in (0.0, DOWN_RAD))
    yield from together(iter([to(receiver, "point it down", level, 0.0)]), iter([retreat(giver, *ASIDE_M)]))
    yield to(receiver, "point it down", down, 0.0)
    held = physics.tool_pose(receiver).inverse() @ physics.object_pose(name)  # tool_from_bar, as it really lies
    pad = physics.object_pose("pad").translation

    def over(height: float) -> Pose:
        centre = pad + np.array([0.0, 0.0, 2 * PAD_HALF_M[2] + BAR_HALF_M[0] + height])
        return Pose(rotation=down.rotation, translation=centre - down.rotation @ held.translation)

    yield to(receiver, "carry it to the pad", over(0.05), 0.0)
    yield to(receiver, "stand it on the pad", over(0.002), 0.0, precise=True)
    yield to(receiver, "let it go", over(0.002), 1.0, precise=True)
    yield to(receiver, "move away", over(0.08), 1.0, precise=True)


def _meeting(receiver: str, along_m: float, dip: float) -> Pose:
    """A hand where the bar changes hands, `along_m` from its middle the way in which the receiver's hand points."""
    heading = -OUTWARD[receiver] * MEET_TURN_RAD
    ahead = np.array([np.cos(heading), np.sin(heading), 0.0])
    return tool_ahead(np.array(MEET_M) + along_m * ahead, heading, dip)


def _turning(receiver: str, dip: float) -> Pose:
    """Where the receiver's hand goes up and down between level and straight down, straight away from its base."""
    x, out, z = TURN_M
    y = MIDLINE_Y_M + OUTWARD[receiver] * out
    return tool_ahead((x, y, z), radial_yaw(receiver, x, y), dip)


def _stands_on_pad(physics: Physics, name: str) -> bool:
    bar, pad = physics.object_pose(name), physics.object_pose("pad").translation
    offset = bar.translation - pad
    within = max(abs(offset[0]) - PAD_HALF_M[0], abs(offset[1]) - PAD_HALF_M[1]) < 0.0
    stands = abs(offset[2] - 2 * PAD_HALF_M[2] - BAR_HALF_M[0]) < HIGH_M
    return bool(within and stands and abs(bar.rotation[2, 0]) > UPRIGHT)
