"""Light and scenery of a look, put into the drawn scene: seen by every camera, never felt.

Invariant: a default look leaves the scene as MuJoCo made it.
"""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from forearm.cell.scene import MIDLINE_Y_M, TABLE_HALF_M, TABLE_X_M
from forearm.cell.variation import NEUTRAL_K, Colour, Light, Look, Rod, Texture, Vector

SECOND_RADIATION_M_K = 1.438777e-2  # m K, hc/k (CODATA 2018)
RGB_M = (610e-9, 545e-9, 465e-9)  # m, where the three channels of a colour sensor are most sensitive
PAINT_HALF_M = 0.0001  # m, half the thickness of a painted field: less than depth can tell
LAMP_M = 2.0  # m from the table's middle, as high as the ceiling's light hangs
CEILING, HEADLIGHT = 1, 0  # MuJoCo draws the light at the camera first


def kelvin_gains(kelvin: float) -> np.ndarray:
    """(3,) red, green, blue of a black body's light against that of `NEUTRAL_K`, green 1. Source: Planck's law."""
    lengths = np.array(RGB_M)

    def radiance(temperature: float) -> np.ndarray:
        return 1.0 / np.expm1(SECOND_RADIATION_M_K / (lengths * temperature))

    gains = radiance(kelvin) / radiance(NEUTRAL_K)
    return gains / gains[1]


def light_up(scene: mujoco.MjvScene, light: Light) -> None:
    """Gives the scene the light's strength, colour and direction. Call after every update of the scene."""
    if light == Light():
        return
    gains = light.factor * kelvin_gains(light.kelvin)
    if light.lamp_share > 0.0:
        _move_to_lamp(scene, light)
    for lamp in scene.lights[: scene.nlight]:
        for part in (lamp.diffuse, lamp.ambient, lamp.specular):
            part[:] *= gains


def _move_to_lamp(scene: mujoco.MjvScene, light: Light) -> None:
    """Takes the lamp's share from the light that is everywhere; the table stays as bright."""
    head, ceiling = scene.lights[HEADLIGHT], scene.lights[CEILING]
    direction = np.array(light.lamp) / np.linalg.norm(light.lamp)
    moved = light.lamp_share * (head.diffuse + head.ambient)
    ceiling.diffuse[:] = (ceiling.diffuse * -ceiling.dir[2] + moved) / -direction[2]
    ceiling.dir[:] = direction
    ceiling.pos[:] = np.array([TABLE_X_M, MIDLINE_Y_M, 0.0]) - LAMP_M * direction  # its shadows are seen from here
    for part in (head.diffuse, head.ambient):
        part[:] *= 1.0 - light.lamp_share
    scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = True


def decorate(scene: mujoco.MjvScene, look: Look, table_top_m: float) -> None:
    """Adds the look's fields on the table and rods in the air to the scene. Call after every update of the scene."""
    if look.texture is not None:
        for centre, half, colour in _fields(look.texture, look.table):
            _add_box(scene, (*centre, table_top_m), (*half, PAINT_HALF_M), colour)
    for rod in look.rods:
        _add_rod(scene, rod)


def _fields(texture: Texture, table: Colour) -> Iterator[tuple[tuple[float, float], tuple[float, float], Colour]]:
    """Centre and half size (x, y) m and colour of every darker field."""
    r, g, b, a = table
    shade = 1.0 - texture.contrast
    colour = (r * shade, g * shade, b * shade, a)
    pitch = texture.pitch_m
    columns, rows = (int(2.0 * half / pitch) for half in TABLE_HALF_M[:2])
    xs = TABLE_X_M + (np.arange(columns) - (columns - 1) / 2) * pitch
    ys = MIDLINE_Y_M + (np.arange(rows) - (rows - 1) / 2) * pitch
    for i, x in enumerate(xs):
        if texture.kind == "planks":
            if i % 2:
                yield (float(x), MIDLINE_Y_M), (pitch / 2, TABLE_HALF_M[1]), colour
            continue
        for j, y in enumerate(ys):
            if (i + j) % 2:
                yield (float(x), float(y)), (pitch / 2, pitch / 2), colour


def _add_box(scene: mujoco.MjvScene, centre: Vector, half: Vector, colour: Colour) -> None:
    mujoco.mjv_initGeom(
        scene.geoms[scene.ngeom],
        mujoco.mjtGeom.mjGEOM_BOX,
        np.array(half),
        np.array(centre),
        np.eye(3).ravel(),
        np.array(colour, dtype=np.float32),
    )
    scene.ngeom += 1


def _add_rod(scene: mujoco.MjvScene, rod: Rod) -> None:
    geom = scene.geoms[scene.ngeom]
    colour = np.array(rod.colour, dtype=np.float32)
    mujoco.mjv_initGeom(geom, mujoco.mjtGeom.mjGEOM_CAPSULE, np.zeros(3), np.zeros(3), np.eye(3).ravel(), colour)
    mujoco.mjv_connector(geom, mujoco.mjtGeom.mjGEOM_CAPSULE, rod.radius_m, np.array(rod.start), np.array(rod.end))
    scene.ngeom += 1
