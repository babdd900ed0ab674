"""Corrective rounds: demonstrations that go on from where a model has got to."""

from collections.abc import Iterator
from pathlib import Path

import mujoco
import numpy as np
import pytest

from forearm.cell.demonstrator import rehearse
from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import SimulatedClock
from forearm.data.dataset import load_all
from forearm.policy.choice import policy_named
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.training.batch import Lessons
from forearm.training.questions import WITH_OTHERS
from forearm.training.recipe import Recording
from forearm.training.recording import record_dataset
from forearm.training.rounds import visited


@pytest.mark.slow
def test_a_visited_scene_is_the_one_that_was_left_and_the_demonstrator_ends_what_was_begun() -> None:
    make_policy = policy_named("nano")
    scenes = [
        (setup, visited(setup, make_policy)) for setup in map(task_named("put-in-box").sample, range(30_000, 30_006))
    ]
    left = [(setup, scene) for setup, scene in scenes if scene is not None]
    assert len(left) >= 2
    for setup, scene in left:
        assert (scene.instruction, scene.look, len(scene.placements)) == (
            setup.instruction,
            setup.look,
            len(setup.placements),
        )
        assert rehearse(scene, seed=1)
    moved = [np.abs(np.array(scene.start) - setup.start).max() for setup, scene in left]
    assert max(moved) > 0.2  # rad: it was on its way


def still(robot: CellRobot, clock: SimulatedClock) -> Iterator[None]:
    for _ in range(20):
        clock.sleep_until(clock.now_ns() + 20_000_000)
        robot.read()
        yield


def test_a_scene_that_nobody_touched_is_left_as_it_was_and_what_leans_is_no_scene() -> None:
    setup, clock = task_named("stack").sample(3), SimulatedClock()
    robot = CellRobot(setup=setup, clock=clock)
    robot.connect(1)
    for _ in still(robot, clock):
        left = robot.left()
        assert left is not None
        for was, now in zip(setup.placements, left.placements, strict=True):
            np.testing.assert_allclose(now.position, was.position, atol=2e-3)
            assert now.yaw == pytest.approx(was.yaw, abs=0.01)
        np.testing.assert_allclose(left.start, setup.start, atol=0.02)
        assert len(left.start) == len(BIMANUAL_YAM.joints)
    physics = robot._physics  # the truth, in which a thing can be tipped over
    first = physics.model.jnt_qposadr[physics.model.body(setup.placements[0].name).jntadr[0]]
    physics.data.qpos[first + 3 : first + 7] = np.cos(0.1), np.sin(0.1), 0.0, 0.0  # by 0.2 rad
    mujoco.mj_forward(physics.model, physics.data)
    assert robot.left() is None


@pytest.mark.slow
def test_a_round_is_recorded_and_learned_from_beside_what_it_corrects(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "round"
    record_dataset(first, Recording(counts={"put-in-box": 2}, seed=7), workers=1)
    record_dataset(second, Recording(counts={"put-in-box": 2}, seed=8, visits="nano"), workers=1)
    together = load_all([first, second])
    assert (together.seeds >= 0).tolist() == [True, True, False, False]
    lessons = Lessons.of(together, horizon=16, asking=WITH_OTHERS)
    asked_else = np.max(lessons.questions.others, axis=1) >= 0
    assert asked_else[:2].all()
    assert not asked_else[2:].any()  # its things lie elsewhere than its seed would draw them
    assert set(lessons.words.instructions) >= set(together.instructions)
