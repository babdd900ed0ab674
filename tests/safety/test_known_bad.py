"""How bad every known-bad input is, in numbers, and that it is bad in no other way than in its own."""

from collections.abc import Callable

import numpy as np
import pytest

from forearm.messages import Outcome, Verdict
from forearm.safety.guard import Guard
from forearm.safety.known_bad import OF_GUARD, OF_VETTING
from forearm.safety.known_good import READY, Asked, Entry, after_poses, after_ticks, good_command, good_decision
from forearm.safety.limits import Limits
from forearm.safety.vetting import Vetting

from .scenes import NOW_NS, TICK_NS

# The input in words: what its own check measured of what, and how many other objections there are.
OF = {
    "vetting": (
        "staying where the arms are: nothing",
        "single precision: chunk nan",
        "a value that is not a number: chunk 1",
        "a value that is infinite: chunk 1",
        "a measured pose of 13 joints: measured pose 13",
        "an answer to another session: decision 5",
        "no image at all: top nan, left nan, right nan",
        "images a minute old: image of the top camera 60, image of the left camera 60, image of the right camera 60",
        "images of the future: image of the top camera -1, image of the left camera -1, image of the right camera -1",
        "a wrist to 3 rad: left_joint5 3",
        "a wrist measured at 3 rad: left_joint5 3",
        "a wrist at 30 rad/s and more: left_joint6 30",
        "a wrist at 700 rad/s² and more: left_joint6 720 and 2 more",
        "a wrist at 32000 rad/s³ and more: left_joint6 4.32e+04 and 2 more",
        "wrists 4 mm apart: left wrist and right wrist 0.009088",
        "fingers 2.5 mm from their own arm: left fingers and left upper arm 0.002455",
        "a camera 5 mm over the table: left camera and table 0.004958",
        "fingers 9 mm in the table: right fingers and table -0.009027",
        "nothing at all, on which checks break: vetting nan",
        "rows of 13 joints: chunk 78",
        "no rows: chunk 0",
        "a thousand rows: chunk 1.4e+04",
        "rows 5 s apart: chunk 5",
        "rows 0 s apart: chunk 0",
        "a chunk about another observation: chunk -1",
        "an answer after a minute: decision's observation 60",
        "an answer before its question: decision's observation -1",
        "a base joint 1.5 rad from its pose: left_joint1 1.5",
        "a decision of other weights: decision 0",
        "a plan that sees what is not there: top 1",
        "a plan that says nothing of half of what is there: top 0.5",
        "a plan that says nothing of what is there: top 0",
        "a plan without a single cell: top 0",
        "a plan about a world that no camera measures: top nan",
        "a plan that leads 0.5 m elsewhere: left 0.866",
        "a plan at times that are not numbers: plan's times 2",
        "a plan of one arm alone: plan's trace 6",
        "a plan that goes back in time: times -0.2",
        "a plan that begins after its chunk: times 100",
        "a plan to open grippers by -7: left -7",
        "no plan after one: decision 0",
        "arms in step, too close for one to be late: left wrist and right wrist -0.008782",
        "a hand that swings through the table between two rows: left fingers and table -0.01036",
        "hands too fast to stop beside each other: left wrist and right wrist 0.05227",
        "a chunk of half a minute: chunk 32",
    ),
    "guard": (
        "staying where the arms are: nothing",
        "single precision: command nan",
        "a value that is not a number: command 1",
        "a value that is infinite: command 1",
        "a measured pose of 13 joints: measured pose 13",
        "an answer to another session: command 1",
        "no image at all: top nan, left nan, right nan",
        "images a minute old: image of the top camera 60, image of the left camera 60, image of the right camera 60",
        "images of the future: image of the top camera -1, image of the left camera -1, image of the right camera -1",
        "a wrist to 3 rad: left_joint5 3 and 3 more",
        "a wrist measured at 3 rad: left_joint5 3 and 3 more",
        "a wrist at 30 rad/s and more: left_joint6 300 and 2 more",
        "a wrist at 700 rad/s² and more: left_joint6 4000 and 2 more",
        "a wrist at 32000 rad/s³ and more: left_joint6 4e+05 and 2 more",
        "wrists 4 mm apart: left wrist and right wrist 0.003991 and 2 more",
        "fingers 2.5 mm from their own arm: left fingers and left upper arm 0.002455 and 3 more",
        "a camera 5 mm over the table: left camera and table 0.004958 and 3 more",
        "fingers 9 mm in the table: right fingers and table -0.009027 and 3 more",
        "nothing at all, on which checks break: guard nan",
        "a command of 13 joints: command 13",
        "a command that was sent already: command 1",
        "a command a minute old: command 60",
        "a command of the future: command -1",
        "a measured pose a minute old: measured pose 60",
        "a measured pose of the future: measured pose -1",
        "a clock that jumped by a second: clock 1 and 5 more",
        "a pose measured before the last one: measured pose 0.01",
        "another pose under an old number: measured pose 999",
        "cameras that repeat a picture while arms move: top 0.5, left 0.5, right 0.5 and 1 more",
        "joints that give 60 N m at rest: left_joint4 60",
        "a base joint 1 rad from its set-point: left_joint1 1",
        "wrists measured 4 mm apart: left wrist and right wrist 0.003991",
        "a camera measured too low: left camera and table 0.004958",
        "fingers too fast to stop over the table: left fingers and table -0.008837",
        "pictures older than the last ones: image of the top camera 0.02, image of the left camera 0.02, image of the right camera 0.02",
        "all clocks that jumped by a second together: both clocks 1.01",
        "cameras that give two old pictures in turn: top 0.5, left 0.5, right 0.5 and 1 more",
    ),
}


def told(entry: Entry, verdict: Verdict) -> str:
    """One line of those above."""
    refused = [finding for finding in verdict.findings if finding.outcome >= Outcome.HOLD]
    own = [f"{each.subject} {each.measured:.4g}" for each in refused if each.check == entry.check]
    others = f" and {len(refused) - len(own)} more" if len(refused) > len(own) else ""
    return f"{entry.shown}: {', '.join(own) or 'nothing'}{others}"


def test_vetting_measures_that_much_of_what_is_wrong() -> None:
    vetting, lines = Vetting(Limits.of()), []
    for epoch, entry in enumerate(OF_VETTING):
        asked = entry.spoil(good_decision(epoch, NOW_NS, ""))
        if asked.earlier is not None:
            assert vetting.vet(asked.earlier, asked.observation, asked.now_ns).outcome is Outcome.ALLOW
        lines.append(told(entry, vetting.vet(asked.decision, asked.observation, asked.now_ns)))
    assert lines == list(OF["vetting"])


def test_the_guard_measures_that_much_of_what_is_wrong() -> None:
    guard, lines = Guard(Limits.of()), []
    for entry in OF_GUARD:
        asked = entry.spoil(good_command(1, NOW_NS))
        guard.reset(asked.before[0][1] if asked.before else asked.observation)
        for command, observation in asked.before:
            guard.review(command, observation, command.stamp_ns)
        lines.append(told(entry, guard.review(asked.command, asked.observation, asked.now_ns)))
    assert lines == list(OF["guard"])


def test_the_plan_that_sees_what_is_not_there_sees_it_half_a_metre_too_near() -> None:
    entry, silent, *_ = (each for each in OF_VETTING if each.check == "depth")
    asked = entry.spoil(good_decision(1, NOW_NS, ""))
    (found,) = Vetting(Limits.of()).vet(asked.decision, asked.observation, asked.now_ns).findings
    assert "sees a surface at 0.50 m, and the camera measures 1.00 m" in found.text
    assert "100 of 100 cells" in found.text
    asked = silent.spoil(good_decision(1, NOW_NS, ""))
    (found,) = Vetting(Limits.of()).vet(asked.decision, asked.observation, asked.now_ns).findings
    assert found.text == "0 of 100 cells differ by more than 80 mm and 50 are not stated; 2 may."


def asked_of_vetting(shown: str) -> Asked:
    (entry,) = (each for each in OF_VETTING if each.shown == shown)
    return entry.spoil(good_decision(1, NOW_NS, ""))


def asked_of_the_guard(shown: str) -> Asked:
    (entry,) = (each for each in OF_GUARD if each.shown == shown)
    return entry.spoil(good_command(1, NOW_NS))


def bases(rows: np.ndarray) -> np.ndarray:
    """(N, 2), how far both base joints of rows are from READY; no other joint is."""
    moved = np.atleast_2d(rows) - READY
    assert not np.delete(moved, [0, 7], axis=1).any()
    return moved[:, [0, 7]]


def test_arms_in_step_go_one_way_and_back_together() -> None:
    asked = asked_of_vetting("arms in step, too close for one to be late")
    moved = bases(asked.decision.chunk.positions) - bases(asked.observation.positions)
    np.testing.assert_allclose(moved, 0.16 * np.array([-1, -1, 0, 1, 1, 1])[:, None] * [1, 1], atol=1e-12)


def test_hands_too_fast_to_stop_swing_in_one_row_and_stay() -> None:
    asked = asked_of_vetting("hands too fast to stop beside each other")
    rows = bases(asked.decision.chunk.positions)
    np.testing.assert_array_equal(bases(asked.observation.positions)[0], rows[0])
    np.testing.assert_allclose(np.diff(rows, axis=0), [[-1.0, 1.0], *[[0.0, 0.0]] * 4])


def test_cameras_that_give_two_old_pictures_do_so_while_both_base_joints_move() -> None:
    asked = asked_of_the_guard("cameras that give two old pictures in turn")
    np.testing.assert_allclose(bases(asked.observation.positions), [[0.5, 0.5]])
    every = [*(seen for _, seen in asked.before), asked.observation]
    for name in ("top", "left", "right"):
        pictures = [seen.images[name].pixels.tobytes() for seen in every]
        assert pictures == [pictures[0], pictures[1]] * 5 + [pictures[0]]
        assert [seen.images[name].stamp_ns for seen in every] == [seen.stamp_ns for seen in every]


def test_fingers_too_fast_to_stop_get_faster_tick_by_tick_and_are_seen_late() -> None:
    asked = asked_of_the_guard("fingers too fast to stop over the table")
    poses = np.stack([*(command.positions for command, _ in asked.before), asked.command.positions])
    np.testing.assert_array_equal(asked.observation.positions, poses[-1])
    np.testing.assert_allclose(poses[-1] - READY, np.where(np.arange(14) == 1, 0.4905, poses[0] - READY))
    assert not np.delete(np.diff(poses, axis=0), 1, axis=1).any()
    speeds = np.diff(poses[:, 1]) / 0.01
    np.testing.assert_allclose(speeds, np.minimum(0.5, 0.02 * np.arange(2, 33)))
    late_ticks = [(NOW_NS - command.stamp_ns) // TICK_NS for command, _ in asked.before]
    assert late_ticks == list(range(34, 3, -1))


def test_poses_of_before_were_sent_and_measured_a_tick_apart_under_numbers_that_go_up() -> None:
    asked = after_poses(good_command(3, NOW_NS), np.stack([READY, READY + 0.1, READY + 0.2]))
    for number, (command, seen) in enumerate(asked.before):
        then_ns = NOW_NS - (3 - number) * TICK_NS
        assert (command.sequence, command.stamp_ns, command.epoch) == (number + 1, then_ns, 3)
        assert (seen.stamp_ns, seen.epoch) == (then_ns, 3)
        np.testing.assert_allclose(command.positions, READY + 0.1 * number)
        np.testing.assert_array_equal(seen.positions, command.positions)
    assert (len(asked.before), asked.command.sequence, asked.command.stamp_ns) == (3, 4, NOW_NS)


def test_what_was_good_before_is_one_tick_of_it_or_as_many_as_are_asked_for() -> None:
    good = good_command(3, NOW_NS)
    assert [len(after_ticks(good).before), len(after_ticks(good, 5).before)] == [1, 5]
    np.testing.assert_array_equal(after_ticks(good, 2).before[1][0].positions, READY)


@pytest.mark.parametrize(("shown", "is_so"), [("not a number", np.isnan), ("infinite", np.isinf)])
def test_one_value_of_the_last_row_is_none_and_the_others_are_good(
    shown: str, is_so: Callable[[np.ndarray], np.ndarray]
) -> None:
    rows = asked_of_vetting(f"a value that is {shown}").decision.chunk.positions
    bad = is_so(rows)
    np.testing.assert_array_equal(np.argwhere(bad), [[5, 9]])
    np.testing.assert_array_equal(np.where(bad, READY, rows), np.tile(READY, (6, 1)))


@pytest.mark.parametrize("shown", ["wrists 4 mm apart", "a camera 5 mm over the table"])
def test_rows_that_come_too_near_do_so_in_two_steps_and_stay(shown: str) -> None:
    asked = asked_of_vetting(shown)
    start, rows = asked.observation.positions, asked.decision.chunk.positions
    assert rows.shape == (6, 14)
    np.testing.assert_allclose(rows[0], (start + rows[1]) / 2.0)
    np.testing.assert_array_equal(rows[2:], [rows[1]] * 4)
