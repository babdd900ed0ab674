"""What counts as being of now, and each way in which it does not, found by name."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from forearm.clock import NANOSECONDS
from forearm.errors import ConfigError
from forearm.messages import DepthImage, Finding, Image, Observation, Outcome
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.safety.freshness import (
    AGES,
    CLOCK_STEP_S,
    FRAMES,
    MOVED_RAD,
    REMEMBERED,
    REPEATS,
    SAMPLE,
    Ages,
    Freshness,
    _Peaks,
    _sample,
    advances,
    backwards,
    clock_runs,
    moves_with_arms,
    same_model,
)

from .scenes import BOTH_HOME, NOW_NS, TICK_NS, pixels_at, seen

CAMERAS = ("top", "left", "right")
CAPTURE_NS = NANOSECONDS // 10
STEP_NS = round(CLOCK_STEP_S * NANOSECONDS)


def watching() -> Freshness:
    return Freshness(BIMANUAL_YAM, CAMERAS)


def found(freshness: Freshness, observation: Observation, now_ns: int | None = None) -> list[str]:
    findings = freshness.review(observation, observation.stamp_ns if now_ns is None else now_ns)
    assert all(finding.outcome is Outcome.HOLD and finding.text for finding in findings)
    return [finding.check for finding in findings]


def only(findings: tuple[Finding, ...]) -> tuple[str, str, float, float, str, str]:
    """The one finding, which holds, as a tuple."""
    (each,) = findings
    assert each.outcome is Outcome.HOLD
    return each.check, each.subject, each.measured, each.limit, each.unit, each.text


def with_image(observation: Observation, camera: str, stamp_ns: int, pixels: np.ndarray) -> Observation:
    return replace(observation, images={**observation.images, camera: Image(stamp_ns=stamp_ns, pixels=pixels)})


def test_the_usual_ages_are_tenths_of_a_second_for_images_and_ticks_for_joints() -> None:
    images = {"top": 0.5, "left": 0.5, "right": 0.5}
    assert Ages(images_s=images, depth_s=0.5, state_s=0.05, request_s=1.0, decision_s=1.0, command_s=0.05) == AGES


def test_every_source_is_held_one_nanosecond_after_its_own_limit() -> None:
    for camera in CAMERAS:
        for late_ns, objections in ((0, []), (1, ["age"])):
            stamp_ns = NOW_NS - round(AGES.image_s(camera) * NANOSECONDS) - late_ns
            assert found(watching(), with_image(seen(), camera, stamp_ns, pixels_at(0))) == objections
            depth = DepthImage(stamp_ns=NOW_NS - round(AGES.depth_s * NANOSECONDS) - late_ns, metres=np.ones((2, 2)))
            assert found(watching(), replace(seen(), depths={camera: depth})) == objections
    state_ns = round(AGES.state_s * NANOSECONDS)
    assert found(watching(), seen(stamp_ns=NOW_NS - state_ns), NOW_NS) == []
    assert found(watching(), seen(stamp_ns=NOW_NS - state_ns - 1), NOW_NS) == ["age"]


def test_what_is_stamped_in_the_future_is_held() -> None:
    assert found(watching(), with_image(seen(), "left", NOW_NS + 1, pixels_at(0))) == ["age"]
    depth = DepthImage(stamp_ns=NOW_NS + 1, metres=np.ones((2, 2)))
    assert found(watching(), replace(seen(), depths={"top": depth})) == ["age"]
    assert found(watching(), seen(), NOW_NS - 1) == ["age"] * 4  # the pose, and the three images made with it


def test_stamps_that_go_backwards_are_held() -> None:
    freshness = watching()
    assert found(freshness, seen()) == []
    back = replace(seen(stamp_ns=NOW_NS - TICK_NS), images=seen().images, sequence=NOW_NS)
    assert found(freshness, back, NOW_NS) == ["backwards"]
    freshness = watching()
    assert found(freshness, seen()) == []
    later = seen(stamp_ns=NOW_NS + TICK_NS)
    assert found(freshness, with_image(later, "right", NOW_NS - TICK_NS, pixels_at(0))) == ["backwards"]


def test_numbers_must_go_up_with_the_stamps() -> None:
    freshness = watching()
    assert found(freshness, seen(sequence=7)) == []
    assert found(freshness, seen(sequence=7), NOW_NS + TICK_NS) == []  # the same pose again, not yet too old
    assert found(freshness, seen(stamp_ns=NOW_NS + 2 * TICK_NS, sequence=7)) == ["sequence"]
    assert found(freshness, seen(stamp_ns=NOW_NS + 3 * TICK_NS, sequence=6)) == ["sequence"]
    assert found(freshness, seen(stamp_ns=NOW_NS + 4 * TICK_NS, sequence=8)) == []


@pytest.mark.parametrize(("loop_ns", "robot_ns"), [(TICK_NS + STEP_NS + 1, TICK_NS), (TICK_NS, TICK_NS + STEP_NS + 1)])
def test_a_clock_that_jumps_is_held_whichever_it_is(loop_ns: int, robot_ns: int) -> None:
    freshness = Freshness(BIMANUAL_YAM, ())
    assert found(freshness, seen()) == []
    assert "clock" in found(freshness, seen(stamp_ns=NOW_NS + robot_ns), NOW_NS + loop_ns)


def test_a_step_of_the_clock_at_the_limit_is_none_and_beyond_it_both_steps_are_said() -> None:
    assert clock_runs(STEP_NS, 0) == clock_runs(0, STEP_NS) == clock_runs(0, 0) == clock_runs(STEP_NS, STEP_NS) == ()
    assert only(clock_runs(5_000 * NANOSECONDS, 4_000 * NANOSECONDS)) == (
        "clock", "clock", 1000.0, CLOCK_STEP_S, "s",
        "The loop's clock went on by 5000000 ms while the robot's stamps went on by 4000000 ms; "
        "100 ms apart is allowed. A clock jumped.",
    )  # fmt: skip
    assert only(clock_runs(0, 2 * NANOSECONDS))[2] == 2.0
    assert only(clock_runs(-1, 0))[2] == inf
    assert only(clock_runs(-NANOSECONDS, -NANOSECONDS))[2] == inf
    assert only(clock_runs(3 * NANOSECONDS, 3 * NANOSECONDS - STEP_NS)) == (
        "clock", "both clocks", 3.0, CLOCK_STEP_S, "s",
        "The loop's clock went on by 3000 ms while the robot's stamps went on by 2900 ms; 100 ms in a tick is allowed. "
        "Both clocks jumped, or the loop stood still.",
    )  # fmt: skip


def test_what_goes_backwards_or_keeps_its_number_says_by_how_much() -> None:
    assert only(backwards("pose", 30_000_000)) == (
        "backwards", "pose", 0.03, 0.0, "s",
        "The pose is stamped 30 ms before the one that came before it; stamps must go up.",
    )  # fmt: skip
    assert only(advances(seen(), NOW_NS + TICK_NS, 0))[:3] == ("backwards", "measured pose", 0.01)
    assert only(advances(seen(sequence=6), NOW_NS - TICK_NS, 7)) == (
        "sequence", "measured pose", 6.0, 8.0, "", "The measured pose is number 6 after number 7; numbers must go up.",
    )  # fmt: skip


def test_a_frozen_camera_says_how_often_and_how_far() -> None:
    before = np.zeros(6)
    at = before + MOVED_RAD * np.eye(6)[2]
    assert moves_with_arms("top", REPEATS, at, before) == ()
    assert only(moves_with_arms("top", REPEATS, at - 0.25 * np.eye(6)[4], before)) == (
        "frozen", "top", 0.25, MOVED_RAD, "rad",
        f"The top camera gave no new picture in {REPEATS} captures, and an arm it sees is 0.25 rad from where it was at "
        "this one; it is frozen, or sees nothing.",
    )  # fmt: skip


def test_everything_that_is_wrong_at_once_is_said_of_its_own_source() -> None:
    freshness = watching()
    assert found(freshness, seen()) == []
    late_ns = NOW_NS + 3 * NANOSECONDS
    depths = {name: DepthImage(stamp_ns=NOW_NS, metres=np.ones((2, 2))) for name in ("top", "left")}
    spoiled = with_image(
        replace(seen(stamp_ns=NOW_NS + TICK_NS), depths=depths), "left", NOW_NS - TICK_NS, pixels_at(0)
    )
    findings = freshness.review(spoiled, late_ns)
    assert [(finding.check, finding.subject) for finding in findings] == [
        ("age", "measured pose"),
        ("clock", "clock"),
        ("age", "image of the top camera"),
        ("age", "image of the left camera"),
        ("backwards", "image of the left camera"),
        ("age", "image of the right camera"),
        ("age", "depth of the top camera"),
        ("age", "depth of the left camera"),
    ]
    assert findings[4].measured == 0.01
    older = seen(stamp_ns=NOW_NS)
    assert [finding.subject for finding in freshness.review(older, late_ns)][-1] == "image of the right camera"


def test_a_frozen_camera_is_named() -> None:
    freshness, at = watching(), BOTH_HOME.copy()
    for number in range(REPEATS + 1):
        stamp_ns, at = NOW_NS + number * CAPTURE_NS, at + MOVED_RAD * (np.arange(14) == 0)
        last = freshness.review(with_image(seen(at, stamp_ns=stamp_ns), "left", stamp_ns, pixels_at(0)), stamp_ns)
    assert only(last)[:2] == ("frozen", "left")
    assert f"no new picture in {REPEATS} captures" in only(last)[-1]


def test_the_largest_of_the_last_ticks_is_the_largest_of_all_of_them() -> None:
    peaks, values = (
        _Peaks(),
        np.random.default_rng(0).integers(0, 1000, 3 * REMEMBERED) + np.linspace(900, 0, 3 * REMEMBERED),
    )
    assert peaks.largest == 0.0
    for number, value in enumerate(values, start=1):
        peaks.add(float(value))
        assert peaks.largest == values[max(0, number - REMEMBERED) : number].max()


def test_a_loop_that_is_late_by_less_than_a_row_is_no_jump_of_a_clock() -> None:
    freshness = watching()
    assert found(freshness, seen()) == []
    assert found(freshness, seen(stamp_ns=NOW_NS + STEP_NS)) == []


@pytest.mark.parametrize("leap_ns", [STEP_NS + 1, 30 * NANOSECONDS, 7 * 86_400 * NANOSECONDS])
def test_clocks_that_jump_together_with_every_stamp_are_held_once(leap_ns: int) -> None:
    """Pose, images and the loop's clock alike: nothing is old, nothing goes back, and no two are apart."""
    freshness = watching()
    assert found(freshness, seen()) == []
    assert found(freshness, seen(stamp_ns=NOW_NS + leap_ns)) == ["clock"]
    assert found(freshness, seen(stamp_ns=NOW_NS + leap_ns + TICK_NS)) == []


@pytest.mark.parametrize("leap_ns", [-1, -30 * NANOSECONDS])
def test_clocks_that_jump_back_together_are_held(leap_ns: int) -> None:
    freshness = watching()
    assert found(freshness, seen()) == []
    assert "clock" in found(freshness, seen(stamp_ns=NOW_NS + leap_ns))


def test_clocks_that_jumped_together_are_no_latency_that_the_session_goes_on_with() -> None:
    freshness = watching()
    freshness.review(seen(), NOW_NS)
    freshness.review(seen(stamp_ns=NOW_NS + TICK_NS), NOW_NS + 3 * TICK_NS)
    leapt_ns = NOW_NS + 30 * NANOSECONDS
    freshness.review(seen(stamp_ns=leapt_ns), leapt_ns)
    freshness.review(seen(stamp_ns=leapt_ns + TICK_NS), leapt_ns + TICK_NS)
    assert freshness.worst_latency_s == pytest.approx(0.05)
    assert freshness.session_latency_s == pytest.approx(0.05)
    for tick in range(2, 2 * REMEMBERED):
        freshness.review(seen(stamp_ns=leapt_ns + tick * TICK_NS), leapt_ns + tick * TICK_NS)
    assert freshness.worst_latency_s == pytest.approx(0.01)
    assert freshness.session_latency_s == pytest.approx(0.05)  # what happened in this session may happen again
    freshness.reset()
    assert freshness.session_latency_s == 0.0


def test_a_loop_clock_that_goes_back_is_held() -> None:
    freshness = watching()
    assert found(freshness, seen()) == []
    assert "clock" in found(freshness, seen(), NOW_NS - 1)


def test_the_worst_latency_is_from_tick_to_tick_and_the_poses_age() -> None:
    freshness = watching()
    assert freshness.worst_latency_s == 0.0
    freshness.review(seen(), NOW_NS)
    freshness.review(seen(stamp_ns=NOW_NS + 2 * TICK_NS), NOW_NS + 3 * TICK_NS)
    freshness.review(seen(stamp_ns=NOW_NS + 4 * TICK_NS), NOW_NS + 4 * TICK_NS)
    assert freshness.worst_latency_s == pytest.approx(0.04)
    freshness.reset()
    assert freshness.worst_latency_s == 0.0


def test_a_late_tick_counts_for_five_seconds_and_then_no_more() -> None:
    freshness = watching()
    freshness.review(seen(), NOW_NS)
    freshness.review(seen(stamp_ns=NOW_NS + TICK_NS), NOW_NS + 3 * TICK_NS)
    stamps_ns = [NOW_NS + number * TICK_NS for number in range(4, 4 + REMEMBERED)]
    for stamp_ns in stamps_ns[:-1]:
        freshness.review(seen(stamp_ns=stamp_ns), stamp_ns)
        assert freshness.worst_latency_s == pytest.approx(0.05)
    freshness.review(seen(stamp_ns=stamps_ns[-1]), stamps_ns[-1])
    assert freshness.worst_latency_s == pytest.approx(0.01)


def frozen_after(camera: str, joint: int, step_rad: float, captures: int = REPEATS) -> list[str]:
    """What is found in the end when one joint moves on at every capture and that camera's bytes stay the same."""
    freshness, at, objections = watching(), BOTH_HOME.copy(), []
    for number in range(captures + 1):
        stamp_ns = NOW_NS + number * CAPTURE_NS
        objections = found(freshness, with_image(seen(at, stamp_ns=stamp_ns), camera, stamp_ns, pixels_at(0)))
        at[joint] += step_rad
    return objections


ENOUGH_RAD = MOVED_RAD / REPEATS * 1.01


@pytest.mark.parametrize(("camera", "joint"), [("top", 0), ("top", 12), ("left", 3), ("right", 8)])
def test_a_camera_that_repeats_its_picture_while_an_arm_it_sees_moves_is_frozen(camera: str, joint: int) -> None:
    assert frozen_after(camera, joint, ENOUGH_RAD) == ["frozen"]


def test_a_picture_may_stay_the_same_where_nothing_in_view_moves_or_not_far_or_not_for_long() -> None:
    assert frozen_after("top", 0, 0.0, captures=50) == []
    assert frozen_after("left", 8, ENOUGH_RAD) == []  # the other arm's joint
    assert frozen_after("right", 3, ENOUGH_RAD) == []
    assert frozen_after("right", 13, ENOUGH_RAD) == []  # a gripper
    assert frozen_after("top", 0, ENOUGH_RAD * 0.98) == []
    assert frozen_after("top", 0, 1.0, captures=REPEATS - 1) == []


def test_a_frozen_camera_stays_held_until_its_picture_changes() -> None:
    freshness, at = watching(), BOTH_HOME.copy()
    objections = []
    for number in range(3 * REPEATS):
        stamp_ns = NOW_NS + number * CAPTURE_NS
        at[0] += ENOUGH_RAD if 0 < number <= REPEATS else 0.0
        same = pixels_at(0 if number < 2 * REPEATS else stamp_ns)
        objections.append(found(freshness, with_image(seen(at, stamp_ns=stamp_ns), "top", stamp_ns, same)))
    assert objections == [[]] * REPEATS + [["frozen"]] * REPEATS + [[]] * REPEATS


def test_what_an_arm_did_since_the_newest_capture_is_in_no_picture_yet() -> None:
    freshness, stamp_ns = watching(), NOW_NS
    for number in range(2 * REPEATS):  # a still scene
        stamp_ns = NOW_NS + number * CAPTURE_NS
        assert found(freshness, with_image(seen(stamp_ns=stamp_ns), "top", stamp_ns, pixels_at(0))) == []
    away = BOTH_HOME + 2 * MOVED_RAD * (np.arange(14) == 0)
    between = with_image(seen(away, stamp_ns=stamp_ns + TICK_NS), "top", stamp_ns, pixels_at(0))
    assert found(freshness, between) == []
    later_ns = stamp_ns + CAPTURE_NS
    assert found(freshness, with_image(seen(away, stamp_ns=later_ns), "top", later_ns, pixels_at(0))) == ["frozen"]


def test_one_capture_that_is_read_at_many_ticks_is_not_frozen() -> None:
    freshness, at = watching(), BOTH_HOME.copy()
    images = seen().images
    for number in range(40):
        at[0] += 0.01
        assert found(freshness, replace(seen(at, stamp_ns=NOW_NS + number * TICK_NS), images=images)) == []


def test_the_count_of_equal_pictures_begins_again_with_every_new_one() -> None:
    freshness, at = watching(), BOTH_HOME.copy()
    for number in range(2 * REPEATS):  # two pictures, each given so often
        stamp_ns, at = NOW_NS + number * CAPTURE_NS, at + MOVED_RAD * (np.arange(14) == 0)
        pixels = np.full((2, 2, 3), number // REPEATS, dtype=np.uint8)
        assert found(freshness, with_image(seen(at, stamp_ns=stamp_ns), "top", stamp_ns, pixels)) == []


def test_how_far_the_arms_went_is_counted_from_the_pose_of_the_last_new_picture() -> None:
    freshness, base = watching(), np.arange(14) == 0
    way = [0.0, 0.5, *[0.55] * REPEATS, 0.61]  # rad, of the base joint; the second picture is the last new one
    for number, moved in enumerate(way):
        stamp_ns = NOW_NS + number * CAPTURE_NS
        observation = seen(BOTH_HOME + moved * base, stamp_ns=stamp_ns)
        last = freshness.review(with_image(observation, "top", stamp_ns, pixels_at(min(number, 1) * TICK_NS)), stamp_ns)
        assert bool(last) == (number == len(way) - 1)
    assert only(last)[:3] == ("frozen", "top", pytest.approx(0.11))


def alternating(period: int, step_rad: float, captures: int) -> list[list[str]]:
    """What is found at each capture while a base joint moves on and the top camera gives that many pictures in turn."""
    freshness, at, objections = watching(), BOTH_HOME.copy(), []
    for number in range(captures):
        stamp_ns, pixels = NOW_NS + number * CAPTURE_NS, np.full((2, 2, 3), number % period, dtype=np.uint8)
        objections.append(found(freshness, with_image(seen(at, stamp_ns=stamp_ns), "top", stamp_ns, pixels)))
        at[0] += step_rad
    return objections


@pytest.mark.parametrize("period", [1, 2, 3, FRAMES])
def test_a_camera_that_gives_the_same_few_pictures_in_turn_while_an_arm_it_sees_moves_is_frozen(period: int) -> None:
    last_new = period - 1
    objections = alternating(period, ENOUGH_RAD, last_new + REPEATS + 5 + period)
    assert objections[: last_new + REPEATS] == [[]] * (last_new + REPEATS)
    assert ["frozen"] in objections[last_new + REPEATS :]
    assert objections[-5:] == [["frozen"]] * 5  # once it is, it stays so


def test_pictures_may_take_turns_where_nothing_in_view_moves_and_where_an_arm_is_back_where_it_was() -> None:
    assert alternating(2, 0.0, 50) == [[]] * 50
    freshness, swing = watching(), 0.5 * (np.arange(14) == 0)
    for number in range(50):  # to and fro without any noise: each picture is of its own pose
        stamp_ns, at = NOW_NS + number * CAPTURE_NS, BOTH_HOME + (number % 2) * swing
        pixels = np.full((2, 2, 3), number % 2, dtype=np.uint8)
        assert found(freshness, with_image(seen(at, stamp_ns=stamp_ns), "top", stamp_ns, pixels)) == []


def test_no_more_than_the_last_few_pictures_are_remembered() -> None:
    assert alternating(FRAMES + 1, 1.0, 5 * FRAMES) == [[]] * (5 * FRAMES)


def test_small_pictures_are_compared_byte_by_byte_and_large_ones_by_a_sample() -> None:
    one, other = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    other[0, 0, 1] = 1
    assert _sample(Image(stamp_ns=0, pixels=one)) != _sample(Image(stamp_ns=0, pixels=other))
    assert len(_sample(Image(stamp_ns=0, pixels=np.zeros((400, 400, 3), dtype=np.uint8)))) <= SAMPLE


def test_large_pictures_are_compared_all_over() -> None:
    """A change of a twentieth of the picture, wherever it is, is a change."""
    side = 400
    assert side * side * 3 > SAMPLE
    for start in range(0, side, 20):
        freshness, at = watching(), BOTH_HOME.copy()
        objections = []
        for number in range(REPEATS + 3):
            at[0] += ENOUGH_RAD
            pixels = np.zeros((side, side, 3), dtype=np.uint8)
            pixels[start : start + 20] = number
            stamp_ns = NOW_NS + number * CAPTURE_NS
            objections += found(freshness, with_image(seen(at, stamp_ns=stamp_ns), "top", stamp_ns, pixels))
        assert objections == []


def test_a_camera_that_is_missing_is_held_and_one_that_comes_back_is_not() -> None:
    freshness = watching()
    assert found(freshness, replace(seen(), images={})) == ["camera"] * 3
    assert found(freshness, seen(stamp_ns=NOW_NS + TICK_NS)) == []


def test_answers_of_another_model_are_held() -> None:
    assert same_model("a", "a") == ()
    assert only(same_model("b", "a")) == (
        "model", "decision", 0.0, 0.0, "", "The decision comes from model b; the session began with a.",
    )  # fmt: skip
    assert "without weights" in same_model("", "a")[0].text


@pytest.mark.parametrize(
    "changes", [{"state_s": 0.0}, {"request_s": -1.0}, {"depth_s": np.nan}, {"images_s": {"top": np.inf}}]
)
def test_age_limits_that_are_none_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="ages: got"):
        replace(AGES, **changes)


def test_a_camera_without_an_age_limit_is_refused_before_anything_moves() -> None:
    with pytest.raises(ConfigError, match="no limit for camera 'right'"):
        Freshness(BIMANUAL_YAM, CAMERAS, Ages(images_s={"top": 0.5, "left": 0.5}))
