"""Perturbations of what happens: objects, table, fixtures, wear, and things in the way."""

from __future__ import annotations

from collections.abc import Iterator
from colorsys import rgb_to_hsv
from dataclasses import replace
from itertools import permutations, product

import mujoco
import numpy as np

from forearm.cell.perturbations.interface import either_way, graded
from forearm.cell.scene import MIDLINE_Y_M
from forearm.cell.setup import Setup
from forearm.cell.solver import task_model
from forearm.cell.tasks.blocks import APART_M
from forearm.cell.variation import COLOURS, Colour, Placement, Thing
from forearm.sentence import words_of

FREE_X_M = (0.16, 0.50)  # m: in view and in reach
FREE_OUT_M = 0.42  # m from the midline to either side
ROOM_M = 0.03  # m between a thing and anything else: less than an open finger needs on each side
THING_HALF_M = (0.012, 0.028)  # m, half sizes across
THING_HEIGHT_M = (0.02, 0.08)  # m, below the path of what is carried
THING_DENSITY = 500.0  # kg/m³: wood, or a plastic part with holes
TRIES = 500
BESIDE_X_M = (0.22, 0.36)  # m: where both arms of every task reach and see
BESIDE_OUT_M = 0.34  # m from the midline, at the most
COLOUR_SHIFTS = (0.08, 0.16, 0.24)  # of full scale, each channel; recordings have 0.04
BETWEEN = {"orange": 26 / 360, "lime": 85 / 360, "turquoise": 182 / 360, "purple": 281 / 360}  # hues, of a turn
GREY = 0.35  # of full saturation, below which nobody would name a hue
# No colour that an instruction names, but the neighbours of some.
THING_COLOURS: tuple[Colour, ...] = (
    (0.55, 0.55, 0.56, 1.0),  # grey
    (0.92, 0.91, 0.88, 1.0),  # white
    (0.12, 0.12, 0.13, 1.0),  # black
    (0.42, 0.28, 0.18, 1.0),  # brown
    (0.90, 0.45, 0.10, 1.0),  # orange
    (0.46, 0.20, 0.58, 1.0),  # purple
    (0.88, 0.52, 0.60, 1.0),  # pink
    (0.10, 0.56, 0.58, 1.0),  # turquoise
)


def _clutter(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    taken = list(_footprints(setup))
    things: list[Thing] = []
    for _ in range(TRIES):
        if len(things) == amount:
            break
        thing = _thing(rng)
        x, y, _ = thing.position
        radius = float(np.hypot(*thing.half_m[:2]))
        if all(np.hypot(x - other_x, y - other_y) > radius + other + ROOM_M for other_x, other_y, other in taken):
            taken.append((x, y, radius))
            things.append(thing)
    return replace(setup, matter=replace(setup.matter, clutter=(*setup.matter.clutter, *things)))


def _thing(rng: np.random.Generator) -> Thing:
    shape = "box" if rng.random() < 0.5 else "cylinder"
    a, b = (float(value) for value in rng.uniform(*THING_HALF_M, size=2))
    height = float(rng.uniform(*THING_HEIGHT_M))
    x, y = float(rng.uniform(*FREE_X_M)), MIDLINE_Y_M + float(rng.uniform(-FREE_OUT_M, FREE_OUT_M))
    b = b if shape == "box" else a
    volume = 4 * a * b * height if shape == "box" else np.pi * a * a * height
    return Thing(
        shape=shape,
        half_m=(a, b, height / 2),
        position=(x, y, height / 2),
        yaw=float(rng.uniform(-np.pi, np.pi)),
        colour=THING_COLOURS[int(rng.integers(len(THING_COLOURS)))],
        mass_kg=float(volume * THING_DENSITY),
    )


def _footprints(setup: Setup) -> Iterator[tuple[float, float, float]]:
    """x, y m and radius m of a circle round each thing that the task needs."""
    model = task_model(setup.task)
    for placement in setup.placements:
        body = model.body(placement.name)
        geoms = range(body.geomadr[0], body.geomadr[0] + body.geomnum[0])
        corners = [np.abs(model.geom_pos[geom][:2]) + model.geom_size[geom][:2] for geom in geoms]
        yield *placement.position[:2], max(float(np.hypot(*corner)) for corner in corners) * setup.matter.size


def _neighbour(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    pairs = list(_pairs(setup))
    order, angles = rng.permutation(len(pairs)), rng.uniform(-np.pi, np.pi, size=TRIES)
    for stays, goes in (pairs[number] for number in order):
        others = [
            place for place, each in zip(_footprints(setup), setup.placements, strict=True) if each not in (stays, goes)
        ]
        side = np.sign(stays.position[1] - MIDLINE_Y_M)
        least_out = min(abs(each.position[1] - MIDLINE_Y_M) for each in (stays, goes))
        for x, y in np.array(stays.position[:2]) + amount * np.stack([np.cos(angles), np.sin(angles)], axis=-1):
            free = all(np.hypot(x - at_x, y - at_y) > radius + APART_M for at_x, at_y, radius in others)
            in_reach = least_out <= side * (y - MIDLINE_Y_M) <= BESIDE_OUT_M
            if free and in_reach and BESIDE_X_M[0] <= x <= BESIDE_X_M[1]:
                there = replace(goes, position=(float(x), float(y), goes.position[2]))
                return replace(setup, placements=tuple(there if each is goes else each for each in setup.placements))
    return setup  # nowhere is as near and free


def _pairs(setup: Setup) -> Iterator[tuple[Placement, Placement]]:
    """Objects of a drawn colour that lie equally high by twos, the second one not named by the sentence."""
    model, said = task_model(setup.task), words_of(setup.instruction)
    lying = [each for each in setup.placements if each.rgba is not None and _is_free(model, each.name)]
    for one, other in permutations(lying, 2):
        if other.colour not in said and one.position[2] == other.position[2]:
            yield one, other


def has_neighbours(setup: Setup) -> bool:
    """Whether there is an object that the sentence does not name, and one that it could be taken for."""
    return any(True for _ in _pairs(setup))


def _size(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return replace(setup, matter=replace(setup.matter, size=amount ** either_way(rng)))


def _mass(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return replace(setup, matter=replace(setup.matter, mass=amount))


def _friction(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return replace(setup, matter=replace(setup.matter, friction=amount))


def _colour(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    by = [rng.choice(_ways_to_go(each)) * amount for each in setup.placements]
    return replace(
        setup, placements=tuple(shaded(each, shift) for each, shift in zip(setup.placements, by, strict=True))
    )


def _ways_to_go(placement: Placement) -> np.ndarray:
    """(N, 3) of +-1, red, green and blue: the shifts that leave the object what its word says, however far they go."""
    every = np.array(list(product((-1.0, 1.0), repeat=3)))
    if placement.rgba is None:
        return every
    rgb = np.array(placement.rgba[:3])
    return np.array([way for way in every if _word(np.clip(rgb + way * COLOUR_SHIFTS[-1], 0.0, 1.0)) == _word(rgb)])


def _word(rgb: np.ndarray) -> str:
    """Of the words for colours, those between them among them, the one whose hue is nearest; none for a near grey."""
    hue, saturation, _ = rgb_to_hsv(*rgb.tolist())
    if saturation < GREY:
        return ""
    hues = {word: rgb_to_hsv(*shade[:3])[0] for word, shade in COLOURS.items()} | BETWEEN
    apart = {word: abs((hue - each + 0.5) % 1.0 - 0.5) for word, each in hues.items()}
    return min(apart, key=apart.__getitem__)


def shaded(placement: Placement, by: np.ndarray) -> Placement:
    """The object with its red, green and blue shifted; one in the model's own colours stays as it is."""
    if placement.rgba is None:
        return placement
    r, g, b = (float(value) for value in np.clip(np.array(placement.rgba[:3]) + by, 0.0, 1.0))
    return replace(placement, rgba=(r, g, b, placement.rgba[3]))


def painted(setup: Setup) -> bool:
    """Whether the scene has an object of a drawn colour."""
    return any(placement.rgba is not None for placement in setup.placements)


def _fixture_shift(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    # Along x alone: across, a fixture would come to stand where objects lie.
    by = amount * either_way(rng)
    fixed = set(_fixtures(setup))
    moved = tuple(
        replace(each, position=(each.position[0] + by, *each.position[1:])) if each.name in fixed else each
        for each in setup.placements
    )
    return replace(setup, placements=moved)


def _fixtures(setup: Setup) -> Iterator[str]:
    model = task_model(setup.task)
    return (each.name for each in setup.placements if not _is_free(model, each.name))


def _is_free(model: mujoco.MjModel, name: str) -> bool:
    return bool(model.body(name).jntnum[0])


def has_fixtures(setup: Setup) -> bool:
    """Whether the task works with something that is bolted down."""
    return any(True for _ in _fixtures(setup))


def _table_height(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return replace(setup, matter=replace(setup.matter, table_m=amount * either_way(rng)))


def _finger_wear(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return replace(setup, matter=replace(setup.matter, finger_friction=amount))


def _opening(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return replace(setup, matter=replace(setup.matter, opening=amount))


FELT = (
    graded("clutter", _clutter, (2, 4, 8)),  # things: a tidy table to a crowded one
    graded("neighbour", _neighbour, (0.14, 0.12, 0.10), has_neighbours, often=2.0),  # m apart, down to finger room
    graded("size", _size, (1.1, 1.2, 1.3), often=2.0),  # factor, either way: a third more is what just fits the pad
    graded("mass", _mass, (2.0, 4.0, 8.0)),  # factor: hollow to solid plastic to aluminium
    graded("friction", _friction, (0.6, 0.4, 0.25)),  # coefficient: cardboard, smooth plastic, oiled
    graded("colour", _colour, COLOUR_SHIFTS, painted, often=3.0),  # another batch of paint, the same word
    graded("fixture-shift", _fixture_shift, (0.02, 0.04, 0.06), has_fixtures),  # m in x beside 0.02 in recordings
    graded("table-height", _table_height, (0.004, 0.008, 0.015)),  # m, up or down: levelling feet to another table
    graded("finger-wear", _finger_wear, (1.0, 0.6, 0.35)),  # coefficient: dusty, polished, oily rubber; new is 1.5
    graded("opening", _opening, (0.9, 0.75, 0.6)),  # of the stroke; a block takes 0.43 of it
)
