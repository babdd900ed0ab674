"""Recordings of the scripted solver: what is seen and measured at each tick, and the clean target that follows.

The solver executes its plan with smooth noise, yet the plan without noise is recorded as the action, so that recordings
show how to come back from small errors (DART, Laskey et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forearm.cell.camera import Cameras
from forearm.cell.perturbations import for_training, mixed
from forearm.cell.physics import Physics
from forearm.cell.setup import Setup
from forearm.cell.solver import Performance, Tick
from forearm.cell.tasks import task_named
from forearm.cell.tasks.interface import Staged
from forearm.robot.embodiment import BIMANUAL_YAM

Array = NDArray[np.float64]

ODD_STARTS = 0.25  # share of recordings that start with the working arms off home
BEGUN = 0.6  # that share for tasks of many parts, which then start with some of them done
DEPTH_CELLS = 10  # per axis of the top view


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Demonstration:
    """One recording, T ticks of 0.1 s.

    Attributes:
        task: the task's name.
        instruction: the person's sentence.
        seed: of the execution's noise and speed.
        success: whether the goal held at the end.
        images: by camera (T, H, W, 3) uint8, what was seen at the tick.
        depth_cells: (T, 10, 10) float32 m, median depth of the top view per cell, NaN unknown.
        positions: (T, J) float32 rad and openings, measured at the tick.
        velocities: (T, J) float32 per second.
        actions: (T, J) float32 targets to be reached 0.1 s after the tick, without noise.
        subtasks: what was being done at each tick, in words.
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


def sample_demonstration(task: str, seed: int, varied: float = 0.0, variation: str = "") -> Setup:
    """The scene that `seed` stands for in a dataset: some of them start with the working arms off home.

    A share of `varied` has a few things different about the cell, which leaves every sentence and most places as they
    are; all have what `variation` names, on top.

    Raises:
        InputError: for a name that is no task's, and for a variation that there is none of, that is held out, or that
            changes nothing in this scene.
    """
    doing = task_named(task)
    odd = BEGUN if isinstance(doing, Staged) else ODD_STARTS
    setup = doing.sample(seed, odd_start=bool(np.random.default_rng((seed, 1)).random() < odd))
    rng = np.random.default_rng((seed, 3))
    setup = mixed(setup, rng) if rng.random() < varied else setup
    return for_training(setup, variation, rng) if variation else setup


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
    performance = Performance(setup, seed=seed, speed=speed, noise_amplitude=noise_amplitude)
    rows = _Rows()
    with Cameras(performance.physics.model) as cameras:
        for tick in performance.ticks():
            _record(rows, performance.physics, cameras, tick)
    return Demonstration(
        task=setup.task,
        instruction=setup.instruction,
        seed=seed,
        success=performance.success,
        images={name: np.stack(images) for name, images in rows.images.items()},
        depth_cells=np.stack(rows.depth_cells),
        positions=np.stack(rows.positions).astype(np.float32),
        velocities=np.stack(rows.velocities).astype(np.float32),
        actions=np.stack(rows.actions).astype(np.float32),
        subtasks=tuple(rows.subtasks),
    )


def rehearse(setup: Setup, *, seed: int, speed: float | None = None, noise_amplitude: float | None = None) -> bool:
    """Whether the demonstration of the same arguments succeeds, without rendering it; about 0.2 s."""
    performance = Performance(setup, seed=seed, speed=speed, noise_amplitude=noise_amplitude)
    for _ in performance.ticks():
        pass
    return performance.success


def depth_cells(metres: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median depth (10, 10) m of a depth image (H, W) whose sides divide by ten; NaN for cells not half seen."""
    height, width = metres.shape
    blocks = metres.reshape(DEPTH_CELLS, height // DEPTH_CELLS, DEPTH_CELLS, width // DEPTH_CELLS)
    ordered = np.sort(blocks.transpose(0, 2, 1, 3).reshape(DEPTH_CELLS, DEPTH_CELLS, -1), axis=-1)  # NaN last
    seen = np.isfinite(ordered).sum(-1, keepdims=True)
    below, above = (
        np.take_along_axis(ordered, place.clip(0, ordered.shape[-1] - 1), -1) for place in ((seen - 1) // 2, seen // 2)
    )
    return np.where(2 * seen < ordered.shape[-1], np.float32(np.nan), (below + above) / 2)[..., 0]


def _record(rows: _Rows, physics: Physics, cameras: Cameras, tick: Tick) -> None:
    for camera in BIMANUAL_YAM.cameras:
        capture = cameras.capture(physics.model, physics.data, camera.name, physics.look)
        rows.images.setdefault(camera.name, []).append(capture.pixels)
        if camera is BIMANUAL_YAM.cameras[0]:
            rows.depth_cells.append(depth_cells(capture.metres))
    rows.positions.append(physics.positions)
    rows.velocities.append(physics.velocities)
    rows.actions.append(tick.target)
    rows.subtasks.append(tick.subtask)
