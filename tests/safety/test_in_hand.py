"""What a hand holds: the shapes round it, and the rules by which it may be put down, let go of and passed on."""

from itertools import product

import numpy as np
import pytest

from forearm.geometry import Box
from forearm.messages import Held, Outcome, Verdict
from forearm.robot.kinematics import tool_poses
from forearm.safety.in_hand import LETS_GO, InHand, enclosing, speeds
from forearm.safety.limits import Limits
from forearm.safety.vetting import MOST_HELD, Vetting
from forearm.safety.workspace import Workspace

from .scenes import BOTH_HOME, NOW_NS, decided, seen

LIMITS, PERIOD_S, ROWS = Limits.of(), 0.1, 16
GRIPS = BOTH_HOME.copy()
GRIPS[[6, 13]] = 0.3
LEFT_TOOL = tool_poses(GRIPS[None])[0][0, 0]
OUT_M = 0.15  # m, from the tool to the middle of what sticks out of the hand


def bar(arm: str, half_m: float = 0.12) -> Held:
    return Held(name="bar", arm=arm, centre=(0.0, 0.0, 0.0), half=(half_m, 0.015, 0.015))


def hanging(below_m: float) -> Held:
    """Something that reaches so far below the left tool."""
    return Held(name="rod", arm="left", centre=(0.0, 0.0, below_m / 2), half=(0.01, 0.01, below_m / 2))


def vet(rows: np.ndarray, *held: Held, workspace: Workspace | None = None) -> Verdict:
    vetting = Vetting(LIMITS, workspace=workspace or Workspace())
    return vetting.vet(decided(rows), seen(GRIPS, held=held), NOW_NS)


def moving(joint: int, total: float, rows: int = ROWS) -> np.ndarray:
    """Rows that begin and end at rest."""
    share = np.linspace(0, 1, rows)
    path = np.tile(GRIPS, (rows, 1))
    path[:, joint] += total * share**3 * (10 - 15 * share + 6 * share**2)
    return path


def subjects(verdict: Verdict) -> set[str]:
    return {finding.subject for finding in verdict.findings}


@pytest.mark.parametrize("half", [(0.02, 0.02, 0.02), (0.016, 0.13, 0.016), (0.07, 0.075, 0.017), (0.3, 0.1, 0.004)])
def test_what_is_held_is_wholly_inside_the_capsules_round_it(half: tuple[float, float, float]) -> None:
    held = Held(name="thing", arm="right", centre=(0.01, 0.0, -0.02), half=half)
    inside = np.array(list(product(np.linspace(-1, 1, 13), repeat=3))) * half + held.centre
    nearest = np.full(len(inside), np.inf)
    for capsule in enclosing(held):
        start, way = np.array(capsule.start), np.array(capsule.end) - capsule.start
        share = np.clip((inside - start) @ way / (way @ way), 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(inside - start - share[:, None] * way, axis=1) - capsule.radius)
    assert nearest.max() <= 1e-12


@pytest.mark.parametrize("longest", range(3))
def test_the_capsule_round_a_bar_lies_along_it(longest: int) -> None:
    half = [0.02, 0.02, 0.02]
    half[longest] = 0.13
    (capsule,) = enclosing(Held(name="bar", arm="left", centre=(0.1, 0.2, 0.3), half=(half[0], half[1], half[2])))
    along = 0.13 * np.eye(3)[longest]
    np.testing.assert_allclose(capsule.start, np.array([0.1, 0.2, 0.3]) - along)
    np.testing.assert_allclose(capsule.end, np.array([0.1, 0.2, 0.3]) + along)
    assert capsule.radius == pytest.approx(0.02 * np.sqrt(2))
    assert capsule.thing == 0


@pytest.mark.parametrize(("longest", "shorter"), [(0.0280, True), (0.0288, False)])
def test_the_capsule_of_the_least_volume_is_chosen(longest: float, shorter: bool) -> None:
    """(L + 2/3 √2 h) 2 h² of one as long as the box, (L - h + 2/3 √3 h) 3 h² of one whose ends are within it."""
    (capsule,) = enclosing(Held(name="bar", arm="left", centre=(0.0, 0.0, 0.0), half=(0.02, 0.02, longest)))
    assert capsule.end[2] == pytest.approx(longest - 0.02 * shorter)


def test_the_capsule_round_a_cube_is_nearly_a_ball() -> None:
    (capsule,) = enclosing(Held(name="cube", arm="left", centre=(0.0, 0.0, 0.0), half=(0.02, 0.02, 0.02)))
    assert np.linalg.norm(np.subtract(capsule.end, capsule.start)) == pytest.approx(0.002)
    assert capsule.radius == pytest.approx(float(np.linalg.norm((0.019, 0.02, 0.02))))


def test_a_plate_is_covered_by_strips_beside_each_other() -> None:
    strips = enclosing(Held(name="lid", arm="left", centre=(0.0, 0.0, 0.0), half=(0.08, 0.06, 0.003)))
    assert [strip.start[1] for strip in strips] == pytest.approx([-0.04, 0.0, 0.04])
    assert {strip.start[0] for strip in strips} == {-strips[0].end[0]}
    assert all(0.0202 < strip.radius < 0.0206 for strip in strips)


def test_its_speed_is_that_of_its_farthest_corner() -> None:
    path = np.tile(GRIPS, (3, 1))
    path[:, 0] += [0.0, 0.01, 0.03]  # rad about the base; the first step is from where the arms are measured
    away = Held(name="rod", arm="left", centre=(0.0, 0.0, OUT_M), half=(0.001, 0.001, 0.001))
    tool, turn = (each[0, 0] for each in tool_poses(path[:1]))
    lever = float(np.linalg.norm((tool + turn @ np.array(away.centre))[:2]))
    expected = [[0.01 * lever / 0.155, 0.02 * lever / 0.1]]
    np.testing.assert_allclose(speeds(InHand((away,)).ways(path), 0.1), expected, rtol=0.02)


TIP = LEFT_TOOL + 0.13 * tool_poses(GRIPS[None])[1][0, 0, :, 0]  # of the rod below
AHEAD = float(np.arctan2(TIP[1], TIP[0])) - 0.32, float(np.hypot(TIP[0], TIP[1]))  # where the base's turn takes it
POST = Box(name="post", centre=(AHEAD[1] * np.cos(AHEAD[0]), AHEAD[1] * np.sin(AHEAD[0]), 0.1), half=(0.02, 0.02, 0.1))
ROD = Held(name="rod", arm="left", centre=(0.0, 0.0, 0.0), half=(0.13, 0.01, 0.01))
SWIFT, SLOW = moving(0, -0.4, 5), moving(0, -0.4, 16)


def test_what_is_held_is_kept_from_a_fixture_and_what_is_not_held_is_not() -> None:
    standing = Workspace(fixtures=(POST,))
    assert vet(SWIFT, workspace=standing).outcome is Outcome.ALLOW
    verdict = vet(SWIFT, ROD, workspace=standing)
    assert verdict.outcome is not Outcome.ALLOW
    assert subjects(verdict) == {"left arm's rod and post"}


def test_a_zone_is_not_entered_by_what_is_held_however_slowly() -> None:
    assert vet(SLOW, ROD, workspace=Workspace(fixtures=(POST,))).outcome is Outcome.ALLOW  # it may be leant there
    assert vet(SLOW, workspace=Workspace(keep_out=(POST,))).outcome is Outcome.ALLOW
    verdict = vet(SLOW, ROD, workspace=Workspace(keep_out=(POST,)))
    # What is kept of it leads up to the zone, and is slowed.
    assert [finding.check for finding in verdict.findings] == ["clearance: keep-out zone", "stopping"]
    assert subjects(verdict) == {"left arm's rod and post"}


def lowering(speed: float) -> np.ndarray:
    """Straight on downwards at that speed, m/s, of the tool of the left arm, for 0.2 s, by the shoulder."""
    down = GRIPS.copy()
    down[1] += 1e-4
    per_rad = float(tool_poses(GRIPS[None])[0][0, 0, 2] - tool_poses(down[None])[0][0, 0, 2]) / 1e-4
    path = np.tile(GRIPS, (3, 1))
    path[:, 1] += speed / per_rad * PERIOD_S * np.arange(3)
    return path


def test_it_is_put_down_slowly_and_not_slammed_down() -> None:
    thing = hanging(float(LEFT_TOOL[2]) - 0.06)
    found = [speeds(InHand((thing,)).ways(lowering(speed)), PERIOD_S).max() for speed in (0.3, 0.6)]
    assert found[0] < LIMITS.placing_speed < found[1]
    assert vet(lowering(0.3), thing).outcome is Outcome.ALLOW
    assert vet(lowering(0.6)).outcome is Outcome.ALLOW
    verdict = vet(lowering(0.6), thing)
    assert [finding.check for finding in verdict.findings] == ["clearance: held object and table"]
    assert subjects(verdict) == {"left arm's rod and table"}


def test_what_lies_on_the_table_when_it_is_held_may_be_lifted_as_fast_as_arms_go() -> None:
    thing = hanging(float(LEFT_TOOL[2]) + 0.01)
    up = lowering(0.6)
    up[:, 1] = 2 * GRIPS[1] - up[:, 1]
    assert vet(up, thing).outcome is Outcome.ALLOW


def test_what_is_let_go_of_stays_behind() -> None:
    thing, rows = hanging(float(LEFT_TOOL[2]) - 0.06), lowering(0.6)
    rows[:, 6] = 0.34  # the fingers yield; it is held
    assert vet(rows, thing).outcome is not Outcome.ALLOW
    rows[1:, 6] = 0.36  # they have opened, and it is not
    assert vet(rows, thing).outcome is Outcome.ALLOW


def test_what_closes_again_after_it_let_go_holds_nothing() -> None:
    path = np.tile(GRIPS, (4, 1))
    path[1, 6] += LETS_GO  # no more than fingers yield
    path[2, 6] = 0.5
    np.testing.assert_array_equal(InHand((bar("left"), bar("right"))).let_go(path), [[0, 1, 1], [0, 0, 0]])


def test_nothing_in_hand_lets_nothing_go() -> None:
    assert InHand().let_go(np.tile(GRIPS, (4, 1))).shape == (0, 3)


def towards_each_other() -> np.ndarray:
    """Both arms turn until what they hold lies in one line."""
    rows = np.tile(GRIPS, (ROWS, 1))
    share = np.linspace(0, 1, ROWS)
    turned = 0.61 * share**3 * (10 - 15 * share + 6 * share**2)
    rows[:, 0] -= turned
    rows[:, 7] += turned
    return rows


def test_what_is_held_is_kept_from_the_other_arm_and_from_what_that_holds() -> None:
    rows = towards_each_other()
    assert vet(rows).outcome is Outcome.ALLOW
    one = vet(rows, bar("left", 0.57))
    assert [finding.check for finding in one.findings] == ["clearance: held object and arm"]
    assert one.findings[0].subject.startswith("left arm's bar and right ")
    both = vet(rows, bar("left", 0.32), bar("right", 0.32))
    assert "left arm's bar and right arm's bar" in subjects(both)


@pytest.mark.parametrize(("half_m", "shared"), [(0.24, False), (0.31, True)])
def test_what_both_hands_reach_is_one_thing_and_moves_with_both(half_m: float, shared: bool) -> None:
    near = towards_each_other()[-1]
    apart_m = float(np.linalg.norm(np.subtract(*tool_poses(near)[0])))
    held = InHand((bar("left", half_m * apart_m / 0.3), bar("right", half_m * apart_m / 0.3)))
    assert held.is_one_thing(near) == shared


def test_what_one_hand_holds_alone_is_not_in_both() -> None:
    near = towards_each_other()[-1]
    assert not InHand((bar("left", 1.0),)).is_one_thing(near)
    assert not InHand((bar("left", 1.0), bar("right", 0.05))).is_one_thing(near)
    assert not InHand((bar("left", 1.0), bar("right", 1.0), bar("right", 0.05))).is_one_thing(near)  # it may be either
    assert InHand((bar("left", 1.0), bar("right", 1.0))).is_one_thing(near)


def test_one_thing_in_both_hands_is_kept_from_neither_arm() -> None:
    longer = 1.05 * float(np.linalg.norm(np.subtract(*tool_poses(GRIPS[None])[0][0])))
    rows, check = towards_each_other(), "clearance: held object and arm"
    assert check in {finding.check for finding in vet(rows, bar("left", longer)).findings}
    both = vet(rows, bar("left", longer), bar("right", longer))
    assert check not in {finding.check for finding in both.findings}


def test_what_is_around_the_arms_is_remembered_for_a_few_things_held_and_always_for_none() -> None:
    vetting = Vetting(LIMITS, workspace=Workspace())
    nothing = vetting._surroundings(())
    bars = [(bar("left", 0.1 + 0.001 * more),) for more in range(MOST_HELD + 2)]
    made = [vetting._surroundings(held) for held in bars]
    assert [len(each.pairs) > 0 for each in made] == [True] * len(bars)
    assert len(vetting._around) <= MOST_HELD + 1
    assert vetting._surroundings(()) is nothing
    assert vetting._surroundings(bars[-1]) is made[-1]
    assert vetting._surroundings(bars[0]) is not made[0]


@pytest.mark.slow
def test_of_very_many_things_held_one_after_the_other_each_counts() -> None:
    vetting, rows = Vetting(LIMITS, workspace=Workspace()), towards_each_other()
    for more in (*range(2 * MOST_HELD), 0):
        long = bar("left", 0.57 + 0.001 * more)
        assert vetting.vet(decided(rows), seen(GRIPS, held=(long,)), NOW_NS).outcome is not Outcome.ALLOW
        assert vetting.vet(decided(rows), seen(GRIPS), NOW_NS).outcome is Outcome.ALLOW
