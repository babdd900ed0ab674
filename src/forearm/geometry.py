"""Rigid transforms and pinhole projection, in numpy alone.

`a_from_b` maps coordinates in frame b to coordinates in frame a. Metres, radians, quaternions wxyz (MuJoCo's order).
Camera frames are optical: +x right, +y down, +z along the view (ROS/OpenCV).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def rotation_from_quaternion(quaternion: Array) -> Array:
    """Rotation matrices (..., 3, 3) of unit-normalised quaternions wxyz (..., 4)."""
    w, x, y, z = np.moveaxis(quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pose:
    """Where frame b is, seen from frame a: `rotation` (3, 3) and `translation` (3,) in metres."""

    rotation: Array
    translation: Array

    @classmethod
    def of(cls, translation: tuple[float, float, float], quaternion: tuple[float, float, float, float]) -> Pose:
        """From metres and a quaternion wxyz, normalised here."""
        return cls(
            rotation=rotation_from_quaternion(np.asarray(quaternion, dtype=np.float64)),
            translation=np.asarray(translation, dtype=np.float64),
        )

    def __matmul__(self, b_from_c: Pose) -> Pose:
        """`a_from_b @ b_from_c` is `a_from_c`."""
        return Pose(
            rotation=self.rotation @ b_from_c.rotation,
            translation=self.rotation @ b_from_c.translation + self.translation,
        )

    def inverse(self) -> Pose:
        """`b_from_a`."""
        return Pose(rotation=self.rotation.T, translation=-self.rotation.T @ self.translation)

    def apply(self, points: Array) -> Array:
        """Points (..., 3) of frame b, in frame a."""
        return points @ self.rotation.T + self.translation


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A box standing in the cell frame: its centre and half sizes m, turned by `yaw` rad about the vertical."""

    name: str
    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    yaw: float = 0.0

    @property
    def extent(self) -> Array:
        """(2, 3) its lowest and its highest x, y and z, m in the cell frame."""
        cosine, sine = abs(np.cos(self.yaw)), abs(np.sin(self.yaw))
        x, y, z = self.half
        half = np.array([cosine * x + sine * y, sine * x + cosine * y, z])
        return np.stack([np.array(self.centre) - half, np.array(self.centre) + half])


@dataclass(frozen=True, slots=True, kw_only=True)
class Goods:
    """A thing that grippers may hold, as a box of half sizes `half` about `centre`, m, in the frame of the tool.

    Of the tool's axes x goes across the fingers, y the way they close, z along the approach. What may be taken at
    either end reaches as far to both sides.

    Attributes:
        name: as rules and findings call it.
        half: m, of the box.
        width_m: m, of what lies between the fingers.
        centre: m, of the box.
        meets: names of goods, and parts of the other arm, that it is brought together with on purpose.
        smallest: as a share of these sizes, the smallest make of it that is run here; none is larger.
    """

    name: str
    half: tuple[float, float, float]
    width_m: float
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    meets: tuple[str, ...] = ()
    smallest: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pinhole:
    """An ideal camera with square pixels: image size in pixels, vertical field of view in radians."""

    width: int
    height: int
    fovy: float

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return self.height / (2.0 * float(np.tan(self.fovy / 2.0)))

    def project(self, points: Array) -> Array:
        """Pixels (..., 2), x right and y down from the top left corner, of points (..., 3) in the camera frame.

        Points at or behind the camera come out as NaN.
        """
        depth = np.where(points[..., 2:] > 1e-9, points[..., 2:], np.nan)
        centre = np.array([self.width / 2.0, self.height / 2.0])
        return points[..., :2] / depth * self.focal + centre

    def unproject(self, pixels: Array, depth: Array) -> Array:
        """Points (..., 3) in the camera frame of pixels (..., 2) at `depth` (...) metres along the optical axis."""
        centre = np.array([self.width / 2.0, self.height / 2.0])
        rays = (pixels - centre) / self.focal
        return np.concatenate([rays * depth[..., None], depth[..., None]], axis=-1)
