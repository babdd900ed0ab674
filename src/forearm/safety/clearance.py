"""How far apart things are: the two arms, each arm's hand and its own base, everything and the table.

Invariant: a clearance is never overestimated by more than rounding, except by what sticks out of the capsules.

`PAIRS` lists everything that is compared; results are in its order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from forearm.safety.capsules import ARMS, CAPSULES, HALF_LENGTHS, RADII, capsule_ends, capsule_index
from forearm.safety.limits import Limits

Kind = Literal["arms", "self", "links over table", "fingers over table"]

_STATIC = ("base", "shoulder")  # parts that cannot reach the other arm's base or shoulder: 0.61 m apart
_HAND = ("gripper", "camera", "fingers")
_NEAR_BASE = ("base", "shoulder", "upper arm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two things whose distance is watched. `second` is None for the table, the plane z = 0."""

    kind: Kind
    first: int
    second: int | None

    @property
    def text(self) -> str:
        """As a person reads it: `left camera and right gripper`."""
        other = "table" if self.second is None else _name(self.second)
        return f"{_name(self.first)} and {other}"


def _name(capsule: int) -> str:
    number, arm = divmod(capsule, len(ARMS))
    return f"{ARMS[arm]} {CAPSULES[number].part}"


def _pairs() -> tuple[Pair, ...]:
    numbered = list(enumerate(capsule.part for capsule in CAPSULES))
    arms = range(len(ARMS))
    between = [
        Pair(kind="arms", first=capsule_index(i, 0), second=capsule_index(j, 1))
        for i, part in numbered
        for j, other in numbered
        if not (part in _STATIC and other in _STATIC)
    ]
    within = [
        Pair(kind="self", first=capsule_index(i, arm), second=capsule_index(j, arm))
        for arm in arms
        for i, part in numbered
        for j, other in numbered
        if part in _HAND and other in _NEAR_BASE
    ]
    over_table = [
        Pair(
            kind="fingers over table" if part == "fingers" else "links over table",
            first=capsule_index(i, arm),
            second=None,
        )
        for arm in arms
        for i, part in numbered
        if part not in _STATIC
    ]
    return (*between, *within, *over_table)


PAIRS = _pairs()
_BODIES = sum(pair.second is not None for pair in PAIRS)  # pairs of two capsules come first, those with the table last
_FIRST = np.array([pair.first for pair in PAIRS])
_SECOND = np.array([pair.second for pair in PAIRS if pair.second is not None])
_BODY, _OVER_TABLE = _FIRST[:_BODIES], _FIRST[_BODIES:]
_RADII_OF_PAIRS = RADII[_FIRST]
_RADII_OF_PAIRS[:_BODIES] += RADII[_SECOND]
# m, (K, 1): what the spheres round a pair's capsules take from their centres' distance; the radius, of a height.
_SPHERES = _RADII_OF_PAIRS[:, None].copy()
_SPHERES[:_BODIES, 0] += HALF_LENGTHS[_BODY] + HALF_LENGTHS[_SECOND]


def margins(limits: Limits, *, arms_m: float, table_m: float = 0.0, sag_m: float = 0.0) -> Float64[ndarray, " K"]:
    """What each pair's clearance has to be, m; `arms_m` between the arms, where vetting asks more than the guard.

    `table_m` is the height of the table's top; clearances from the table are heights above z = 0. `sag_m` is how much
    less is enough where vetting keeps no reserve: for measured arms, which hang lower than their set-points.
    """
    of: dict[Kind, float] = {
        "arms": arms_m,
        "self": limits.self_clearance_m - sag_m,
        "links over table": limits.link_height_m + table_m - sag_m,
        "fingers over table": limits.finger_height_m + table_m - sag_m,
    }
    return np.array([of[pair.kind] for pair in PAIRS])


@dataclass(frozen=True, slots=True, eq=False)
class Bodies:
    """Both arms' capsules in N poses: where they start, where they end, m, batch last."""

    starts: Float64[ndarray, "3 C N"]
    ends: Float64[ndarray, "3 C N"]

    @classmethod
    def at(cls, positions: Float64[ndarray, "N 14"]) -> Bodies:
        """The capsules at these joint positions."""
        return cls(*capsule_ends(positions))

    def at_least(self) -> Float64[ndarray, "K N"]:
        """A lower bound of every pair's clearance, m: that of the spheres round the capsules; exact over the table.

        About 20 µs for two poses and 80 µs for 30; what is far apart needs nothing better.
        """
        bounds = np.zeros((len(PAIRS), self.starts.shape[-1]))
        squares = bounds[:_BODIES]
        for axis in (self.starts + self.ends) / 2.0:  # one at a time: what fits the cache is several times faster
            apart = axis.take(_BODY, axis=0)
            apart -= axis.take(_SECOND, axis=0)
            apart *= apart
            squares += apart
        np.sqrt(squares, out=squares)
        np.minimum(self.starts[2], self.ends[2]).take(_OVER_TABLE, axis=0, out=bounds[_BODIES:])
        bounds -= _SPHERES
        return bounds

    def clearance(self, pairs: Int64[ndarray, " n"], rows: Int64[ndarray, " n"]) -> Float64[ndarray, " n"]:
        """The clearance of pair `pairs[i]` in pose `rows[i]`, m, below zero where they overlap; NaN for a NaN pose."""
        result = np.empty(len(pairs))
        two = pairs < _BODIES
        first, second, at = _FIRST[pairs[two]], _SECOND[pairs[two]], rows[two]
        p1, p2 = self.starts[:, first, at], self.starts[:, second, at]
        result[two] = segment_distances(p1, self.ends[:, first, at] - p1, p2, self.ends[:, second, at] - p2)
        one, at = _FIRST[pairs[~two]], rows[~two]
        result[~two] = np.minimum(self.starts[2, one, at], self.ends[2, one, at])
        return result - _RADII_OF_PAIRS[pairs]


def segment_distances(
    p1: Float64[ndarray, "3 n"],
    d1: Float64[ndarray, "3 n"],
    p2: Float64[ndarray, "3 n"],
    d2: Float64[ndarray, "3 n"],
) -> Float64[ndarray, " n"]:
    """Distances of segments p1 + s d1 and p2 + t d2, s and t in 0..1, none shorter than a micrometre.

    Ericson, Real-Time Collision Detection (2005), 5.1.9. Where the segments are parallel any s is a valid start: t and
    then s are projected and clipped after it.
    """
    r = p1 - p2
    a, e = _dot(d1, d1), _dot(d2, d2)
    b, c, f = _dot(d1, d2), _dot(d1, r), _dot(d2, r)
    s = _share((b * f - c * e) / np.maximum(a * e - b * b, 1e-18))  # m⁴: far below any pair's that cross
    t = _share((b * s + f) / e)
    s = _share((b * t - c) / a)
    gap = r + s * d1 - t * d2
    return np.sqrt(_dot(gap, gap))


def _share(values: ndarray) -> ndarray:
    """Clipped to 0..1; `np.clip` takes three times as long for a few values."""
    return np.minimum(np.maximum(values, 0.0), 1.0)


def _dot(one: ndarray, other: ndarray) -> ndarray:
    return np.einsum("i...,i...->...", one, other)
