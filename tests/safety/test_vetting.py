"""What vetting lets through, what it changes, what it refuses, and what it says about it."""

from dataclasses import replace

import numpy as np
import pytest

from forearm.clock import NANOSECONDS
from forearm.messages import Decision, Image, Observation, Outcome, Verdict
from forearm.safety.freshness import AGES
from forearm.safety.gates import Gates
from forearm.safety.limits import Limits
from forearm.safety.vetting import Vetting, _rows_at

from .scenes import BOTH_HOME, NOW_NS, PIXELS, decided, looked, plan_of, ramp, resting

LIMITS = Limits.of()


def vet(decision: Decision, observation: Observation | None = None, now_ns: int = NOW_NS) -> Verdict:
    return Vetting(LIMITS).vet(decision, observation or looked(), now_ns)


def checks_of(verdict: Verdict) -> list[str]:
    return [finding.check for finding in verdict.findings]


def refused(verdict: Verdict, outcome: Outcome, check: str) -> None:
    assert verdict.vetted is None
    assert verdict.outcome is outcome
    assert check in checks_of(verdict)
    assert all(finding.text[0].isupper() or finding.text.startswith(("left", "right")) for finding in verdict.findings)


def test_resting_is_allowed_untouched() -> None:
    decision = decided(resting())
    verdict = vet(decision)
    assert verdict.outcome is Outcome.ALLOW
    assert verdict.findings == ()
    np.testing.assert_array_equal(verdict.vetted.chunk.positions, decision.chunk.positions)
    assert (verdict.vetted.chunk.stamp_ns, verdict.vetted.chunk.period_s) == (NOW_NS, 0.1)
    assert (verdict.vetted.sequence, verdict.vetted.epoch) == (3, 1)
    assert verdict.cost_s > 0


def test_what_was_vetted_cannot_be_changed_by_whoever_made_it() -> None:
    rows = resting()
    vetted = vet(decided(rows)).vetted
    rows[3, 0] = 99.0
    np.testing.assert_array_equal(vetted.chunk.positions, resting())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_stops(value: float) -> None:
    rows = resting()
    rows[7, 3] = value
    refused(vet(decided(rows)), Outcome.STOP, "finite")
    refused(vet(decided(resting()), looked(rows[7])), Outcome.STOP, "finite")


@pytest.mark.parametrize("shape", [(0, 14), (16, 13), (16, 15), (14,), (2, 16, 14), (65, 14)])
def test_a_wrong_shape_stops(shape: tuple[int, ...]) -> None:
    refused(vet(decided(np.zeros(shape))), Outcome.STOP, "shape")


def test_a_measured_pose_of_the_wrong_shape_stops() -> None:
    refused(vet(decided(resting()), looked(np.zeros(13))), Outcome.STOP, "shape")


@pytest.mark.parametrize("rows", [resting().astype(np.float32), resting().astype(object), None, resting().tolist()])
def test_anything_but_float64_stops(rows: object) -> None:
    refused(vet(decided(rows)), Outcome.STOP, "dtype")


@pytest.mark.parametrize("period", [0.0, -0.1, np.nan, np.inf, 1e-9, 0.6, None, 100])
def test_a_period_that_is_none_stops(period: object) -> None:
    refused(vet(decided(resting(), period_s=period)), Outcome.STOP, "period")


@pytest.mark.parametrize("period", [1 / 60, 0.5])
def test_the_shortest_and_longest_periods_are_allowed(period: float) -> None:
    assert vet(decided(resting(8), period_s=period)).outcome is Outcome.ALLOW


def test_a_chunk_may_not_lead_on_for_longer_than_its_limit_once_it_is_slowed() -> None:
    assert vet(decided(resting(40))).outcome is Outcome.ALLOW
    verdict = vet(decided(resting(41)))
    refused(verdict, Outcome.HOLD, "duration")
    assert verdict.findings[0].text == "The chunk lasts 4.1 s; 4 s on one look are allowed."
    slowed = resting(8)
    slowed[4:, 5] += 0.5 * 1.1 * LIMITS.velocity[5]
    refused(vet(decided(slowed, period_s=0.5)), Outcome.HOLD, "duration")
    assert vet(decided(slowed[1:], period_s=0.5)).outcome is Outcome.LIMIT


def test_a_motion_that_no_policy_made_may_last_longer() -> None:
    helm = Gates.of(LIMITS).helm_vetting
    assert helm.vet(decided(resting(64)), looked(), NOW_NS).outcome is Outcome.ALLOW
    assert Gates.of(LIMITS).vetting.vet(decided(resting(64)), looked(), NOW_NS).outcome is Outcome.HOLD
    assert helm.vet(decided(resting(64), period_s=0.11), looked(), NOW_NS).outcome is Outcome.HOLD


def test_a_decision_of_another_session_is_held() -> None:
    refused(vet(decided(resting(), epoch=2)), Outcome.HOLD, "epoch")


def test_a_decision_of_another_model_than_the_session_began_with_is_held() -> None:
    vetting = Vetting(LIMITS, model_digest="weights of this session")
    refused(vetting.vet(decided(resting()), looked(), NOW_NS), Outcome.HOLD, "model")
    theirs = replace(decided(resting()), model_digest="weights of this session")
    assert vetting.vet(theirs, looked(), NOW_NS).outcome is Outcome.ALLOW


@pytest.mark.parametrize("shift_ns", [-1, 1])
def test_a_chunk_that_answers_another_observation_is_held(shift_ns: int) -> None:
    refused(vet(decided(resting(), stamp_ns=NOW_NS + shift_ns)), Outcome.HOLD, "answers")


def test_an_old_or_future_decision_is_held_and_one_just_young_enough_is_not() -> None:
    limit_ns = round(AGES.decision_s * NANOSECONDS)
    refused(vet(decided(resting()), now_ns=NOW_NS + limit_ns + 1), Outcome.HOLD, "age")
    refused(vet(decided(resting()), now_ns=NOW_NS - 1), Outcome.HOLD, "age")
    assert vet(decided(resting()), now_ns=NOW_NS + limit_ns).outcome is Outcome.ALLOW


def test_a_missing_camera_and_a_stale_one_are_held_by_name() -> None:
    observation = looked()
    images = dict(observation.images)
    del images["left"]
    old_ns = NOW_NS - round(AGES.image_s("top") * NANOSECONDS) - 1
    images["right"] = Image(stamp_ns=old_ns, pixels=PIXELS)
    verdict = vet(decided(resting()), replace(observation, images=images))
    refused(verdict, Outcome.HOLD, "camera")
    assert {finding.subject for finding in verdict.findings} == {"left", "image of the right camera"}
    assert Vetting(LIMITS, cameras=()).vet(decided(resting()), replace(observation, images={}), NOW_NS).vetted


def test_arms_measured_where_they_cannot_be_stop() -> None:
    outside = BOTH_HOME.copy()
    outside[1] = -0.06
    refused(vet(decided(resting()), looked(outside)), Outcome.STOP, "position")


def test_rows_next_to_the_range_are_clipped_and_it_is_said() -> None:
    rows = resting()
    rows[:, 6], rows[:, 13] = 1.05, -0.1
    rows[:, 13] = np.linspace(1.0, -0.1, 16)
    verdict = vet(decided(rows))
    assert verdict.outcome is Outcome.LIMIT
    assert checks_of(verdict) == ["position"]
    assert verdict.vetted.chunk.positions.max() <= LIMITS.upper.max()
    np.testing.assert_array_equal(verdict.vetted.chunk.positions[:, 6], 1.0)
    assert verdict.vetted.chunk.positions[-1, 13] == 0.0
    assert verdict.findings[0].measured == pytest.approx(-0.1)
    assert verdict.findings[0].text == (
        "The chunk puts right_gripper at -0.100 opening; 0.000 to 1.000 is allowed. "
        "Its rows are clipped, by 0.100 opening at the most."
    )


def test_a_clipped_chunk_with_a_plan_that_agrees_still_says_that_it_was_clipped() -> None:
    rows = resting()
    rows[:, 6] = 1.05
    verdict = vet(decided(rows, plan=plan_of(resting())))
    assert checks_of(verdict) == ["position"]
    assert verdict.outcome is Outcome.LIMIT


@pytest.mark.parametrize(("joint", "beyond"), [(1, -0.051), (4, 1.63), (6, 1.21), (13, -0.21)])
def test_rows_far_outside_the_range_are_held(joint: int, beyond: float) -> None:
    rows = resting()
    rows[:, joint] = beyond
    refused(vet(decided(rows)), Outcome.HOLD, "position")


def test_a_first_row_that_is_a_jump_from_the_measured_pose_is_held() -> None:
    allowed = LIMITS.velocity[0] * 0.1 + LIMITS.tracking_error[0]
    there, too_far = resting(), resting()
    there[:, 0] += allowed - 1e-6
    too_far[:, 0] += allowed + 1e-6
    assert vet(decided(there)).outcome is Outcome.ALLOW
    refused(vet(decided(too_far)), Outcome.HOLD, "first row")


def test_a_chunk_that_is_too_fast_is_slowed_to_the_limit() -> None:
    verdict = vet(decided(ramp(5, 1.5 * LIMITS.velocity[5], 5)))
    assert verdict.outcome is Outcome.LIMIT
    assert checks_of(verdict) == ["speed"]
    chunk = verdict.vetted.chunk
    assert chunk.period_s == pytest.approx(0.15)
    assert verdict.findings[0].text.endswith("5 is allowed. The chunk is slowed 1.50 times, to 150 ms a row.")
    assert (np.abs(np.diff(chunk.positions, axis=0)) / chunk.period_s <= LIMITS.velocity).all()
    assert (
        Vetting(LIMITS).vet(decided(chunk.positions, period_s=chunk.period_s), looked(), NOW_NS).outcome
        is Outcome.ALLOW
    )


@pytest.mark.parametrize(("gone_s", "past"), [(0.15, 1), (0.25, 2)])
def test_a_chunk_is_slowed_from_now_on_and_what_is_past_stays_past(gone_s: float, past: int) -> None:
    rows = ramp(5, 1.5 * LIMITS.velocity[5], 5)
    now_ns = NOW_NS + round(gone_s * NANOSECONDS)
    chunk = Vetting(LIMITS).vet(decided(rows), looked(), now_ns).vetted.chunk
    np.testing.assert_array_equal(chunk.positions, rows[past:])
    times_s = (chunk.stamp_ns - NOW_NS) / NANOSECONDS + chunk.period_s * np.arange(1, 6 - past)
    assert times_s == pytest.approx(gone_s + 1.5 * (0.1 * np.arange(1 + past, 6) - gone_s))


@pytest.mark.parametrize("gone_s", [0.0, 0.09])
def test_a_slowed_chunk_of_which_nothing_is_past_is_slowed_from_its_beginning(gone_s: float) -> None:
    rows = ramp(5, 1.5 * LIMITS.velocity[5], 5)
    chunk = Vetting(LIMITS).vet(decided(rows), looked(), NOW_NS + round(gone_s * NANOSECONDS)).vetted.chunk
    assert chunk.stamp_ns == NOW_NS
    np.testing.assert_array_equal(chunk.positions, rows)


@pytest.mark.parametrize("gone_s", [0.51, 0.75, 0.99])
def test_a_slowed_chunk_that_is_wholly_past_stays_so(gone_s: float) -> None:
    now_ns = NOW_NS + round(gone_s * NANOSECONDS)
    chunk = Vetting(LIMITS).vet(decided(ramp(5, 1.5 * LIMITS.velocity[5], 5)), looked(), now_ns).vetted.chunk
    assert len(chunk.positions) == 1
    assert chunk.stamp_ns + round(chunk.period_s * NANOSECONDS) <= now_ns


def test_a_chunk_that_keeps_its_pace_keeps_its_rows_and_its_stamp() -> None:
    rows = ramp(5, 0.5 * LIMITS.velocity[5], 5)
    chunk = Vetting(LIMITS).vet(decided(rows), looked(), NOW_NS + NANOSECONDS // 4).vetted.chunk
    assert chunk.stamp_ns == NOW_NS
    np.testing.assert_array_equal(chunk.positions, rows)


def test_how_long_a_row_takes_when_slowed_is_said_in_milliseconds() -> None:
    rows = resting(2)
    rows[1, 5] += 0.5 * 1.1 * LIMITS.velocity[5]
    assert (
        vet(decided(rows, period_s=0.5)).findings[0].text.endswith(" The chunk is slowed 1.10 times, to 550 ms a row.")
    )


def test_a_chunk_that_is_far_too_fast_is_held() -> None:
    too_fast = vet(decided(ramp(5, 2.01 * LIMITS.velocity[5], 4)))
    refused(too_fast, Outcome.HOLD, "speed")
    assert "slowed" not in too_fast.findings[0].text
    assert vet(decided(ramp(5, 1.99 * LIMITS.velocity[5], 4))).outcome is Outcome.LIMIT


def test_acceleration_and_jerk_slow_a_chunk_by_their_root() -> None:
    shaken = resting(8)
    shaken[3, 0] += 0.04  # one row 40 mrad off, 50 ms from its neighbours: 0.8 rad/s, 32 rad/s², 960 rad/s³
    verdict = vet(decided(shaken, period_s=0.05))
    acceleration = 0.08 / 0.05**2
    jerk = 0.12 / 0.05**3
    assert checks_of(verdict) == ["acceleration", "jerk"]
    slower = max((acceleration / LIMITS.acceleration[0]) ** 0.5, (jerk / LIMITS.jerk[0]) ** (1 / 3))
    assert verdict.vetted.chunk.period_s == pytest.approx(0.05 * slower)
    assert [finding.measured for finding in verdict.findings] == pytest.approx([acceleration, jerk])
    assert all(f" The chunk is slowed {slower:.2f} times, to " in finding.text for finding in verdict.findings)


def test_only_the_beginning_of_a_chunk_that_ends_in_the_table_is_kept() -> None:
    rows = ramp(1, 0.4)
    verdict = vet(decided(rows))
    assert verdict.outcome is Outcome.LIMIT
    assert checks_of(verdict) == ["clearance: fingers over table"]
    kept = verdict.vetted.chunk.positions
    assert LIMITS.fewest_rows <= len(kept) < 16
    np.testing.assert_array_equal(kept, rows[: len(kept)])
    assert verdict.findings[0].text.endswith(f"-6 mm is needed. The first {len(kept)} of 16 rows are kept.")
    assert verdict.findings[0].subject == "left fingers and table"
    assert verdict.findings[0].measured < verdict.findings[0].limit == LIMITS.finger_height_m


def test_a_chunk_with_too_short_a_safe_beginning_is_held() -> None:
    refused(vet(decided(ramp(1, 2.5, 6))), Outcome.HOLD, "clearance: fingers over table")


def test_a_plan_that_says_what_its_chunk_does_is_allowed_and_one_that_does_not_is_held() -> None:
    rows = ramp(0, 0.5)
    assert vet(decided(rows, plan=plan_of(rows))).outcome is Outcome.ALLOW
    within = plan_of(rows, offset_m=LIMITS.trace_error_m - 1e-6)
    assert vet(decided(rows, plan=within)).outcome is Outcome.ALLOW
    verdict = vet(decided(rows, plan=plan_of(rows, offset_m=LIMITS.trace_error_m + 1e-6)))
    refused(verdict, Outcome.HOLD, "trace")
    assert verdict.findings[0].subject == "right"


def test_a_plan_is_compared_in_its_own_time_when_the_chunk_is_slowed() -> None:
    rows = ramp(0, 1.5 * LIMITS.velocity[0], 6)
    plan = plan_of(np.concatenate([rows, rows]))
    assert vet(decided(rows, plan=plan)).outcome is Outcome.LIMIT


SAID = plan_of(resting())


@pytest.mark.parametrize(
    ("outcome", "check", "text", "changes"),
    [
        (Outcome.STOP, "finite", "The plan's trace has 24 values that are", {"trace": SAID.trace * np.nan}),
        (Outcome.STOP, "dtype", "The plan's trace is NoneType; a float64 array", {"trace": None}),
        (Outcome.STOP, "shape", "The plan's trace has shape (1, 4, 3); (2, 4, 3) is", {"trace": SAID.trace[:1]}),
        (Outcome.STOP, "shape", "The plan's trace has shape (2, 1, 3); (2, 4, 3) is", {"trace": SAID.trace[:, :1]}),
        (Outcome.STOP, "shape", "The plan's trace has shape (2, 12); (2, 4, 3) is", {"trace": SAID.trace.reshape(2, 12)}),
        (Outcome.STOP, "dtype", "The plan's openings is float32", {"trace_grippers": np.ones((2, 4), np.float32)}),
        (Outcome.STOP, "shape", "The plan's openings has shape (2,); (2, 4) is", {"trace_grippers": np.ones(2)}),
        (Outcome.STOP, "dtype", "The plan's times is list", {"trace_times_s": [0.3, 0.6, 1.0, 2.4]}),
        (Outcome.STOP, "shape", "The plan's times has shape (0,); (1 or more) is", {"trace_times_s": np.zeros(0)}),
        (Outcome.STOP, "finite", "The plan's times has 1 values", {"trace_times_s": np.array([0.3, 0.6, 1.0, np.inf])}),
        (Outcome.HOLD, "plan", "are at [0.3, 0.6, 0.6, 1.0] s; each", {"trace_times_s": np.array([0.3, 0.6, 0.6, 1.0])}),
        (Outcome.HOLD, "plan", "are at [0.0, 0.6, 0.7, 1.0] s; each", {"trace_times_s": np.array([0.0, 0.6, 0.7, 1.0])}),
        (
            Outcome.HOLD, "plan", "The plan's first waypoint is 1.61 s ahead; its chunk ends after 1.6 s.",
            {"trace_times_s": np.array([1.61, 2.0, 3.0, 4.0])},
        ),
        (
            Outcome.HOLD, "plan", "The plan says that the right gripper will be open by -0.21; 0 to 1 is allowed.",
            {"trace_grippers": np.where(np.arange(8).reshape(2, 4) == 6, -0.21, 1.0)},
        ),
        (
            Outcome.HOLD, "plan", "The plan says that the left gripper will be open by 1.21; 0 to 1 is allowed.",
            {"trace_grippers": np.where(np.arange(8).reshape(2, 4) == 1, 1.21, 0.0)},
        ),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_compared_is_not_taken_for_one_that_agrees(
    outcome: Outcome, check: str, text: str, changes: dict[str, object]
) -> None:
    verdict = vet(decided(resting(), plan=replace(SAID, **changes)))
    refused(verdict, outcome, check)
    assert len(verdict.findings) == 1
    assert text in verdict.findings[0].text


def test_openings_may_be_a_rounding_outside_and_one_waypoint_is_enough() -> None:
    rounded = replace(SAID, trace_grippers=np.where(np.arange(8).reshape(2, 4) == 6, -0.19, 1.19))
    assert vet(decided(resting(), plan=rounded)).outcome is Outcome.ALLOW
    one = replace(SAID, trace=SAID.trace[:, :1], trace_grippers=np.ones((2, 1)), trace_times_s=np.array([1.6]))
    assert vet(decided(resting(), plan=one)).outcome is Outcome.ALLOW


def test_a_policy_that_reasoned_in_this_session_may_not_stop_to() -> None:
    vetting, silent = Vetting(LIMITS), decided(resting())
    assert vetting.vet(silent, looked(), NOW_NS).outcome is Outcome.ALLOW  # it does not reason, so far
    assert vetting.vet(decided(resting(), plan=SAID), looked(), NOW_NS).outcome is Outcome.ALLOW
    verdict = vetting.vet(silent, looked(), NOW_NS)
    refused(verdict, Outcome.HOLD, "plan")
    assert verdict.findings[0].subject == "decision"
    assert vetting.vet(decided(resting(), epoch=2), looked(epoch=2), NOW_NS).outcome is Outcome.ALLOW  # another session


def test_a_plan_of_another_session_is_not_remembered_as_this_ones() -> None:
    vetting = Vetting(LIMITS)
    refused(vetting.vet(decided(resting(), plan=SAID), looked(epoch=2), NOW_NS), Outcome.HOLD, "epoch")
    assert vetting.vet(decided(resting()), looked(), NOW_NS).outcome is Outcome.ALLOW


def test_an_exception_in_a_check_is_a_stop_that_says_so() -> None:
    verdict = vet(None)
    refused(verdict, Outcome.STOP, "fault")
    assert "AttributeError" in verdict.findings[0].text


def test_the_same_question_gets_the_same_answer() -> None:
    vetting = Vetting(LIMITS)
    vetting.vet(decided(ramp(1, 0.4)), looked(), NOW_NS)
    assert vetting.vet(decided(resting()), looked(), NOW_NS).outcome is Outcome.ALLOW


def test_objections_name_what_they_are_about() -> None:
    subjects = [
        (vet(decided(np.zeros((16, 13)))), ["chunk"]),
        (vet(decided(resting()), looked(np.zeros(13))), ["measured pose"]),
        (vet(decided(resting(), epoch=2)), ["decision"]),
        (vet(decided(resting()), now_ns=NOW_NS - 1), ["decision's observation"]),
        (vet(None), ["vetting"]),
    ]
    for verdict, expected in subjects:
        assert [each.subject for each in verdict.findings] == expected


def test_the_first_objection_that_holds_ends_the_questions() -> None:
    rows = resting()
    rows[:, 4] = 3.0  # also a jump, with a plan that says something else
    assert checks_of(vet(decided(rows, plan=plan_of(resting(), offset_m=1.0)))) == ["position"]
    rows = resting()
    rows[:, 0] += 0.7
    assert checks_of(vet(decided(rows, plan=plan_of(resting(), offset_m=1.0)))) == ["trace"]
    assert checks_of(vet(decided(rows))) == ["first row"]


def test_objections_say_what_is_wrong_in_words() -> None:
    outside = BOTH_HOME.copy()
    outside[1] = -0.06
    texts = [each.text for each in vet(decided(resting()), looked(outside)).findings]
    assert "The measured pose puts left_joint2 at -0.060 rad; -0.050 to 3.715 is allowed." in texts
    rows = resting()
    rows[:, 4] = 1.6
    assert vet(decided(rows, period_s=0.5)).findings[0].text == (
        "The chunk puts left_joint5 at 1.600 rad; -1.570 to 1.570 is allowed. "
        "Its rows are clipped, by 0.030 rad at the most."
    )
    rows[:, 4] = 3.0
    assert vet(decided(rows)).findings[0].text == (
        "The chunk puts left_joint5 at 3.000 rad; -1.620 to 1.620 is allowed."
    )
    rows = resting()
    rows[:, 0] += 0.7
    assert vet(decided(rows)).findings[0].text == "left_joint1 is to jump by 0.7 rad; 0.6 is allowed."
    shaken = resting(8)
    shaken[3, 5] += 0.4
    assert [each.text for each in vet(decided(shaken, period_s=1 / 30)).findings] == [
        "left_joint6 is to move at 12 rad/s at row 2; 5 is allowed.",
        "left_joint6 is to accelerate at 720 rad/s² at row 2; 40 is allowed.",
        "left_joint6 is to jerk at 3.24e+04 rad/s³ at row 1; 1e+03 is allowed.",
    ]


def test_the_fewest_rows_worth_following_are_followed_and_one_less_is_held() -> None:
    rows = ramp(1, 0.4)
    clear = len(vet(decided(rows)).vetted.chunk.positions)
    fewest = rows[clear - LIMITS.fewest_rows :]
    verdict = vet(decided(fewest))
    assert len(verdict.vetted.chunk.positions) == LIMITS.fewest_rows
    assert f"mm apart on the way to row {LIMITS.fewest_rows}; " in verdict.findings[0].text
    refused(vet(decided(fewest[1:])), Outcome.HOLD, "clearance: fingers over table")


def test_a_plan_is_compared_up_to_the_last_row_and_not_beyond() -> None:
    rows = ramp(0, 0.5)
    plan = plan_of(rows, offset_m=1.0)  # at its second waypoint
    for at_s, outcome in ((1.6, Outcome.HOLD), (1.6001, Outcome.ALLOW)):
        times_s = np.array([0.3, at_s, at_s + 1, at_s + 2])
        assert vet(decided(rows, plan=replace(plan, trace_times_s=times_s))).outcome is outcome


def test_rows_between_the_rows_are_on_straight_lines_and_before_the_first_there_is_the_first() -> None:
    rows = np.array([[1.0], [2.0], [4.0]])
    times_s = np.array([0.0, 0.1, 0.15, 0.2, 0.275, 0.3, 0.9])
    np.testing.assert_allclose(_rows_at(times_s, rows, 0.1)[:, 0], [1.0, 1.0, 1.5, 2.0, 3.5, 4.0, 4.0])


def test_a_cost_is_a_duration() -> None:
    assert 0 < vet(decided(resting())).cost_s < 60


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_chunk_too_short_for_a_rate_is_allowed(rows: int) -> None:
    assert vet(decided(resting(rows))).outcome is Outcome.ALLOW
