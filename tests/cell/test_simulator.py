import hashlib
from dataclasses import replace

import numpy as np
import pytest

from forearm.cell.simulator import CellRobot
from forearm.cell.solver import Performance
from forearm.cell.tasks import TASKS, task_named
from forearm.cell.tasks.put_in_box import PutInBox
from forearm.clock import SimulatedClock
from forearm.errors import ConfigError, RobotError
from forearm.messages import Observation, SafeCommand

PERIOD_S = 0.01  # s, control loop

EACH = [  # the longest take seconds to play
    pytest.param(task, id=task.name, marks=[pytest.mark.slow] * (task.sample(0).time_limit_s > 22.0)) for task in TASKS
]


def command(robot: CellRobot, positions: np.ndarray) -> None:
    robot.send(SafeCommand(stamp_ns=0, sequence=0, epoch=1, positions=positions))


def observed_bytes(observation: Observation) -> bytes:
    parts = [observation.positions, observation.velocities, observation.efforts]
    parts += [image.pixels for image in observation.images.values()]
    parts += [depth.metres for depth in observation.depths.values()]
    return b"".join(part.tobytes() for part in parts)


def play(robot: CellRobot, clock: SimulatedClock, targets: list[np.ndarray]) -> str:
    """Digest of everything observed while the targets are followed at 100 Hz, a tick of 0.1 s each."""
    digest, before = hashlib.sha256(), np.array(robot.setup.start)
    for target in targets:
        for part in range(1, 11):
            observation = robot.read()
            command(robot, before + (target - before) * part / 10)
            clock.advance(PERIOD_S)
        digest.update(observed_bytes(observation))
        before = target
    robot.read()
    return digest.hexdigest()


def script_targets(setup) -> list[np.ndarray]:
    performance = Performance(setup, seed=0, speed=1.0, noise_amplitude=0.0)
    return [tick.target for tick in performance.ticks()]


def test_equal_setups_and_commands_give_equal_bytes() -> None:
    setup = task_named("hand-over").sample(3)
    targets, digests = script_targets(setup)[:6], []
    for _ in range(2):
        clock = SimulatedClock(start_ns=17)
        robot = CellRobot(setup=setup, clock=clock)
        robot.connect(1)
        digests.append(play(robot, clock, targets))
        robot.close()
    assert digests[0] == digests[1]


@pytest.mark.slow
def test_connecting_again_starts_the_same_scene_afresh() -> None:
    setup = task_named("lift").sample(3)
    clock = SimulatedClock()
    robot = CellRobot(setup=setup, clock=clock)
    robot.connect(1)
    first = observed_bytes(robot.read())
    play(robot, clock, script_targets(setup)[:3])
    robot.connect(2)
    again = robot.read()
    robot.close()
    assert again.epoch == 2
    assert observed_bytes(again) == first


@pytest.mark.slow
@pytest.mark.parametrize("task", EACH)
def test_following_the_script_through_the_robot_succeeds_and_says_what_was_taken(task) -> None:
    setup = task.sample(4)
    clock = SimulatedClock()
    robot = CellRobot(setup=setup, clock=clock, camera_period_s=2.0)
    robot.connect(1)
    assert robot.taken() is None
    assert robot.progress() < 0.5
    play(robot, clock, script_targets(setup))
    assert robot.succeeded()
    assert robot.progress() == 1.0
    assert robot.taken() in {placement.name for placement in setup.placements}
    robot.close()


@pytest.mark.slow
def test_the_other_colour_word_makes_the_same_motion_a_failure() -> None:
    task = PutInBox()
    setup = task.sample(5)
    other = task.other_word(setup)
    assert other.placements == setup.placements
    assert task.asked(other) != task.asked(setup)
    clock = SimulatedClock()
    robot = CellRobot(setup=other, clock=clock, camera_period_s=2.0)
    robot.connect(1)
    play(robot, clock, script_targets(setup))
    assert robot.taken() == task.asked(setup)
    assert not robot.succeeded()
    assert robot.progress() == 0.0
    robot.close()


def test_images_are_captured_on_the_period_and_stamped_then() -> None:
    clock = SimulatedClock(start_ns=1_000)
    robot = CellRobot(setup=task_named("lift").sample(1), clock=clock)
    robot.connect(1)
    stamps = []
    for _ in range(25):
        observation = robot.read()
        assert observation.stamp_ns == clock.now_ns()
        stamps.append(observation.images["top"].stamp_ns)
        assert observation.depths["left"].stamp_ns == stamps[-1]
        clock.advance(PERIOD_S)
    robot.close()
    assert stamps == [1_000 + tick // 10 * 100_000_000 for tick in range(25)]


def test_only_the_newest_due_capture_is_made_after_a_long_pause() -> None:
    clock = SimulatedClock()
    robot = CellRobot(setup=task_named("lift").sample(1), clock=clock)
    robot.connect(1)
    clock.advance(0.57)
    assert robot.read().images["right"].stamp_ns == 500_000_000
    robot.close()


@pytest.mark.slow
def test_the_outside_view_is_there_only_when_asked_for() -> None:
    setup = task_named("lift").sample(1)
    for outside_view in (False, True):
        robot = CellRobot(setup=setup, clock=SimulatedClock(), outside_view=outside_view)
        robot.connect(1)
        observation = robot.read()
        robot.close()
        assert ("outside" in observation.images) is outside_view
        assert set(observation.depths) == {"top", "left", "right"}


@pytest.mark.slow
def test_stop_in_mid_motion_comes_to_rest_within_a_tenth_of_a_radian_and_keeps_the_grippers() -> None:
    setup = task_named("lift").sample(2)
    clock = SimulatedClock()
    robot = CellRobot(setup=setup, clock=clock, camera_period_s=2.0)
    robot.connect(1)
    play(robot, clock, script_targets(setup)[:6])
    stopped = robot.read().positions
    robot.stop()
    robot.stop()
    clock.advance(1.0)
    resting = robot.read()
    robot.close()
    np.testing.assert_allclose(resting.positions, stopped, atol=0.1)
    assert np.abs(resting.velocities).max() < 0.01


def test_a_robot_that_is_not_connected_refuses_to_be_read_or_sent() -> None:
    robot = CellRobot(setup=task_named("lift").sample(1), clock=SimulatedClock())
    robot.stop()
    with pytest.raises(RobotError, match="call connect"):
        robot.read()
    robot.connect(1)
    robot.close()
    robot.close()
    with pytest.raises(RobotError, match="call connect"):
        command(robot, np.zeros(14))


@pytest.mark.parametrize("period_s", [0.0, -0.1, 0.003])
def test_a_camera_period_off_the_physics_steps_is_refused(period_s: float) -> None:
    with pytest.raises(ConfigError, match=r"multiples of 0\.002 s"):
        CellRobot(setup=task_named("lift").sample(1), clock=SimulatedClock(), camera_period_s=period_s)


def test_a_setup_of_no_task_is_refused() -> None:
    setup = replace(task_named("lift").sample(1), task="juggle")
    with pytest.raises(ValueError, match="got 'juggle'"):
        CellRobot(setup=setup, clock=SimulatedClock())
