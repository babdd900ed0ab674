"""What comes nearer than it may, pose by pose, given the clearances alone."""

from collections.abc import Callable

import numpy as np
import pytest

from forearm.messages import Outcome
from forearm.safety.approach import (
    AHEAD,
    CLEAR,
    COMMANDED,
    MEASURED,
    NOTHING_NEAR,
    SENT,
    STANDING,
    Approach,
    approach,
)
from forearm.safety.clearance import PAIRS

NEEDED_M = 0.5  # a binary fraction, as every clearance here: what is equal is equal
LATE = "when it stood"


class Table:
    """Clearances (K, 6), m, of pairs in all poses."""

    def __init__(self, clearances: np.ndarray) -> None:
        self._clearances = clearances

    def clearance(self, pairs: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return self._clearances[pairs, rows]


def judged(
    *pairs: dict[int, float],
    needed_m: float = NEEDED_M,
    below_m: float = 0.0,
    everything: Callable[[], Table] | None = None,
) -> Approach:
    """Pairs that are 8 m apart but in those poses, with bounds that are so much lower."""
    clearances = np.array([[pair.get(pose, 8.0) for pose in range(6)] for pair in pairs])
    bounds, required = clearances[:, :4] - below_m, np.full((len(pairs), 4), needed_m)
    table = Table(clearances)
    return approach(table, bounds, everything or (lambda: table), PAIRS[: len(pairs)], required, LATE)


def test_nothing_is_placed_where_nothing_is_near() -> None:
    def never() -> Table:
        raise AssertionError

    assert judged({COMMANDED: NEEDED_M, MEASURED: NEEDED_M, CLEAR: 0.0}, everything=never) is NOTHING_NEAR
    assert NOTHING_NEAR.clear


@pytest.mark.parametrize(
    ("pose", "check", "where"),
    [
        (COMMANDED, f"clearance: {PAIRS[0].kind}", "and nearing;"),
        (STANDING, "stopping", f"{LATE};"),
        (MEASURED, f"clearance: {PAIRS[0].kind}", "and nearing as measured;"),
        (AHEAD, f"clearance: {PAIRS[0].kind}", "and nearing as measured;"),
    ],
)
def test_what_comes_too_near_is_held_and_said_of_its_pose(pose: int, check: str, where: str) -> None:
    (finding,) = judged({pose: 0.25}).findings
    assert (finding.check, finding.outcome, finding.subject) == (check, Outcome.HOLD, PAIRS[0].text)
    assert (finding.measured, finding.limit, finding.unit) == (0.25, NEEDED_M, "m")
    assert f"250 mm apart {where} 500 mm is needed" in finding.text


@pytest.mark.parametrize(
    ("pose", "beside", "nearer_m"), [(COMMANDED, SENT, 1e-12), (STANDING, SENT, 1e-12), (MEASURED, CLEAR, 1e-3)]
)
def test_what_is_too_near_may_stay_and_leave_and_be_nearer_by_noise_alone(
    pose: int, beside: int, nearer_m: float
) -> None:
    for before_m in (0.125, 0.25, 0.25 + 0.999 * nearer_m):
        assert judged({pose: 0.25, beside: before_m}).findings == ()
    assert judged({pose: 0.25, beside: 0.25 + 1.01 * nearer_m}).findings != ()


def test_a_tick_on_is_compared_with_what_is_measured() -> None:
    assert judged({AHEAD: 0.25, MEASURED: 0.25 + 0.99e-4, CLEAR: 0.25, SENT: 8.0}).findings == ()
    assert judged({AHEAD: 0.25, MEASURED: 0.25 + 1.01e-4, CLEAR: 0.25, SENT: 0.25}).findings != ()


@pytest.mark.parametrize("pair", [{COMMANDED: 0.0, MEASURED: 0.0}, {MEASURED: -1e-3, CLEAR: 0.0}])
def test_what_is_as_near_as_it_may_be_or_as_much_nearer_is_not_held(pair: dict[int, float]) -> None:
    assert judged(pair, needed_m=0.0, below_m=0.1).findings == ()


def test_of_several_the_nearest_is_named_and_a_set_point_before_where_arms_would_stand() -> None:
    (finding,) = judged({COMMANDED: 0.375}, {COMMANDED: 0.25}, {MEASURED: 0.3125}, {STANDING: 0.0}).findings
    assert (finding.subject, finding.measured) == (PAIRS[1].text, 0.25)
    (finding,) = judged({STANDING: 0.375}, {STANDING: 0.25, SENT: 0.125}, {STANDING: 0.3125}).findings
    assert (finding.subject, finding.measured) == (PAIRS[2].text, 0.3125)  # the second one leaves


def test_arms_are_clear_unless_they_are_measured_too_near() -> None:
    for pose in (COMMANDED, STANDING, AHEAD):
        assert judged({pose: 0.25}).clear
    assert not judged({MEASURED: 0.25}).clear
    assert not judged({MEASURED: 0.25, CLEAR: 0.25}).clear  # held or not
    assert not judged({COMMANDED: 0.25}, {MEASURED: 0.25}).clear
