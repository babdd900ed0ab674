from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from runtime_stubs import HOME, J

from forearm.messages import Finding, Outcome, Verdict
from forearm.runtime.conditions import (
    HISTORY_S,
    REFUSED,
    Condition,
    Detected,
    History,
    Moment,
    blocked_path,
    detect,
    dropped_object,
    failed_grasp,
    interrupted,
    misperception,
    no_progress,
    slipped_hand_over,
    stale_perception,
)
from forearm.runtime.grasp import Felt, Grasp

ALLOWED = Verdict(outcome=Outcome.ALLOW, findings=())
OPEN, HELD, SHUT, LOST = (Felt(grasp=grasp) for grasp in (Grasp.OPEN, Grasp.HOLDING, Grasp.CLOSED_EMPTY, Grasp.LOST))
BOTH_OPEN = (OPEN, OPEN)


def refusal(check: str) -> Verdict:
    finding = Finding(
        check=check, outcome=Outcome.HOLD, subject="arms", measured=0.002, limit=0.01, unit="m", text="Too near."
    )
    return Verdict(outcome=Outcome.HOLD, findings=(finding,))


def moment(
    at_s: float,
    *,
    grasps: tuple[Felt, ...] = BOTH_OPEN,
    off_rad: float = 0.0,
    effort_nm: float = 0.0,
    image_age_s: float = 0.1,
    turned_rad: float = 0.0,
    guarded: Verdict = ALLOWED,
    vetted: Verdict | None = None,
) -> Moment:
    commanded, measured, efforts = HOME.copy(), HOME.copy(), np.zeros(J)
    commanded[7] += off_rad + turned_rad
    measured[7] += turned_rad
    efforts[7] = effort_nm
    return Moment(
        stamp_ns=round(at_s * 1e9), commanded=commanded, measured=measured, efforts=efforts, grasps=grasps,
        oldest_image_ns=round((at_s - image_age_s) * 1e9), guarded=guarded, vetted=vetted,
    )  # fmt: skip


def ticks(begin_s: float, end_s: float) -> Iterator[float]:
    return (begin_s + 0.01 * number for number in range(round((end_s - begin_s) / 0.01)))


def test_nothing_is_wrong_with_arms_that_follow_and_see() -> None:
    assert detect([moment(at, turned_rad=0.5 * at, off_rad=0.05) for at in ticks(0.0, 4.9)]) is None


@pytest.mark.parametrize(
    ("before", "after", "look", "condition"),
    [
        ((OPEN, OPEN), (OPEN, SHUT), failed_grasp, Condition.FAILED_GRASP),
        ((OPEN, HELD), (OPEN, LOST), dropped_object, Condition.DROPPED_OBJECT),
        ((HELD, HELD), (OPEN, LOST), slipped_hand_over, Condition.SLIPPED_HAND_OVER),
    ],
)
def test_a_grasp_gone_wrong_is_believed_after_a_moment_and_not_before(
    before: tuple[Felt, ...], after: tuple[Felt, ...], look: Callable[[History], Detected | None], condition: Condition
) -> None:
    history = [moment(at, grasps=before) for at in ticks(0.0, 1.0)]
    just = history + [moment(at, grasps=after) for at in ticks(1.0, 1.1)]
    assert look(just) is None
    found = look(just + [moment(at, grasps=after) for at in ticks(1.1, 1.2)])
    assert found is not None
    assert (found.condition, found.arm) == (condition, "right")
    assert set(found.evidence) == {"opening", "set_point", "effort_n", "between_m"}


def test_a_gripper_that_was_shut_all_along_has_not_failed() -> None:
    assert failed_grasp([moment(at, grasps=(SHUT, OPEN)) for at in ticks(0.0, 2.0)]) is None


def test_what_one_arm_lost_while_the_other_never_had_it_is_no_hand_over() -> None:
    history = [moment(at, grasps=(OPEN, HELD)) for at in ticks(0.0, 1.0)]
    history += [moment(at, grasps=(OPEN, LOST)) for at in ticks(1.0, 1.3)]
    assert slipped_hand_over(history) is None
    found = detect(history)
    assert found is not None
    assert found.condition is Condition.DROPPED_OBJECT


def test_an_arm_that_stays_off_its_set_point_is_blocked_if_it_pushes_and_interrupted_if_it_does_not() -> None:
    pushing = [moment(at, off_rad=0.2, effort_nm=40.0) for at in ticks(0.0, 0.5)]
    limp = [moment(at, off_rad=0.2, effort_nm=0.5) for at in ticks(0.0, 0.5)]
    found, other = blocked_path(pushing), interrupted(limp)
    assert found is not None
    assert (found.condition, found.arm) == (Condition.BLOCKED_PATH, "right")
    assert found.evidence["effort_nm"] == 40.0
    assert other is not None
    assert (other.condition, other.arm) == (Condition.INTERRUPTED, "right")
    assert interrupted(pushing) is None
    assert blocked_path(limp) is None


def held_for(check: str, subject: str = "right_joint1", unit: str = "N m") -> Verdict:
    finding = Finding(
        check=check, outcome=Outcome.HOLD, subject=subject, measured=25.0, limit=9.0, unit=unit, text="It strains."
    )
    return Verdict(outcome=Outcome.HOLD, findings=(finding,))


@pytest.mark.parametrize(
    ("check", "effort_nm", "condition"),
    [
        ("effort", 0.0, Condition.BLOCKED_PATH),
        ("stopping", 0.0, Condition.BLOCKED_PATH),
        ("tracking", 40.0, Condition.BLOCKED_PATH),
        ("tracking", 0.5, Condition.INTERRUPTED),
    ],
)
def test_what_the_guard_holds_for_twice_is_in_the_way_or_has_the_motors_and_once_however_long_is_neither(
    check: str, effort_nm: float, condition: Condition
) -> None:
    hold = held_for(check)
    lasting = [moment(at, guarded=hold) for at in ticks(0.0, 1.0)]
    assert detect(lasting) is None
    free = [moment(at) for at in ticks(1.0, 1.5)]
    assert detect([*lasting, *free]) is None
    assert detect([*lasting, *free, moment(1.5, guarded=held_for(check, "left_joint1"))]) is None
    assert detect([*lasting, *free, moment(1.5, guarded=held_for("age"))]) is None
    found = detect([*lasting, *free, moment(1.5, guarded=hold, effort_nm=effort_nm)])
    assert found is not None
    assert (found.condition, found.arm) == (condition, "right")
    assert found.evidence == {f"{check}_nm": 25.0, "limit_nm": 9.0, "times": 2}
    assert found.text == "The guard has held 2 times for the same: It strains."


def test_a_hold_about_both_arms_is_of_neither() -> None:
    hold = held_for("stopping", "left fingers and right fingers", "m")
    found = blocked_path([moment(0.0, guarded=hold), moment(0.1), moment(0.2, guarded=hold)])
    assert found is not None
    assert (found.arm, set(found.evidence)) == ("", {"stopping_m", "limit_m", "times"})


def test_an_arm_that_lags_while_it_moves_is_neither() -> None:
    lagging = [moment(at, off_rad=0.2, effort_nm=40.0, turned_rad=at) for at in ticks(0.0, 0.5)]
    assert detect(lagging) is None


def test_an_arm_off_its_set_point_for_an_instant_is_neither() -> None:
    assert detect([moment(at, off_rad=0.2, effort_nm=40.0) for at in ticks(0.0, 0.3)]) is None


def test_decisions_refused_in_a_row_for_want_of_room_are_a_blocked_path_and_one_is_not() -> None:
    refused = [moment(at, vetted=refusal("clearance: arms")) for at in ticks(0.0, 0.01 * REFUSED)]
    assert blocked_path(refused[:-1]) is None
    found = blocked_path(refused)
    assert found is not None
    assert found.text == "Too near."
    assert blocked_path([moment(at, vetted=refusal("trace")) for at in ticks(0.0, 0.05)]) is None


def seen_wrong(share: float = 0.05, unit: str = "of the cells") -> Verdict:
    finding = Finding(
        check="depth", outcome=Outcome.HOLD, subject="top", measured=share, limit=0.02, unit=unit, text="It is nearer."
    )
    return Verdict(outcome=Outcome.HOLD, findings=(finding,))


def test_maps_refused_in_a_row_are_a_misperception_with_its_evidence_and_fewer_or_unmeasured_ones_are_not() -> None:
    refused = [replace(moment(at, vetted=seen_wrong()), rises_m=0.03) for at in ticks(0.0, 0.01 * REFUSED)]
    found = misperception(refused)
    assert found is not None
    assert (found.condition, found.arm, found.text) == (Condition.MISPERCEPTION, "", "It is nearer.")
    assert found.evidence == {"wrong_share": 0.05, "limit_share": 0.02, "rises_m": 0.03}
    assert found.may_move
    assert misperception([*refused, moment(1.0)]) is None
    assert misperception(refused[1:]) is None
    assert misperception([*refused[1:], replace(moment(1.0, vetted=ALLOWED), rises_m=0.0)]) is None
    assert misperception([*refused[:1], moment(0.5, vetted=refusal("trace")), *refused[1:]]) is None
    unmeasured = replace(moment(1.0, vetted=seen_wrong(np.nan, "s")), rises_m=0.0)
    assert misperception([*refused, unmeasured]) is None
    assert misperception([*refused, moment(1.0, vetted=seen_wrong())]) is None
    assert detect(refused) is not None


def test_where_something_stands_that_the_policy_does_not_see_nothing_may_move() -> None:
    refused = [replace(moment(at, vetted=seen_wrong()), rises_m=0.07) for at in ticks(0.0, 0.01 * REFUSED)]
    found = misperception(refused)
    assert found is not None
    assert not found.may_move


def test_a_guard_that_holds_for_want_of_room_is_a_blocked_path_at_once() -> None:
    assert blocked_path([moment(0.0, guarded=refusal("clearance: table"))]) is not None


def test_an_old_image_is_stale_perception_and_a_young_one_is_not() -> None:
    found = stale_perception([moment(1.0, image_age_s=0.45)])
    assert found is not None
    assert found.evidence["age_s"] == pytest.approx(0.45)
    assert stale_perception([moment(1.0, image_age_s=0.35)]) is None


def test_standing_and_hovering_for_a_whole_history_is_no_progress_and_working_is_not() -> None:
    hovering = [moment(at, turned_rad=0.05 * np.sin(at)) for at in ticks(0.0, HISTORY_S)]
    found = no_progress(hovering)
    assert found is not None
    assert found.evidence["moved_rad"] < 0.15
    assert no_progress(hovering[: len(hovering) // 2]) is None
    assert no_progress([moment(at, turned_rad=0.2 * np.sin(at)) for at in ticks(0.0, HISTORY_S)]) is None


def test_a_gripper_that_did_something_is_progress() -> None:
    history = [moment(at) for at in ticks(0.0, 1.0)]
    assert no_progress(history + [moment(at, grasps=(HELD, OPEN)) for at in ticks(1.0, HISTORY_S)]) is None


def test_causes_are_found_before_their_consequences() -> None:
    history = [moment(at) for at in ticks(0.0, 1.0)]
    history += [moment(at, grasps=(SHUT, OPEN), image_age_s=0.6) for at in ticks(1.0, 1.3)]
    found = detect(history)
    assert found is not None
    assert found.condition is Condition.STALE_PERCEPTION
