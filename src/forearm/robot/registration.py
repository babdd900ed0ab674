"""Where a fixed camera stands, told from its depth image: the arms in it are where their joints say they are.

Invariant: a camera is called found only where what it measures fits what it would measure from there, the arms above
all: of a bare table it could stand anywhere.

What is measured is compared with what the drawn camera would measure of the empty cell at the same pose of the arms, by
Gauss-Newton on the depth of every pixel, from blurred to sharp, what lies on the table being outvoted (Tukey's
biweight). The height of the table is found beside the camera's place, so that neither is taken for the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray

from forearm.errors import InputError
from forearm.geometry import Pinhole, Pose, rotation_from_quaternion

# Blur px, the difference m beyond which a pixel has no say, the step between pixels, and how often: coarse to fine.
LEVELS = ((3.0, 0.06, 2, 3), (3.0, 0.04, 2, 3), (2.0, 0.03, 2, 3), (1.0, 0.02, 1, 3), (1.0, 0.01, 1, 5))
FITS_M = 0.01  # m between what is measured and what would be from there
LEAST_FIT = 0.88  # of the arms' pixels; 0.91 and more do where the camera was found, with noise too
LEAST_IN_VIEW = 0.4  # of what shows the arms where the camera is drawn, for all that fits to be enough
LEAST_SHOWN = 0.75  # of the arms in view that nothing may hide, for the same; a pole close by hides a fifth
LEAST_PIXELS = 100  # of the arms: with both at home there are some 900
# The longest step in turn rad, shift m, share of the focal length and height of the table m: beyond, slopes say little.
STRIDES = np.array([0.02, 0.02, 0.02, 0.014, 0.014, 0.014, 0.035, 0.007])
LEVEL_M = 0.003  # m: a table that is no farther off covers what it is drawn to cover
REDRAWN = 2  # times at the most: the first finds a table that covers the arms' plates 12 mm higher at the most
STIFFNESS = 1e-6  # of the say of all eight together: what the picture does not tell stays as drawn


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """What the drawn camera would measure of the empty cell: `metres` (H, W), NaN for what is neither arm nor table.

    The table stands `table_m` m higher than drawn, and `per_table` (H, W) is by how much `metres` changes for each m
    that it stands higher still, until it covers more of the arms; 0 where an arm is.
    """

    metres: Float64[ndarray, "H W"]
    per_table: Float64[ndarray, "H W"]
    table_m: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Registration:
    """Where a camera was found.

    Attributes:
        drawn_from_actual: from the optical frame of the camera that is there to that of the drawn one.
        focal: its focal length over the drawn one's.
        table_m: m, how much higher the table stands than drawn.
        arms_seen: pixels that measure something where the drawn camera would see an arm.
        arms_fit: 0..1, the share of the arms' pixels that measure what they would from there, hidden ones left out.
    """

    drawn_from_actual: Pose
    focal: float
    table_m: float
    arms_seen: int
    arms_fit: float

    @property
    def told(self) -> bool:
        """Whether enough of the arms was measured to tell anything."""
        return self.arms_seen >= LEAST_PIXELS

    @property
    def found(self) -> bool:
        """Whether the arms are where they would be from there."""
        return self.told and self.arms_fit >= LEAST_FIT

    @property
    def shift_m(self) -> Float64[ndarray, " 3"]:
        """Where the camera is from where it is drawn, m in that frame."""
        return self.drawn_from_actual.translation

    @property
    def turn_rad(self) -> Float64[ndarray, " 3"]:
        """How it is turned, rad, as a rotation vector for turns of less than half a round."""
        twisted = self.drawn_from_actual.rotation - self.drawn_from_actual.rotation.T
        axis = np.array([twisted[2, 1], twisted[0, 2], twisted[1, 0]]) / 2.0  # times the sine of the angle
        sine, cosine = np.linalg.norm(axis), (np.trace(self.drawn_from_actual.rotation) - 1.0) / 2.0
        return axis * (np.arctan2(sine, cosine) / max(sine, 1e-12))


Draw = Callable[[float], Drawn]
"""What a camera would measure of the empty cell from where it is drawn, its table so many m higher than drawn."""


def register(metres: Float[ndarray, "H W"], draw: Draw, pinhole: Pinhole) -> Registration:
    """Where the camera stands that measured `metres`, from where it is drawn with `pinhole`. About 0.1 s.

    Finds what is up to some 30 mm, 3° and a tenth of the focal length off, to about a millimetre. A table of another
    height is drawn anew, because it covers more or less of the arms.

    Raises:
        InputError: for a depth image of another size than is drawn.
    """
    found = _registered(metres, draw(0.0), pinhole)
    for _ in range(REDRAWN):
        if abs(found.table_m) < LEVEL_M:
            break
        found = _registered(metres, draw(found.table_m), pinhole)
    return found


def _registered(metres: Float[ndarray, "H W"], drawn: Drawn, pinhole: Pinhole) -> Registration:
    if metres.shape != drawn.metres.shape:
        raise InputError(
            f"depth image: got {metres.shape}, allowed is {drawn.metres.shape} as drawn; set the camera to that size"
        )
    guess = _Guess(turned=np.eye(3), shifted=np.zeros(3), focal=1.0, table_m=drawn.table_m)
    measured = np.where(metres > 0.0, metres, np.nan).astype(np.float64)  # some drivers say 0 for nothing
    for blur, reach_m, step, times in LEVELS:
        problem = _Problem(_blurred(measured, blur)[::step, ::step], drawn, pinhole, blur)
        for _ in range(times):
            guess = problem.improved(guess, reach_m)
    apart = _Problem(measured, drawn, pinhole, 0.0).arms_apart(guess)
    fit, shown = int((np.abs(apart) < FITS_M).sum()), int((apart > -FITS_M).sum())
    arms_seen = int((np.isfinite(drawn.metres) & (drawn.per_table == 0.0) & np.isfinite(measured)).sum())
    return Registration(
        drawn_from_actual=Pose(rotation=guess.turned, translation=guess.shifted),
        focal=guess.focal,
        table_m=guess.table_m,
        arms_seen=arms_seen,
        arms_fit=fit / max(shown, LEAST_SHOWN * apart.size, LEAST_IN_VIEW * arms_seen, 1.0),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Guess:
    turned: Float64[ndarray, "3 3"]
    shifted: Float64[ndarray, " 3"]
    focal: float
    table_m: float


class _Problem:
    """The pixels that were measured, and the picture that they are held against."""

    def __init__(self, measured: Float64[ndarray, "h w"], drawn: Drawn, pinhole: Pinhole, blur: float) -> None:
        self._pinhole, self._table_m = pinhole, drawn.table_m
        metres, per_table = _blurred(drawn.metres, blur), _blurred(drawn.per_table, blur)
        down, across = np.gradient(metres)
        self._picture = np.stack([metres, across, down, per_table], axis=-1)
        step = len(drawn.metres) // len(measured)
        rows, columns = np.mgrid[: len(measured), : measured.shape[1]] * step + 0.5
        known = np.isfinite(measured)
        pixels = np.stack([columns[known], rows[known]], axis=-1)
        self._points = pinhole.unproject(pixels, measured[known])  # (N, 3), as if the focal length were the drawn one

    def differences(self, guess: _Guess) -> tuple[Float64[ndarray, " N"], Float64[ndarray, "N 8"]]:
        """By how much farther each pixel is than it would be, m, NaN out of view, and how that changes."""
        narrowed = self._points / np.array([guess.focal, guess.focal, 1.0])
        turned = narrowed @ guess.turned.T
        placed = turned + guess.shifted
        x, y, z = placed.T
        there, across, down, per_table = sampled(self._picture, self._pinhole.project(placed)).T
        across, down = across * self._pinhole.focal / z, down * self._pinhole.focal / z
        slope = np.stack([-across, -down, 1.0 + (across * x + down * y) / z], axis=-1)  # for a point that moves
        wider = np.concatenate([-narrowed[:, :2] / guess.focal, np.zeros((len(placed), 1))], axis=-1) @ guess.turned.T
        columns = [np.cross(turned, slope), slope, (slope * wider).sum(-1)[:, None], -per_table[:, None]]
        higher_m = guess.table_m - self._table_m
        return z - there - per_table * higher_m, np.concatenate(columns, axis=-1)

    def improved(self, guess: _Guess, reach_m: float) -> _Guess:
        """One step of Gauss-Newton, in which a pixel that differs by `reach_m` or more has no say."""
        differences, slopes = self.differences(guess)
        known = np.isfinite(differences) & np.isfinite(slopes).all(axis=-1)
        differences, slopes = differences[known], slopes[known] * STRIDES
        weights = np.clip(1.0 - (differences / reach_m) ** 2, 0.0, None) ** 2
        normal = slopes.T @ (slopes * weights[:, None])
        normal += np.eye(len(STRIDES)) * max(STIFFNESS * float(np.trace(normal)), 1e-12)
        strides = -np.linalg.solve(normal, slopes.T @ (weights * differences))
        by = STRIDES * strides / max(1.0, float(np.abs(strides).max()))
        return _Guess(
            turned=rotation_from_quaternion(np.concatenate([[1.0], by[:3] / 2.0])) @ guess.turned,
            shifted=guess.shifted + by[3:6],
            focal=guess.focal + float(by[6]),
            table_m=guess.table_m + float(by[7]),
        )

    def arms_apart(self, guess: _Guess) -> Float64[ndarray, " A"]:
        """By how much farther each pixel is that would show an arm, m; at edges, where nothing fits, there is none."""
        differences, slopes = self.differences(guess)
        return differences[slopes[:, -1] == 0.0]  # between pixels that all show one


def sampled(image: Float64[ndarray, "H W C"], pixels: Float64[ndarray, "*N 2"]) -> Float64[ndarray, "*N C"]:
    """The image between its pixels (x right, y down from the top left corner), bilinear; NaN out of view."""
    height, width, _ = image.shape
    x, y = (pixels[..., axis] - 0.5 for axis in (0, 1))
    inside = (x >= 0.0) & (x <= width - 1) & (y >= 0.0) & (y <= height - 1)  # NaN is not
    x, y = np.where(inside, x, 0.0), np.where(inside, y, 0.0)
    left, top = np.minimum(x.astype(np.int64), width - 2), np.minimum(y.astype(np.int64), height - 2)
    right, low = (x - left)[..., None], (y - top)[..., None]
    upper = image[top, left] * (1.0 - right) + image[top, left + 1] * right
    lower = image[top + 1, left] * (1.0 - right) + image[top + 1, left + 1] * right
    return np.where(inside[..., None], upper * (1.0 - low) + lower * low, np.nan)


def _blurred(metres: Float64[ndarray, "H W"], sigma: float) -> Float64[ndarray, "H W"]:
    """With a Gaussian of `sigma` px over what is known; NaN where little is."""
    if sigma == 0.0:
        return metres
    down, across = (_kernel(size, sigma) for size in metres.shape)
    known = np.isfinite(metres)
    share = down @ known.astype(np.float64) @ across
    total = down @ np.where(known, metres, 0.0) @ across
    return np.where(share > 0.3, total / np.maximum(share, 1e-9), np.nan)


def _kernel(size: int, sigma: float) -> Float64[ndarray, "size size"]:
    apart = np.subtract.outer(np.arange(size), np.arange(size))
    weights = np.exp(-0.5 * (apart / sigma) ** 2)
    return weights / weights.sum(axis=0)
