"""Whether two arms stay clear along a whole path, with nothing slipping through between its rows.

Invariant: a path that is found clear keeps every pair's distance at every instant, not only at the rows.

The argument (conservative advancement). Between two rows every joint moves on a straight line, so the distance of a
pair changes by no more than the length M that its two bodies travel, which is at most the sum over joints of the
joint's travel times how far that joint can move the body (`_REACH_OF_PAIRS`). A distance that starts at d₀ and ends at
d₁ therefore never falls below (d₀ + d₁ - M) / 2. Where that is enough, the interval is clear; where it is not, it is
halved, and M halves with it. Below `RESOLUTION_M` of travel it counts as violated: what cannot be shown clear is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from forearm.robot.embodiment import GRIPPER_STROKE_M
from forearm.robot.kinematics import LINKS, link_frames
from forearm.safety.capsules import ARMS, CAPSULES, RADII, capsule_index
from forearm.safety.clearance import PAIRS, Bodies

RESOLUTION_M = 0.001  # m, travel below which an interval is not halved again
MOST_OPEN = 1.5  # gripper opening up to which a finger's reach is bounded; set-points end at 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sweep:
    """What a path of N rows does to the clearances.

    Attributes:
        clear_rows: how many rows can be reached, in order, with everything clear on the way; N where all is clear.
        pair: index in `PAIRS` of what is in the way of the next row, -1 where nothing is.
        clearance_m: how near that pair comes, m; NaN where nothing does.
        required_m: how far it has to stay, m; NaN where nothing does.
    """

    clear_rows: int
    pair: int = -1
    clearance_m: float = float("nan")
    required_m: float = float("nan")


def sweep(start: Float64[ndarray, " 14"], rows: Float64[ndarray, "N 14"], required: Float64[ndarray, " K"]) -> Sweep:
    """Follows straight lines in joint space from `start` through `rows`; `required` are the pairs' least distances, m.

    A pair that is too near at the start may leave, but never come nearer: its least distance is what it has there, less
    `RESOLUTION_M`. About 2 ms for 30 rows.
    """
    path = np.concatenate([start[None], rows])
    bodies = Bodies.at(path)
    bounds = bodies.at_least()
    required = _never_nearer(bodies, bounds[:, 0], required)
    travel = _REACH_OF_PAIRS @ np.abs(np.diff(path, axis=0)).T
    pairs, steps = np.nonzero(~((bounds[:, :-1] + bounds[:, 1:] - travel) / 2.0 >= required[:, None]))
    before, after = bodies.clearance(pairs, steps), bodies.clearance(pairs, steps + 1)
    items = _Items(pairs, steps.astype(np.float64), before, after, travel[pairs, steps])
    items = items.where(~(items.lowest >= required[pairs]))
    found = Sweep(clear_rows=len(rows))
    share = 1.0  # of a step that every item is long
    while len(items.pairs):
        blocked = ~((items.after >= required[items.pairs]) & (items.travel > RESOLUTION_M))
        if blocked.any():
            found = _first(items, blocked, required)
            items = items.where(~blocked & (np.floor(items.begin) < found.clear_rows))
        items = _halved(items, path, share)
        share /= 2.0
        items = items.where(~(items.lowest >= required[items.pairs]) & (items.begin < found.clear_rows))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Items:
    """Stretches of path that a pair was not yet shown to be clear on; (n,) each. `begin` counts rows, in fractions."""

    pairs: ndarray
    begin: ndarray
    before: ndarray
    after: ndarray
    travel: ndarray

    @property
    def lowest(self) -> ndarray:
        """What the distance cannot fall below."""
        return (self.before + self.after - self.travel) / 2.0

    def where(self, mask: ndarray) -> _Items:
        return _Items(self.pairs[mask], self.begin[mask], self.before[mask], self.after[mask], self.travel[mask])


def _first(items: _Items, blocked: ndarray, required: ndarray) -> Sweep:
    """The earliest blocked step, and its worst pair."""
    step = int(np.floor(items.begin[blocked].min()))
    there = items.where(blocked & (np.floor(items.begin) == step))
    worst = int(np.argmin(there.lowest - required[there.pairs]))
    pair = int(there.pairs[worst])
    nearest = float(np.minimum(there.before, there.after)[worst])
    return Sweep(clear_rows=step, pair=pair, clearance_m=nearest, required_m=float(required[pair]))


def _never_nearer(bodies: Bodies, bounds: ndarray, required: ndarray) -> ndarray:
    """`required`, but for pairs that start out nearer than that, no more than what they start with."""
    near = np.nonzero(~(bounds >= required))[0]
    relaxed = required.copy()
    at_start = bodies.clearance(near, np.zeros_like(near))
    relaxed[near] = np.minimum(required[near], at_start - RESOLUTION_M)
    return relaxed


def _halved(items: _Items, path: ndarray, share: float) -> _Items:
    """Both halves of every item, which is `share` of a step long."""
    middle = items.begin + share / 2.0
    at, rows = np.unique(middle, return_inverse=True)
    step = np.floor(at).astype(np.int64)
    weight = (at - step)[:, None]
    bodies = Bodies.at((1.0 - weight) * path[step] + weight * path[step + 1])
    between = bodies.clearance(items.pairs, rows)
    return _Items(
        np.concatenate([items.pairs, items.pairs]),
        np.concatenate([items.begin, middle]),
        np.concatenate([items.before, between]),
        np.concatenate([between, items.after]),
        np.concatenate([items.travel, items.travel]) / 2.0,
    )


def _reach() -> ndarray:
    """(C, 14) m: how far a unit of each joint can move any point of each capsule's segment, at the most.

    A revolute joint moves a point by its distance from the axis, which is at most the length of the chain from the
    joint's origin to the point; a gripper slides its fingers by their stroke.
    """
    joints = 7
    gripper = LINKS.index("gripper")
    parents = [0, *range(gripper), gripper, gripper]
    origins = link_frames(np.array([[opening] * 14 for opening in (-MOST_OPEN, MOST_OPEN)]))[:, 0, :, :3, 3]
    steps = np.linalg.norm(origins - origins[parents], axis=-1).max(axis=-1)  # m, of each link's origin to its parent's
    reach = np.zeros((len(RADII), len(ARMS) * joints))
    for number, capsule in enumerate(CAPSULES):
        link = LINKS.index(capsule.link)
        length = max(hypot(*capsule.start), hypot(*capsule.end))
        row = np.zeros(joints)
        row[6] = GRIPPER_STROKE_M if capsule.part == "fingers" else 0.0
        while link:
            if link <= gripper:
                row[link - 1] = length
            length += steps[link]
            link = parents[link]
        for arm in range(len(ARMS)):
            reach[capsule_index(number, arm), arm * joints : (arm + 1) * joints] = row
    return reach


def _reach_of_pairs() -> ndarray:
    """(K, 14) m: how much a unit of each joint can change each pair's distance, at the most."""
    reach = _reach()
    rows: list[ndarray] = []
    for pair in PAIRS:
        row = reach[pair.first].copy()
        if pair.kind == "arms":
            row += reach[pair.second]
        elif pair.kind == "self":  # joints that carry both bodies do not move one against the other
            row[reach[pair.second] > 0.0] = 0.0
        rows.append(row)
    return np.array(rows)


_REACH_OF_PAIRS = _reach_of_pairs()
