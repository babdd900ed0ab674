"""The table of stops: total, the same for both arms of a pair, and read from what the guard found."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from forearm.messages import Finding, Outcome
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.safety.stops import (
    STOPS,
    Cause,
    Each,
    Faulty,
    Holding,
    StopKind,
    cause_of,
    faulty_arm,
    holding,
    resting_pose,
)

from .scenes import seen

MIRRORED = {Faulty.LEFT: Faulty.RIGHT, Faulty.RIGHT: Faulty.LEFT, Faulty.BOTH: Faulty.BOTH}


def finding(check: str, subject: str = "", outcome: Outcome = Outcome.HOLD) -> Finding:
    return Finding(check=check, outcome=outcome, subject=subject, measured=0.0, limit=0.0, unit="", text="")


def test_the_table_knows_every_combination_and_nothing_else() -> None:
    assert set(STOPS) == set(product(Cause, Faulty, Holding))


def test_what_both_may_hold_is_never_left_to_one_arm() -> None:
    for (_, _, held), each in STOPS.items():
        if held is Holding.SHARED:
            assert each.left is each.right
            assert each.left is not StopKind.RETREAT


def test_no_arm_goes_on_while_the_other_stops() -> None:
    for each in STOPS.values():
        kinds = {each.left, each.right}
        assert len(kinds) == 1 or kinds == {StopKind.HOLD, StopKind.RETREAT}


def test_mirrored_faults_have_mirrored_answers() -> None:
    for (cause, faulty, held), each in STOPS.items():
        assert STOPS[cause, MIRRORED[faulty], held] == Each(left=each.right, right=each.left)


def test_an_arm_with_empty_fingers_that_touched_something_goes_back_and_the_other_stands() -> None:
    each = STOPS[Cause.CONTACT, Faulty.RIGHT, Holding.APART]
    assert (each.left, each.right, each.hardest) == (StopKind.HOLD, StopKind.RETREAT, StopKind.RETREAT)
    assert STOPS[Cause.CONTACT, Faulty.RIGHT, Holding.ONE].hardest is StopKind.HOLD


@pytest.mark.parametrize("cause", [Cause.FAULT, Cause.EXTERNAL, Cause.PERSON])
def test_what_a_person_or_the_cell_asks_for_and_what_is_broken_is_a_protective_stop(cause: Cause) -> None:
    assert {each.hardest for (known, _, _), each in STOPS.items() if known is cause} == {StopKind.PROTECTIVE}


@pytest.mark.parametrize(
    ("checks", "cause"),
    [
        (["age"], Cause.SENSES),
        (["effort", "frozen"], Cause.SENSES),
        (["effort", "speed"], Cause.CONTACT),
        (["tracking"], Cause.CONTACT),
        (["stopping"], Cause.APPROACH),
        (["clearance: arms", "stopping"], Cause.COMMAND),
        (["a check of tomorrow"], Cause.COMMAND),
        ([], Cause.FAULT),
    ],
)
def test_the_cause_is_the_one_that_makes_the_others_doubtful(checks: list[str], cause: Cause) -> None:
    assert cause_of([finding(check) for check in checks]) is cause


def test_a_finding_that_stops_is_a_fault_whatever_else_there_is() -> None:
    assert cause_of([finding("effort"), finding("finite", outcome=Outcome.STOP)]) is Cause.FAULT


@pytest.mark.parametrize(
    ("subjects", "faulty"),
    [
        (["left_joint2"], Faulty.LEFT),
        (["right_joint2", "right_gripper"], Faulty.RIGHT),
        (["left camera and right gripper"], Faulty.BOTH),
        (["left_joint2", "right_joint2"], Faulty.BOTH),
        (["clock"], Faulty.BOTH),
        ([], Faulty.BOTH),
    ],
)
def test_an_arm_is_at_fault_only_where_it_alone_is_named(subjects: list[str], faulty: Faulty) -> None:
    assert faulty_arm([finding("effort", subject) for subject in subjects]) is faulty


@pytest.mark.parametrize(
    ("left_n", "right_n", "held"),
    [
        (0.0, 0.0, Holding.APART),
        (-2.9, 20.0, Holding.APART),
        (-15.0, 0.0, Holding.ONE),
        (0.0, -3.0, Holding.ONE),
        (-15.0, -15.0, Holding.SHARED),
        (np.nan, 0.0, Holding.ONE),
    ],
)
def test_what_presses_or_cannot_be_read_may_hold_something(left_n: float, right_n: float, held: Holding) -> None:
    efforts = np.zeros(14)
    efforts[[6, 13]] = left_n, right_n
    assert holding(replace(seen(), efforts=efforts), BIMANUAL_YAM) is held


def test_what_was_told_to_stop_rests_where_it_was_measured_and_a_gripper_that_presses_as_tight_as_it_was_told() -> None:
    efforts, sent = np.zeros(14), np.zeros(14)
    efforts[[6, 13]] = -15.0, -2.9
    standing = replace(seen(), efforts=efforts)
    expected = standing.positions.copy()
    expected[6] = 0.0
    np.testing.assert_array_equal(resting_pose(standing, sent, BIMANUAL_YAM), expected)
    np.testing.assert_array_equal(resting_pose(standing, sent + 2.0, BIMANUAL_YAM), standing.positions)
    np.testing.assert_array_equal(resting_pose(standing, None, BIMANUAL_YAM), standing.positions)
    assert resting_pose(replace(standing, efforts=efforts * np.nan), sent, BIMANUAL_YAM)[13] == 0.0
