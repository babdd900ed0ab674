"""Which arm waits where both are bound for the same place, and that a clear chunk is left alone."""

import numpy as np
import pytest

from forearm.messages import Outcome, Verdict
from forearm.robot.kinematics import tool_poses
from forearm.safety.capsules import RADII
from forearm.safety.clearance import PAIRS, Bodies
from forearm.safety.limits import Limits
from forearm.safety.right_of_way import HAND, SOON_ROWS, _distances, late, waiting, who_waits
from forearm.safety.vetting import Vetting

from .scenes import BOTH_HOME, NOW_NS, decided, looked, plan_of, resting

LIMITS = Limits.of()
TURN = 1.6  # rad inwards: a hand is then over the midline
LEFT, RIGHT = slice(0, 7), slice(7, 14)


def turned(left: float, right: float) -> np.ndarray:
    """Both arms at home but turned inwards by so much."""
    pose = BOTH_HOME.copy()
    pose[0] -= left
    pose[7] += right
    return pose


def way(start: np.ndarray, end: np.ndarray, rows: int = 16) -> np.ndarray:
    """Rows from `start` to `end`, beginning and ending slowly."""
    share = np.linspace(0, 1, rows + 1)[1:, None]
    return start + (3 * share**2 - 2 * share**3) * (end - start)


def soon(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Sixteen rows that are at `end` after the ninth."""
    return np.concatenate([way(start, end, 9), np.tile(end, (7, 1))])


def vet(start: np.ndarray, rows: np.ndarray, **changes: object) -> Verdict:
    return Vetting(LIMITS).vet(decided(rows), looked(start, **changes), NOW_NS)


def test_two_arms_bound_for_the_middle_are_told_apart_and_the_nearer_one_goes() -> None:
    start = turned(0.5, 0.0)
    rows = soon(start, turned(TURN, TURN))
    verdict = vet(start, rows)
    assert verdict.outcome is Outcome.LIMIT
    (found,) = verdict.findings
    assert found.check == "right of way"
    assert "So the right arm waits until the left one is out of the way; it stays " in found.text
    chunk = verdict.vetted.chunk
    np.testing.assert_array_equal(chunk.positions[:, LEFT], rows[:, LEFT])
    np.testing.assert_allclose(chunk.positions[:, RIGHT], np.tile(start[RIGHT], (16, 1)))
    tools = tool_poses(np.stack([rows[-1], chunk.positions[-1]]))[0]
    assert f"it stays {np.linalg.norm(tools[0, 1] - tools[1, 1]) * 1e3:.0f} mm short" in found.text
    assert Vetting(LIMITS).vet(decided(chunk.positions), looked(start), NOW_NS).outcome is Outcome.ALLOW


def test_the_other_arm_waits_when_the_right_one_is_nearer() -> None:
    start = turned(0.0, 0.5)
    verdict = vet(start, soon(start, turned(TURN, TURN)))
    assert "So the left arm waits until the right one is out of the way" in verdict.findings[0].text


def test_of_two_that_are_equally_near_the_right_one_waits() -> None:
    verdict = vet(BOTH_HOME, soon(BOTH_HOME, turned(TURN, TURN)))
    assert "So the right arm waits" in verdict.findings[0].text


def test_a_meeting_far_ahead_makes_nobody_wait_yet() -> None:
    start = turned(0.5, 0.0)
    rows = way(start, turned(TURN, TURN))
    verdict = vet(start, rows)
    (found,) = verdict.findings
    assert found.check == "clearance: arms"
    kept = verdict.vetted.chunk.positions
    assert SOON_ROWS <= len(kept) < 16
    np.testing.assert_array_equal(kept, rows[: len(kept)])


def test_an_arm_in_the_middle_leaves_before_the_other_comes_in() -> None:
    start = turned(TURN, 1.0)
    rows = np.tile(turned(0.0, TURN), (32, 1))
    rows[:6] = way(start, rows[-1], 6)
    rows[:, LEFT] = np.concatenate([np.tile(start[LEFT], (16, 1)), way(start, BOTH_HOME, 16)[:, LEFT]])  # slow to leave
    verdict = vet(start, rows)
    assert "So the right arm waits until the left one is out of the way" in verdict.findings[0].text
    assert verdict.vetted is not None


def test_where_waiting_does_not_help_only_the_safe_beginning_is_kept() -> None:
    start = turned(0.2, 0.9)
    rows = soon(start, turned(TURN, TURN))
    rows[:, 8] += 0.9 * np.linspace(0, 1, 16) ** 2  # and while the left one waits, the right one would hit the table
    found, slowed = vet(start, rows).findings
    assert found.check.startswith("clearance: ")
    assert "waits" not in found.text
    assert slowed.check == "stopping"  # for what is kept leads the arms towards each other


def test_arms_that_move_together_and_stay_clear_are_not_touched() -> None:
    start = turned(0.7, 0.7)
    rows = way(start, turned(0.9, 0.9))
    decision = decided(rows)
    verdict = Vetting(LIMITS).vet(decision, looked(start), NOW_NS)
    assert verdict.outcome is Outcome.ALLOW
    np.testing.assert_array_equal(verdict.vetted.chunk.positions, rows)


def test_a_plan_is_compared_with_what_the_policy_wanted_before_an_arm_was_made_to_wait() -> None:
    start = turned(0.5, 0.0)
    rows = soon(start, turned(TURN, TURN))
    verdict = Vetting(LIMITS).vet(decided(rows, plan=plan_of(rows)), looked(start), NOW_NS)
    assert [found.check for found in verdict.findings] == ["right of way"]


def test_waiting_brakes_from_the_measured_speed_and_keeps_the_grip() -> None:
    rows = resting()
    rows[:, 13] = np.linspace(0.1, 1.0, 16)
    speeds = np.zeros(14)
    speeds[7], speeds[8] = -1.0, 2.0
    observation = looked(velocities=speeds)
    chunk = waiting(decided(rows, period_s=0.02).chunk, observation, 1, LIMITS)
    np.testing.assert_array_equal(chunk.positions[:, LEFT], rows[:, LEFT])
    np.testing.assert_array_equal(chunk.positions[:, 13], rows[0, 13])
    stopped = BOTH_HOME[7:9] + np.sign(speeds[7:9]) * speeds[7:9] ** 2 / LIMITS.acceleration[7:9]
    np.testing.assert_allclose(chunk.positions[-1, 7:9], stopped)
    steps = np.diff(np.concatenate([BOTH_HOME[None], chunk.positions])[:, 7:9], axis=0) / 0.02
    assert (np.abs(steps) <= np.abs(speeds[7:9])).all()
    assert (np.abs(np.diff(steps, axis=0)) / 0.02 <= LIMITS.acceleration[7:9] * 0.5 + 1e-9).all()


@pytest.mark.parametrize(("end", "inwards"), [(LIMITS.upper, -0.001), (LIMITS.lower, 0.001)])
def test_an_arm_that_cannot_brake_within_its_range_stands_at_its_end(end: np.ndarray, inwards: float) -> None:
    start = BOTH_HOME.copy()
    start[7] = end[7] + inwards
    speeds = np.zeros(14)
    speeds[7] = -3.0 * np.sign(inwards)
    chunk = waiting(decided(resting()).chunk, looked(start, velocities=speeds), 1, LIMITS)
    assert chunk.positions[-1, 7] == end[7]


@pytest.mark.parametrize("arm", [0, 1])
def test_late_is_a_row_behind_and_begins_where_it_stands(arm: int) -> None:
    rows = way(BOTH_HOME, turned(0.5, 0.5))
    _, behind = late(BOTH_HOME, rows, arm)
    own, other = (LEFT, RIGHT) if arm == 0 else (RIGHT, LEFT)
    np.testing.assert_array_equal(behind[:, other], rows[:, other])
    np.testing.assert_array_equal(behind[1:, own], rows[:-1, own])
    np.testing.assert_array_equal(behind[0, own], BOTH_HOME[own])


def meeting_if_late() -> tuple[np.ndarray, np.ndarray]:
    """A chase: the left arm leaves the middle and the right one follows close behind it, clear only in step."""
    vetting = Vetting(LIMITS)
    for gap in np.arange(0.0, 1.6, 0.02):
        start = turned(1.6, gap)
        rows = np.linspace(start, start + (turned(0.0, 1.6) - turned(1.6, 0.0)), 17)[1:]
        found = vetting._in_the_way(decided(rows).chunk, looked(start))
        if found is not None:
            return start, rows
    raise AssertionError("no gap was narrow enough")


def test_a_chunk_that_is_clear_only_in_step_makes_one_arm_wait() -> None:
    start, rows = meeting_if_late()
    blocked = Vetting(LIMITS)._in_the_way(decided(rows).chunk, looked(start))
    assert blocked.late
    verdict = vet(start, rows)
    where = f" apart on the way to row {blocked.swept.clear_rows} if the {blocked.late} arm is late by a row; "
    assert where in verdict.findings[0].text
    assert verdict.outcome in (Outcome.LIMIT, Outcome.HOLD)


def test_who_waits_looks_at_measured_poses_alone() -> None:
    pair = next(pair for pair in PAIRS if pair.text == "left gripper and right gripper")
    clash = turned(TURN, TURN)
    assert who_waits(turned(0.5, 0.0), clash, pair) == 1
    assert who_waits(turned(0.0, 0.5), clash, pair) == 0
    assert who_waits(BOTH_HOME, clash, pair) == 1
    assert who_waits(turned(0.0, 0.001), clash, pair) == 1  # within the tie


def test_a_hand_is_as_far_from_a_place_as_the_nearest_point_of_its_capsules() -> None:
    bodies = Bodies.at(turned(0.3, 0.7)[None])
    starts, ends = bodies.starts[:, HAND, 0], bodies.ends[:, HAND, 0]
    along = np.linspace(0.0, 1.0, 2001)[:, None, None]
    points = starts + along * (ends - starts)  # (2001, 3, capsules)
    for place in np.random.default_rng(0).uniform([0.2, -0.6, 0.0], [0.5, 0.1, 0.4], (30, 3)):
        apart = np.linalg.norm(points - place[:, None], axis=1).min(axis=0) - RADII[HAND]
        np.testing.assert_allclose(_distances(bodies, place), [apart[::2].min(), apart[1::2].min()], atol=1e-6)
