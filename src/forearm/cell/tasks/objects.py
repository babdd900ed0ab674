"""Blocks, bars and fixtures as MuJoCo bodies."""

from __future__ import annotations

import mujoco

from forearm.cell.scene import OBJECT_FRICTION
from forearm.cell.variation import Colour
from forearm.geometry import Box

Triple = tuple[float, float, float]
Friction = tuple[float, float, float]
"""Coefficients of an object's surface: sliding, torsional m, rolling m. Of two surfaces the greater ones count."""
Quaternion = tuple[float, float, float, float]

STRAIGHT: Quaternion = (1.0, 0.0, 0.0, 0.0)
BIN_WALL_M = 0.005  # m


def add_body(spec: mujoco.MjSpec, name: str, free: bool) -> mujoco.MjsBody:
    """An empty body in the cell, free to move or fixed."""
    body = spec.worldbody.add_body(name=name)
    if free:
        body.add_freejoint()
    return body


def add_part(
    body: mujoco.MjsBody,
    centre: Triple,
    half: Triple,
    colour: Colour,
    mass_kg: float = 0.0,
    *,
    friction: Friction = OBJECT_FRICTION,
    quaternion: Quaternion = STRAIGHT,
) -> None:
    """A box-shaped part of a body: centre m and orientation (wxyz) in the body's frame, half sizes m."""
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=centre,
        quat=quaternion,
        size=half,
        rgba=colour,
        mass=mass_kg,
        friction=friction,
        condim=4,
        solref=(0.004, 1.0),  # s, damping ratio: as stiff as the fingers
        solimp=(0.95, 0.99, 0.001, 0.5, 2.0),
    )


def add_bin(spec: mujoco.MjSpec, name: str, half: Triple, colour: Colour) -> None:
    """A fixed open box of these outer half sizes m, its frame in the middle of its underside."""
    body = add_body(spec, name, free=False)
    for centre, part in _bin_parts(half):
        add_part(body, centre, part, colour)


def standing_bin(name: str, at: Triple, half: Triple) -> tuple[Box, ...]:
    """The bottom and walls of such a box that stands at `at` m in the cell, as what arms keep clear of."""
    return tuple(
        Box(name=name, centre=(at[0] + centre[0], at[1] + centre[1], at[2] + centre[2]), half=part)
        for centre, part in _bin_parts(half)
    )


def _bin_parts(half: Triple) -> list[tuple[Triple, Triple]]:
    """Centres and half sizes m in the box's frame."""
    (x, y, z), wall = half, BIN_WALL_M / 2
    parts: list[tuple[Triple, Triple]] = [((0.0, 0.0, wall), (x, y, wall))]
    for sign in (-1.0, 1.0):
        parts.append(((sign * (x - wall), 0.0, z), (wall, y, z)))
        parts.append(((0.0, sign * (y - wall), z), (x, wall, z)))
    return parts
