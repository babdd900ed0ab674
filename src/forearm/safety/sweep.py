"""Whether two arms stay clear along a whole path, with nothing slipping through between its rows.

Invariant: a path that is found clear keeps every pair's distance at every instant, not only at the rows.

The argument (conservative advancement). Between two rows every joint moves on a straight line, so the distance of a
pair changes by no more than the length M that its two bodies travel, which is at most the sum over joints of the
joint's travel times how far that joint can move the body (`Geometry.reach`). A distance that starts at d₀ and ends at
d₁ therefore never falls below (d₀ + d₁ - M) / 2. Where that is enough, the interval is clear; where it is not, it is
divided into `PARTS`, and M with it. Below `RESOLUTION_M` of travel it counts as violated: what cannot be shown clear is
not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from typing import Protocol

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from forearm.robot.embodiment import GRIPPER_STROKE_M
from forearm.robot.kinematics import LINKS, link_frames
from forearm.safety.capsules import ARMS, CAPSULES, RADII, capsule_index
from forearm.safety.clearance import PAIRS, Bodies

RESOLUTION_M = 0.001  # m, travel below which an interval is not divided again
PARTS = 4  # of an interval: what one more look costs hardly depends on how many poses it takes
MOST_OPEN = 1.5  # gripper opening up to which a finger's reach is bounded; set-points end at 1


class Near(Protocol):
    """Two things whose distance is watched."""

    @property
    def kind(self) -> str:
        """What kind of clearance it is."""
        ...

    @property
    def text(self) -> str:
        """Both as a person reads them: `left camera and right gripper`."""
        ...


class Placed(Protocol):
    """K pairs of things in N poses."""

    def at_least(self) -> Float64[ndarray, "K N"]:
        """A lower bound of every pair's clearance, m."""
        ...

    def clearance(self, pairs: ndarray, rows: ndarray) -> Float64[ndarray, " n"]:
        """The clearance of pair `pairs[i]` in pose `rows[i]`, m; it changes by no more than its bodies travel."""
        ...


class Geometry(Protocol):
    """Pairs of things whose distance depends on the joints."""

    @property
    def pairs(self) -> Sequence[Near]:
        """The K pairs."""
        ...

    @property
    def reach(self) -> Float64[ndarray, "K 14"]:
        """m: how much a unit of each joint can change each pair's distance, at the most."""
        ...

    def at(self, positions: Float64[ndarray, "N 14"]) -> Placed:
        """The pairs at these joint positions."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sweep:
    """What a path of N rows does to the clearances.

    Attributes:
        clear_rows: how many rows can be reached, in order, with everything clear on the way; N where all is clear.
        pair: index in the geometry's pairs of what is in the way of the next row, -1 where nothing is.
        clearance_m: how near that pair comes, m; NaN where nothing does.
        required_m: how far it has to stay, m; NaN where nothing does.
        late_m: (K,) m, what no pair's clearance can fall below if one of its bodies is up to a row late.
    """

    clear_rows: int
    pair: int = -1
    clearance_m: float = float("nan")
    required_m: float = float("nan")
    late_m: Float64[ndarray, " K"]


@dataclass(frozen=True, slots=True, eq=False)
class Arms:
    """The arms against each other, themselves and the table: `PAIRS`."""

    pairs: Sequence[Near]
    reach: Float64[ndarray, "K 14"]

    def at(self, positions: Float64[ndarray, "N 14"]) -> Bodies:
        return Bodies.at(positions)


def sweep(
    start: Float64[ndarray, " 14"],
    rows: Float64[ndarray, "N 14"],
    required: Float64[ndarray, " K"] | Float64[ndarray, "K N"],
    geometry: Geometry | None = None,
) -> Sweep:
    """Follows straight lines in joint space from `start` through `rows`; `required` are the pairs' least distances, m.

    They hold all the way, or each on its step to a row. The pairs are those of `geometry`, the arms' by default. A pair
    that is too near at the start may leave, but never come nearer: its least distance is what it has there, less
    `RESOLUTION_M`. About 1 ms for 30 rows.
    """
    geometry = geometry or ARMS_AND_TABLE
    path = np.concatenate([start[None], rows])
    bodies = geometry.at(path)
    bounds = bodies.at_least()
    required = _never_nearer(bodies, bounds[:, 0], required.reshape(len(bounds), -1))
    travel = geometry.reach @ np.abs(np.diff(path, axis=0)).T
    lowest = (bounds[:, :-1] + bounds[:, 1:] - travel) / 2.0
    found = Sweep(clear_rows=len(rows), late_m=_late(lowest, travel))
    pairs, steps = np.nonzero(~(lowest >= required))
    if not len(pairs):
        return found
    before, after = bodies.clearance(np.tile(pairs, 2), np.concatenate([steps, steps + 1])).reshape(2, -1)
    needed = np.broadcast_to(required, lowest.shape)[pairs, steps]
    items = _Items(pairs, steps.astype(np.float64), before, after, travel[pairs, steps], needed)
    items = items.where(~items.shown_clear)
    share = 1.0  # of a step that every item is long
    while len(items.pairs):
        blocked = ~((items.after >= items.required) & (items.travel > RESOLUTION_M))
        if blocked.any():
            found = _first(items, blocked, found.late_m)
            items = items.where(~blocked & (np.floor(items.begin) < found.clear_rows))
        items = _divided(items, path, share, geometry)
        share /= PARTS
        items = items.where(~items.shown_clear & (items.begin < found.clear_rows))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Items:
    """Stretches of path that a pair was not yet shown to be clear on; (n,) each. `begin` counts rows, in fractions."""

    pairs: ndarray
    begin: ndarray
    before: ndarray
    after: ndarray
    travel: ndarray
    required: ndarray

    @property
    def lowest(self) -> ndarray:
        """What the distance cannot fall below."""
        return (self.before + self.after - self.travel) / 2.0

    @property
    def shown_clear(self) -> ndarray:
        """Which of them need not be looked at more closely; none whose distance is not a number."""
        return self.lowest >= self.required

    def where(self, mask: ndarray) -> _Items:
        return _Items(
            self.pairs[mask],
            self.begin[mask],
            self.before[mask],
            self.after[mask],
            self.travel[mask],
            self.required[mask],
        )


def _late(lowest: ndarray, travel: ndarray) -> ndarray:
    """What clearances cannot fall below if one body is up to a row late: it is then where it was within two steps."""
    before = np.concatenate([travel[:, :1], travel[:, :-1]], axis=1)
    return (lowest - np.maximum(before, travel)).min(axis=1)


def _first(items: _Items, blocked: ndarray, late_m: ndarray) -> Sweep:
    """The earliest blocked step, and its worst pair."""
    step = int(np.floor(items.begin[blocked].min()))
    there = items.where(blocked & (np.floor(items.begin) == step))
    worst = int(np.argmin(there.lowest - there.required))
    nearest = float(np.minimum(there.before, there.after)[worst])
    needed = float(there.required[worst])
    return Sweep(clear_rows=step, pair=int(there.pairs[worst]), clearance_m=nearest, required_m=needed, late_m=late_m)


def _never_nearer(bodies: Placed, bounds: ndarray, required: ndarray) -> ndarray:
    """`required` (K, 1 or N), but for pairs that start out nearer than that, no more than what they start with."""
    near = np.nonzero(~(bounds >= required.max(axis=1)))[0]
    if not len(near):
        return required
    relaxed = required.copy()
    at_start = bodies.clearance(near, np.zeros_like(near))
    relaxed[near] = np.minimum(required[near], at_start[:, None] - RESOLUTION_M)
    return relaxed


def _divided(items: _Items, path: ndarray, share: float, geometry: Geometry) -> _Items:
    """The parts of every item, which is `share` of a step long: of all the first ones, then the second ones."""
    begin = items.begin + share / PARTS * np.arange(PARTS)[:, None]  # part, item
    at, rows = np.unique(begin[1:], return_inverse=True)
    step = np.floor(at).astype(np.int64)
    weight = (at - step)[:, None]
    bodies = geometry.at((1.0 - weight) * path[step] + weight * path[step + 1])
    between = bodies.clearance(np.tile(items.pairs, PARTS - 1), rows.reshape(-1))
    return _Items(
        np.tile(items.pairs, PARTS),
        begin.reshape(-1),
        np.concatenate([items.before, between]),
        np.concatenate([between, items.after]),
        np.tile(items.travel, PARTS) / PARTS,
        np.tile(items.required, PARTS),
    )


def _lengths() -> dict[str, list[tuple[int, float]]]:
    """For each link the joints that move it, each with the most by which its origin can be away from the joint's, m."""
    gripper = LINKS.index("gripper")
    parents = [0, *range(gripper), gripper, gripper]
    origins = link_frames(np.array([[opening] * 14 for opening in (-MOST_OPEN, MOST_OPEN)]))[:, 0, :, :3, 3]
    steps = np.linalg.norm(origins - origins[parents], axis=-1).max(axis=-1)  # m, of each link's origin to its parent's
    found: dict[str, list[tuple[int, float]]] = {}
    for number, name in enumerate(LINKS):
        link, length, joints = number, 0.0, list[tuple[int, float]]()
        while link:
            if link <= gripper:
                joints.append((link - 1, length))
            length += float(steps[link])
            link = parents[link]
        found[name] = joints
    return found


_LENGTHS = _lengths()


def reach_of(link: str, arm: int, length: float, *, slides: bool = False) -> Float64[ndarray, " 14"]:
    """m: how far a unit of each joint can move a point that is `length` m from the origin of an arm's link.

    A revolute joint moves a point by its distance from the axis, which is at most the length of the chain from the
    joint's origin to the point; a gripper slides what is on its fingers by their stroke.
    """
    row = np.zeros(14)
    for joint, chain in _LENGTHS[link]:
        row[7 * arm + joint] = chain + length
    row[7 * arm + 6] = GRIPPER_STROKE_M if slides else 0.0
    return row


def _reach_of_capsules() -> Float64[ndarray, "C 14"]:
    reach = np.zeros((len(RADII), 14))
    for number, capsule in enumerate(CAPSULES):
        length = max(hypot(*capsule.start), hypot(*capsule.end))
        for arm in range(len(ARMS)):
            slides = capsule.part == "fingers"
            reach[capsule_index(number, arm)] = reach_of(capsule.link, arm, length, slides=slides)
    return reach


REACH = _reach_of_capsules()


def _reach_of_pairs() -> Float64[ndarray, "K 14"]:
    rows: list[ndarray] = []
    for pair in PAIRS:
        row = REACH[pair.first].copy()
        if pair.kind == "arms":
            row += REACH[pair.second]
        elif pair.kind == "self":  # joints that carry both bodies do not move one against the other
            row[REACH[pair.second] > 0.0] = 0.0
        rows.append(row)
    return np.array(rows)


ARMS_AND_TABLE = Arms(PAIRS, _reach_of_pairs())
