"""A chunk is slowed to the pace from which the arms could still stop, and no further, and for no purpose's sake."""

from dataclasses import replace

import numpy as np
import pytest

from forearm.geometry import Box
from forearm.messages import Finding, Held, Outcome, Verdict
from forearm.robot.kinematics import tool_poses
from forearm.safety.clearance import PAIRS, Bodies
from forearm.safety.gates import Gates
from forearm.safety.limits import Limits
from forearm.safety.pacing import _Blocked, _standing, one_tick
from forearm.safety.stopping import standing_pose
from forearm.safety.surroundings import Surroundings, less_standing
from forearm.safety.sweep import ARMS_AND_TABLE, Sweep
from forearm.safety.vetting import Vetting
from forearm.safety.workspace import Workspace

from .scenes import BOTH_HOME, NOW_NS, TICK_NS, asked, decided, seen

LIMITS = Limits.of()
INWARDS = np.where(np.arange(14) == 0, -1.0, np.arange(14) == 7)  # of both base joints
BASE = np.array(np.arange(14) == 0, dtype=float)
ARMS = np.array([pair.kind == "arms" for pair in PAIRS])


def closing(speed: float, *, end: float = 0.9, moving: int = 5, rows: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """A start and rows 0.1 s apart: both arms swing inwards at that many rad/s, and stay with their wrists near."""
    there = BOTH_HOME.copy()
    there[[0, 7]] = -end, end
    left = np.maximum(moving - np.arange(rows + 1), 0)[:, None] * speed * 0.1
    path = there - left * INWARDS
    return path[0], path[1:]


def vet(
    start: np.ndarray, rows: np.ndarray, latency_s: float = 0.01, workspace: Workspace | None = None, **changes: object
) -> Verdict:
    vetting = Vetting(replace(LIMITS, **changes), workspace=workspace, latency_s=lambda: latency_s)
    return vetting.vet(decided(rows), seen(start), NOW_NS)


def only(verdict: Verdict, outcome: Outcome) -> Finding:
    (finding,) = verdict.findings
    assert (finding.check, finding.outcome, verdict.outcome) == ("stopping", outcome, outcome)
    return finding


def least_between_arms(poses: np.ndarray) -> float:
    bodies, pairs = Bodies.at(poses), np.nonzero(ARMS)[0]
    return min(float(bodies.clearance(pairs, np.full_like(pairs, row)).min()) for row in range(len(poses)))


def standing(verdict: Verdict, start: np.ndarray, latency_s: float, *, faster: float = 1.0) -> np.ndarray:
    chunk = verdict.vetted.chunk
    speeds = np.diff(chunk.positions, axis=0, prepend=start[None]) / chunk.period_s * faster
    return standing_pose(chunk.positions, speeds, np.zeros_like(speeds), latency_s, LIMITS)


def test_arms_that_come_near_each_other_slowly_enough_to_stop_are_not_slowed() -> None:
    start, rows = closing(0.2)
    verdict = vet(start, rows)
    assert verdict.outcome is Outcome.ALLOW
    assert verdict.vetted.chunk.period_s == 0.1


@pytest.mark.parametrize("latency_s", [0.01, 0.05, 0.15])
def test_arms_that_come_near_each_other_too_fast_to_stop_are_slowed_until_they_can(latency_s: float) -> None:
    start, rows = closing(1.5)
    verdict = vet(start, rows, latency_s)
    only(verdict, Outcome.LIMIT)
    now_m = LIMITS.arm_clearance_now_m
    assert least_between_arms(standing(verdict, start, latency_s)) >= now_m
    assert least_between_arms(standing(verdict, start, latency_s, faster=1.15)) < now_m  # and no more than needed
    np.testing.assert_array_equal(verdict.vetted.chunk.positions, rows[: len(verdict.vetted.chunk.positions)])


def test_the_worse_the_latency_the_slower_and_what_was_slowed_passes_as_it_is() -> None:
    start, rows = closing(1.5)
    paces = [0.1 / vet(start, rows, latency_s).vetted.chunk.period_s for latency_s in (0.0, 0.01, 0.03, 0.1)]
    assert paces[0] == paces[1]  # nothing is seen and stopped within less than a tick
    assert paces[1] > paces[2] > paces[3]
    slowed = vet(start, rows, 0.03).vetted.chunk
    again = Vetting(LIMITS, latency_s=lambda: 0.03)
    decision = decided(slowed.positions, period_s=slowed.period_s)
    assert again.vet(decision, seen(start), NOW_NS).outcome is Outcome.ALLOW
    faster = decided(slowed.positions, period_s=slowed.period_s * 0.95)
    assert again.vet(faster, seen(start), NOW_NS).outcome is Outcome.LIMIT


def test_it_is_said_how_far_the_arms_need_to_stop_and_how_much_room_there_is() -> None:
    start, rows = closing(1.5)
    verdict = vet(start, rows, 0.03)
    finding, chunk = only(verdict, Outcome.LIMIT), verdict.vetted.chunk
    assert finding.subject == "left wrist and right wrist"
    assert finding.measured > finding.limit > 0.0
    assert finding.unit == "m"
    row = next(row for row in range(8) if f" at row {row} is " in finding.text)
    clear_m = least_between_arms(rows[row][None])
    assert finding.limit == pytest.approx(clear_m - LIMITS.arm_clearance_now_m)
    assert finding.text == (
        f"The stopping distance of left wrist and right wrist at row {row} is {finding.measured * 1e3:.0f} mm, told "
        f"30 ms late; their clearance is {clear_m * 1e3:.0f} mm, of which 8 mm must be left. "
        f"The chunk is slowed to {0.1 / chunk.period_s:.2f} of its pace, to {chunk.period_s * 1e3:.0f} ms a row."
    )


def test_ways_and_latencies_of_any_length_are_said_in_millimetres_and_milliseconds() -> None:
    swept = Sweep(clear_rows=3, pair=0, clearance_m=-1.25, required_m=0.75, late_m=np.zeros(len(PAIRS)))
    blocked = _Blocked(swept=swept, geometry=ARMS_AND_TABLE, clear_m=0.875)
    (finding,) = blocked.findings(Outcome.LIMIT, 0.625, " So.")
    assert finding.text == (
        f"The stopping distance of {PAIRS[0].text} at row 3 is 2125 mm, told 625 ms late; their clearance is 875 mm, "
        "of which 750 mm must be left. So."
    )
    assert (finding.measured, finding.limit, finding.unit) == (2.125, 0.125, "m")


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_first_row_farther_than_joints_go_is_reached_no_faster_than_they_go(sign: float) -> None:
    rows = np.tile(BOTH_HOME + sign * BASE, (2, 1))
    stands = _standing(decided(rows).chunk, BOTH_HOME, 1.0, 0.01, LIMITS)
    speeds = sign * BASE * LIMITS.velocity
    expected = standing_pose(rows[:1], speeds[None], 0.0 * rows[:1], 0.01, LIMITS)
    np.testing.assert_allclose(stands, [expected[0], rows[1]])


def test_arms_that_part_may_go_as_fast_as_they_like() -> None:
    start, rows = closing(1.5)
    back = np.concatenate([rows[::-1], start[None]])
    there = np.concatenate([back[:1], back[:1], back])  # from rest
    assert vet(back[0], there, 0.1).outcome is Outcome.ALLOW


def test_arms_that_begin_too_near_may_leave_and_stand_and_not_come_nearer() -> None:
    start, rows = closing(1.5, end=0.94)
    assert least_between_arms(rows[-1:]) < LIMITS.arm_clearance_now_m
    assert vet(rows[-1], np.tile(rows[-1], (8, 1)), 0.1).outcome is Outcome.ALLOW
    assert vet(rows[-1], np.concatenate([rows[::-1], start[None]]), 0.1).outcome is Outcome.ALLOW


def test_a_chunk_that_lasts_too_long_once_it_is_slowed_keeps_the_rows_that_do_not() -> None:
    start, rows = closing(1.5, rows=16)
    whole, cut = vet(start, rows, 0.03, longest_chunk_s=60.0), vet(start, rows, 0.03)
    period_s, kept = cut.vetted.chunk.period_s, len(cut.vetted.chunk.positions)
    assert whole.vetted.chunk.period_s == period_s
    assert len(whole.vetted.chunk.positions) == 16
    assert kept == int(LIMITS.longest_chunk_s / period_s) < 16
    assert cut.findings[0].text == whole.findings[0].text + f" The first {kept} of 16 rows are kept."


def test_where_the_least_pace_is_too_much_the_beginning_is_kept_and_too_short_a_one_is_held() -> None:
    start, rows = closing(1.5, moving=7)
    verdict = vet(start, rows, 0.1, least_pace=0.5)
    kept = len(verdict.vetted.chunk.positions)
    assert LIMITS.fewest_rows <= kept < 7
    assert verdict.vetted.chunk.period_s == pytest.approx(0.2)
    assert only(verdict, Outcome.LIMIT).text.endswith(
        f" The chunk is slowed to 0.50 of its pace, to 200 ms a row. The first {kept} of 8 rows are kept."
    )
    held = vet(rows[3], rows[4:], 0.1, least_pace=0.5)
    assert held.vetted is None
    assert only(held, Outcome.HOLD).text.endswith(" Slowed to 0.50 of its pace the chunk would keep 2 of 4 rows.")


def test_a_chunk_of_few_rows_is_slowed_as_a_whole() -> None:
    _, rows = closing(1.5)
    verdict = vet(rows[2], rows[3:5])
    assert len(verdict.vetted.chunk.positions) == 2
    only(verdict, Outcome.LIMIT)


def test_what_is_approached_on_purpose_slows_nothing() -> None:
    """Fingers come down onto the table, and a hand back to its own arm, as fast as clearances allow."""
    down, folded = BOTH_HOME.copy(), BOTH_HOME.copy()
    down[[0, 1]] = 1.2, 1.95
    folded[[0, 2, 4]] = 0.611, 0.9, 0.275
    for there, joint in ((down, 1), (folded, 2)):
        away = -0.12 if joint == 1 else 0.12
        path = there + away * np.maximum(5 - np.arange(9), 0)[:, None] * (np.arange(14) == joint)
        assert vet(path[0], path[1:], 0.1).outcome is Outcome.ALLOW
        late = standing(vet(path[0], path[1:], 0.1), path[0], 0.1)
        bodies, pairs = Bodies.at(late), np.nonzero(~ARMS)[0]
        kind = "fingers over table" if joint == 1 else "self"
        needed = LIMITS.finger_height_m if joint == 1 else LIMITS.self_clearance_m
        own = np.array([number for number in pairs if PAIRS[number].kind == kind])
        assert min(float(bodies.clearance(own, np.full_like(own, row)).min()) for row in range(8)) < needed


def swinging(speed: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A start, rows in which the left arm swings outwards at that many rad/s and stays, and where its tool is then."""
    path = BOTH_HOME + 0.1 * speed * np.minimum(np.arange(9), 5)[:, None] * BASE
    return path[0], path[1:], tool_poses(path[-1:])[0][0, 0]


def post(ahead_m: float, kind: str) -> Workspace:
    """A thin tall box that far beyond the left hand at the end of its swing."""
    _, _, tool = swinging(1.5)
    outwards = np.array([-tool[1], tool[0], 0.0]) / np.hypot(tool[0], tool[1])
    x, y, _ = tool + ahead_m * outwards
    box = Box(name="post", centre=(float(x), float(y), 0.2), half=(0.005, 0.005, 0.2))
    return Workspace(**{kind: (box,)})


def nearest_to_post(workspace: Workspace, pose: np.ndarray) -> float:
    things = Surroundings(workspace, LIMITS)
    every = np.arange(len(things.pairs))
    return float(things.at(pose[None]).clearance(every, np.zeros_like(every)).min())


@pytest.mark.parametrize("kind", ["fixtures", "keep_out"])
def test_an_arm_that_swings_towards_what_stands_there_is_slowed(kind: str) -> None:
    start, rows, _ = swinging(1.5)
    beyond = next(each for each in np.arange(0.05, 0.3, 0.002) if nearest_to_post(post(each, kind), rows[-1]) > 0.008)
    workspace = post(beyond, kind)
    verdict = vet(start, rows, 0.03, workspace)
    finding = only(verdict, Outcome.LIMIT)
    assert finding.subject.endswith(" and post")
    assert "of which 3 mm must be left" in finding.text
    for faster, clear in ((1.0, True), (1.15, False)):
        late = standing(verdict, start, 0.03, faster=faster)
        assert (min(nearest_to_post(workspace, pose) for pose in late) >= LIMITS.fixture_clearance_now_m) == clear
    far = vet(start, rows, 0.03, post(beyond + 0.15, kind))
    assert far.outcome is Outcome.ALLOW


def test_of_two_things_the_one_that_is_met_first_is_named() -> None:
    start, rows = closing(1.5)
    assert only(vet(start, rows, 0.03, post(0.4, "fixtures")), Outcome.LIMIT).subject == "left wrist and right wrist"


def test_what_is_held_is_put_down_on_purpose_and_kept_clear_of_the_other_arm_and_of_zones() -> None:
    held = Held(name="block", arm="left", half=(0.02, 0.02, 0.02), centre=(0.0, 0.0, 0.0))
    stand = Box(name="stand", centre=(0.3, 0.0, 0.1), half=(0.01, 0.01, 0.1))
    zone = Box(name="zone", centre=(0.3, 0.3, 0.1), half=(0.01, 0.01, 0.1))
    pairs = Surroundings(Workspace(fixtures=(stand,), keep_out=(zone,)), LIMITS, (held,)).pairs
    less = {(pair.kind, bool(pair.held)): less_standing(pair, LIMITS) for pair in pairs}
    boxes_m = LIMITS.fixture_clearance_m - LIMITS.fixture_clearance_now_m
    assert less == {
        ("fixture", False): boxes_m,
        ("keep-out zone", False): boxes_m,
        ("fixture", True): np.inf,
        ("keep-out zone", True): boxes_m,
        ("held object and arm", True): LIMITS.arm_clearance_m - LIMITS.arm_clearance_now_m,
        ("held object and table", True): np.inf,
    }


def test_without_a_measured_latency_it_is_one_tick() -> None:
    assert one_tick() == 0.01
    start, rows = closing(1.5)
    by_default = Vetting(LIMITS).vet(decided(rows), seen(start), NOW_NS)
    assert by_default.vetted.chunk.period_s == vet(start, rows, 0.01).vetted.chunk.period_s


@pytest.mark.parametrize("name", ["vetting", "helm_vetting"])
def test_gates_reckon_with_the_latency_that_their_guard_measured_in_this_session(name: str) -> None:
    gates, (start, rows) = Gates.of(LIMITS), closing(1.5)
    gates.guard.reset(seen(start))

    def pace() -> float:
        return 0.1 / getattr(gates, name).vet(decided(rows), seen(start), NOW_NS).vetted.chunk.period_s

    at_once = pace()
    for tick, late in ((1, 0), (4, 1), (5, 0)):  # the second tick comes after three, with a pose that is a tick old
        now_ns = NOW_NS + tick * TICK_NS
        observation = seen(start, stamp_ns=now_ns - late * TICK_NS, sequence=tick)
        assert gates.guard.review(asked(start, sequence=tick, stamp_ns=now_ns), observation, now_ns).command
    assert pace() == 0.1 / vet(start, rows, 0.04).vetted.chunk.period_s < at_once
    gates.guard.reset(seen(start))
    assert pace() == at_once
