from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from cell_bench import BlindRun

from forearm.cell.faults import Nudge, Slip
from forearm.cell.simulator import CellRobot
from forearm.cell.stage import Fault
from forearm.cell.tasks import task_named
from forearm.clock import SimulatedClock
from forearm.events import Commanded, Event, Observed
from forearm.geometry import Goods
from forearm.messages import DepthImage, Observation
from forearm.policy.baselines import Demonstrator
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.grasp import Felt, Grasp, Grip, Hands, feel, grips
from forearm.runtime.simulation import Simulation
from forearm.safety.workspace import Workspace

TICK_S = 0.01


def grip(commanded: float, measured: float, *, speed: float = 0.0, effort: float = 0.0) -> Grip:
    return Grip(commanded=commanded, measured=measured, speed=speed, effort=effort)


def after(*felt: Grip) -> Felt:
    state = Felt()
    for each in felt:
        state = feel(state, each, TICK_S)
    return state


HELD = [grip(0.0, 0.39, effort=-27.0)] * 12


def test_an_open_gripper_is_open() -> None:
    assert after(grip(1.0, 1.0)).grasp is Grasp.OPEN


def test_fingers_under_way_are_closing_also_in_the_first_instant_in_which_they_stand_still() -> None:
    assert after(grip(0.0, 1.0, effort=-30.0)).grasp is Grasp.CLOSING
    assert after(grip(0.0, 0.7, speed=-6.0, effort=-30.0)).grasp is Grasp.CLOSING


def test_fingers_that_stand_apart_and_press_hold_something() -> None:
    assert after(*HELD).grasp is Grasp.HOLDING


def test_fingers_that_stand_apart_without_pressing_hold_nothing() -> None:
    assert after(*[grip(0.0, 0.39)] * 50).grasp is Grasp.CLOSING


def test_what_closes_and_meets_nothing_is_closed_empty() -> None:
    assert after(grip(0.0, 0.7, speed=-6.0), grip(0.0, 0.01)).grasp is Grasp.CLOSED_EMPTY


def test_what_held_and_is_shut_has_lost_it_and_keeps_having_lost_it() -> None:
    assert after(*HELD, grip(0.0, 0.2, speed=-5.0), *[grip(0.0, 0.0)] * 9).grasp is Grasp.LOST


def test_letting_go_when_told_to_is_no_loss() -> None:
    assert after(*HELD, grip(1.0, 0.5), grip(1.0, 1.0)).grasp is Grasp.OPEN


def looked(times_s: list[float], between_m: float, *, age_s: float = 0.0) -> list[Grip]:
    """Held as above, with an image that shows that at each of those times, and the one before until the next."""
    return [replace(HELD[0], between_m=between_m, seen_ns=round(at * 1e9), age_s=age_s) for at in times_s]


BEHIND_M, THERE_M, UNKNOWN_M = 0.025, -0.009, float("nan")


def test_fingers_that_press_on_nothing_that_the_camera_sees_hold_nothing() -> None:
    jammed = after(*HELD[:5], *looked([0.05, 0.15], BEHIND_M))
    assert jammed.grasp is Grasp.CLOSED_EMPTY
    assert jammed.between_m == BEHIND_M
    assert after(*HELD[:5], *looked([0.05, 0.15] + [0.15] * 20, BEHIND_M)).grasp is Grasp.CLOSED_EMPTY


def test_what_is_seen_through_twice_while_it_was_held_is_lost() -> None:
    assert (
        after(*HELD, *looked([0.3] * 30, BEHIND_M)).grasp is Grasp.HOLDING
    )  # one image, however long it is the newest
    assert after(*HELD, *looked([0.3, 0.4], BEHIND_M)).grasp is Grasp.LOST
    assert after(*HELD, *looked([0.3, 0.4], BEHIND_M), *looked([0.5], THERE_M)).grasp is Grasp.HOLDING
    assert (
        after(*HELD, *looked([0.3], BEHIND_M), *looked([0.4], THERE_M), *looked([0.5], BEHIND_M)).grasp is Grasp.HOLDING
    )


def test_a_depth_that_is_missing_is_unknown_and_no_evidence_of_absence() -> None:
    assert after(*HELD, *looked([0.3, 0.4, 0.5], UNKNOWN_M)).grasp is Grasp.HOLDING
    assert (
        after(*HELD, *looked([0.3], BEHIND_M), *looked([0.4], UNKNOWN_M), *looked([0.5], BEHIND_M)).grasp is Grasp.LOST
    )


def test_an_image_of_before_the_fingers_stood_still_says_nothing() -> None:
    assert after(*HELD, *looked([0.3, 0.4], BEHIND_M, age_s=0.2)).grasp is Grasp.HOLDING
    assert after(*HELD, *looked([0.3, 0.4], BEHIND_M, age_s=0.1)).grasp is Grasp.LOST


def test_what_is_there_does_not_replace_what_is_felt() -> None:
    assert after(*[replace(grip(0.0, 0.39), between_m=THERE_M, seen_ns=1)] * 50).grasp is Grasp.CLOSING


def observed(depth: DepthImage | None, opening: float = 0.4, commanded: float = 0.0) -> tuple[Grip, ...]:
    positions = np.zeros(14)
    positions[[6, 13]] = opening
    seen = Observation(
        stamp_ns=150_000_000, sequence=1, epoch=1, positions=positions, velocities=np.zeros(14), efforts=np.zeros(14),
        images={}, depths={} if depth is None else {"left": depth}, instruction="",
    )  # fmt: skip
    return grips(seen, np.full(14, commanded), BIMANUAL_YAM)


def flat(metres: float) -> DepthImage:
    return DepthImage(stamp_ns=50_000_000, metres=np.full((72, 72), metres, dtype=np.float32))


def test_a_grip_says_what_its_own_camera_sees_between_its_fingers_and_when() -> None:
    left, right = observed(flat(0.1))
    assert left.between_m == pytest.approx(0.1 - 0.0911, abs=1e-4)
    assert (left.seen_ns, left.age_s) == (50_000_000, pytest.approx(0.1))
    assert np.isnan(right.between_m)
    assert np.isnan(observed(None)[0].between_m)
    assert np.isnan(observed(flat(0.1), commanded=1.0)[0].between_m)  # it opens: nobody asks
    assert np.isnan(observed(flat(0.1), opening=0.12)[0].between_m)  # too narrow to see through


def test_what_the_camera_did_not_measure_is_unknown() -> None:
    holes = np.full((72, 72), 0.1, dtype=np.float32)
    holes[::3] = np.nan
    some = observed(DepthImage(stamp_ns=0, metres=holes))[0].between_m
    assert some == pytest.approx(0.1 - 0.0911, abs=1e-4)
    holes[1::3] = np.nan
    assert np.isnan(observed(DepthImage(stamp_ns=0, metres=holes))[0].between_m)
    holes[:] = np.nan
    assert np.isnan(observed(DepthImage(stamp_ns=0, metres=holes))[0].between_m)


BLOCK = Goods(name="block", half=(0.02, 0.02, 0.02), width_m=0.04)


def noted(hands: Hands, opening: float, commanded: float | None, *, effort: float = -27.0, ticks: int = 1) -> set[str]:
    """What the observations say that the left arm holds after so many ticks."""
    positions, efforts = np.zeros(14), np.zeros(14)
    positions[6], efforts[6] = opening, effort
    told = None if commanded is None else np.full(14, commanded)
    for _ in range(ticks):
        seen = Observation(
            stamp_ns=0, sequence=1, epoch=1, positions=positions, velocities=np.zeros(14), efforts=efforts, images={},
            depths={}, instruction="",
        )  # fmt: skip
        seen = hands.note(seen, told)
    return {f"{each.arm} {each.name}" for each in seen.held}


def test_an_observation_says_what_is_held_from_when_it_is_felt_until_it_is_let_go_of_or_lost() -> None:
    hands = Hands(Workspace(goods=(BLOCK,)))
    assert noted(hands, 0.39, None) == set()
    assert noted(hands, 0.39, 0.0) == set()  # not yet believed
    assert noted(hands, 0.39, 0.0, ticks=12) == {"left block"}
    assert noted(hands, 0.39, 1.0) == set()
    assert noted(hands, 0.39, 0.0, ticks=12) == {"left block"}
    assert noted(hands, 0.0, 0.0) == set()


def test_what_is_held_is_told_by_how_wide_it_is() -> None:
    assert noted(Hands(Workspace(goods=(BLOCK,))), 0.8, 0.0, ticks=12) == {"left something"}


@pytest.mark.parametrize("opening", [0.2, 0.4, 0.7])
def test_the_wrist_cameras_of_the_cell_see_through_fingers_with_nothing_between_them(opening: float) -> None:
    setup = task_named("hand-over").sample(1)
    start = np.array(setup.start)
    start[[6, 13]] = opening
    robot = CellRobot(setup=replace(setup, start=tuple(start.tolist())), clock=SimulatedClock())
    robot.connect(1)
    try:
        seen = robot.read()
    finally:
        robot.close()
    assert all(each.between_m > 0.025 for each in grips(seen, np.zeros(14), BIMANUAL_YAM))


class Feeling:
    """Feels along a run's events what both grippers have, beginning with the set-points `commanded` (J,)."""

    def __init__(self, commanded: np.ndarray) -> None:
        self._commanded, self._felt = commanded, [Felt() for _ in BIMANUAL_YAM.arms]

    def note(self, event: Event) -> list[tuple[Grip, Felt]]:
        """Each arm's grip and what it has, at an observation; nothing at any other event."""
        if isinstance(event, Commanded):
            self._commanded = np.array(event.positions)
        if not isinstance(event, Observed):
            return []
        seen = grips(event.observation, self._commanded, BIMANUAL_YAM)
        self._felt = [feel(before, grip, TICK_S) for before, grip in zip(self._felt, seen, strict=True)]
        return list(zip(seen, self._felt, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["put-in-box", "hand-over", "lift", "insert-peg"])
def test_the_wrist_cameras_of_the_cell_see_what_is_held(task: str) -> None:
    setup, seen = task_named(task).sample(1), list[float]()
    feeling = Feeling(np.array(setup.start))

    def see(event: Event) -> None:
        for grip, felt in feeling.note(event):
            if felt.grasp is Grasp.HOLDING:
                seen.append(grip.between_m)

    Simulation(setup, lambda robot: Demonstrator.rehearse(setup)).run(seed=0, emit=see)
    assert len(seen) > 100
    assert np.nanmax(seen) < -0.005
    assert not np.isnan(seen).any()


def felt_and_true(task: str, faults: tuple[Fault, ...]) -> Counter[tuple[Grasp, bool]]:
    """How often each grasp was felt in a run, and whether an object was between both fingers then."""
    setup, counts = task_named(task).sample(1), Counter[tuple[Grasp, bool]]()
    feeling, run = Feeling(np.array(setup.start)), BlindRun(setup, faults)
    things = [each.name for each in setup.placements if each.name not in ("box", "pad")]

    def see(event: Event) -> None:
        for arm, (_, felt) in zip(BIMANUAL_YAM.arms, feeling.note(event), strict=False):
            held = any(arm.name in run.robot.holders(thing) for thing in things)
            counts[felt.grasp, held] += 1

    run.play(see)
    return counts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "faults"),
    [("put-in-box", ()), ("hand-over", ()), ("lift", ()), ("put-in-box", (Slip(),)), ("put-in-box", (Nudge(),))],
)
def test_what_is_felt_is_what_the_cell_knows(task: str, faults: tuple[Fault, ...]) -> None:
    counts = felt_and_true(task, faults)
    held = sum(count for (_, truth), count in counts.items() if truth)
    assert counts[Grasp.HOLDING, False] <= 5  # fingers still closing on what has just slipped away
    assert counts[Grasp.CLOSED_EMPTY, True] + counts[Grasp.LOST, True] == 0
    assert counts[Grasp.HOLDING, True] >= 0.8 * held  # the rest is felt 0.08 s late
    assert bool(counts[Grasp.LOST, False]) == bool(faults and faults[0].kind == "dropped object")
    assert bool(counts[Grasp.CLOSED_EMPTY, False]) == bool(faults and faults[0].kind == "failed grasp")
