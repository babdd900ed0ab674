"""The main camera of a scene, moved on purpose, and what it then sees."""

from dataclasses import replace
from functools import cache

from forearm.cell.drawing import drawn
from forearm.cell.setup import Setup
from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.cell.variation import Matter, Mount
from forearm.clock import SimulatedClock
from forearm.messages import Observation
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.registration import Drawn

CAMERA = BIMANUAL_YAM.cameras[0]


def moved(mount: Mount | None = None, *, table_m: float = 0.0, task: str = "put-in-box", seed: int = 7) -> Setup:
    """A scene whose main camera sits off its drawing, and whose table stands that much higher."""
    scene = task_named(task).sample(seed)
    look = replace(scene.look, mounts=() if mount is None else (mount,))
    return replace(scene, look=look, matter=Matter(table_m=table_m))


def seen(setup: Setup) -> Observation:
    """The first thing that its robot says."""
    robot = CellRobot(setup=setup, clock=SimulatedClock())
    robot.connect(1)
    try:
        return robot.read()
    finally:
        robot.close()


@cache
def at_home(table_m: float = 0.0) -> Drawn:
    """What the camera would measure where it is drawn, the arms as every scene begins."""
    return drawn(seen(moved()).positions, table_m)
