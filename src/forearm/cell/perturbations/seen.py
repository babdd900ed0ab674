"""Perturbations of what is seen: light, table, things in the way, cameras."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forearm.cell.perturbations.interface import either_way, graded
from forearm.cell.scene import MIDLINE_Y_M
from forearm.cell.setup import Setup
from forearm.cell.variation import Glare, Look, Mount, Rod, Texture, Vector
from forearm.robot.embodiment import TOP_CAMERA

GLARES = 3
GLARE_RADIUS_M = 0.035  # m: a lamp's reflection in varnish, as wide as a block
GLARE_SPREAD_M = 0.05  # m from an object, in x and y: near enough to hide it
LAMP_HEIGHT = 0.7  # vertical part of the low lamp's direction against 1 across: 35° above the table
TINT = 0.25  # of how much darker a table is: wood, linoleum, stone, no paint
DARKEST = 0.1  # of full scale: slate and rubber mats reflect a tenth of the light
PITCH_M = (0.06, 0.12)  # m: tiles and boards from half as wide as the box to nearly as wide
ROD_AT = 0.30  # share of the way from the top camera to the table: above anything that an arm reaches
ROD_HALF_M = 0.6  # m: longer than the view is wide there
WORK_X_M = 0.30  # m, the middle of the working area
WRISTS = ("left", "right")


def _look(setup: Setup, look: Look) -> Setup:
    return replace(setup, look=look)


def _direction(rng: np.random.Generator) -> np.ndarray:
    """A unit vector (3,), every direction alike."""
    drawn = rng.normal(size=3)
    return drawn / np.linalg.norm(drawn)


def _brightness(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    factor = amount ** either_way(rng)
    return _look(setup, replace(setup.look, light=replace(setup.look.light, factor=factor)))


def _colour_temperature(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return _look(setup, replace(setup.look, light=replace(setup.look.light, kelvin=amount)))


def _shadows(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    azimuth = rng.uniform(-np.pi, np.pi)
    lamp = (float(np.cos(azimuth)), float(np.sin(azimuth)), -LAMP_HEIGHT)
    return _look(setup, replace(setup.look, light=replace(setup.look.light, lamp=lamp, lamp_share=amount)))


def _glare(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    glares: list[Glare] = []
    for number in range(GLARES):
        x, y, z = setup.placements[number % len(setup.placements)].position
        dx, dy = (float(value) for value in rng.uniform(-GLARE_SPREAD_M, GLARE_SPREAD_M, size=2))
        glares.append(Glare(point=(x + dx, y + dy, z), radius_m=GLARE_RADIUS_M, strength=amount))
    return _look(setup, replace(setup.look, glares=tuple(glares)))


def _table_colour(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    tint = _direction(rng) * TINT * amount
    r, g, b = (float(value) for value in np.clip(np.array(setup.look.table[:3]) - amount + tint, DARKEST, 1.0))
    return _look(setup, replace(setup.look, table=(r, g, b, setup.look.table[3])))


def _texture(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    kind = "planks" if rng.random() < 0.5 else "checks"
    texture = Texture(kind=kind, pitch_m=float(rng.uniform(*PITCH_M)), contrast=amount)
    return _look(setup, replace(setup.look, texture=texture))


def _occlusion(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    seen = np.array([WORK_X_M, MIDLINE_Y_M + rng.uniform(-0.1, 0.1), 0.0])
    middle = TOP_CAMERA.translation + ROD_AT * (seen - TOP_CAMERA.translation)
    angle = rng.uniform(0.0, np.pi)
    along = TOP_CAMERA.rotation @ np.array([np.cos(angle), np.sin(angle), 0.0]) * ROD_HALF_M
    rod = Rod(start=_vector(middle - along), end=_vector(middle + along), radius_m=amount)
    return _look(setup, replace(setup.look, rods=(rod,)))


def _top_shift(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return _mounted(setup, Mount(camera="top", shift=_vector(_direction(rng) * amount)))


def _top_turn(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return _mounted(setup, Mount(camera="top", turn=_vector(_direction(rng) * np.radians(amount))))


def _wrist_shift(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return _mounted(setup, *(Mount(camera=name, shift=_vector(_direction(rng) * amount)) for name in WRISTS))


def _wrist_turn(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return _mounted(setup, *(Mount(camera=name, turn=_vector(_direction(rng) * np.radians(amount))) for name in WRISTS))


def _mounted(setup: Setup, *mounts: Mount) -> Setup:
    return _look(setup, replace(setup.look, mounts=(*setup.look.mounts, *mounts)))


def _exposure(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return _sensed(setup, stops=amount * either_way(rng))


def _noise(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return _sensed(setup, noise=amount, seed=int(rng.integers(2**31)))


def _depth_dropouts(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return _sensed(setup, dropouts=amount, seed=int(rng.integers(2**31)))


def _depth_holes(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return _sensed(setup, holes=amount, seed=int(rng.integers(2**31)))


def _sensed(setup: Setup, **changes: float) -> Setup:
    return _look(setup, replace(setup.look, sensor=replace(setup.look.sensor, **changes)))


def _vector(values: np.ndarray) -> Vector:
    """Three plain numbers."""
    x, y, z = (float(value) for value in values)
    return x, y, z


SEEN = (
    graded("brightness", _brightness, (1.3, 1.8, 2.5)),  # factor, up or down: 300 to 750 lx of EN 12464-1 is 2.5
    graded("colour-temperature", _colour_temperature, (4000.0, 3200.0, 2700.0)),  # K: cool, halogen, warm white lamps
    graded("shadows", _shadows, (0.4, 0.7, 0.95)),  # share of the light from one side: cloudy to direct sun
    graded("glare", _glare, (0.4, 0.8, 1.5)),  # of white: haze to a spot that hides what is under it
    # Of full scale, darker: pale beech to slate. Often, because no other thing fills so much of every picture.
    graded("table-colour", _table_colour, (0.15, 0.30, 0.45), often=6.0),
    graded("texture", _texture, (0.15, 0.35, 0.6)),  # contrast: pale wood to a chequered cloth
    graded("occlusion", _occlusion, (0.003, 0.006, 0.012)),  # m, radius: cable, hose, pole
    graded("top-shift", _top_shift, (0.005, 0.010, 0.020)),  # m: put back by hand, knocked, put up anew
    graded("top-turn", _top_turn, (0.5, 1.0, 2.0)),  # degrees; 1° is 18 mm on the table, nearly half a block
    graded("wrist-shift", _wrist_shift, (0.002, 0.004, 0.008)),  # m: play in a bracket to a bent one
    graded("wrist-turn", _wrist_turn, (1.0, 2.0, 4.0)),  # degrees
    graded("exposure", _exposure, (0.5, 1.0, 1.75)),  # f-stops, up or down: what automatic exposure is out by
    graded("noise", _noise, (0.02, 0.05, 0.10)),  # of full scale: 34 to 20 dB, a small sensor at high gain
    graded("depth-dropouts", _depth_dropouts, (0.10, 0.30, 0.60)),  # share of pixels: dull to shiny surfaces
    graded("depth-holes", _depth_holes, (0.05, 0.15, 0.40)),  # share of the image: stereo without texture
)
