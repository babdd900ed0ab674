"""A `Matter` made real in a model that is not compiled yet: objects, table, fingers and clutter.

Invariant: only what the matter names is changed; MuJoCo works out inertias and bounds from it when it compiles.
"""

from __future__ import annotations

import mujoco
import numpy as np

from forearm.cell.scene import FINGER_FRICTION, OBJECT_FRICTION
from forearm.cell.variation import Matter, Thing, Vector
from forearm.robot.embodiment import BIMANUAL_YAM

DECIDES = 1  # priority of a surface whose friction counts whatever it touches; MuJoCo else takes the greater of two


def alter(spec: mujoco.MjSpec, matter: Matter) -> None:
    """Changes the furnished cell before it is compiled; poses of the task's objects are not its business."""
    for body in _movable(spec):
        for geom in body.geoms:
            _resize(geom, matter)
    spec.geom("table").pos[2] += matter.table_m
    for arm in BIMANUAL_YAM.arms:
        _wear(spec, arm.name, matter)
    for number, thing in enumerate(matter.clutter, start=1):
        _add(spec, f"clutter_{number}", thing, matter.table_m)


def _movable(spec: mujoco.MjSpec) -> list[mujoco.MjsBody]:
    free = mujoco.mjtJoint.mjJNT_FREE
    return [body for body in spec.bodies if any(joint.type == free for joint in body.joints)]


def _resize(geom: mujoco.MjsGeom, matter: Matter) -> None:
    geom.size = geom.size * matter.size
    geom.pos = geom.pos * matter.size
    geom.mass *= matter.mass
    if matter.friction is not None:
        geom.friction = _scaled(OBJECT_FRICTION, matter.friction)
        geom.priority = DECIDES


def _wear(spec: mujoco.MjSpec, side: str, matter: Matter) -> None:
    for number in (7, 8):
        finger = spec.joint(f"{side}_joint{number}")
        finger.range = (0.0, float(finger.range[1]) * matter.opening)
    if matter.finger_friction is None:
        return
    for hand in ("left", "right"):
        for part in ("fingertip", "finger"):
            geom = spec.geom(f"{side}_{hand}_{part}")
            geom.friction = _scaled(FINGER_FRICTION, matter.finger_friction)
            geom.priority = DECIDES


def _scaled(friction: Vector, sliding: float) -> Vector:
    """The same surface with another sliding coefficient: what resists turning and rolling shrinks with it."""
    slide, turn, roll = friction
    return sliding, turn * sliding / slide, roll * sliding / slide


def _add(spec: mujoco.MjSpec, name: str, thing: Thing, table_m: float) -> None:
    x, y, z = thing.position
    body = spec.worldbody.add_body(
        name=name, pos=(x, y, z + table_m), quat=(np.cos(thing.yaw / 2), 0.0, 0.0, np.sin(thing.yaw / 2))
    )
    body.add_freejoint()
    kinds = {"box": mujoco.mjtGeom.mjGEOM_BOX, "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER}
    radius, _, half_height = thing.half_m
    body.add_geom(
        type=kinds[thing.shape],
        size=thing.half_m if thing.shape == "box" else (radius, half_height, 0.0),
        rgba=thing.colour,
        mass=thing.mass_kg,
        friction=OBJECT_FRICTION,
        condim=4,
    )
