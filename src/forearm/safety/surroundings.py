"""How far the arms, and what they hold, are from everything that a `Workspace` describes.

Invariant: a clearance is never overestimated by more than rounding, except by what sticks out of capsules and boxes.

Bodies are both arms' capsules followed by every object that may be held; pairs are compared in the order body and box,
body and body, body and table.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, dist, hypot, inf, sin

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from forearm.geometry import Box
from forearm.messages import Floats
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import LINKS, link_frames, tool_poses
from forearm.safety.boxes import point_box_distances, segment_box_distances
from forearm.safety.capsules import ARMS, CAPSULES, HALF_LENGTHS, RADII, capsule_index
from forearm.safety.clearance import Bodies, segment_distances
from forearm.safety.limits import Limits
from forearm.safety.sweep import REACH, reach_of
from forearm.safety.workspace import TABLE, Held, Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A body and a box, a second body or the table: whichever of `box` and `second` is not None, else the table.

    `held` are the indices, among the workspace's held objects, of those that take part.
    """

    kind: str
    text: str
    first: int
    box: int | None = None
    second: int | None = None
    held: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Body:
    """A capsule that moves with an arm: its name in rules and in texts."""

    index: int
    arm: int
    part: str
    text: str
    held: tuple[int, ...] = ()


class Surroundings:
    """The pairs that a workspace adds to the arms' own, as `sweep` takes them.

    Args:
        workspace: what is there.
        limits: whose clearances are kept.
    """

    def __init__(self, workspace: Workspace, limits: Limits) -> None:
        self._held, self._boxes = workspace.held, (*workspace.fixtures, *workspace.keep_out)
        bodies = _bodies(workspace.held)
        self.pairs = (
            *_with_boxes(bodies, workspace),
            *_with_bodies(bodies, workspace),
            *_with_table(bodies, workspace),
        )
        reach = np.concatenate([REACH, [_held_reach(held) for held in self._held]]) if self._held else REACH
        self.reach = np.array(
            [reach[pair.first] + (0.0 if pair.second is None else reach[pair.second]) for pair in self.pairs]
        ).reshape(-1, REACH.shape[1])
        margins = {"held object and arm": limits.arm_clearance_m, "held object and table": limits.finger_height_m}
        self._required = np.array([margins.get(pair.kind, limits.fixture_clearance_m) for pair in self.pairs])
        over_table = np.array([pair.kind == "held object and table" for pair in self.pairs], dtype=bool)
        self._required[over_table] += workspace.table_m
        numbers = range(len(self._held))
        self._carried = np.array([[number in pair.held for number in numbers] for pair in self.pairs], dtype=bool)
        self._carried = self._carried.reshape(len(self.pairs), len(numbers))
        self._openings = np.array([held.opening for held in self._held]).reshape(-1, 2)
        self._grippers = BIMANUAL_YAM.grippers[[ARMS.index(held.arm) for held in self._held]]
        self._layout = _Layout.of(self.pairs, self._held, self._boxes)

    def required(self, positions: Float64[ndarray, " 14"]) -> Float64[ndarray, " K"]:
        """What each pair's clearance has to be, m, with what the grippers hold at these measured positions."""
        opened = positions[self._grippers]
        held = (opened >= self._openings[:, 0]) & (opened <= self._openings[:, 1])
        absent = (self._carried & ~held).any(axis=1)
        return np.where(absent, -inf, self._required)

    def at(self, positions: Float64[ndarray, "N 14"]) -> PlacedThings:
        """Every body at these joint positions."""
        bodies = Bodies.at(positions)
        if not self._held:
            return self.of(bodies)
        tools, turns = tool_poses(positions)
        held = [_placed(each, tools, turns) for each in self._held]
        starts = np.concatenate([bodies.starts, np.stack([ends[0] for ends in held], axis=1)], axis=1)
        ends = np.concatenate([bodies.ends, np.stack([ends[1] for ends in held], axis=1)], axis=1)
        return PlacedThings(starts, ends, self._layout)

    def of(self, bodies: Bodies) -> PlacedThings:
        """The arms alone, where nothing can be held."""
        return PlacedThings(bodies.starts, bodies.ends, self._layout)


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """Arrays over pairs (K,), bodies (C,) and boxes (B,): who is compared, how large each is."""

    first: ndarray
    box: ndarray
    second: ndarray
    radii: ndarray
    half_lengths: ndarray
    centres: ndarray
    halves: ndarray
    cell_from_box: ndarray

    @classmethod
    def of(cls, pairs: tuple[Gap, ...], held: tuple[Held, ...], boxes: tuple[Box, ...]) -> _Layout:
        radii = np.array([*RADII, *(each.radius for each in held)])
        first = np.array([pair.first for pair in pairs], dtype=np.int64)
        second = np.array([pair.second for pair in pairs if pair.second is not None], dtype=np.int64)
        both = radii[first]
        begin = sum(pair.box is not None for pair in pairs)
        both[begin : begin + len(second)] += radii[second]
        turns = [
            [[cos(box.yaw), -sin(box.yaw), 0.0], [sin(box.yaw), cos(box.yaw), 0.0], [0.0, 0.0, 1.0]] for box in boxes
        ]
        return cls(
            first=first,
            box=np.array([pair.box for pair in pairs if pair.box is not None], dtype=np.int64),
            second=second,
            radii=both,
            half_lengths=np.array([*HALF_LENGTHS, *(dist(each.start, each.end) / 2.0 for each in held)]),
            centres=np.array([box.centre for box in boxes]).reshape(-1, 3),
            halves=np.array([box.half for box in boxes]).reshape(-1, 3),
            cell_from_box=np.array(turns).reshape(-1, 3, 3),
        )


@dataclass(frozen=True, slots=True, eq=False)
class PlacedThings:
    """All bodies in N poses: where they start, where they end, m, batch last."""

    starts: Float64[ndarray, "3 C N"]
    ends: Float64[ndarray, "3 C N"]
    layout: _Layout

    def at_least(self) -> Float64[ndarray, "K N"]:
        """A lower bound of every pair's clearance, m: that of the spheres round the capsules; exact over the table."""
        of = self.layout
        boxes, others = len(of.box), len(of.box) + len(of.second)
        centres = (self.starts + self.ends) / 2.0
        near_box = self._from_boxes(centres)[of.box, of.first[:boxes]]
        near_box -= of.half_lengths[of.first[:boxes], None]
        between = of.first[boxes:others]
        apart = centres[:, between] - centres[:, of.second]
        near_body = np.sqrt(np.einsum("ikn,ikn->kn", apart, apart))
        near_body -= (of.half_lengths[between] + of.half_lengths[of.second])[:, None]
        over_table = np.minimum(self.starts[2], self.ends[2])[of.first[others:]]
        return np.concatenate([near_box, near_body, over_table]) - of.radii[:, None]

    def clearance(self, pairs: ndarray, rows: ndarray) -> Float64[ndarray, " n"]:
        """The clearance of pair `pairs[i]` in pose `rows[i]`, m, below zero where they overlap; NaN for a NaN pose."""
        of = self.layout
        boxes, others = len(of.box), len(of.box) + len(of.second)
        result = np.empty(len(pairs))
        first = of.first[pairs]
        starts, ends = self.starts[:, first, rows], self.ends[:, first, rows]
        one = pairs < boxes
        box = of.box[pairs[one]]
        start, end = (self._in_box(points[:, one, None], box)[..., 0] for points in (starts, ends))
        result[one] = segment_box_distances(start, end, of.halves[box].T)
        two = (pairs >= boxes) & (pairs < others)
        second, at = of.second[pairs[two] - boxes], rows[two]
        p1, p2 = starts[:, two], self.starts[:, second, at]
        result[two] = segment_distances(p1, ends[:, two] - p1, p2, self.ends[:, second, at] - p2)
        last = pairs >= others
        result[last] = np.minimum(starts[2, last], ends[2, last])
        return result - of.radii[pairs]

    def _from_boxes(self, points: Float64[ndarray, "3 C N"]) -> Float64[ndarray, "B C N"]:
        """Signed distances m of points of the cell from every box."""
        of = self.layout
        local = np.tensordot(of.cell_from_box, points, axes=(1, 0))  # box, axis, body, row
        local -= np.einsum("bij,bi->bj", of.cell_from_box, of.centres)[..., None, None]
        return point_box_distances(local.swapaxes(0, 1), of.halves.T[..., None, None])

    def _in_box(self, points: Float64[ndarray, "3 k N"], boxes: ndarray) -> Float64[ndarray, "3 k N"]:
        """Points of the cell in the frame of box `boxes[k]`."""
        from_centre = points - self.layout.centres[boxes].T[:, :, None]
        return np.einsum("kij,ikn->jkn", self.layout.cell_from_box[boxes], from_centre)


def _bodies(held: tuple[Held, ...]) -> list[_Body]:
    """The arms' capsules that can move, and everything that may be held."""
    bodies = [
        _Body(index=capsule_index(number, arm), arm=arm, part=capsule.part, text=f"{side} {capsule.part}")
        for number, capsule in enumerate(CAPSULES)
        for arm, side in enumerate(ARMS)
        if capsule.link != "base"
    ]
    carried = [
        _Body(index=len(RADII) + number, arm=ARMS.index(each.arm), part=each.name, text=each.name, held=(number,))
        for number, each in enumerate(held)
    ]
    return [*bodies, *carried]


def _with_boxes(bodies: list[_Body], workspace: Workspace) -> list[Gap]:
    kinds = ["fixture"] * len(workspace.fixtures) + ["keep-out zone"] * len(workspace.keep_out)
    return [
        Gap(kind=kind, text=f"{body.text} and {box.name}", first=body.index, box=number, held=body.held)
        for number, (box, kind) in enumerate(zip((*workspace.fixtures, *workspace.keep_out), kinds, strict=True))
        for body in bodies
        if not workspace.may_touch(body.part, box.name)
    ]


def _with_bodies(bodies: list[_Body], workspace: Workspace) -> list[Gap]:
    """Held objects and the other arm, and what that holds; of two that are held the pair is there once."""
    return [
        Gap(
            kind="held object and arm",
            text=f"{carried.text} and {other.text}",
            first=carried.index,
            second=other.index,
            held=carried.held + other.held,
        )
        for carried in bodies
        for other in bodies
        if carried.held and carried.arm != other.arm and (not other.held or carried.index < other.index)
        if not workspace.may_touch(carried.part, other.part)
    ]


def _with_table(bodies: list[_Body], workspace: Workspace) -> list[Gap]:
    return [
        Gap(kind="held object and table", text=f"{body.text} and table", first=body.index, held=body.held)
        for body in bodies
        if body.held and not workspace.may_touch(body.part, TABLE)
    ]


def _held_reach(held: Held) -> Float64[ndarray, " 14"]:
    longest = max(hypot(*held.start), hypot(*held.end))
    return reach_of("gripper", ARMS.index(held.arm), _TOOL_M + longest)


def _placed(held: Held, tools: Floats, turns: Floats) -> tuple[Floats, Floats]:
    """Start and end (3, N) m of a held object in the cell frame."""
    arm = ARMS.index(held.arm)
    at, turn = tools[:, arm].T, turns[:, arm]
    start, end = (at + np.einsum("nij,j->in", turn, np.array(point)) for point in (held.start, held.end))
    return start, end


def _tool_length() -> float:
    """Length m from the gripper's origin to the tool's, the same in every pose."""
    zero = np.zeros((1, len(BIMANUAL_YAM.joints)))
    gripper = link_frames(zero)[LINKS.index("gripper"), 0, 0, :3, 3]
    return float(np.linalg.norm(tool_poses(zero)[0][0, 0] - gripper))


_TOOL_M = _tool_length()
