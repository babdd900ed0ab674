"""Each fault happens in the real cell, once, when it should, and leaves the rest to the physics."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent.parent / "runtime"))

from cell_bench import BlindRun

from forearm.cell.faults import KINDS, DeadGripper, Freeze, Jam, Nudge, Slip, SlipAtHandOver, drawn
from forearm.cell.lapses import StaleImages
from forearm.cell.stage import Fault
from forearm.cell.tasks import task_named
from forearm.errors import InputError
from forearm.events import Commanded, Event, Observed


def positions(task: str, *faults: Fault, time_limit_s: float = 3.0) -> tuple[np.ndarray, BlindRun]:
    """(T, J) as measured."""
    seen: list[np.ndarray] = []

    def see(event: Event) -> None:
        if isinstance(event, Observed):
            seen.append(event.observation.positions)

    run = BlindRun(task_named(task).sample(1), faults, time_limit_s)
    run.play(see)
    return np.array(seen), run


@pytest.mark.slow
def test_a_nudged_block_is_not_between_the_fingers_when_they_are_shut() -> None:
    openings, run = positions("put-in-box", Nudge())
    assert run.robot.faults() == ("failed grasp",)
    assert openings[:, [6, 13]].min() < 0.03
    assert run.robot.taken() is None


@pytest.mark.slow
def test_a_greased_block_slides_out_of_the_hand() -> None:
    openings, run = positions("put-in-box", Slip())
    assert run.robot.faults() == ("dropped object",)
    assert run.robot.taken() is not None
    assert openings[:, [6, 13]].min() < 0.03


@pytest.mark.slow
def test_frozen_motors_stand_and_then_go_on() -> None:
    seen, _ = positions("put-in-box", Freeze(after_s=0.8, seconds=0.3), time_limit_s=2.0)
    speeds = np.abs(np.diff(seen, axis=0)).max(axis=1) / 0.01
    begun = 80 + int(np.argmax(speeds[80:] < 0.05))
    assert speeds[begun : begun + 20].max() < 0.05
    assert speeds[begun + 40 :].max() > 0.2


@pytest.mark.slow
def test_a_dead_gripper_keeps_its_opening_and_then_closes() -> None:
    seen, run = positions("put-in-box", DeadGripper(arm="left", seconds=1.5), DeadGripper(arm="right", seconds=1.5))
    openings = seen[:, [6, 13]]
    assert run.robot.faults() == ("dead gripper", "dead gripper")
    assert openings[:140].min() > 0.9
    assert openings.min() < 0.6


@pytest.mark.slow
def test_a_jammed_arm_hardly_moves_though_it_is_told_to() -> None:
    told: list[np.ndarray] = []
    seen: list[np.ndarray] = []

    def see(event: Event) -> None:
        if isinstance(event, Observed):
            seen.append(event.observation.positions)
        elif isinstance(event, Commanded):
            told.append(np.array(event.positions))

    run = BlindRun(task_named("put-in-box").sample(1), (Jam(after_s=0.6, seconds=9.0),), 1.4)
    run.play(see)
    assert run.robot.faults() == ("blocked path",)
    moved = np.ptp(np.array(told), axis=0)
    arm = slice(7, 13) if moved[7:13].max() > moved[0:6].max() else slice(0, 6)
    assert np.ptp(np.array(seen)[-30:, arm], axis=0).max() < 0.02
    assert max(np.abs(after - before)[arm].max() for after, before in zip(told, seen[1:], strict=False)) > 0.1


@pytest.mark.slow
def test_a_stale_camera_repeats_its_image_with_its_old_stamp_and_the_others_do_not() -> None:
    ages: list[dict[str, float]] = []

    def see(event: Event) -> None:
        if isinstance(event, Observed):
            seen = event.observation
            ages.append({name: (seen.stamp_ns - image.stamp_ns) / 1e9 for name, image in seen.images.items()})

    run = BlindRun(task_named("put-in-box").sample(1), (StaleImages(cameras=("left",), after_s=0.5, seconds=0.4),), 1.5)
    run.play(see)
    assert max(age["left"] for age in ages) > 0.35
    assert max(age["top"] for age in ages) < 0.11
    assert ages[-1]["left"] < 0.11


@pytest.mark.slow
def test_a_greased_bar_is_lost_when_the_giver_lets_go() -> None:
    _, run = positions("hand-over", SlipAtHandOver(), time_limit_s=9.0)
    assert run.robot.faults() == ("slipped hand-over",)
    assert run.robot.holders("bar") == frozenset()
    assert run.robot.progress() == 0.0


@pytest.mark.slow
def test_equal_faults_give_equal_bytes() -> None:
    one, other = (positions("put-in-box", Nudge(), Slip())[0] for _ in range(2))
    assert (one == other).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_drawn_and_a_seed_decides_it(kind: str) -> None:
    assert drawn(kind, 3) == drawn(kind, 3)
    assert drawn(kind, 3).kind == kind


def test_an_unknown_kind_is_refused_with_a_list() -> None:
    with pytest.raises(InputError, match="failed grasp"):
        drawn("gremlins", 1)
