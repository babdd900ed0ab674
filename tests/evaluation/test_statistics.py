import math

import pytest

from forearm.errors import InputError
from forearm.evaluation.statistics import paired_difference, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "lower", "upper"),
    [
        (60, 60, 0.9398, 1.0),
        (0, 10, 0.0, 0.2775),  # Newcombe, Statistics in Medicine 17 (1998), has .278 for 0/10
        (81, 263, 0.2553, 0.3662),  # the same paper's first example, method 3
    ],
)
def test_the_wilson_interval_is_the_published_one(successes: int, trials: int, lower: float, upper: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((lower, upper), abs=1e-4)


@pytest.mark.parametrize(("successes", "trials"), [(25, 60), (59, 60), (3, 7)])
def test_a_bound_is_where_the_observed_rate_is_just_significant(successes: int, trials: int) -> None:
    observed = successes / trials
    for bound in wilson_interval(successes, trials):
        assert abs(observed - bound) == pytest.approx(1.959964 * math.sqrt(bound * (1 - bound) / trials), rel=1e-5)


def test_no_trials_say_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_more_successes_than_trials_are_refused() -> None:
    with pytest.raises(InputError, match="successes: got 3 of 2"):
        wilson_interval(3, 2)


def test_equal_outcomes_differ_by_nothing() -> None:
    outcome = paired_difference([True, False] * 10, [True, False] * 10)
    assert outcome.difference == 0.0
    assert outcome.ci95[0] < 0.0 < outcome.ci95[1]
    assert outcome.p == 1.0


def test_ten_gains_and_no_loss_are_a_difference() -> None:
    outcome = paired_difference([False] * 10 + [True] * 10, [True] * 20)
    assert outcome.difference == 0.5
    assert outcome.ci95[0] > 0.2
    assert math.isclose(outcome.p, 2 / 2**10)


def test_the_difference_changes_sign_with_the_order() -> None:
    first, second = [True, True, False, True], [False, True, False, True]
    forth, back = paired_difference(first, second), paired_difference(second, first)
    assert forth.difference == -back.difference
    assert forth.ci95 == pytest.approx((-back.ci95[1], -back.ci95[0]))


def test_outcomes_of_other_seeds_cannot_be_paired() -> None:
    with pytest.raises(InputError, match="match the seeds"):
        paired_difference([True], [True, False])
