from dataclasses import replace

import numpy as np
import pytest

from forearm.cell.camera import Cameras
from forearm.cell.demonstrator import demonstrate, depth_cells, rehearse, sample_demonstration
from forearm.cell.physics import Physics
from forearm.cell.solver import STILL_TICKS, Performance, task_model
from forearm.cell.tasks import TASKS, task_named
from forearm.robot.embodiment import BIMANUAL_YAM

EACH = [  # the longest take seconds to play
    pytest.param(task, id=task.name, marks=[pytest.mark.slow] * (task.sample(0).time_limit_s > 22.0)) for task in TASKS
]


@pytest.mark.slow
@pytest.mark.parametrize("task", EACH)
def test_a_noisy_demonstration_succeeds_and_its_arrays_agree(task) -> None:
    setup = task.sample(100_001)
    made = demonstrate(setup, seed=1, noise_amplitude=0.02)
    ticks = len(made.subtasks)
    assert made.success
    assert made.instruction == setup.instruction
    for camera in BIMANUAL_YAM.cameras:
        assert made.images[camera.name].shape == (ticks, camera.height, camera.width, 3)
    assert made.depth_cells.shape == (ticks, 10, 10)
    assert made.positions.shape == made.velocities.shape == made.actions.shape == (ticks, 14)
    assert {made.positions.dtype, made.actions.dtype, made.depth_cells.dtype} == {np.dtype(np.float32)}
    assert (made.actions >= BIMANUAL_YAM.lower - 1e-6).all()
    assert (made.actions <= BIMANUAL_YAM.upper + 1e-6).all()
    assert "reach for the" in made.subtasks[0]
    assert made.subtasks[-STILL_TICKS:] == ("done",) * STILL_TICKS
    assert (made.actions[-STILL_TICKS:] == made.actions[-1]).all()
    grippers = made.actions[:, BIMANUAL_YAM.grippers]
    changes = np.abs(np.diff(grippers, axis=0)).sum()
    assert ((grippers > 0.01) & (grippers < 0.99)).sum() <= changes + 0.01  # one tick on the way for each of them


@pytest.mark.slow
def test_an_arm_with_nothing_to_do_keeps_still_and_open() -> None:
    setup = task_named("put-in-box").sample(100_001)
    made = demonstrate(setup, seed=1)
    spans = np.ptp(made.actions, axis=0).reshape(2, 7).max(axis=1)
    idle = int(spans.argmin())
    assert spans[idle] == 0.0
    assert made.actions[0, BIMANUAL_YAM.grippers[idle]] == 1.0


@pytest.mark.slow
def test_noise_is_executed_but_the_clean_target_is_recorded() -> None:
    setup = task_named("lift").sample(100_002)
    quiet = demonstrate(setup, seed=1, speed=1.0, noise_amplitude=0.0)
    noisy = demonstrate(setup, seed=1, speed=1.0, noise_amplitude=0.03)
    reaching = slice(0, 6)  # before anything is touched both have the same plan
    np.testing.assert_array_equal(noisy.actions[reaching], quiet.actions[reaching])
    assert np.abs(noisy.positions[reaching] - quiet.positions[reaching]).max() > 0.005


@pytest.mark.slow
def test_the_target_is_followed_to_within_a_few_hundredths_of_a_radian() -> None:
    made = demonstrate(task_named("put-in-box").sample(100_003), seed=1, noise_amplitude=0.0)
    joints = [index for arm in BIMANUAL_YAM.arms for index in range(arm.joints.start, arm.joints.stop)]
    assert np.abs(made.positions[1:, joints] - made.actions[:-1, joints]).max() < 0.12


@pytest.mark.slow
@pytest.mark.parametrize("task", EACH)
def test_a_start_from_anywhere_is_solved_too(task) -> None:
    assert [rehearse(task.sample(seed, odd_start=True), seed=seed, noise_amplitude=0.0) for seed in range(2)] == [
        True
    ] * 2


def test_a_quarter_of_the_recordings_start_off_home() -> None:
    setups = [sample_demonstration("lift", seed) for seed in range(200)]
    odd = [setup != task_named("lift").sample(setup.seed) for setup in setups]
    assert 0.15 < np.mean(odd) < 0.35


def test_most_recordings_of_tasks_of_many_parts_begin_with_some_done_or_off_home() -> None:
    setups = [sample_demonstration("sort-by-colour", seed) for seed in range(100)]
    odd = [setup != task_named("sort-by-colour").sample(setup.seed) for setup in setups]
    assert 0.45 < np.mean(odd) < 0.75


def test_a_demonstration_ends_with_its_tasks_time() -> None:
    setup = replace(task_named("put-in-box").sample(1), time_limit_s=0.5)
    performance = Performance(setup, seed=1)
    assert len(list(performance.ticks())) == 5
    assert not performance.success


def test_depth_cells_are_medians_of_the_top_view() -> None:
    setup = task_named("lift").sample(1)
    physics = Physics(task_model("lift"), setup)
    with Cameras(physics.model) as cameras:
        metres = cameras.capture(physics.model, physics.data, "top").metres
    assert depth_cells(metres)[3, 7] == np.median(metres[36:48, 84:96])


def test_a_cell_of_the_depth_map_needs_half_of_its_pixels() -> None:
    metres = np.full((120, 120), 0.8, dtype=np.float32)
    metres[:12, :12] = np.arange(144, dtype=np.float32).reshape(12, 12)
    metres[:12, :5] = np.nan  # 60 of its 144
    metres[:12, 12:19] = np.nan  # 84 of the next one's
    cells = depth_cells(metres)
    assert cells[0, 0] == np.nanmedian(metres[:12, :12])
    assert np.isnan(cells[0, 1])
    assert np.isnan(cells).sum() == 1
