"""The volume of both arms as capsules: every part of the station's meshes lies inside one.

A capsule is all points within `radius` of the segment from `start` to `end`, in the frame of the link that carries it.
Fitted by least volume to the meshes of `yam_station_linear_4310_d405.xml` of dreamscale-i2rt 1.3.6.post1 (MIT), their
surfaces sampled every 3 mm; tests/safety/test_capsules.py measures what sticks out (nothing by more than 0.5 mm).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import dist

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from forearm.messages import Point
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import LINKS, link_frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Capsule:
    """One capsule: the `link` of `LINKS` that carries it, the `part` of the arm it belongs to, ends and radius in m."""

    link: str
    part: str
    start: Point
    end: Point
    radius: float


def _of(link: str, part: str, start: Point, end: Point, radius: float) -> Capsule:
    return Capsule(link=link, part=part, start=_metres(*start), end=_metres(*end), radius=radius / 1000.0)


def _metres(x: float, y: float, z: float) -> Point:
    return (x / 1000.0, y / 1000.0, z / 1000.0)


def _finger(link: str, side: float) -> tuple[Capsule, ...]:
    """Tip, root and carriage of one finger; the two fingers are each other turned by 180° about z."""

    def turned(x: float, y: float, z: float) -> Point:
        return (side * x, side * y, z)

    return (
        _of(link, "fingers", turned(23.9, -50.3, -56.2), turned(24.1, -50.1, -67.9), 23.6),
        _of(link, "fingers", turned(0.2, -55.1, -28.8), turned(40.0, -56.2, -29.8), 23.1),
        _of(link, "fingers", turned(3.2, -3.4, -5.7), turned(2.6, -38.4, -5.9), 16.8),
    )


# mm here only: start, end, radius.
CAPSULES: tuple[Capsule, ...] = (
    _of("base", "base", (0.0, -82.0, 6.0), (0.0, 82.0, 6.0), 37.6),
    _of("base", "base", (0.0, 0.0, 39.0), (0.0, 0.0, 50.4), 37.2),
    _of("link1", "shoulder", (-31.4, -29.1, -8.0), (-32.5, 27.6, -6.2), 39.4),
    # One capsule in two halves: short ones are told apart by their spheres, long ones need the exact distance.
    _of("link2", "upper arm", (-0.8, -33.8, -0.8), (-0.1, -33.8, 131.4), 46.3),
    _of("link2", "upper arm", (-0.1, -33.8, 131.4), (0.6, -33.8, 263.6), 46.3),
    _of("link3", "forearm", (-60.0, -34.8, -245.6), (-60.2, -33.8, -107.3), 44.0),
    _of("link3", "forearm", (-61.0, -34.4, -30.6), (-2.3, -34.6, -0.5), 57.2),
    _of("link4", "wrist", (-34.5, 41.3, -59.0), (-75.1, 34.1, -65.8), 44.2),
    _of("link4", "wrist", (-0.1, 0.2, -12.6), (5.5, 64.6, -10.3), 33.2),
    _of("link5", "wrist", (40.5, 1.3, -2.0), (29.0, 1.3, 7.2), 40.6),
    _of("gripper", "gripper", (0.0, 0.0, 4.2), (0.0, 0.0, 4.7), 32.5),
    _of("gripper", "gripper", (-33.2, 0.0, 44.5), (33.2, 0.0, 45.0), 37.8),
    _of("gripper", "camera", (0.0, -43.9, 40.5), (-3.1, -82.7, 36.0), 32.7),
    _of("gripper", "camera", (-8.0, -76.3, 66.4), (22.7, -75.2, 67.3), 24.5),
    *_finger("tip_left", 1.0),
    *_finger("tip_right", -1.0),
)

ARMS = tuple(arm.name for arm in BIMANUAL_YAM.arms)
RADII = np.repeat([capsule.radius for capsule in CAPSULES], len(ARMS))  # m, (C,): capsule 2 i + arm is CAPSULES[i]
HALF_LENGTHS = np.repeat([dist(capsule.start, capsule.end) / 2.0 for capsule in CAPSULES], len(ARMS))  # m, (C,)

# Both ends of every capsule as columns of one matrix per link, start before end: one product moves them all.
_ON_LINK = [[number for number, capsule in enumerate(CAPSULES) if capsule.link == link] for link in LINKS]
_POINTS = np.ones((len(LINKS), 1, 1, 4, 2 * max(len(numbers) for numbers in _ON_LINK)))
for _link, _numbers in enumerate(_ON_LINK):
    for _slot, _number in enumerate(_numbers):
        _POINTS[_link, 0, 0, :3, 2 * _slot] = CAPSULES[_number].start
        _POINTS[_link, 0, 0, :3, 2 * _slot + 1] = CAPSULES[_number].end
_LINK_OF = np.array([LINKS.index(capsule.link) for capsule in CAPSULES])
_START_OF = np.array([2 * _ON_LINK[link].index(number) for number, link in enumerate(_LINK_OF)])
_SLOTS = np.stack([_START_OF, _START_OF + 1])  # (2, capsules of one arm)


def capsule_index(number: int, arm: int) -> int:
    """Where `CAPSULES[number]` of that arm is among both arms' capsules."""
    return len(ARMS) * number + arm


def capsule_ends(
    positions: Float64[ndarray, "N 14"],
) -> tuple[Float64[ndarray, "3 C N"], Float64[ndarray, "3 C N"]]:
    """Starts and ends of both arms' capsules in the cell frame, m, for N rows; C as in `RADII`, batch last."""
    return capsules_on(link_frames(positions))


def capsules_on(
    frames: Float64[ndarray, "9 2 N 4 4"],
) -> tuple[Float64[ndarray, "3 C N"], Float64[ndarray, "3 C N"]]:
    """What `capsule_ends` says, for links that are placed already, as `link_frames` gives them."""
    points = frames[..., :3, :] @ _POINTS  # link, arm, row, xyz, slot
    picked = points.transpose(0, 4, 3, 1, 2)[_LINK_OF, _SLOTS]  # start or end, capsule, xyz, arm, row
    starts, ends = picked.swapaxes(1, 2).reshape(2, 3, len(RADII), frames.shape[2])
    return starts, ends
