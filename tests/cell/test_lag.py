from dataclasses import replace

import numpy as np

from forearm.cell.lag import Lag
from forearm.cell.shutter import Views
from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.cell.variation import Pace
from forearm.clock import SimulatedClock
from forearm.messages import Image

TICK_NS = 10_000_000
PERIOD_NS = 100_000_000


def views(stamp_ns: int) -> Views:
    return Views(images={"top": Image(stamp_ns=stamp_ns, pixels=np.zeros((1, 1, 3), np.uint8))}, depths={})


def read_stamps(pace: Pace, seed: int = 0) -> list[tuple[int, int]]:
    """Each tick's time and the stamp of what can be read, ns, for captures every 0.1 s."""
    lag, newest, seen = Lag(pace, seed), views(0), []
    for now_ns in range(0, 20 * PERIOD_NS, TICK_NS):
        if now_ns % PERIOD_NS == 0:
            newest = views(now_ns)
        seen.append((now_ns, lag.pass_on(newest, now_ns).images["top"].stamp_ns))
    return seen


def test_without_lag_what_is_captured_is_read_at_once() -> None:
    assert all(stamp_ns == now_ns - now_ns % PERIOD_NS for now_ns, stamp_ns in read_stamps(Pace()))


def test_pictures_come_as_late_as_they_should_with_the_stamps_of_their_capture() -> None:
    for now_ns, stamp_ns in read_stamps(Pace(image_s=0.15)):
        late_ns = max(0, now_ns - 150_000_000)
        assert stamp_ns == late_ns - late_ns % PERIOD_NS


def test_jitter_is_within_its_bound_varies_and_repeats_itself() -> None:
    pace = Pace(image_jitter_s=0.07)
    first = {}
    for now_ns, stamp_ns in read_stamps(pace, seed=3):
        first.setdefault(stamp_ns, now_ns - stamp_ns)
    lates = list(first.values())[1:]  # the first picture waits for nothing
    assert max(lates) <= 80_000_000  # its bound, and up to one tick until it is looked for
    assert len(set(lates)) > 3
    assert read_stamps(pace, seed=3) == read_stamps(pace, seed=3) != read_stamps(pace, seed=4)


def test_a_robot_shows_late_pictures_beside_joints_of_now() -> None:
    setup = replace(task_named("lift").sample(1), pace=Pace(image_s=0.03))
    clock = SimulatedClock()
    robot = CellRobot(setup=setup, clock=clock)
    robot.connect(1)
    stamps = []
    for _ in range(16):
        observation = robot.read()
        assert observation.stamp_ns == clock.now_ns()
        stamps.append(observation.images["top"].stamp_ns)
        clock.advance(0.01)
    robot.close()
    assert stamps == [0] * 13 + [PERIOD_NS] * 3
