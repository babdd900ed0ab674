"""What differs from one scene to the next, as plain values: placement, what is seen, what is felt, when it comes.

Invariant: the defaults change nothing, and equal values give equal scenes, byte for byte: what a picture draws at
random comes from the seed in its `Sensor`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Colour = tuple[float, float, float, float]  # RGBA 0..1
Vector = tuple[float, float, float]

COLOURS: dict[str, Colour] = {
    "red": (0.80, 0.14, 0.12, 1.0),
    "green": (0.16, 0.58, 0.22, 1.0),
    "blue": (0.13, 0.30, 0.76, 1.0),
    "yellow": (0.92, 0.76, 0.12, 1.0),
}
COLOUR_SPREAD = 0.04  # of full scale, each channel
TABLE: Colour = (0.78, 0.77, 0.74, 1.0)
TABLE_SPREAD = 0.05  # of full scale, all channels together
NEUTRAL_K = 5000.0  # K, the light that the cameras' fixed white balance shows as white


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where one object starts: `position` (x, y, z) m of its frame and `yaw` rad in the cell frame.

    `colour` is the word for it, empty for an object that no instruction names; `rgba` paints all its parts, None leaves
    the model's own colours.
    """

    name: str
    position: Vector
    yaw: float = 0.0
    colour: str = ""
    rgba: Colour | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """How the cell is lit.

    Attributes:
        factor: on all light.
        kelvin: K, its colour temperature.
        lamp_share: 0..1, the share of it that comes from one low lamp and throws shadows.
        lamp: the direction in which that lamp shines, in the cell frame.
    """

    factor: float = 1.0
    kelvin: float = NEUTRAL_K
    lamp_share: float = 0.0
    lamp: Vector = (0.0, 0.0, -1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Texture:
    """A pattern on the table: fields of `pitch_m` m, every other one darker by `contrast`, 0..1."""

    kind: Literal["planks", "checks"]
    pitch_m: float
    contrast: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Glare:
    """A reflection that saturates the picture round `point` (x, y, z) m: a Gaussian, `strength` in parts of white."""

    point: Vector
    radius_m: float
    strength: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rod:
    """A pole or cable in mid-air, seen and not felt: `start` and `end` (x, y, z) m in the cell frame, its radius m."""

    start: Vector
    end: Vector
    radius_m: float
    colour: Colour = (0.10, 0.10, 0.11, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """How a camera sits off its drawing: `shift` m and `turn` rad (rotation vector) in its optical frame.

    `zoom` is a factor on its vertical field of view. What is known of the cell does not say so; that is the point.
    """

    camera: str
    shift: Vector = (0.0, 0.0, 0.0)
    turn: Vector = (0.0, 0.0, 0.0)
    zoom: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """What the cameras make of the light.

    Attributes:
        stops: f-stops of over- or underexposure.
        noise: standard deviation at full scale, of full scale; half of it is left in the dark.
        dropouts: share of depth pixels, each on its own, that have no depth.
        holes: share of the depth image that is in holes.
        seed: of what is drawn anew for every picture.
    """

    stops: float = 0.0
    noise: float = 0.0
    dropouts: float = 0.0
    holes: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What changes the images alone."""

    table: Colour = TABLE
    light: Light = Light()
    texture: Texture | None = None
    glares: tuple[Glare, ...] = ()
    rods: tuple[Rod, ...] = ()
    mounts: tuple[Mount, ...] = ()
    sensor: Sensor = Sensor()


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """An object on the table that no task names, with its half sizes m: a cylinder's radius stands there twice."""

    shape: Literal["box", "cylinder"]
    half_m: Vector
    position: Vector
    yaw: float
    colour: Colour
    mass_kg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """What changes what happens.

    Attributes:
        size: factor on the movable objects of the task.
        mass: factor on their mass.
        friction: sliding coefficient of their surface, whatever touches it; None for the modelled one.
        table_m: m, the table's height above where it is drawn, with everything on it.
        finger_friction: sliding coefficient of worn fingertips, whatever they touch; None for new ones.
        opening: 0..1, how far the grippers still open.
        clutter: what else is on the table.
    """

    size: float = 1.0
    mass: float = 1.0
    friction: float | None = None
    table_m: float = 0.0
    finger_friction: float | None = None
    opening: float = 1.0
    clutter: tuple[Thing, ...] = ()

    def lying_m(self, half_m: float) -> float:
        """How high the middle of a movable object of that half height is when it lies on the table."""
        return self.table_m + self.size * half_m


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When things come: s beyond what is usual; a jitter is the largest of a uniform draw added each time.

    `image_*` is from the capture of images to where they can be read, `answer_*` from an observation to its decision,
    on a simulated clock; in real time a decision takes what it takes.
    """

    image_s: float = 0.0
    image_jitter_s: float = 0.0
    answer_s: float = 0.0
    answer_jitter_s: float = 0.0


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
