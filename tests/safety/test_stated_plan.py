"""Each objection to what a plan states, with all that it says: what was measured of what, and what is allowed."""

from dataclasses import replace

import numpy as np
import pytest

from forearm.messages import Finding, Outcome
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.safety.limits import Limits
from forearm.safety.stated_plan import plan_is, still_reasons

from .scenes import decided, plan_of, resting

LIMITS, SAID = Limits.of(), plan_of(resting())


def whole(finding: Finding) -> tuple[object, ...]:
    return finding.check, finding.outcome, finding.subject, finding.measured, finding.limit, finding.unit


def stated(**changes: object) -> tuple[Finding, ...]:
    return plan_is(replace(SAID, **changes), decided(resting()).chunk, BIMANUAL_YAM, LIMITS)


def opening(arm: int, waypoint: int, by: float) -> np.ndarray:
    """Every gripper half open, but for that one."""
    openings = np.full((2, 4), 0.5)
    openings[arm, waypoint] = by
    return openings


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"trace_times_s": np.array([0.25, 1.0, 0.5, 2.0])},
            ("plan", Outcome.HOLD, "times", -0.5, 0.0, "s"),
        ),
        (
            {"trace_times_s": np.array([1.75, 2.0, 3.0, 4.0])},
            ("plan", Outcome.HOLD, "times", 1.75, 1.6, "s"),
        ),
        ({"trace_grippers": opening(1, 2, -0.25)}, ("plan", Outcome.HOLD, "right", -0.25, 1.0, "opening")),
        ({"trace_grippers": opening(0, 3, 1.5)}, ("plan", Outcome.HOLD, "left", 1.5, 1.0, "opening")),
    ],
)
def test_it_is_said_by_how_much_a_plan_is_off(changes: dict[str, object], expected: tuple[object, ...]) -> None:
    (finding,) = stated(**changes)
    assert whole(finding) == expected


def test_times_and_openings_that_are_both_impossible_are_both_said() -> None:
    found = stated(trace_times_s=np.array([0.25, 1.0, 0.5, 2.0]), trace_grippers=opening(0, 0, 7.0))
    assert [finding.subject for finding in found] == ["times", "left"]


def test_a_trace_and_openings_that_are_both_none_are_both_said() -> None:
    found = stated(trace=np.zeros((2, 4, 2)), trace_grippers=np.full((2, 4), np.nan))
    assert [(finding.check, finding.subject) for finding in found] == [
        ("shape", "plan's trace"),
        ("finite", "plan's openings"),
    ]


def test_a_first_waypoint_just_after_now_is_ahead() -> None:
    assert stated(trace_times_s=np.array([1e-6, 1.0, 1.5, 2.0])) == ()


def test_an_opening_may_be_as_far_outside_as_a_rows() -> None:
    assert stated(trace_grippers=opening(1, 2, -LIMITS.position_excess[13])) == ()
    assert stated(trace_grippers=opening(1, 2, -LIMITS.position_excess[13] - 1e-9)) != ()


def test_a_policy_that_stopped_to_reason_is_told_how_many_plans_are_missing() -> None:
    (finding,) = still_reasons(reasoned=True)
    assert whole(finding) == ("plan", Outcome.HOLD, "decision", 0.0, 1.0, "plans")
    assert finding.text.startswith("The decision has no plan, and one before it had; a policy that reasons may not")
    assert still_reasons(reasoned=False) == ()
