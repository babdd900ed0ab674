"""The fixed description of a robot, and the only place that knows joint order."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from forearm.errors import InputError, unknown
from forearm.geometry import Pinhole, Pose


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """One actuated degree of freedom and the range its targets must stay in."""

    name: str
    unit: Literal["rad", "opening"]
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A colour or colour-and-depth camera: image size in px, vertical field of view in rad, where it is bolted on.

    `mount` is the body that carries the optical frame (+x right, +y down, +z along the view); `cell_from_camera` is
    that frame in the cell frame for a camera that does not move, None for one on a wrist.
    """

    name: str
    width: int
    height: int
    fovy: float
    mount: str
    cell_from_camera: Pose | None
    has_depth: bool

    @property
    def pinhole(self) -> Pinhole:
        """The camera's projection."""
        return Pinhole(width=self.width, height=self.height, fovy=self.fovy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One arm: which joints are its own, and where its base stands in the cell frame, m."""

    name: str
    joints: slice
    gripper: int
    base: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embodiment:
    """Joint names, order, units, ranges, arms and cameras of one kind of robot. The first camera is the main one."""

    name: str
    joints: tuple[Joint, ...]
    arms: tuple[Arm, ...]
    cameras: tuple[Camera, ...]

    @property
    def lower(self) -> NDArray[np.float64]:
        """(J,) smallest allowed targets."""
        return np.array([joint.lower for joint in self.joints])

    @property
    def upper(self) -> NDArray[np.float64]:
        """(J,) largest allowed targets."""
        return np.array([joint.upper for joint in self.joints])

    @property
    def grippers(self) -> NDArray[np.int64]:
        """(A,) indices of the gripper openings."""
        return np.array([arm.gripper for arm in self.arms])

    def camera(self, name: str) -> Camera:
        """The camera of that name.

        Raises:
            InputError: for a name the embodiment does not have.
        """
        for camera in self.cameras:
            if camera.name == name:
                return camera
        raise InputError(unknown("camera", name, [camera.name for camera in self.cameras]))


def _yam_arm(side: str) -> tuple[Joint, ...]:
    # Ranges: yam_station_linear_4310_d405.xml of dreamscale-i2rt 1.3.6.post1 (MIT), rounded inwards.
    ranges = [(-2.617, 3.141), (0.0, 3.665), (0.0, 3.141), (-1.692, 1.570), (-1.570, 1.570), (-2.094, 2.094)]
    revolute = [
        Joint(name=f"{side}_joint{number}", unit="rad", lower=lower, upper=upper)
        for number, (lower, upper) in enumerate(ranges, start=1)
    ]
    return (*revolute, Joint(name=f"{side}_gripper", unit="opening", lower=0.0, upper=1.0))


GRIPPER_STROKE_M = 0.04695  # m, travel of one finger from closed (0) to open (1); joint7/8 range of the station's model
ARM_SPACING_M = 0.61  # m, right base at y = -0.61 of the left one, same station model

# left_base → top_camera, README of the station in dreamscale-i2rt 1.3.6.post1: 60° below the horizon, on the midline.
TOP_CAMERA = Pose.of(
    (-0.16649488039785276, -0.3050000004052651, 0.9543205295851617),
    (0.18301153618854285, -0.6830116697534223, 0.683014178599981, -0.1830122084286862),
)

# tool → wrist camera, the same for both arms: gripper → camera and gripper → tool of the same station model.
TOOL_FROM_WRIST_CAMERA = Pose.of(
    (-0.0705317890889739, 3.897483527951405e-05, -0.06764432998200653),
    (0.6903444546903958, -0.15305075591110717, 0.15304822013123695, -0.6903450168632485),
)

# Order and units are those of MolmoAct2's YAM embodiment: j1..j6 in rad and the opening, left arm first.
BIMANUAL_YAM = Embodiment(
    name="bimanual_yam",
    joints=(*_yam_arm("left"), *_yam_arm("right")),
    arms=(
        Arm(name="left", joints=slice(0, 6), gripper=6, base=(0.0, 0.0, 0.0)),
        Arm(name="right", joints=slice(7, 13), gripper=13, base=(0.0, -ARM_SPACING_M, 0.0)),
    ),
    cameras=(
        Camera(
            name="top",
            width=120,
            height=120,
            fovy=46 * pi / 180,
            mount="top_camera",
            cell_from_camera=TOP_CAMERA,
            has_depth=True,
        ),
        Camera(
            name="left",
            width=72,
            height=72,
            fovy=72 * pi / 180,
            mount="left_camera",
            cell_from_camera=None,
            has_depth=True,
        ),
        Camera(
            name="right",
            width=72,
            height=72,
            fovy=72 * pi / 180,
            mount="right_camera",
            cell_from_camera=None,
            has_depth=True,
        ),
    ),
)
