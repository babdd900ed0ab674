"""The scripted solver: turns a task's moves into joint targets, one row a tick, and carries them out.

Straight tool paths with smooth-step timing. Each move is made from true poses when the one before it is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice

import mujoco
import numpy as np
from numpy.typing import NDArray

from forearm.cell import scene
from forearm.cell.matter import alter
from forearm.cell.physics import Physics
from forearm.cell.reaching import Reaching, between, rotation_vector
from forearm.cell.setup import Setup
from forearm.cell.tasks import task_named
from forearm.cell.tasks.interface import HOLD_S, Move, Reach
from forearm.cell.variation import Matter
from forearm.geometry import Pose
from forearm.robot.embodiment import BIMANUAL_YAM

Array = NDArray[np.float64]

TICK_S = 0.1  # s, between rows of a recording
COMMANDS_PER_TICK = 10  # the control loop's 100 Hz
STEPS_PER_COMMAND = round(TICK_S / COMMANDS_PER_TICK / scene.STEP_S)
SPEED_M_S = 0.21  # m/s, mean over a move
TURN_RAD_S = 1.1  # rad/s, mean over a move
GRIPPER_TICKS = 2  # from open to closed
STILL_TICKS = 8  # ticks of standing still at the end
SPEEDS = (0.9, 1.15)  # factor on both, drawn per demonstration
NOISE_RAD = 0.035  # rad, largest standard deviation drawn per demonstration
NOISE_MEMORY = 0.8  # of one tick's noise in the next
PRECISE_NOISE = 0.25  # of the noise near contact
TURN_NOISE = 5.0  # times that, standard deviation of how far an open hand is turned, so that things are taken askew


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tick:
    """Clean joint targets (J,) to be reached by the end of a tick, which arms move, how carefully, and to what end."""

    target: Array
    moving: frozenset[str]
    precise: bool
    subtask: str


@cache
def task_model(task: str) -> mujoco.MjModel:
    """The compiled model of a task's cell, made once per process; `Physics` copies it.

    Raises:
        InputError: for a name that is no task's.
    """
    return scene.build(task_named(task).furnish)


def cell_model(setup: Setup) -> mujoco.MjModel:
    """The compiled model of the setup's cell: its task's, altered as its matter says, about 0.1 s.

    Raises:
        InputError: for a setup whose task is unknown.
    """
    return task_model(setup.task) if setup.matter == Matter() else _altered_model(setup.task, setup.matter)


@lru_cache(maxsize=2)  # a robot, its policy and a second connection ask for the same one
def _altered_model(task: str, matter: Matter) -> mujoco.MjModel:
    def furnish(spec: mujoco.MjSpec) -> None:
        task_named(task).furnish(spec)
        alter(spec, matter)

    return scene.build(furnish)


class Performance:
    """One go at a task, tick by tick; `physics` is the cell it happens in.

    Args:
        setup: the scene.
        seed: of the noise, and of speed and amplitude where those are None.
        speed: factor on how fast the arms move.
        noise_amplitude: standard deviation in rad of what is added to the executed joint targets; 0 for none.
    """

    def __init__(
        self, setup: Setup, *, seed: int, speed: float | None = None, noise_amplitude: float | None = None
    ) -> None:
        rng = np.random.default_rng((seed, 2))
        drawn_speed, drawn_noise = float(rng.uniform(*SPEEDS)), float(rng.uniform(0.0, NOISE_RAD))
        self.physics = Physics(cell_model(setup), setup)
        self._setup, self._task = setup, task_named(setup.task)
        self._speed = drawn_speed if speed is None else speed
        self._noise = _Noise(rng, drawn_noise if noise_amplitude is None else noise_amplitude)
        self._executed = np.array(setup.start)
        self._reached_ticks = 0

    @property
    def success(self) -> bool:
        """Whether the goal holds now and has for `HOLD_S`."""
        return self._reached_ticks * TICK_S >= HOLD_S

    def ticks(self) -> Iterator[Tick]:
        """Every tick, before it is carried out; asking for the next one carries it out. About 3 ms each.

        They end with the task's time, since what fell off the table could be reached for without end.
        """
        most = round(self._setup.time_limit_s / TICK_S)
        for tick in islice(targets(self._setup, self.physics, self._speed), most):
            yield tick
            target = tick.target + self._noise.draw(tick)
            for part in range(1, COMMANDS_PER_TICK + 1):
                self.physics.target(self._executed + (target - self._executed) * part / COMMANDS_PER_TICK)
                self.physics.advance(STEPS_PER_COMMAND)
            self._executed = target
            reached = self._task.reached(self._setup, self.physics)
            self._reached_ticks = self._reached_ticks + 1 if reached else 0


def targets(setup: Setup, physics: Physics, speed: float) -> Iterator[Tick]:
    """The clean targets that do the task, one per tick; the caller moves `physics` by `TICK_S` after each."""
    reaching = Reaching()
    target = np.array(setup.start)
    arms = {arm.name: arm for arm in BIMANUAL_YAM.arms}
    poses = {name: reaching.tool_pose(name, target[arm.joints]) for name, arm in arms.items()}
    moved: frozenset[str] = frozenset()
    for move in task_named(setup.task).script(setup, physics):
        moved = frozenset(move.reaches)
        count = max(1, round(_seconds(move, poses) / speed / TICK_S))
        starts = {name: (poses[name], target[arms[name].gripper]) for name in moved}
        for number in range(1, count + 1):
            target = target.copy()
            for name, reach in move.reaches.items():
                start, opening = starts[name]
                pose = between(start, reach.pose, _smooth(number / count))
                joints = arms[name].joints
                target[joints], _ = reaching.solve(name, pose, target[joints])
                opened = min(1.0, number / min(GRIPPER_TICKS, count))
                target[arms[name].gripper] = opening + (reach.opening - opening) * opened
            yield Tick(target=target, moving=moved, precise=move.precise, subtask=move.subtask)
        poses |= {name: reach.pose for name, reach in move.reaches.items()}
    for _ in range(STILL_TICKS):
        yield Tick(target=target, moving=moved, precise=True, subtask="done")


class _Noise:
    """First-order smooth noise on the arms that move, weaker near contact, none on grippers.

    Open hands are also turned by an angle of their own, which goes when they have closed: what was taken then lies
    askew in the hand.
    """

    def __init__(self, rng: np.random.Generator, amplitude_rad: float) -> None:
        self._rng, self._amplitude = rng, amplitude_rad
        self._state = np.zeros(len(BIMANUAL_YAM.joints))
        self._turned = np.zeros(len(BIMANUAL_YAM.arms))
        self._turn = rng.normal(size=self._turned.size) * amplitude_rad * TURN_NOISE

    def draw(self, tick: Tick) -> Array:
        fresh = self._rng.normal(size=self._state.size) * np.sqrt(1.0 - NOISE_MEMORY**2)
        self._state = NOISE_MEMORY * self._state + fresh
        open_hands = tick.target[BIMANUAL_YAM.grippers] > 0.5
        self._turned = NOISE_MEMORY * self._turned + (1.0 - NOISE_MEMORY) * np.where(open_hands, self._turn, 0.0)
        added = np.zeros_like(self._state)
        strength = self._amplitude * (PRECISE_NOISE if tick.precise else 1.0)
        for number, arm in enumerate(BIMANUAL_YAM.arms):
            if arm.name in tick.moving:
                added[arm.joints] = self._state[arm.joints] * strength
                added[arm.joints.stop - 1] += self._turned[number]  # the last joint turns the hand
        return added


def _seconds(move: Move, poses: dict[str, Pose]) -> float:
    return max(move.least_s, *(_travel_s(poses[name], reach) for name, reach in move.reaches.items()))


def _travel_s(start: Pose, reach: Reach) -> float:
    distance = float(np.linalg.norm(reach.pose.translation - start.translation))
    angle = float(np.linalg.norm(rotation_vector(reach.pose.rotation @ start.rotation.T)))
    return max(distance / SPEED_M_S, angle / TURN_RAD_S)


def _smooth(fraction: float) -> float:
    return fraction * fraction * (3.0 - 2.0 * fraction)
