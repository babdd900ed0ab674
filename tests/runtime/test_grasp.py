from collections import Counter

import numpy as np
import pytest
from cell_bench import BlindRun

from forearm.cell.faults import Nudge, Slip
from forearm.cell.stage import Fault
from forearm.cell.tasks import task_named
from forearm.events import Commanded, Event, Observed
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.grasp import Felt, Grasp, Grip, feel, grips

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


def felt_and_true(task: str, faults: tuple[Fault, ...]) -> Counter[tuple[Grasp, bool]]:
    """How often each grasp was felt in a run, and whether an object was between both fingers then."""
    setup, counts, felt = task_named(task).sample(1), Counter[tuple[Grasp, bool]](), [Felt(), Felt()]
    commanded, run = np.array(setup.start), BlindRun(setup, faults)
    things = [each.name for each in setup.placements if each.name not in ("box", "pad")]

    def see(event: Event) -> None:
        nonlocal commanded
        if isinstance(event, Commanded):
            commanded = np.array(event.positions)
        elif isinstance(event, Observed):
            for index, each in enumerate(grips(event.observation, commanded, BIMANUAL_YAM)):
                felt[index] = feel(felt[index], each, TICK_S)
                held = any(BIMANUAL_YAM.arms[index].name in run.robot.holders(thing) for thing in things)
                counts[felt[index].grasp, held] += 1

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
