from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forearm.telemetry.metrics import Counter, Histogram


@given(st.lists(st.floats(1e-6, 100.0), min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_at_most_five_percent_above_the_exact_one(samples: list[float], share: float) -> None:
    histogram = Histogram()
    for sample in samples:
        histogram.add(sample)
    exact = float(np.quantile(samples, share, method="inverted_cdf"))
    assert exact * (1 - 1e-9) <= histogram.quantile(share) <= exact * 1.05 * (1 + 1e-9)


def test_the_worst_and_the_mean_are_exact() -> None:
    histogram = Histogram()
    for sample in (0.001, 0.004, 0.0):
        histogram.add(sample)
    assert histogram.worst_s == 0.004
    assert histogram.total_s == pytest.approx(0.005)
    assert histogram.count == 3


def test_an_empty_histogram_answers_zero() -> None:
    assert Histogram().quantile(0.99) == 0.0


def test_a_duration_beyond_the_last_bucket_is_its_own_worst_case() -> None:
    histogram = Histogram()
    histogram.add(1e7)
    assert histogram.quantile(1.0) <= histogram.worst_s == 1e7


def test_a_counter_counts() -> None:
    counter = Counter()
    counter.add()
    counter.add(3)
    assert counter.count == 4
