"""Limits that contradict themselves are refused; the mode table says stop where it says nothing."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from forearm.errors import ConfigError
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.safety.limits import Limits
from forearm.safety.mode import Mode, Trigger, step

LIMITS = Limits.of()


def test_the_ranges_are_the_embodiments() -> None:
    np.testing.assert_array_equal(LIMITS.lower, BIMANUAL_YAM.lower)
    np.testing.assert_array_equal(LIMITS.upper, BIMANUAL_YAM.upper)


def test_both_arms_have_the_same_limits() -> None:
    for each in (LIMITS.velocity, LIMITS.acceleration, LIMITS.jerk, LIMITS.tracking_error, LIMITS.position_excess):
        np.testing.assert_array_equal(each[:7], each[7:])


@pytest.mark.parametrize(
    "changes",
    [
        {"velocity": LIMITS.velocity * 0},
        {"velocity": LIMITS.velocity * -1},
        {"jerk": LIMITS.jerk * np.nan},
        {"acceleration": LIMITS.acceleration * np.inf},
        {"velocity": LIMITS.velocity[:13]},
        {"arm_clearance_m": -0.01},
        {"arm_clearance_m": None},
        {"finger_height_m": np.nan},
        {"lower": LIMITS.upper},
        {"slowing": 0.99},
    ],
)
def test_limits_that_contradict_themselves_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"got .*, allowed "):
        replace(LIMITS, **changes)


def test_fingertips_may_be_given_a_height_below_the_table() -> None:
    assert replace(LIMITS, finger_height_m=-0.001).finger_height_m == -0.001
    assert replace(LIMITS, slowing=1.0).slowing == 1.0


def test_a_fault_is_a_protective_stop_in_every_mode() -> None:
    assert {step(mode, Trigger.FAULT) for mode in Mode} == {Mode.PROTECTIVE_STOP}


def test_only_a_reset_leaves_a_protective_stop() -> None:
    leaving = [trigger for trigger in Trigger if step(Mode.PROTECTIVE_STOP, trigger) is not Mode.PROTECTIVE_STOP]
    assert leaving == [Trigger.RESET]
    assert step(Mode.PROTECTIVE_STOP, Trigger.RESET) is Mode.IDLE


def test_what_the_table_does_not_know_is_a_protective_stop() -> None:
    assert step(Mode.IDLE, Trigger.RECOVERED) is Mode.PROTECTIVE_STOP
    assert step(Mode.OPERATOR, Trigger.ENGAGE) is Mode.PROTECTIVE_STOP
    assert step("engaged", "hold") is Mode.PROTECTIVE_STOP


def test_a_run_with_a_hold_a_recovery_and_an_operator_goes_through_these_modes() -> None:
    mode, path = Mode.IDLE, []
    for trigger in ("ENGAGE", "HOLD", "RESUME", "RECOVER", "RECOVERED", "TAKE_OVER", "HAND_BACK", "RESUME", "DONE"):
        mode = step(mode, Trigger[trigger])
        path.append(mode.name)
    assert path == [
        "ENGAGED", "HOLDING", "ENGAGED", "RECOVERING", "ENGAGED", "OPERATOR", "HOLDING", "ENGAGED", "IDLE",
    ]  # fmt: skip


def test_no_trigger_but_engage_resume_and_recovered_lets_the_policy_move_the_arms() -> None:
    into = {trigger for mode, trigger in product(Mode, Trigger) if step(mode, trigger) is Mode.ENGAGED}
    assert into == {Trigger.ENGAGE, Trigger.RESUME, Trigger.RECOVERED}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jerk": LIMITS.jerk[:13]}, "jerk: got shape (13,), allowed is (14,); give every joint a limit"),
        ({"slowing": -2.0}, "slowing: got -2.0, allowed is a finite value > 0; check its unit"),
        ({"slowing": 0.5}, "slowing: got 0.5, allowed is a factor ≥ 1; 1 means never"),
        (
            {"lower": np.where(np.arange(14) == 3, 2.0, LIMITS.lower)},
            "range of joint 3: got 2.0..1.57, allowed is lower < upper; swap them",
        ),
    ],
)
def test_a_refusal_says_what_is_wrong_and_what_to_do(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(LIMITS, **changes)
    assert str(caught.value) == message


def test_a_range_may_lie_below_zero_altogether() -> None:
    below = np.where(np.arange(14) == 0, -1.0, LIMITS.upper)
    assert replace(LIMITS, upper=below).upper[0] == -1.0
