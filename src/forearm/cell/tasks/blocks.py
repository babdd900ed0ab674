"""Blocks: how they lie about, and how an arm takes one and puts it down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

import mujoco
import numpy as np
from numpy.typing import NDArray

from forearm.cell.physics import Physics
from forearm.cell.posture import OUTWARD, radial_yaw, tool_down
from forearm.cell.scene import MIDLINE_Y_M, OBJECT_FRICTION
from forearm.cell.tasks.interface import Move, Reach
from forearm.cell.tasks.objects import BIN_WALL_M, Friction, Triple, add_body, add_part
from forearm.cell.variation import Placement, sample_shade
from forearm.geometry import Goods, Pose
from forearm.robot.embodiment import GRIPPER_STROKE_M

Array = NDArray[np.float64]
Span = tuple[float, float]

BLOCK_HALF_M = 0.02  # m
BLOCK_KG = 0.05
BLOCK_YAW_RAD = 0.6  # rad to either side
APART_M = 0.10  # m between things that fingers go round, at the least
HOVER_Z_M = 0.12  # m, tool above a block
CARRY_Z_M = 0.13  # m, tool with a block, clear of what stands on the table
FINGER_OUT_M = 0.006  # m from the inner face of a finger's round shape, as vetting has it, to that shape's axis
FINGER_ROUND_M = 0.023  # m, its radius
ROOM_M = 0.014  # m that fingers are to have to a wall; vetting needs 5
LEAST_OPENING = 0.57  # 7 mm to either side of a block, and more than the half from which on a hand counts as open
OVER_RIM_M = 0.025  # m, tool above a rim when it lets go: the open fingers stay clear of it
CUBE: Triple = (BLOCK_HALF_M, BLOCK_HALF_M, BLOCK_HALF_M)
BLOCK = Goods(name="block", half=CUBE, width_m=2 * BLOCK_HALF_M)


def add_block(
    spec: mujoco.MjSpec,
    name: str,
    half: Triple = CUBE,
    mass_kg: float = BLOCK_KG,
    friction: Friction = OBJECT_FRICTION,
) -> None:
    """A free block whose frame is in its middle; a placement gives it its colour."""
    add_part(add_body(spec, name, free=True), (0.0, 0.0, 0.0), half, (0.5, 0.5, 0.5, 1.0), mass_kg, friction=friction)


def scatter(
    sides: Sequence[str], x_m: Span, out_m: Span, rng: np.random.Generator, apart_m: float = APART_M
) -> list[tuple[float, float]]:
    """Places (x, y) m, one on each of `sides`, `out_m` from the midline and at least `apart_m` from each other."""
    outward = np.array([OUTWARD[side] for side in sides])
    while True:
        x, out = rng.uniform(*x_m, size=len(sides)), rng.uniform(*out_m, size=len(sides))
        y = MIDLINE_Y_M + outward * out
        apart = np.hypot(x[:, None] - x, y[:, None] - y) + 2 * apart_m * np.eye(len(sides))
        if apart.min() >= apart_m:
            return list(zip(x.tolist(), y.tolist(), strict=True))


def lying(
    name: str, colour: str, at: tuple[float, float], rng: np.random.Generator, half_z_m: float = BLOCK_HALF_M
) -> Placement:
    """A block of half that height, in a shade of that colour, on the table and turned a little."""
    yaw = float(rng.uniform(-BLOCK_YAW_RAD, BLOCK_YAW_RAD))
    shade = sample_shade(colour, rng)
    return Placement(name=name, position=(*at, half_z_m), yaw=yaw, colour=colour, rgba=shade)


def some_inside(
    things: Sequence[Placement],
    spot: Callable[[Placement], tuple[float, float]],
    yaw_rad: float,
    rng: np.random.Generator,
) -> list[Placement]:
    """The things, up to all but one of them already in an open box, as if the arms had put them there.

    Args:
        things: as they lie on the table.
        spot: where (x, y) m the next one of its kind lies inside; asked once for each that does.
        yaw_rad: rad to either side, how far it may be turned there.
        rng: draws which, and their turns.
    """
    result = list(things)
    for number in rng.permutation(len(things))[: rng.integers(len(things))].tolist():
        thing = things[number]
        at = (*spot(thing), thing.position[2] + BIN_WALL_M)
        result[number] = replace(thing, position=at, yaw=float(rng.uniform(-yaw_rad, yaw_rad)))
    return result


def named_first(colours: Sequence[str], *named: str) -> list[str]:
    """The colours that a sentence names, then those drawn that it does not."""
    return [*named, *(colour for colour in colours if colour not in named)]


def square_yaw(yaw: float, arm: str, x: float, y: float, turn: float = np.pi / 2) -> float:
    """A tool yaw square to the block's sides that joint 6 can reach: its range is wider on the inward side.

    `turn` is the angle in rad after which the block looks the same to the fingers.
    """
    preferred = radial_yaw(arm, x, y) - OUTWARD[arm] * 0.3  # rad
    return yaw + turn * round((preferred - yaw) / turn)


def opening_beside(room_m: float, yaw: float) -> float:
    """How far a hand turned by `yaw` may open, 1 at most, whose tool is `room_m` along y from a wall."""
    along = max(abs(np.sin(yaw)), 1e-3)  # of the fingers' way is towards the wall
    half_gap_m = (room_m - ROOM_M - FINGER_ROUND_M) / along - FINGER_OUT_M
    return float(np.clip(half_gap_m / GRIPPER_STROKE_M, LEAST_OPENING, 1.0))


def to(arm: str, subtask: str, pose: Pose, opening: float, *, precise: bool = False, least_s: float = 0.4) -> Move:
    """One arm's tool to `pose`, its gripper opened or closed by the end."""
    reaches = {arm: Reach(pose=pose, opening=opening)}
    return Move(subtask=subtask, reaches=reaches, precise=precise, least_s=least_s)


def alone(arm: str, subtask: str, at: Triple | Array, yaw: float, opening: float, *, precise: bool = False) -> Move:
    """One arm's tool straight down to `at` m, its gripper opened or closed by the end."""
    return to(arm, subtask, tool_down(arm, at, yaw), opening, precise=precise)


def take(
    physics: Physics, arm: str, name: str, thing: str, turn: float = np.pi / 2, above_m: float = 0.0
) -> Iterator[Move]:
    """Takes the standing block `name`, called `thing`, about its middle or so far above it, and lifts it."""
    pose = physics.object_pose(name)
    x, y, z = (float(value) for value in pose.translation)
    z += above_m
    yaw = square_yaw(float(np.arctan2(pose.rotation[1, 0], pose.rotation[0, 0])), arm, x, y, turn)
    yield alone(arm, f"reach for {thing}", (x, y, max(HOVER_Z_M, z + 0.07)), yaw, 1.0)
    yield from pick_up(arm, thing, (x, y, z), yaw)


def pick_up(arm: str, thing: str, at: Triple, yaw: float) -> Iterator[Move]:
    """Lowers an open hand over `thing` to `at` m, closes it there, and lifts."""
    yield alone(arm, f"lower onto {thing}", at, yaw, 1.0, precise=True)
    yield alone(arm, f"grasp {thing}", at, yaw, 0.0, precise=True)
    yield alone(arm, "lift it", (*at[:2], CARRY_Z_M), yaw, 0.0)


def put(physics: Physics, arm: str, name: str, at: Triple, where: str) -> Iterator[Move]:
    """Carries the held block `name` over `at` m, where its middle is to be, sets it down `where` and rises."""
    yaw = radial_yaw(arm, *at[:2])
    over = _tool_for(physics, arm, name, at, yaw)
    over[2] = CARRY_Z_M
    yield alone(arm, "carry it over", over, yaw, 0.0)
    down = _tool_for(physics, arm, name, at, yaw)
    yield alone(arm, f"set it down {where}", down, yaw, 0.0, precise=True)
    yield alone(arm, "let it go", down, yaw, 1.0, precise=True)
    yield alone(arm, "move away", (*down[:2], CARRY_Z_M), yaw, 1.0)


def drop(arm: str, at: tuple[float, float], rim_m: float, into: str, back_m: float = 0.0) -> Iterator[Move]:
    """Carries what is held over (x, y) m, lets it fall `into` that from above a rim of height `rim_m`, and rises.

    It ends `back_m` m nearer to the arm's own side than it let go.
    """
    (x, y), yaw = at, radial_yaw(arm, *at)
    yield alone(arm, f"carry it to {into}", (x, y, CARRY_Z_M), yaw, 0.0)
    yield alone(arm, f"lower it into {into}", (x, y, rim_m + OVER_RIM_M), yaw, 0.0, precise=True)
    yield alone(arm, "let it go", (x, y, rim_m + OVER_RIM_M), yaw, 1.0, precise=True)
    y += OUTWARD[arm] * back_m
    yield alone(arm, "move away", (x, y, CARRY_Z_M), radial_yaw(arm, x, y), 1.0)


def retreat(arm: str, x: float, out: float) -> Move:
    """The arm's open hand to `x` m and `out` m from the midline on its own side, to leave the middle to the other."""
    y = MIDLINE_Y_M + OUTWARD[arm] * out
    return alone(arm, "make room", (x, y, CARRY_Z_M), radial_yaw(arm, x, y), 1.0)


def together(one: Iterator[Move], other: Iterator[Move]) -> Iterator[Move]:
    """Two arms' moves in step, each as long as the longer of the two; what is left of one is done alone."""
    for first, second in zip_longest(one, other):
        moves = [move for move in (first, second) if move is not None]
        yield _both(*moves) if len(moves) == 2 else moves[0]


def _both(one: Move, other: Move) -> Move:
    said = sorted((move.subtask, arm) for move in (one, other) for arm in move.reaches)
    each = "; ".join(f"{arm}: {subtask}" for subtask, arm in said)  # sorted, so that a mirrored scene mirrors them
    return Move(
        subtask=one.subtask if one.subtask == other.subtask else each,
        reaches={**one.reaches, **other.reaches},
        precise=one.precise or other.precise,
        least_s=max(one.least_s, other.least_s),
    )


def _tool_for(physics: Physics, arm: str, name: str, at: Triple, yaw: float) -> Array:
    """Where the tool must be, m, for the block to be at `at` as it really lies in the hand."""
    held = physics.tool_pose(arm).inverse() @ physics.object_pose(name)  # tool_from_block
    return np.array(at) - tool_down(arm, (0.0, 0.0, 0.0), yaw).rotation @ held.translation
