"""What counts as being of now, and each way in which it does not, found by name."""

from dataclasses import replace

import numpy as np
import pytest

from forearm.clock import NANOSECONDS
from forearm.errors import ConfigError
from forearm.messages import DepthImage, Image, Observation, Outcome
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.safety.freshness import (
    AGES,
    CLOCK_STEP_S,
    MOVED_RAD,
    REMEMBERED,
    REPEATS,
    SAMPLE,
    Ages,
    Freshness,
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


def with_image(observation: Observation, camera: str, stamp_ns: int, pixels: np.ndarray) -> Observation:
    return replace(observation, images={**observation.images, camera: Image(stamp_ns=stamp_ns, pixels=pixels)})


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


def test_a_loop_that_is_late_is_no_jump_of_a_clock() -> None:
    freshness = watching()
    assert found(freshness, seen()) == []
    assert found(freshness, seen(stamp_ns=NOW_NS + 20 * TICK_NS)) == []


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


def test_one_capture_that_is_read_at_many_ticks_is_not_frozen() -> None:
    freshness, at = watching(), BOTH_HOME.copy()
    images = seen().images
    for number in range(40):
        at[0] += 0.01
        assert found(freshness, replace(seen(at, stamp_ns=NOW_NS + number * TICK_NS), images=images)) == []


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
    assert [finding.check for finding in same_model("b", "a")] == ["model"]
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
