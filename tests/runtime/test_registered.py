"""A main camera that was moved: found before anything moves, its pictures put right, or the session refused."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from forearm.cell.drawing import drawn
from forearm.cell.setup import Setup
from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.cell.variation import Matter, Mount
from forearm.clock import SimulatedClock
from forearm.errors import RobotError
from forearm.events import CameraRegistered, Commanded, Event, Observed, SessionEnded
from forearm.messages import DepthImage, Observation, SafeCommand
from forearm.policy.choice import policy_named
from forearm.robot.embodiment import BIMANUAL_YAM, Embodiment
from forearm.runtime.registered import RegisteredRobot
from forearm.runtime.simulation import Simulation

KNOCKED = Mount(camera="top", shift=(0.012, -0.008, 0.010), turn=(0.015, -0.01, 0.02))
FAR = Mount(camera="top", shift=(0.035, 0.0, 0.0))


def scene(*mounts: Mount) -> Setup:
    setup = task_named("lift").sample(7)
    return replace(setup, look=replace(setup.look, mounts=mounts))


@cache
def seen(*mounts: Mount) -> Observation:
    robot = CellRobot(setup=scene(*mounts), clock=SimulatedClock())
    robot.connect(1)
    try:
        return robot.read()
    finally:
        robot.close()


class Says:
    """A robot that says what it is given, and writes down what is asked of it."""

    def __init__(self, seen: Observation) -> None:
        self.seen = seen
        self.calls: list[str] = []

    @property
    def embodiment(self) -> Embodiment:
        return BIMANUAL_YAM

    def connect(self, epoch: int) -> None:
        self.calls.append(f"connect {epoch}")

    def read(self) -> Observation:
        return self.seen

    def send(self, command: SafeCommand) -> None:
        self.calls.append("send")

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")


def registered(robot: Says) -> tuple[RegisteredRobot, list[Event]]:
    events: list[Event] = []
    camera = RegisteredRobot(robot, drawn, events.append)
    camera.connect(3)
    return camera, events


def told(events: list[Event]) -> CameraRegistered:
    (event,) = (event for event in events if isinstance(event, CameraRegistered))
    return event


def test_a_camera_that_is_where_it_is_drawn_changes_nothing_and_is_said() -> None:
    robot = Says(seen())
    camera, events = registered(robot)
    assert camera.read() is robot.seen
    assert camera.read() is robot.seen
    assert told(events).verdict == "as drawn"
    camera.stop()
    camera.close()
    assert robot.calls == ["connect 3", "stop", "close"]


def test_the_pictures_of_a_camera_that_was_moved_are_put_right_once_each_and_its_place_is_said() -> None:
    robot = Says(seen(KNOCKED))
    camera, events = registered(robot)
    first, again = camera.read(), camera.read()
    assert np.nanmedian(np.abs(first.depths["top"].metres - seen().depths["top"].metres)) < 0.001
    assert again.images["top"] is first.images["top"]
    assert again.depths["top"] is first.depths["top"]
    assert first.images["left"] is robot.seen.images["left"]
    assert first.images["top"].stamp_ns == robot.seen.images["top"].stamp_ns
    event = told(events)
    assert event.verdict == "put right"
    np.testing.assert_allclose(event.shift_m, KNOCKED.shift, atol=0.002)
    assert re.search(r"18 mm and 1\.[56]° from where it is drawn", event.text)
    robot.seen = replace(robot.seen, images={**robot.seen.images, "top": replace(robot.seen.images["top"], stamp_ns=5)})
    assert camera.read().images["top"].stamp_ns == 5


def test_each_session_finds_the_camera_anew() -> None:
    robot = Says(seen(KNOCKED))
    camera, events = registered(robot)
    camera.read()
    robot.seen = seen()
    camera.connect(4)
    assert camera.read() is robot.seen
    assert [event.verdict for event in events if isinstance(event, CameraRegistered)] == ["put right", "as drawn"]


def test_a_camera_that_is_too_far_off_is_refused_with_its_place_and_the_remedy() -> None:
    camera, events = registered(Says(seen(FAR)))
    with pytest.raises(RobotError, match=r"got 3[456] mm and 0\.\d° .* allowed are 30 mm, 3° and 10%; put it back"):
        camera.read()
    assert told(events).verdict == "refused"


@pytest.mark.parametrize("table_m", [-0.024, 0.024])
def test_a_table_of_a_height_that_was_never_tried_is_refused(table_m: float) -> None:
    robot = CellRobot(setup=replace(scene(), matter=Matter(table_m=table_m)), clock=SimulatedClock())
    events: list[Event] = []
    camera = RegisteredRobot(robot, drawn, events.append)
    camera.connect(1)
    with pytest.raises(RobotError, match=r"the table [+-]24 mm, allowed is a table up to 20 mm higher or lower"):
        camera.read()
    camera.close()
    assert told(events).verdict == "refused"


def test_arms_that_are_not_where_their_joints_say_are_refused() -> None:
    said = seen().positions.copy()
    said[[0, 7]] += 0.6
    camera, events = registered(Says(replace(seen(), positions=said)))
    with pytest.raises(RobotError, match=r"of the arms where their joints say, 88% are needed"):
        camera.read()
    assert told(events).verdict == "refused"


def test_where_no_arm_is_measured_that_is_said_and_the_pictures_stay() -> None:
    nothing = DepthImage(stamp_ns=0, metres=np.full((120, 120), np.nan, dtype=np.float32))
    robot = Says(replace(seen(KNOCKED), depths={"top": nothing}))
    camera, events = registered(robot)
    assert camera.read() is robot.seen
    assert told(events).verdict == "unknown"


@pytest.mark.parametrize("lost", ["images", "depths"])
def test_a_picture_of_a_moved_camera_that_cannot_be_put_right_is_left_out(lost: str) -> None:
    robot = Says(seen(KNOCKED))
    camera, _ = registered(robot)
    camera.read()
    kept = {name: each for name, each in getattr(robot.seen, lost).items() if name != "top"}
    robot.seen = replace(robot.seen, **{lost: kept})
    left = camera.read()
    assert set(left.images) == set(left.depths) == {"left", "right"}


def test_a_session_whose_camera_is_too_far_off_moves_nothing_and_says_why() -> None:
    events: list[Event] = []
    ended = Simulation(scene(FAR), policy_named("hold"), clock=SimulatedClock()).run(seed=0, emit=events.append).ended
    assert ended.outcome == "stopped"
    assert "put it back" in ended.reason
    assert not any(isinstance(event, Commanded) for event in events)
    assert isinstance(events[-1], SessionEnded)


@pytest.mark.slow
def test_a_session_with_a_knocked_camera_is_done_and_its_log_has_what_the_model_saw() -> None:
    events: list[Event] = []
    done = Simulation(scene(KNOCKED), policy_named("nano"), clock=SimulatedClock()).run(seed=7, emit=events.append)
    assert done.ended.outcome == "done"
    first = next(event.observation for event in events if isinstance(event, Observed))
    assert np.nanmedian(np.abs(first.depths["top"].metres - seen().depths["top"].metres)) < 0.001
