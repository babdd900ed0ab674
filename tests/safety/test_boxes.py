"""Distances of segments from boxes, against brute force."""

import numpy as np

from forearm.safety.boxes import point_box_distances, segment_box_distances

SAMPLES = 1001


def drawn(count: int, seed: int, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    starts = generator.normal(0, scale, (3, count))
    ways = generator.normal(0, 0.2, (3, count)) * (generator.random((3, count)) < 0.7)  # often along an axis, or short
    return starts, starts + ways, generator.uniform(0.002, 0.2, (3, count))


def signed(points: np.ndarray, halves: np.ndarray) -> np.ndarray:
    """The distance to the outside from within, to the box from without: written in another way than ours."""
    nearest = np.clip(points, -halves, halves)
    outside = np.linalg.norm(points - nearest, axis=0)
    depth = np.min(halves - np.abs(points), axis=0)
    return np.where(outside > 0, outside, -depth)


def brute(starts: np.ndarray, ends: np.ndarray, halves: np.ndarray) -> np.ndarray:
    shares = np.linspace(0, 1, SAMPLES)[:, None, None]
    points = starts + shares * (ends - starts)
    return signed(points.transpose(1, 0, 2), halves[:, None]).min(axis=0)


def test_points_are_as_far_as_they_are_in_and_outside() -> None:
    points, _, halves = drawn(2000, 0, 0.15)
    np.testing.assert_allclose(point_box_distances(points, halves), signed(points, halves), atol=1e-12)
    assert (point_box_distances(points, halves) < 0).any()


def test_segments_are_never_said_to_be_farther_than_any_of_their_points_and_hardly_nearer() -> None:
    for seed, scale in enumerate((0.05, 0.2, 0.6)):
        starts, ends, halves = drawn(300, seed, scale)
        ours, theirs = segment_box_distances(starts, ends, halves), brute(starts, ends, halves)
        assert (ours <= theirs + 1e-12).all()
        assert (ours >= theirs - np.linalg.norm(ends - starts, axis=0) / (SAMPLES - 1)).all()
    assert (ours > 0.1).any()


def test_a_segment_through_a_box_is_as_deep_as_its_deepest_point() -> None:
    starts, ends = np.array([[-1.0], [0.01], [0.0]]), np.array([[1.0], [0.01], [0.0]])
    halves = np.array([[0.3], [0.05], [0.2]])
    np.testing.assert_allclose(segment_box_distances(starts, ends, halves), [-0.04], atol=1e-12)


def test_what_is_not_a_number_has_no_distance() -> None:
    starts, ends, halves = drawn(3, 0, 0.2)
    ends[1, 1] = np.nan
    assert np.isnan(segment_box_distances(starts, ends, halves)).tolist() == [False, True, False]


def test_no_segments_have_no_distances() -> None:
    none = np.empty((3, 0))
    assert segment_box_distances(none, none, none).shape == (0,)
