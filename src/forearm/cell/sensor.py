"""From what is there to what a camera reports: glare, exposure, noise, depth that is missing.

Invariant: a default look returns its arguments untouched; what is drawn at random depends on the sensor's seed, the
camera and the physics step alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forearm.cell.variation import Glare, Sensor
from forearm.geometry import Pinhole, Pose

DARK_SHARE = 0.5  # of the noise at full scale that is left in the dark: read noise beside shot noise
HOLE_RADII = (0.05, 0.12)  # of the image's height


def with_glare(
    pixels: NDArray[np.uint8], glares: Sequence[Glare], cell_from_camera: Pose, pinhole: Pinhole
) -> NDArray[np.uint8]:
    """The picture (H, W, 3) with every glare that lies before the camera."""
    if not glares:
        return pixels
    height, width, _ = pixels.shape
    rows, columns = np.mgrid[:height, :width] + 0.5
    added = np.zeros((height, width))
    camera_from_cell = cell_from_camera.inverse()
    for glare in glares:
        point = camera_from_cell.apply(np.array(glare.point))
        if point[2] > 0.0:
            column, row = pinhole.project(point)
            radius = pinhole.focal * glare.radius_m / point[2]
            away = ((columns - column) ** 2 + (rows - row) ** 2) / (2.0 * radius**2)
            added += glare.strength * np.exp(-away)
    return _eight_bits(pixels + 255.0 * added[..., None])


def exposed(pixels: NDArray[np.uint8], sensor: Sensor, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture (H, W, 3) as the sensor's exposure and noise leave it."""
    if sensor.stops == 0.0 and sensor.noise == 0.0:
        return pixels
    light = pixels * 2.0**sensor.stops
    level = np.clip(light / 255.0, 0.0, 1.0)
    spread = 255.0 * sensor.noise * np.sqrt(DARK_SHARE**2 + (1.0 - DARK_SHARE**2) * level)
    return _eight_bits(light + spread * rng.normal(size=pixels.shape))


def with_holes(metres: NDArray[np.float32], sensor: Sensor, rng: np.random.Generator) -> NDArray[np.float32]:
    """The depth image (H, W) m with NaN where the sensor finds none."""
    if sensor.dropouts == 0.0 and sensor.holes == 0.0:
        return metres
    height, width = metres.shape
    missing = rng.random(metres.shape) < sensor.dropouts
    wanted = sensor.holes * metres.size
    rows, columns = np.ogrid[:height, :width]
    in_holes = np.zeros(metres.shape, dtype=bool)
    while in_holes.sum() < wanted:
        row, column = rng.uniform(0, height), rng.uniform(0, width)
        radius = height * rng.uniform(*HOLE_RADII)
        in_holes |= (rows - row) ** 2 + (columns - column) ** 2 < radius**2
    return np.where(missing | in_holes, np.float32(np.nan), metres)


def _eight_bits(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
