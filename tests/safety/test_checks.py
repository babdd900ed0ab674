"""Each predicate's objection, whole: which check, how bad, about what, what was measured, what is allowed, in words."""

from math import inf, isnan, nan

import numpy as np
import pytest

from forearm.clock import NANOSECONDS
from forearm.messages import Finding, Image, Outcome
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.safety import checks
from forearm.safety.clearance import PAIRS

from .scenes import NOW_NS, PIXELS, decided, resting, seen

JOINTS = BIMANUAL_YAM.joints
ONES = np.ones(14)


def only(findings: tuple[Finding, ...]) -> tuple[str, Outcome, str, float, float, str, str]:
    """The one finding, as a tuple."""
    (each,) = findings
    return each.check, each.outcome, each.subject, each.measured, each.limit, each.unit, each.text


def about(joint: int, value: float) -> np.ndarray:
    values = np.zeros(14)
    values[joint] = value
    return values


def test_the_worst_finding_decides_and_without_any_it_is_allowed() -> None:
    found = checks.finding("a", Outcome.LIMIT, "", 0, 0, "", "") + checks.finding("b", Outcome.STOP, "", 0, 0, "", "")
    assert checks.worst(found) is Outcome.STOP
    assert checks.worst(found[:1]) is Outcome.LIMIT
    assert checks.worst(()) is Outcome.ALLOW


def test_an_array_of_another_kind_is_named_by_its_kind() -> None:
    single = only(checks.array_is("chunk", np.zeros(14, np.float32), width=14))
    assert single[:3] == ("dtype", Outcome.STOP, "chunk")
    assert isnan(single[3])
    assert isnan(single[4])
    assert single[5:] == ("", "The chunk is float32; a float64 array is needed.")
    assert only(checks.array_is("chunk", [0.0], width=1))[6] == "The chunk is list; a float64 array is needed."
    assert only(checks.array_is("chunk", None, width=1))[6] == "The chunk is NoneType; a float64 array is needed."


def test_an_array_of_another_shape_is_told_what_is_needed() -> None:
    assert only(checks.array_is("pose", np.zeros(13), width=14)) == (
        "shape", Outcome.STOP, "pose", 13.0, 14.0, "values", "The pose has shape (13,); (14,) is needed.",
    )  # fmt: skip
    assert only(checks.array_is("chunk", np.zeros((3, 13)), width=14, rows=2)) == (
        "shape", Outcome.STOP, "chunk", 39.0, 28.0, "values", "The chunk has shape (3, 13); (1 to 2, 14) is needed.",
    )  # fmt: skip


def test_numbers_of_another_shape_are_told_what_is_needed() -> None:
    assert only(checks.numbers_are("trace", np.zeros((2, 0, 4)), (2, None, 3))) == (
        "shape", Outcome.STOP, "trace", 0.0, 6.0, "values",
        "The trace has shape (2, 0, 4); (2, 1 or more, 3) is needed.",
    )  # fmt: skip
    assert checks.numbers_are("trace", np.zeros((2, 5, 3)), (2, None, 3)) == ()


def test_a_chunk_that_leads_too_far_says_for_how_long() -> None:
    chunk = decided(resting(), period_s=0.25).chunk
    assert checks.lasts(chunk, 4.0) == ()
    assert only(checks.lasts(chunk, 3.5)) == (
        "duration", Outcome.HOLD, "chunk", 4.0, 3.5, "s", "The chunk lasts 4 s; 3.5 s on one look are allowed.",
    )  # fmt: skip


@pytest.mark.parametrize(("rows", "allowed"), [(0, False), (1, True), (5, True), (6, False)])
def test_one_row_to_the_most_are_allowed(rows: int, allowed: bool) -> None:
    assert (checks.array_is("chunk", np.zeros((rows, 14)), width=14, rows=5) == ()) == allowed


def test_values_that_are_not_finite_are_counted() -> None:
    assert only(checks.array_is("pose", np.array([1.0, nan, -inf]), width=3)) == (
        "finite", Outcome.STOP, "pose", 2.0, 0.0, "values", "The pose has 2 values that are not finite numbers.",
    )  # fmt: skip
    assert checks.array_is("pose", np.array([1.0, 1e308, 0.0]), width=3) == ()


def test_a_period_is_a_number_between_two_others_both_included() -> None:
    assert checks.period_is(0.1, 0.1, 0.5) == checks.period_is(0.5, 0.1, 0.5) == ()
    assert only(checks.period_is(0.6, 0.1, 0.5)) == (
        "period", Outcome.STOP, "chunk", 0.6, 0.5, "s", "The chunk's rows are 0.6 s apart; 0.1 to 0.5 s is allowed.",
    )  # fmt: skip
    assert only(checks.period_is(0.0999, 0.1, 0.5))[3] == 0.0999
    none = only(checks.period_is(None, 0.1, 0.5))
    assert isnan(none[3])
    assert none[6] == "The chunk's rows are None s apart; 0.1 to 0.5 s is allowed."


def test_a_chunk_about_another_observation_says_how_far_apart_they_are() -> None:
    assert checks.answers(5, 5) == ()
    assert only(checks.answers(NANOSECONDS, 3 * NANOSECONDS)) == (
        "answers", Outcome.HOLD, "chunk", -2.0, 0.0, "s",
        "The chunk answers an observation 2000 ms from the one it is judged with.",
    )  # fmt: skip


def test_a_command_that_is_not_newer_names_the_last_one() -> None:
    assert checks.follows(4, 3) == ()
    assert only(checks.follows(3, 3)) == (
        "sequence", Outcome.HOLD, "command", 3.0, 4.0, "", "The command is number 3, and number 3 was sent already.",
    )  # fmt: skip


def test_a_broken_check_is_a_stop_with_its_error() -> None:
    found = only(checks.broken("guard", ValueError("no")))
    assert found[:3] == ("fault", Outcome.STOP, "guard")
    assert isnan(found[3])
    assert isnan(found[4])
    assert found[5:] == ("", "A check of the guard failed: ValueError: no")


def test_another_session_is_named_beside_this_one() -> None:
    assert checks.same_epoch("decision", 2, 2) == ()
    assert only(checks.same_epoch("decision", 1, 2)) == (
        "epoch", Outcome.HOLD, "decision", 1.0, 2.0, "session",
        "The decision belongs to session 1; this is session 2.",
    )  # fmt: skip


def test_age_is_allowed_from_zero_to_its_limit_and_otherwise_said_in_milliseconds() -> None:
    assert checks.fresh("pose", 0, 0, 0.05) == checks.fresh("pose", 0, 50_000_000, 0.05) == ()
    assert only(checks.fresh("pose", 0, 70_000_000, 0.05)) == (
        "age", Outcome.HOLD, "pose", 0.07, 0.05, "s", "The pose is 70 ms old; 50 ms is allowed.",
    )  # fmt: skip
    assert only(checks.fresh("pose", 30_000_000, 0, 0.05)) == (
        "age", Outcome.HOLD, "pose", -0.03, 0.05, "s", "The pose is stamped 30 ms in the future; a clock jumped.",
    )  # fmt: skip


def test_cameras_are_named_when_they_are_missing_or_old() -> None:
    image = Image(stamp_ns=NOW_NS - NANOSECONDS, pixels=PIXELS)
    missing = only(checks.cameras_fresh(seen(images={"left": image}), ["top"], NOW_NS, 0.5))
    assert missing[:3] == ("camera", Outcome.HOLD, "top")
    assert isnan(missing[3])
    assert missing[4:] == (0.5, "s", "The top camera's image is missing; there are images of left.")
    assert only(checks.cameras_fresh(seen(images={}), ["top"], NOW_NS, 0.5))[6].endswith("images of none.")
    old = only(checks.cameras_fresh(seen(images={"left": image}), ["left"], NOW_NS, 0.5))
    assert old[:5] == ("age", Outcome.HOLD, "image of the left camera", 1.0, 0.5)
    for cameras in (["top", "left"], ["left", "top"]):
        assert len(checks.cameras_fresh(seen(images={"left": image}), cameras, NOW_NS, 0.5)) == 2


def test_the_joint_that_is_over_its_limit_most_is_named_with_its_row_and_unit() -> None:
    assert checks.within("speed", "is to move at", "/s", ONES, ONES, JOINTS, Outcome.HOLD) == ()
    assert only(checks.within("speed", "is to move at", "/s", about(1, -2.0), ONES, JOINTS, Outcome.HOLD)) == (
        "speed", Outcome.HOLD, "left_joint2", 2.0, 1.0, "rad/s", "left_joint2 is to move at 2 rad/s; 1 is allowed.",
    )  # fmt: skip
    rows = np.stack([about(0, 3.0), about(13, 4.0)])
    limits = np.where(np.arange(14) == 13, 2.0, 1.0)
    assert only(checks.within("jerk", "jerks", "/s³", rows, limits, JOINTS, Outcome.LIMIT)) == (
        "jerk", Outcome.LIMIT, "left_joint1", 3.0, 1.0, "rad/s³", "left_joint1 jerks 3 rad/s³ at row 0; 1 is allowed.",
    )  # fmt: skip
    later = only(checks.within("jerk", "jerks", "/s³", rows[::-1], limits, JOINTS, Outcome.LIMIT))
    assert later[6] == "left_joint1 jerks 3 rad/s³ at row 1; 1 is allowed."
    assert isnan(only(checks.within("speed", "", "", about(2, nan), ONES, JOINTS, Outcome.HOLD))[3])
    assert only(checks.within("speed", "", "", about(13, 5.0), ONES, JOINTS, Outcome.HOLD))[5] == "opening"


def test_the_joint_that_is_farthest_outside_its_range_is_named_with_the_end_it_left() -> None:
    lower, upper = -ONES, 2.0 * ONES
    inside = (about(0, -1.0), about(0, 2.0))
    assert all(checks.in_range("command", each, lower, upper, JOINTS, Outcome.HOLD) == () for each in inside)
    below = about(3, -1.5) + about(4, 2.25)
    assert only(checks.in_range("command", below, lower, upper, JOINTS, Outcome.STOP)) == (
        "position", Outcome.STOP, "left_joint4", -1.5, -1.0, "rad",
        "The command puts left_joint4 at -1.500 rad; -1.000 to 2.000 is allowed.",
    )  # fmt: skip
    above = np.stack([about(3, -1.5), about(7, 3.0)])
    assert only(checks.in_range("chunk", above, lower, upper, JOINTS, Outcome.HOLD)) == (
        "position", Outcome.HOLD, "right_joint1", 3.0, 2.0, "rad",
        "The chunk puts right_joint1 at 3.000 rad; -1.000 to 2.000 is allowed.",
    )  # fmt: skip
    assert isnan(only(checks.in_range("command", about(5, nan), lower, upper, JOINTS, Outcome.HOLD))[3])


def test_a_trace_is_compared_tool_by_tool_and_the_farthest_named() -> None:
    tools = np.zeros((3, 2, 3))
    trace = tools.copy()
    trace[2, 1] = [0.0, 0.3, 0.4]
    assert checks.trace_matches(trace, tools, BIMANUAL_YAM, 0.5) == ()
    assert only(checks.trace_matches(trace, tools, BIMANUAL_YAM, 0.49)) == (
        "trace", Outcome.HOLD, "right", 0.5, 0.49, "m",
        "The plan says the right tool will be 500 mm from where the chunk takes it; 490 mm is allowed.",
    )  # fmt: skip
    assert checks.trace_matches(trace * nan, tools, BIMANUAL_YAM, 0.5)
    assert checks.trace_matches(tools + 7.0, tools + 7.0, BIMANUAL_YAM, 0.0) == ()
    text = only(checks.trace_matches(10 * trace, tools, BIMANUAL_YAM, 2.0))[6]
    assert text.endswith("5000 mm from where the chunk takes it; 2000 mm is allowed.")


def test_two_bodies_that_are_too_near_are_both_named() -> None:
    pair = PAIRS[0]
    assert only(checks.near(Outcome.LIMIT, pair, 0.004, 0.012, "now")) == (
        f"clearance: {pair.kind}", Outcome.LIMIT, pair.text, 0.004, 0.012, "m",
        f"{pair.text} are 4 mm apart now; 12 mm is needed.",
    )  # fmt: skip
