"""How far the arms, and what they hold, are from everything that a `Workspace` describes.

Invariant: a clearance is never overestimated by more than rounding, except by what sticks out of capsules and boxes.

Bodies are both arms' capsules followed by those round what is held; pairs are compared in the order body and box, body
and body, held thing and table. What an arm holds is compared with everything that the arm itself is compared with, but
for what is stated to be brought together (`Workspace.touching`), and three rules without which nothing could ever be
put down or passed on:

- *Put down.* It may come upon the table or a fixture while it moves no faster than `Limits.placing_speed`. What it
  presses with is then the guard's, which feels it. A zone it never enters.
- *Let go.* From the step on which its gripper opens by `in_hand.LETS_GO` it stays behind.
- *One thing in both hands.* Two arms that each have their tool within reach of what the other one holds are taken to
  hold the same thing, which is then not compared with either of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, dist, inf, sin

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from forearm.geometry import Box
from forearm.messages import Held
from forearm.robot.kinematics import link_frames, tools_on
from forearm.safety.boxes import point_box_distances, segment_box_distances
from forearm.safety.capsules import ARMS, CAPSULES, HALF_LENGTHS, RADII, capsule_index, capsules_on
from forearm.safety.clearance import Bodies, segment_distances
from forearm.safety.in_hand import InHand, Round, speeds
from forearm.safety.limits import Limits
from forearm.safety.sweep import REACH
from forearm.safety.workspace import TABLE, Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A body and a box, a second body or the table: whichever of `box` and `second` is not None, else the table.

    With the table `first` counts held things instead of bodies. `held` are the held things that take part, by their
    indices; what is `placing` may touch slowly.
    """

    kind: str
    text: str
    first: int
    box: int | None = None
    second: int | None = None
    held: tuple[int, ...] = ()
    placing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Body:
    """A capsule that moves with an arm: its name in rules and in texts."""

    index: int
    arm: int
    part: str
    text: str
    held: tuple[int, ...] = ()


class Surroundings:
    """The pairs that a workspace, and what is held in it, add to the arms' own, as `sweep` takes them.

    Args:
        workspace: what is there.
        limits: whose clearances are kept.
        held: what the arms hold.
    """

    def __init__(self, workspace: Workspace, limits: Limits, held: Sequence[Held] = ()) -> None:
        self._in_hand, self._boxes = InHand(held), (*workspace.fixtures, *workspace.keep_out)
        self._placing_speed = limits.placing_speed
        bodies = _bodies(self._in_hand)
        self.pairs = (
            *_with_boxes(bodies, workspace),
            *_with_bodies(bodies, workspace),
            *_with_table(self._in_hand.held, workspace),
        )
        self.reach = self._reach()
        margins = {"held object and arm": limits.arm_clearance_m}
        self._required = np.array([margins.get(pair.kind, limits.fixture_clearance_m) for pair in self.pairs])
        self.less = np.array([less_standing(pair, limits) for pair in self.pairs])  # (K,) m, see there
        over_table = np.array([pair.kind == "held object and table" for pair in self.pairs], dtype=bool)
        self._required[over_table] += workspace.table_m
        things = range(len(self._in_hand.held))
        self._takes_part = np.array([[thing in pair.held for thing in things] for pair in self.pairs], dtype=bool)
        self._is_placed = self._takes_part & np.array([[pair.placing] for pair in self.pairs], dtype=bool)
        self._between = np.array([bool(pair.held) and pair.second is not None for pair in self.pairs], dtype=bool)
        self._layout = _Layout.of(self.pairs, self._in_hand.capsules, self._boxes)

    def required(self, path: Float64[ndarray, "N+1 14"], period_s: float) -> Float64[ndarray, "K N"]:
        """What each pair's clearance has to be, m, on every step of a path that begins with what is held in hand.

        Args:
            path: the measured pose, and rows that are `period_s` s apart.
            period_s: see there.
        """
        return self.along(path)(period_s)

    def along(self, path: Float64[ndarray, "N+1 14"]) -> Callable[[float], Float64[ndarray, "K N"]]:
        """`required` along that path at one period after another: what does not depend on it is found once."""
        required = np.repeat(self._required[:, None], len(path) - 1, axis=1)
        if not self._in_hand.held:
            return lambda period_s: required
        required[self._takes_part @ self._in_hand.let_go(path)] = -inf
        if self._in_hand.is_one_thing(path[0]):
            required[self._between] = -inf
        ways = self._in_hand.ways(path)

        def at_pace(period_s: float) -> Float64[ndarray, "K N"]:
            return np.where(self._is_placed @ (speeds(ways, period_s) <= self._placing_speed), -inf, required)

        return at_pace

    def at(self, positions: Float64[ndarray, "N 14"]) -> PlacedThings:
        """Every body at these joint positions."""
        frames = link_frames(positions)
        bodies = Bodies(*capsules_on(frames))
        if not self._in_hand.held:
            return self.of(bodies)
        (starts, ends), lows = self._in_hand.at(tools_on(frames))
        return PlacedThings(
            np.concatenate([bodies.starts, starts], axis=1),
            np.concatenate([bodies.ends, ends], axis=1),
            lows,
            self._layout,
        )

    def of(self, bodies: Bodies) -> PlacedThings:
        """The arms alone, where nothing can be held."""
        return PlacedThings(bodies.starts, bodies.ends, _NOTHING, self._layout)

    def _reach(self) -> Float64[ndarray, "K 14"]:
        things = [self._in_hand.reach(number) for number in range(len(self._in_hand.held))]
        bodies = np.array([*REACH, *(things[capsule.thing] for capsule in self._in_hand.capsules)])
        rows = [
            things[pair.first]
            if pair.box is None and pair.second is None
            else bodies[pair.first] + (0.0 if pair.second is None else bodies[pair.second])
            for pair in self.pairs
        ]
        return np.reshape(rows, (-1, REACH.shape[1]))


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
    def of(cls, pairs: tuple[Gap, ...], capsules: Sequence[Round], boxes: tuple[Box, ...]) -> _Layout:
        radii = np.array([*RADII, *(each.radius for each in capsules)])
        first = np.array([pair.first for pair in pairs], dtype=np.int64)
        second = np.array([pair.second for pair in pairs if pair.second is not None], dtype=np.int64)
        begin = sum(pair.box is not None for pair in pairs)
        both = np.zeros(len(pairs))  # the corners of things over the table have no radius
        both[: begin + len(second)] = radii[first[: begin + len(second)]]
        both[begin : begin + len(second)] += radii[second]
        turns = [
            [[cos(box.yaw), -sin(box.yaw), 0.0], [sin(box.yaw), cos(box.yaw), 0.0], [0.0, 0.0, 1.0]] for box in boxes
        ]
        return cls(
            first=first,
            box=np.array([pair.box for pair in pairs if pair.box is not None], dtype=np.int64),
            second=second,
            radii=both,
            half_lengths=np.array([*HALF_LENGTHS, *(dist(each.start, each.end) / 2.0 for each in capsules)]),
            centres=np.array([box.centre for box in boxes]).reshape(-1, 3),
            halves=np.array([box.half for box in boxes]).reshape(-1, 3),
            cell_from_box=np.array(turns).reshape(-1, 3, 3),
        )


@dataclass(frozen=True, slots=True, eq=False)
class PlacedThings:
    """All bodies in N poses: where they start, where they end, how low the H held things reach, m, batch last."""

    starts: Float64[ndarray, "3 C N"]
    ends: Float64[ndarray, "3 C N"]
    lows: Float64[ndarray, "H N"]
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
        over_table = self.lows[of.first[others:]].reshape(-1, centres.shape[-1])
        return np.concatenate([near_box, near_body, over_table]) - of.radii[:, None]

    def clearance(self, pairs: ndarray, rows: ndarray) -> Float64[ndarray, " n"]:
        """The clearance of pair `pairs[i]` in pose `rows[i]`, m, below zero where they overlap; NaN for a NaN pose."""
        of = self.layout
        boxes, others = len(of.box), len(of.box) + len(of.second)
        result = np.empty(len(pairs))
        first = of.first[pairs]
        starts, ends = self.starts[:, first, rows], self.ends[:, first, rows]  # of no use over the table
        one = pairs < boxes
        box = of.box[pairs[one]]
        start, end = (self._in_box(points[:, one, None], box)[..., 0] for points in (starts, ends))
        result[one] = segment_box_distances(start, end, of.halves[box].T)
        two = (pairs >= boxes) & (pairs < others)
        if two.any():  # as a rule there are none, and an empty answer takes as long as a short one
            second, at = of.second[pairs[two] - boxes], rows[two]
            p1, p2 = starts[:, two], self.starts[:, second, at]
            result[two] = segment_distances(p1, ends[:, two] - p1, p2, self.ends[:, second, at] - p2)
        last = pairs >= others
        result[last] = self.lows[first[last], rows[last]]
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


def _bodies(in_hand: InHand) -> list[_Body]:
    """The arms' capsules that can move, and those round what is held."""
    bodies = [
        _Body(index=capsule_index(number, arm), arm=arm, part=capsule.part, text=f"{side} {capsule.part}")
        for number, capsule in enumerate(CAPSULES)
        for arm, side in enumerate(ARMS)
        if capsule.link != "base"
    ]
    for index, capsule in enumerate(in_hand.capsules, start=len(RADII)):
        held = in_hand.held[capsule.thing]
        body = _Body(index=index, arm=ARMS.index(held.arm), part=held.name, text=_called(held), held=(capsule.thing,))
        bodies.append(body)
    return bodies


def _called(held: Held) -> str:
    """As a person reads it: `left arm's block`."""
    return f"{held.arm} arm's {held.name}"


def _with_boxes(bodies: list[_Body], workspace: Workspace) -> list[Gap]:
    kinds = ["fixture"] * len(workspace.fixtures) + ["keep-out zone"] * len(workspace.keep_out)
    return [
        Gap(
            kind=kind,
            text=f"{body.text} and {box.name}",
            first=body.index,
            box=number,
            held=body.held,
            placing=bool(body.held) and kind == "fixture",
        )
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
        if carried.held
        for other in bodies
        if carried.arm != other.arm and (not other.held or carried.index < other.index)
        if not workspace.may_touch(carried.part, other.part)
    ]


def _with_table(held: tuple[Held, ...], workspace: Workspace) -> list[Gap]:
    return [
        Gap(
            kind="held object and table",
            text=f"{_called(each)} and table",
            first=number,
            held=(number,),
            placing=True,
        )
        for number, each in enumerate(held)
        if not workspace.may_touch(each.name, TABLE)
    ]


def less_standing(pair: Gap, limits: Limits) -> float:
    """m: how much less than vetting asks for along a path must be left of a pair's clearance once the arms stand."""
    if pair.placing:  # on purpose
        return inf
    if pair.second is not None:
        return limits.arm_clearance_m - limits.arm_clearance_now_m
    return limits.fixture_clearance_m - limits.fixture_clearance_now_m


_NOTHING = np.zeros((0, 0))
