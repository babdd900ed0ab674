"""How far segments are from boxes, exactly, for many of both at once.

Invariant: a distance is never overestimated by more than rounding, inside a box too, where it is below zero: how far
the segment would have to go to be outside.

Along a segment both parts of a box's signed distance are convex. Outside, the derivative of the squared distance is
piecewise linear with kinks where the segment crosses the planes of the faces, so its zero is found between two kinks.
Inside, the distance to the outside is the largest of six linear functions, and the least such maximum is at an end or
where two of them cross.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

_FIRST, _SECOND = np.array(list(combinations(range(6), 2))).T  # pairs of the six linear functions
TINY = 1e-12  # m: a direction with less is parallel to a face


def point_box_distances(points: ndarray, halves: ndarray) -> ndarray:
    """Signed distances (...) m of points (3, ...), in the frame of each one's box, from boxes of these half sizes."""
    beyond = np.abs(points) - halves
    outside = np.maximum(beyond, 0.0)
    return np.sqrt(np.einsum("i...,i...->...", outside, outside)) + np.minimum(beyond.max(axis=0), 0.0)


def segment_box_distances(
    starts: Float64[ndarray, "3 n"], ends: Float64[ndarray, "3 n"], halves: Float64[ndarray, "3 n"]
) -> Float64[ndarray, " n"]:
    """Signed distances m of segments, in the frame of each one's box, from boxes of these half sizes. NaN gives NaN."""
    ways = ends - starts
    result = point_box_distances(starts + _nearest(starts, ways, halves) * ways, halves)
    inside = result <= 0.0
    if inside.any():
        result[inside] = _deepest(starts[:, inside], ways[:, inside], halves[:, inside])
    return result


def _nearest(
    starts: Float64[ndarray, "3 n"], ways: Float64[ndarray, "3 n"], halves: Float64[ndarray, "3 n"]
) -> Float64[ndarray, " n"]:
    """The fraction 0..1 of each segment at which it is nearest to its box."""
    safe = np.where(np.abs(ways) < TINY, TINY, ways)
    kinks = np.concatenate([(-halves - starts) / safe, (halves - starts) / safe, np.zeros_like(ways[:1])])
    kinks = np.concatenate([np.minimum(np.maximum(kinks, 0.0), 1.0), np.ones_like(ways[:1])])
    kinks.sort(axis=0)  # (8, n)
    at = starts + kinks[:, None] * ways
    at -= np.minimum(np.maximum(at, -halves), halves)
    slopes = np.einsum("kin,in->kn", at, ways)  # half the derivative, never falling
    before = np.clip((slopes <= 0.0).sum(axis=0) - 1, 0, len(kinks) - 2)
    columns = np.arange(kinks.shape[1])
    low, high = slopes[before, columns], slopes[before + 1, columns]
    rise = high - low
    share = np.where(rise > 0.0, np.clip(-low / np.where(rise > 0.0, rise, 1.0), 0.0, 1.0), 0.0)
    return kinks[before, columns] + share * (kinks[before + 1, columns] - kinks[before, columns])


def _deepest(
    starts: Float64[ndarray, "3 n"], ways: Float64[ndarray, "3 n"], halves: Float64[ndarray, "3 n"]
) -> Float64[ndarray, " n"]:
    """Signed distances of segments that reach into their box."""
    offsets, slopes = np.concatenate([starts - halves, -starts - halves]), np.concatenate([ways, -ways])  # (6, n)
    apart = slopes[_SECOND] - slopes[_FIRST]
    crossings = (offsets[_FIRST] - offsets[_SECOND]) / np.where(np.abs(apart) < TINY, TINY, apart)
    ends = np.array([[0.0], [1.0]]) + np.zeros_like(ways[:1])
    fractions = np.concatenate([np.clip(crossings, 0.0, 1.0), ends])  # (17, n)
    return (offsets + fractions[:, None] * slopes).max(axis=1).min(axis=0)
