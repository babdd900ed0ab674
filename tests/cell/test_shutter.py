import time

import numpy as np
import pytest

from forearm.cell.physics import Physics
from forearm.cell.shutter import BackgroundShutter, InlineShutter
from forearm.cell.simulator import CellRobot
from forearm.cell.solver import task_model
from forearm.cell.tasks import task_named
from forearm.clock import SimulatedClock
from forearm.errors import RobotError

NAMES = ("top", "left", "right")


def cell() -> Physics:
    return Physics(task_model("lift"), task_named("lift").sample(1))


def wait_for(shutter: BackgroundShutter, stamp_ns: int) -> None:
    until = time.monotonic() + 20.0
    while shutter.newest().images["top"].stamp_ns != stamp_ns:
        assert time.monotonic() < until, "no picture came"
        time.sleep(0.002)


@pytest.mark.slow
def test_pictures_taken_beside_are_those_taken_inline() -> None:
    physics, inline, beside = cell(), InlineShutter(), BackgroundShutter()
    inline.open(physics, NAMES, 0)
    beside.open(physics, NAMES, 0)
    physics.target(np.zeros(14))
    physics.advance(100)
    inline.press(physics, 5)
    beside.press(physics, 5)
    physics.advance(100)  # what moves on after the press is not in the picture
    wait_for(beside, 5)
    for name in NAMES:
        np.testing.assert_array_equal(beside.newest().images[name].pixels, inline.newest().images[name].pixels)
        np.testing.assert_array_equal(beside.newest().depths[name].metres, inline.newest().depths[name].metres)
    inline.close()
    beside.close()


@pytest.mark.slow
def test_a_press_during_a_picture_is_dropped_and_does_not_wait() -> None:
    physics, beside = cell(), BackgroundShutter()
    beside.open(physics, ("outside",) * 20 + NAMES, 0)  # a long exposure: 0.3 s
    for stamp_ns in range(1, 6):
        beside.press(physics, stamp_ns)
    wait_for(beside, 1)
    beside.close()


def test_cameras_that_fail_are_reported_at_the_next_look() -> None:
    beside = BackgroundShutter()
    with pytest.raises(RobotError, match="cell cameras"):
        beside.open(cell(), ("ceiling",), 0)
    beside.close()


def test_a_robot_with_cameras_beside_it_connects_with_pictures_and_closes() -> None:
    robot = CellRobot(setup=task_named("lift").sample(1), clock=SimulatedClock(), shutter=BackgroundShutter())
    for epoch in (1, 2):
        robot.connect(epoch)
        assert set(robot.read().images) == set(NAMES)
    robot.close()
    robot.close()
