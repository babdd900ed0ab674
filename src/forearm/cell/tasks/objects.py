"""Blocks, bars and fixtures as MuJoCo bodies."""

from __future__ import annotations

import mujoco

from forearm.cell.scene import OBJECT_FRICTION
from forearm.cell.variation import Colour

Triple = tuple[float, float, float]


def add_body(spec: mujoco.MjSpec, name: str, free: bool) -> mujoco.MjsBody:
    """An empty body in the cell, free to move or fixed."""
    body = spec.worldbody.add_body(name=name)
    if free:
        body.add_freejoint()
    return body


def add_part(body: mujoco.MjsBody, centre: Triple, half: Triple, colour: Colour, mass_kg: float = 0.0) -> None:
    """A box-shaped part of a body: centre and half sizes m in the body's frame."""
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=centre,
        size=half,
        rgba=colour,
        mass=mass_kg,
        friction=OBJECT_FRICTION,
        condim=4,
        solref=(0.004, 1.0),  # s, damping ratio: as stiff as the fingers
        solimp=(0.95, 0.99, 0.001, 0.5, 2.0),
    )
