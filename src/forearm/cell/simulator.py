"""The cell as a robot: read, send and stop like motors, with the truth beside it for whoever has to judge.

The physics follows the clock it is given, so the same class runs in real time and on a simulated clock. With the
latter, equal setups and commands give equal bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from forearm.cell import scene
from forearm.cell.faults import Faults
from forearm.cell.lag import Lag
from forearm.cell.physics import Physics
from forearm.cell.setup import Setup
from forearm.cell.shutter import InlineShutter, Shutter
from forearm.cell.solver import TICK_S, cell_model
from forearm.cell.stage import Fault
from forearm.cell.tasks import task_named
from forearm.cell.tasks.absence import missing
from forearm.cell.tasks.interface import HOLD_S, Staged
from forearm.cell.variation import Placement
from forearm.clock import NANOSECONDS, Clock
from forearm.errors import ConfigError, RobotError
from forearm.geometry import Pose
from forearm.messages import Floats, Observation, SafeCommand
from forearm.robot.embodiment import BIMANUAL_YAM, Embodiment

STEP_NS = round(scene.STEP_S * NANOSECONDS)
ASKEW = np.cos(np.radians(5.0))  # between the upright axes: what leans more is no placement
WATCH_NS = round(TICK_S * NANOSECONDS)  # how often the truth is looked at: whether the goal holds, what is grasped


class CellRobot:
    """A `Robot` made of MuJoCo. Connect, use and close it in one thread.

    Args:
        setup: the scene it starts in, afresh at every `connect`.
        clock: what the physics follows.
        outside_view: whether images hold "outside" too, a view for people (about 20 ms a capture).
        camera_period_s: s between captures, a multiple of the physics step; captures fall on multiples of it.
        shutter: takes the pictures; at once in this thread by default, which is what repeats byte by byte.
        faults: what is to go wrong on purpose, each once.

    Raises:
        ConfigError: for a camera period that is not a positive multiple of the physics step.
        InputError: for a setup whose task is unknown.
    """

    def __init__(
        self,
        *,
        setup: Setup,
        clock: Clock,
        outside_view: bool = False,
        camera_period_s: float = TICK_S,
        shutter: Shutter | None = None,
        faults: Sequence[Fault] = (),
    ) -> None:
        period_ns = round(camera_period_s * NANOSECONDS)
        if period_ns <= 0 or period_ns % STEP_NS:
            raise ConfigError(
                f"camera period: got {camera_period_s} s, allowed are multiples of {scene.STEP_S} s; use {TICK_S}"
            )
        self._setup, self._task, self._clock = setup, task_named(setup.task), clock
        self._missing = missing(setup)
        self._period_ns = period_ns
        self._views = [camera.name for camera in BIMANUAL_YAM.cameras] + [scene.OUTSIDE] * outside_view
        self._physics = Physics(cell_model(setup), setup)
        self._shutter: Shutter = InlineShutter() if shutter is None else shutter
        self._wanted_faults = tuple(faults)
        self._faults = Faults((), self._physics, setup)
        self._lag = Lag(setup.pace, setup.seed)
        self._connected = False

    @property
    def embodiment(self) -> Embodiment:
        return BIMANUAL_YAM

    @property
    def setup(self) -> Setup:
        """The scene it started in."""
        return self._setup

    def connect(self, epoch: int) -> None:
        self.close()
        self._physics = Physics(cell_model(self._setup), self._setup)
        self._began = {each.name: self._physics.object_pose(each.name) for each in self._setup.placements}
        self._faults = Faults(self._wanted_faults, self._physics, self._setup)
        self._lag = Lag(self._setup.pace, self._setup.seed)
        self._epoch, self._sequence = epoch, 0
        self._start_ns, self._elapsed_ns = self._clock.now_ns(), 0
        self._command = np.array(self._setup.start)
        self._reached_since_ns: int | None = None
        self._taken: str | None = None
        self._shutter.open(self._physics, self._views, self._start_ns)
        self._connected = True

    def read(self) -> Observation:
        self._require_connection()
        now_ns = self._clock.now_ns()
        self._follow(now_ns - self._start_ns)
        self._sequence += 1
        views = self._lag.pass_on(self._shutter.newest(), now_ns)
        seen = Observation(
            stamp_ns=now_ns,
            sequence=self._sequence,
            epoch=self._epoch,
            positions=self._physics.positions,
            velocities=self._physics.velocities,
            efforts=self._physics.efforts,
            images=views.images,
            depths=views.depths,
            instruction=self._setup.spoken,
        )
        return self._faults.sensed(seen)

    def send(self, command: SafeCommand) -> None:
        self._require_connection()
        self._set(command.positions)

    def stop(self) -> None:
        """Holds the arms where they are; grippers keep what they were told, so that nothing held is dropped."""
        if not self._connected:
            return
        held = self._physics.positions
        held[BIMANUAL_YAM.grippers] = self._command[BIMANUAL_YAM.grippers]
        self._set(held)

    def close(self) -> None:
        self._connected = False
        self._shutter.close()

    def object_pose(self, name: str) -> Pose:
        """cell_from_object of a task's object, the truth at the last read.

        Raises:
            KeyError: for a name the scene does not have.
        """
        return self._physics.object_pose(name)

    def tool_pose(self, arm: str) -> Pose:
        """cell_from_tool of arm "left" or "right", the truth at the last read."""
        return self._physics.tool_pose(arm)

    def succeeded(self) -> bool:
        """Whether the task's goal holds and has for `HOLD_S`."""
        since_ns = self._reached_since_ns
        return since_ns is not None and self._elapsed_ns - since_ns >= round(HOLD_S * NANOSECONDS)

    def progress(self) -> float:
        """How far the task is, 0..1; 0 where the scene does not have what is asked for."""
        return 0.0 if self._missing else self._task.progress(self._setup, self._physics)

    def stages(self) -> dict[str, bool]:
        """The parts of the task and whether each is done; empty for a task of one part."""
        task = self._task
        return dict(task.stages(self._setup, self._physics)) if isinstance(task, Staged) else {}

    def left(self) -> Setup | None:
        """The scene that starts as this one stands: things where they lie, arms where they are.

        None where no scene starts so: a hand holds something, a thing lies askew, the goal is reached.
        """
        placements = list[Placement]()
        for each in self._setup.placements:
            began, pose = self._began[each.name], self._physics.object_pose(each.name)
            upright = float(began.rotation[:, 2] @ pose.rotation[:, 2])
            if self._physics.holders(each.name) or upright < ASKEW:
                return None
            turned = pose.rotation @ began.rotation.T
            yaw = each.yaw + float(np.arctan2(turned[1, 0], turned[0, 0]))
            x, y, z = (np.array(each.position) + pose.translation - began.translation).tolist()
            placements.append(replace(each, position=(x, y, z), yaw=yaw))
        if self._reached_since_ns is not None:
            return None
        return replace(self._setup, placements=tuple(placements), start=tuple(self._physics.positions.tolist()))

    def faults(self) -> tuple[str, ...]:
        """The kinds of fault that have begun, in order."""
        return tuple(self._faults.happened)

    def holders(self, name: str) -> frozenset[str]:
        """The arms that have both fingers on the object `name`, the truth."""
        return self._physics.holders(name)

    def taken(self) -> str | None:
        """The name of the object that was first held between two fingers, None so far."""
        return self._taken

    def arms_touch(self) -> bool:
        """Whether the two arms' hands touch each other."""
        return self._physics.arms_touch()

    def _require_connection(self) -> None:
        if not self._connected:
            raise RobotError("cell robot: got a call before connect or after close; call connect(epoch) first")

    def _set(self, positions: Floats) -> None:
        self._command = np.array(positions)
        self._physics.target(self._faults.pass_to(self._elapsed_ns / NANOSECONDS, self._command))

    def _follow(self, until_ns: int) -> None:
        """Moves the physics on to `until_ns` after the start, watching and capturing on the way."""
        until_ns -= until_ns % STEP_NS
        last_capture_ns = until_ns - until_ns % self._period_ns  # captures nobody could have read are not made
        while self._elapsed_ns < until_ns:
            pause_ns = min(_next(self._elapsed_ns, WATCH_NS), _next(self._elapsed_ns, self._period_ns), until_ns)
            self._physics.advance((pause_ns - self._elapsed_ns) // STEP_NS)
            self._elapsed_ns = pause_ns
            if pause_ns % WATCH_NS == 0:
                self._watch()
            if pause_ns == last_capture_ns:
                self._shutter.press(self._physics, self._start_ns + pause_ns)

    def _watch(self) -> None:
        if self._missing or not self._task.reached(self._setup, self._physics):
            self._reached_since_ns = None
        elif self._reached_since_ns is None:
            self._reached_since_ns = self._elapsed_ns
        if self._taken is None:
            names = (placement.name for placement in self._setup.placements)
            self._taken = next((name for name in names if self._physics.holders(name)), None)


def _next(now_ns: int, period_ns: int) -> int:
    """The first multiple of the period after now."""
    return (now_ns // period_ns + 1) * period_ns
