"""What differs from one scene to the next, drawn from a seeded generator: placement and colours so far.

Light, glare, clutter and occlusion will be fields of `Look`: everything that changes what is seen, not
what is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float, float]  # RGBA 0..1

COLOURS: dict[str, Colour] = {
    "red": (0.80, 0.14, 0.12, 1.0),
    "green": (0.16, 0.58, 0.22, 1.0),
    "blue": (0.13, 0.30, 0.76, 1.0),
    "yellow": (0.92, 0.76, 0.12, 1.0),
}
COLOUR_SPREAD = 0.04  # of full scale, each channel
TABLE: Colour = (0.78, 0.77, 0.74, 1.0)
TABLE_SPREAD = 0.05  # of full scale, all channels together


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where one object starts: `position` (x, y, z) m of its frame and `yaw` rad in the cell frame.

    `colour` is the word for it, empty for an object that no instruction names; `rgba` paints all its parts, None leaves
    the model's own colours.
    """

    name: str
    position: tuple[float, float, float]
    yaw: float = 0.0
    colour: str = ""
    rgba: Colour | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What changes the images alone: the table's colour."""

    table: Colour = TABLE


def sample_look(rng: np.random.Generator) -> Look:
    """A look of the cell, symmetric about its midline like the cell itself."""
    shift = float(rng.uniform(-TABLE_SPREAD, TABLE_SPREAD))
    r, g, b, a = TABLE
    return Look(table=(r + shift, g + shift, b + shift, a))


def sample_shade(colour: str, rng: np.random.Generator) -> Colour:
    """One shade of the colour word."""
    r, g, b, a = COLOURS[colour]
    shifts = rng.uniform(-COLOUR_SPREAD, COLOUR_SPREAD, size=3)
    return (*(float(np.clip(v + s, 0.0, 1.0)) for v, s in zip((r, g, b), shifts, strict=True)), a)  # pyright: ignore[reportReturnType]
