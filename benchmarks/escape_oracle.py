"""Says what is wrong with what reached a robot, by other means than the gates: differences and MuJoCo's geometry.

Two opinions on geometry. `Oracle.spare` holds the gates to their own limits: MuJoCo's distances of the same capsules.
`Oracle.touching` is about the metal: the station's own meshes, by their convex hulls, deep enough to be sure of; this
is what others are judged by, whose limits are not ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import mujoco
import numpy as np

from forearm.geometry import Box
from forearm.robot.embodiment import GRIPPER_STROKE_M
from forearm.safety.capsules import CAPSULES
from forearm.safety.limits import TICK_S, Limits

STATION = "yam_station_linear_4310_d405"
SIDES = ("left", "right")
FIXED, HAND, NEAR = ("base", "shoulder"), ("gripper", "camera", "fingers"), ("base", "shoulder", "upper arm")
PART = {
    "base": "base",
    "link1": "shoulder",
    "link2": "upper arm",
    "link3": "forearm",
    "link4": "wrist",
    "link5": "wrist",
    "gripper": "gripper",
    "camera": "camera",
    "tip_left": "fingers",
    "tip_right": "fingers",
}
FIXTURE = "fixture"
SEEN_M = 0.02  # m, distance below which MuJoCo reports a pair at all
SPARE_M = 0.005  # m, more than that is not told apart
APART_M = 0.1  # m, the same of the arms from each other
ROUNDING_M = 1e-5  # m, of MuJoCo's distances
ROUNDING = 2e-6  # rad, opening: what arithmetic may add to a difference of set-points
HULL_M = 0.005  # m, how deep two hulls overlap before their meshes are said to touch: hulls fill hollows
TABLE_M = 0.002  # m, the same for the table, which is exact
# Tall enough that a hand meets it from every side, between the arms where both reach it, and a post before the left one.
FURNITURE = (
    Box(name="shelf", centre=(0.42, -0.305, 0.15), half=(0.08, 0.06, 0.15), yaw=0.3),
    Box(name="post", centre=(0.38, 0.12, 0.2), half=(0.02, 0.02, 0.2)),
)
DENSE = 4  # poses looked at on the way from one row to the next


class Oracle:
    """Opinions on poses and paths. Slow and simple on purpose.

    Args:
        limits: the gates' own.
        boxes: what stands there besides the table.

    Attributes:
        furnished: the opinions where `FURNITURE` stands; itself if anything does.
    """

    def __init__(self, limits: Limits, boxes: Sequence[Box] = ()) -> None:
        self.limits = limits
        self.furnished: Oracle = self if boxes else Oracle(limits, FURNITURE)
        self._bare = _Geometry(_capsules, self._required, SEEN_M)
        self._capsules = _Geometry(lambda spec: _beside(spec, boxes), self._required, SEEN_M)
        self._meshes = _Geometry(_meshes, self._touched, 0.0)
        self._arms = _Geometry(_capsules, _between_arms, APART_M)
        self._arm_meshes = _Geometry(_meshes, lambda one, other: _between_arms(one, other) - HULL_M, 0.0)

    def spare(self, positions: np.ndarray) -> float:
        """How much farther apart than required the nearest pair of capsules is, m, at a set-point; at most `SPARE_M`."""
        return self._capsules.spare(positions)

    def unfurnished(self, positions: np.ndarray) -> float:
        """As `spare`, of the arms and the table alone."""
        return self._bare.spare(positions)

    def touching(self, positions: np.ndarray) -> bool:
        """Whether meshes overlap beyond doubt; they lie inside the capsules, which are asked first."""
        return self.spare(positions) < 0.0 and self._meshes.spare(positions) < 0.0

    def arms_apart(self, positions: np.ndarray) -> float:
        """How far the two arms' capsules are apart, m; at most `APART_M`, negative where they overlap."""
        return self._arms.spare(positions, APART_M)

    def arms_touching(self, positions: np.ndarray) -> bool:
        """Whether the two arms' meshes overlap beyond doubt."""
        return self._arm_meshes.spare(positions) < 0.0

    def of_set_points(self, start: np.ndarray, sent: np.ndarray) -> set[str]:
        """What is wrong with set-points (N, 14) that were sent one a tick, from rest at `start`."""
        history = np.tile(start, (3, 1))
        found = self._of_values(sent, start) | self._of_rates(np.concatenate([history, sent]), TICK_S, orders=3)
        allowed = min(0.0, self.spare(start)) - ROUNDING_M  # what begins too near may stay as near, not nearer
        if "not finite" not in found and any(self.spare(pose) < allowed for pose in sent[::-1]):
            found.add("clearance")
        return found

    def of_values_and_rates(self, path: np.ndarray, period_s: float) -> set[str]:
        """What is wrong with the numbers of a path (N, 14), `period_s` a row, geometry left aside."""
        return self._of_values(path) or self._of_rates(path, period_s, orders=3)

    def of_rows(self, start: np.ndarray, rows: np.ndarray, period_s: float, *, orders: int) -> set[str]:
        """What would be wrong with rows (N, 14), `period_s` apart, if a robot went straight from one to the next.

        Rates are looked at up to the `orders`-th; geometry is the meshes'.
        """
        found = self._of_values(rows)
        if "not finite" in found:
            return found
        path = np.concatenate([start[None], rows])
        found |= self._of_rates(np.concatenate([start[None], path]), period_s, orders=orders)
        at = np.arange(0.0, len(rows) + 1e-9, 1.0 / DENSE)
        dense = np.stack([np.interp(at, np.arange(len(path)), joint) for joint in path.T], axis=-1)
        if any(self.touching(pose) for pose in dense):
            found.add("contact")
        return found

    def _of_values(self, rows: np.ndarray, start: np.ndarray | None = None) -> set[str]:
        """What begins outside of the range may come back in, not go farther out."""
        if not np.isfinite(rows).all():
            return {"not finite"}
        lower, upper = self.limits.lower, self.limits.upper
        if start is not None:
            lower, upper = np.minimum(lower, start), np.maximum(upper, start)
        inside = (rows >= lower - ROUNDING) & (rows <= upper + ROUNDING)
        return set() if inside.all() else {"range"}

    def _of_rates(self, path: np.ndarray, period_s: float, *, orders: int) -> set[str]:
        """By differences; the first order starts with the step away from the last pose of the history."""
        limits = (self.limits.velocity, self.limits.acceleration, self.limits.jerk)
        found = set[str]()
        for order, (name, limit) in enumerate(zip(("speed", "acceleration", "jerk"), limits, strict=True), start=1):
            if (
                order <= orders
                and not (np.abs(np.diff(path, n=order, axis=0)) <= limit * period_s**order + ROUNDING * 2**order).all()
            ):
                found.add(name)
        return found

    def _required(self, one: str, other: str) -> float:
        """m, by the gates' limits at a set-point; `one` and `other` are "side/part", or "table"."""
        limits = self.limits
        if FIXTURE in (one, other):
            return limits.fixture_clearance_now_m
        if "table" in (one, other):
            return limits.finger_height_m if "fingers" in one + other else limits.link_height_m
        return limits.self_clearance_m if one.split("/")[0] == other.split("/")[0] else limits.arm_clearance_now_m

    def _touched(self, one: str, other: str) -> float:
        """How deep an overlap of meshes has to be, m below zero; fingers may press on the table as far as allowed."""
        if "table" in (one, other):
            return (self.limits.finger_height_m if "fingers" in one + other else 0.0) - TABLE_M
        return -HULL_M


def _between_arms(one: str, other: str) -> float:
    """0 m for a pair of the two arms; nothing else matters, however near it is."""
    sides = {each.split("/")[0] for each in (one, other)}
    return 0.0 if sides == set(SIDES) else -np.inf


class _Geometry:
    """The station in MuJoCo with bodies of one kind, and the least distances of every pair; made when it is asked."""

    def __init__(
        self, furnish: Callable[[mujoco.MjSpec], None], required: Callable[[str, str], float], margin_m: float
    ) -> None:
        self._furnish, self._require, self._margin_m = furnish, required, margin_m

    @cached_property
    def _model(self) -> mujoco.MjModel:
        spec = mujoco.MjSpec.from_file(_station())
        self._furnish(spec)
        plane = mujoco.mjtGeom.mjGEOM_PLANE
        spec.worldbody.add_geom(
            name="table/0", type=plane, size=[2, 2, 0.1], contype=1 << 6, conaffinity=0, margin=self._margin_m
        )
        for joint in spec.joints:
            joint.limited = mujoco.mjtLimited.mjLIMITED_FALSE
        for geom in spec.geoms:
            geom.margin = self._margin_m
        return spec.compile()

    @cached_property
    def _data(self) -> mujoco.MjData:
        return mujoco.MjData(self._model)

    @cached_property
    def _required(self) -> np.ndarray:
        names = [self._model.geom(index).name.rsplit("/", 1)[0] for index in range(self._model.ngeom)]
        return np.array([[self._require(one, other) for other in names] for one in names])

    @cached_property
    def _addresses(self) -> np.ndarray:
        joints = [f"{side}_joint{number}" for side in SIDES for number in range(1, 9)]
        return np.array([self._model.joint(name).qposadr[0] for name in joints])

    def spare(self, positions: np.ndarray, most_m: float = SPARE_M) -> float:
        """The least distance beyond what is required, m; at most `most_m`."""
        model, data = self._model, self._data
        fingers = positions[[6, 6, 13, 13]] * GRIPPER_STROKE_M
        data.qpos[self._addresses] = np.concatenate([positions[:6], fingers[:2], positions[7:13], fingers[2:]])
        mujoco.mj_kinematics(model, data)
        mujoco.mj_collision(model, data)
        contacts = data.contact
        spares = contacts.dist - self._required[contacts.geom[:, 0], contacts.geom[:, 1]]
        return float(spares.min(initial=most_m))


def _bits(part: str, arm: int) -> dict[str, int]:
    """Who is compared with whom: the arms with each other, a hand with its own base, what moves with the table."""
    # 0, 1: the left and right moving parts; 2, 3: the fixed ones; 4, 5: own hand and base; 6: the table.
    fixed = part in FIXED
    kind = (1 << (2 + arm) if fixed else 1 << arm) | (part in HAND) << (4 + arm)
    against = (0 if fixed else (1 << (1 - arm)) | (1 << (3 - arm)) | 1 << 6) | (part in NEAR) << (4 + arm)
    return {"contype": kind, "conaffinity": against}


def _capsules(spec: mujoco.MjSpec) -> None:
    for geom in list(spec.geoms):
        spec.delete(geom)
    for arm, side in enumerate(SIDES):
        for number, each in enumerate(CAPSULES):
            spec.body(f"{side}_{each.link}").add_geom(
                name=f"{side}/{each.part}/{number}",
                type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                fromto=[*each.start, *each.end],
                size=[each.radius, 0, 0],
                **_bits(each.part, arm),
            )


def _beside(spec: mujoco.MjSpec, boxes: Sequence[Box]) -> None:
    """The arms' capsules, and boxes that are compared with what moves, as the table is."""
    _capsules(spec)
    for number, box in enumerate(boxes):
        spec.worldbody.add_geom(
            name=f"{FIXTURE}/{number}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=list(box.centre),
            size=list(box.half),
            quat=[np.cos(box.yaw / 2.0), 0.0, 0.0, np.sin(box.yaw / 2.0)],
            contype=1 << 6,
            conaffinity=0,
        )


def _meshes(spec: mujoco.MjSpec) -> None:
    for geom in list(spec.geoms):
        side, _, link = geom.parent.name.partition("_")
        if side not in SIDES or link not in PART:
            spec.delete(geom)
            continue
        geom.name = f"{side}/{PART[link]}/{link}"
        bits = _bits(PART[link], SIDES.index(side))
        geom.contype, geom.conaffinity = bits["contype"], bits["conaffinity"]


def _station() -> str:
    found = find_spec("i2rt")
    assert found is not None
    assert found.submodule_search_locations is not None
    folder = Path(found.submodule_search_locations[0]) / "robot_models" / "station" / STATION
    return str(folder / f"{STATION}.xml")
