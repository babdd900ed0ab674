"""A scripted solver that does every task of the cell, and records how.

It follows a task's script tool pose by tool pose; each move starts from true poses. What is recorded as the action is the
clean plan; what is executed carries smooth noise, so that recordings show how to come back (DART, Laskey et al. 2017).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import mujoco
import numpy as np
from numpy.typing import NDArray

from forearm.cell import scene
from forearm.cell.camera import Cameras
from forearm.cell.physics import Physics
from forearm.cell.reaching import Reaching, between, rotation_vector
from forearm.cell.setup import Setup
from forearm.cell.tasks import task_named
from forearm.cell.tasks.interface import HOLD_S, Move, Reach
from forearm.geometry import Pose
from forearm.robot.embodiment import BIMANUAL_YAM

Array = NDArray[np.float64]

TICK_S = 0.1  # s, between rows of a recording
COMMANDS_PER_TICK = 10  # the control loop's 100 Hz
STEPS_PER_COMMAND = round(TICK_S / COMMANDS_PER_TICK / scene.STEP_S)
SPEED_M_S = 0.21  # m/s, mean over a move
TURN_RAD_S = 1.1  # rad/s, mean over a move
GRIPPER_TICKS = 2  # from open to closed
SPEEDS = (0.9, 1.15)  # drawn per demonstration
NOISE_RAD = 0.035  # rad, largest standard deviation drawn per demonstration
NOISE_MEMORY = 0.8  # of one tick's noise in the next
PRECISE_NOISE = 0.25  # of the noise near contact
ODD_STARTS = 0.25  # share of recordings that start with the working arms off home
STILL_TICKS = 8  # ticks of standing still at the end
DEPTH_CELLS = 10  # per axis of the top view


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Demonstration:
    """One recording, T ticks of 0.1 s.

    Attributes:
        images: by camera (T, H, W, 3) uint8, what was seen at the tick.
        depth_cells: (T, 10, 10) float32 m, median depth of the top view per cell.
        positions: (T, J) float32 rad and openings, measured at the tick.
        velocities: (T, J) float32 per second.
        actions: (T, J) float32 targets to be reached 0.1 s after the tick, without noise.
        subtasks: what was being done at each tick, in words.
        success: whether the goal held at the end.
    """

    task: str
    instruction: str
    seed: int
    success: bool
    images: dict[str, NDArray[np.uint8]]
    depth_cells: NDArray[np.float32]
    positions: NDArray[np.float32]
    velocities: NDArray[np.float32]
    actions: NDArray[np.float32]
    subtasks: tuple[str, ...]


@dataclass(slots=True)
class _Rows:
    """What a demonstration collects while it runs."""

    images: dict[str, list[NDArray[np.uint8]]] = field(default_factory=dict[str, list[NDArray[np.uint8]]])
    depth_cells: list[NDArray[np.float32]] = field(default_factory=list[NDArray[np.float32]])
    positions: list[Array] = field(default_factory=list[Array])
    velocities: list[Array] = field(default_factory=list[Array])
    actions: list[Array] = field(default_factory=list[Array])
    subtasks: list[str] = field(default_factory=list[str])


def sample_demonstration(task: str, seed: int) -> Setup:
    """The scene that `seed` stands for in a dataset: a quarter of them start with the working arms off home."""
    odd_start = bool(np.random.default_rng((seed, 1)).random() < ODD_STARTS)
    return task_named(task).sample(seed, odd_start=odd_start)


def demonstrate(
    setup: Setup, *, seed: int, speed: float | None = None, noise_amplitude: float | None = None
) -> Demonstration:
    """Does the task once and returns the recording; about 0.8 s, nearly all of it rendering.

    Args:
        setup: the scene.
        seed: of the noise, and of speed and amplitude where those are None.
        speed: factor on how fast the arms move.
        noise_amplitude: standard deviation in rad of what is added to the executed joint targets; 0 for none.

    Raises:
        InstructionError: when the setup's sentence is not its task's.
    """
    rng = np.random.default_rng((seed, 2))
    drawn_speed, drawn_noise = float(rng.uniform(*SPEEDS)), float(rng.uniform(0.0, NOISE_RAD))
    noise = _Noise(rng, drawn_noise if noise_amplitude is None else noise_amplitude)
    physics = Physics(task_model(setup.task), setup)
    rows, held_s = _Rows(), 0.0
    task = task_named(setup.task)
    with Cameras(physics.model) as cameras:
        executed = np.array(setup.start)
        for tick in plan(setup, physics, drawn_speed if speed is None else speed):
            _record(rows, physics, cameras, tick)
            target = tick.target + noise.draw(tick)
            for part in range(1, COMMANDS_PER_TICK + 1):
                physics.target(executed + (target - executed) * part / COMMANDS_PER_TICK)
                physics.advance(STEPS_PER_COMMAND)
            executed = target
            held_s = held_s + TICK_S if task.reached(setup, physics) else 0.0
    return Demonstration(
        task=setup.task,
        instruction=setup.instruction,
        seed=seed,
        success=held_s >= HOLD_S,
        images={name: np.stack(images) for name, images in rows.images.items()},
        depth_cells=np.stack(rows.depth_cells),
        positions=np.stack(rows.positions).astype(np.float32),
        velocities=np.stack(rows.velocities).astype(np.float32),
        actions=np.stack(rows.actions).astype(np.float32),
        subtasks=tuple(rows.subtasks),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tick:
    """One row of a plan: joint targets (J,) to be reached by the end of the tick, and which arms move under what care."""

    target: Array
    moving: frozenset[str]
    precise: bool
    subtask: str


def plan(setup: Setup, physics: Physics, speed: float) -> Iterator[Tick]:
    """The clean targets of a demonstration, one per tick; the caller moves `physics` by `TICK_S` after each.

    Straight tool paths with smooth-step timing; the next move is asked of the task's script when the last one is done.
    """
    reaching = Reaching()
    target = np.array(setup.start)
    arms = {arm.name: arm for arm in BIMANUAL_YAM.arms}
    poses = {name: reaching.tool_pose(name, target[arm.joints]) for name, arm in arms.items()}
    last = Move(subtask="start", reaches={})
    for move in task_named(setup.task).script(setup, physics):
        last = move
        count = max(1, round(_seconds(move, poses) / speed / TICK_S))
        starts = {name: (poses[name], target[arms[name].gripper]) for name in move.reaches}
        for number in range(1, count + 1):
            target = target.copy()
            for name, reach in move.reaches.items():
                start, opening = starts[name]
                pose = between(start, reach.pose, _smooth(number / count))
                joints = arms[name].joints
                target[joints], _ = reaching.solve(name, pose, target[joints])
                opened = min(1.0, number / min(GRIPPER_TICKS, count))
                target[arms[name].gripper] = opening + (reach.opening - opening) * opened
            yield Tick(target=target, moving=frozenset(move.reaches), precise=move.precise, subtask=move.subtask)
        poses |= {name: reach.pose for name, reach in move.reaches.items()}
    for _ in range(STILL_TICKS):
        yield Tick(target=target, moving=frozenset(last.reaches), precise=True, subtask="done")


@cache
def task_model(task: str) -> mujoco.MjModel:
    """The compiled model of a task's cell, made once per process; `Physics` copies it.

    Raises:
        InputError: for a name that is no task's.
    """
    return scene.build(task_named(task).furnish)


class _Noise:
    """First-order smooth noise on the arms that move, weaker near contact, none on grippers."""

    def __init__(self, rng: np.random.Generator, amplitude_rad: float) -> None:
        self._rng, self._amplitude = rng, amplitude_rad
        self._state = np.zeros(len(BIMANUAL_YAM.joints))

    def draw(self, tick: Tick) -> Array:
        fresh = self._rng.normal(size=self._state.size) * np.sqrt(1.0 - NOISE_MEMORY**2)
        self._state = NOISE_MEMORY * self._state + fresh
        added = np.zeros_like(self._state)
        strength = self._amplitude * (PRECISE_NOISE if tick.precise else 1.0)
        for arm in BIMANUAL_YAM.arms:
            if arm.name in tick.moving:
                added[arm.joints] = self._state[arm.joints] * strength
        return added


def _record(rows: _Rows, physics: Physics, cameras: Cameras, tick: Tick) -> None:
    for camera in BIMANUAL_YAM.cameras:
        capture = cameras.capture(physics.model, physics.data, camera.name)
        rows.images.setdefault(camera.name, []).append(capture.pixels)
        if camera.name == BIMANUAL_YAM.cameras[0].name:
            rows.depth_cells.append(depth_cells(capture.metres))
    rows.positions.append(physics.positions)
    rows.velocities.append(physics.velocities)
    rows.actions.append(tick.target)
    rows.subtasks.append(tick.subtask)


def depth_cells(metres: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median depth (10, 10) m of a depth image (H, W) whose sides divide by ten, NaN where a cell saw nothing."""
    height, width = metres.shape
    blocks = metres.reshape(DEPTH_CELLS, height // DEPTH_CELLS, DEPTH_CELLS, width // DEPTH_CELLS)
    return np.median(blocks.transpose(0, 2, 1, 3).reshape(DEPTH_CELLS, DEPTH_CELLS, -1), axis=-1)


def _seconds(move: Move, poses: dict[str, Pose]) -> float:
    return max(move.least_s, *(_travel_s(poses[name], reach) for name, reach in move.reaches.items()))


def _travel_s(start: Pose, reach: Reach) -> float:
    distance = float(np.linalg.norm(reach.pose.translation - start.translation))
    angle = float(np.linalg.norm(rotation_vector(reach.pose.rotation @ start.rotation.T)))
    return max(distance / SPEED_M_S, angle / TURN_RAD_S)


def _smooth(fraction: float) -> float:
    return fraction * fraction * (3.0 - 2.0 * fraction)
