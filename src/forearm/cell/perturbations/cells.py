"""Other cells of the same kind: each differs from the drawing in several ways at once, and always in the same ones.

Invariant: a cell is a place, so what it is does not depend on the trial's seed.
"""

from __future__ import annotations

from dataclasses import replace
from math import radians
from types import MappingProxyType

import numpy as np

from forearm.cell.perturbations.interface import Change, Perturbation
from forearm.cell.setup import Setup
from forearm.cell.variation import Colour, Light, Look, Matter, Mount, Sensor, Texture

OAK: Colour = (0.62, 0.47, 0.32, 1.0)
SLATE: Colour = (0.30, 0.31, 0.33, 1.0)
LINOLEUM: Colour = (0.52, 0.60, 0.55, 1.0)


def _cell(matter: Matter | None = None, **look: object) -> Change:
    def change(setup: Setup, rng: np.random.Generator) -> Setup:
        changed: Look = replace(setup.look, **look)  # pyright: ignore[reportArgumentType]  # fields of Look
        return replace(setup, look=changed, matter=setup.matter if matter is None else matter)

    return change


CELLS: dict[str, Change] = {
    # A window to the left: cold light, long shadows.
    "window": _cell(light=Light(factor=1.2, kelvin=6500.0, lamp_share=0.6, lamp=(0.2, -1.0, -0.7))),
    # A hall with warm lamps, dim, and cameras that make up for it with gain.
    "hall": _cell(light=Light(factor=0.6, kelvin=3000.0), sensor=Sensor(stops=0.4, noise=0.03, seed=1)),
    # A bench of oak boards, 5 mm higher.
    "bench": _cell(Matter(table_m=0.005), table=OAK, texture=Texture(kind="planks", pitch_m=0.09, contrast=0.2)),
    # The top camera on another bracket: 15 mm back, 10 mm up, 1.5° down.
    "bracket": _cell(mounts=(Mount(camera="top", shift=(0.0, -0.010, -0.015), turn=(radians(-1.5), 0.0, 0.0)),)),
    # Wider lenses on all three cameras: 46° becomes 50°, 72° becomes 77°.
    "lens": _cell(
        mounts=(
            Mount(camera="top", zoom=1.087),
            Mount(camera="left", zoom=1.07),
            Mount(camera="right", zoom=1.07),
        )
    ),
    # Two years of shifts: polished tips, gears with play, a bent bracket on the left wrist.
    "veteran": _cell(
        Matter(finger_friction=0.7, opening=0.92),
        mounts=(Mount(camera="left", shift=(0.003, 0.002, 0.0), turn=(0.0, radians(1.5), 0.0)),),
    ),
    # Held out: a slate table in side light under a camera that was put up anew.
    "slate": _cell(
        Matter(table_m=-0.006),
        table=SLATE,
        light=Light(factor=1.4, kelvin=4200.0, lamp_share=0.5, lamp=(-0.6, 0.8, -0.7)),
        mounts=(Mount(camera="top", shift=(0.008, 0.0, 0.006), turn=(0.0, 0.0, radians(1.2)), zoom=1.04),),
    ),
    # Held out: chequered linoleum, a worn gripper, noisy cameras, depth with holes.
    "canteen": _cell(
        Matter(finger_friction=0.6, opening=0.9),
        table=LINOLEUM,
        texture=Texture(kind="checks", pitch_m=0.10, contrast=0.3),
        sensor=Sensor(stops=-0.3, noise=0.04, dropouts=0.1, holes=0.1, seed=2),
    ),
}
CELL = Perturbation(name="cell", levels=MappingProxyType(CELLS), held_out=frozenset({"slate", "canteen"}))
