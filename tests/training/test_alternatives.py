from dataclasses import replace

import numpy as np
import pytest

from forearm.cell.demonstrator import sample_demonstration
from forearm.cell.physics import Physics
from forearm.cell.setup import Setup
from forearm.cell.solver import task_model
from forearm.cell.tasks import TASKS, task_named
from forearm.cell.tasks.absence import missing
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.training.alternatives import alternatives
from forearm.training.batch import Lessons
from forearm.training.objective import cells_of
from forearm.training.questions import Asking

CHOOSING = ("put-in-box", "clear-the-pad", "stack", "open-the-box", "insert-peg")


def lessons_of(lessons: Lessons, setup: Setup, asking: Asking) -> Lessons:
    dataset = replace(lessons.dataset, instructions=(setup.instruction,) * 2, seeds=np.array([setup.seed] * 2))
    return Lessons.of(dataset, horizon=16, asking=asking)


def first_grips(setup: Setup) -> dict[str, tuple[float, ...]]:
    """Where the script closes each hand before it opens one."""
    physics = Physics(task_model(setup.task), setup)
    found, openings = {}, dict.fromkeys(("left", "right"), 1.0)
    for move in task_named(setup.task).script(setup, physics):
        for arm, reach in move.reaches.items():
            if openings[arm] > 0.5 and reach.opening == 0.0:
                found.setdefault(arm, tuple(reach.pose.translation[:2]))
            if openings[arm] == 0.0 and reach.opening > 0.5:
                return found
            openings[arm] = reach.opening
    return found


@pytest.mark.parametrize("name", CHOOSING)
def test_what_else_a_scene_could_be_asked_for_is_where_the_script_would_take_it(name: str) -> None:
    task = task_named(name)
    for seed in range(8):
        setup = task.sample(seed)
        others = task.others(setup)
        assert others or name == "stack"
        for other in others:
            assert other.instruction != setup.instruction
            assert not missing(setup, other.instruction)
            asked = first_grips(replace(setup, instruction=other.instruction))
            assert other.grips.keys() == asked.keys()
            for arm, at in other.grips.items():
                assert at[:2] == pytest.approx(asked[arm], abs=1e-3)


def test_the_point_of_an_alternative_is_where_the_main_camera_sees_the_block() -> None:
    setup = sample_demonstration("put-in-box", 3)
    (other,) = alternatives(setup.instruction, 3, TASKS).others
    block = next(each for each in setup.placements if each.colour and each.colour in other.instruction.split())
    arm = 0 if block.position[1] > -0.305 else 1  # the one on the block's side of the midline
    assert np.isnan(other.points[1 - arm]).all()
    camera = BIMANUAL_YAM.cameras[0]
    assert camera.cell_from_camera is not None
    seen = camera.pinhole.project(camera.cell_from_camera.inverse().apply(np.array(block.position)))
    np.testing.assert_allclose(other.points[arm] * [camera.width, camera.height], seen, atol=1e-3)


def test_where_the_scene_is_not_the_seed_s_nothing_else_can_be_asked() -> None:
    setup = sample_demonstration("put-in-box", 0)
    unlike = next(
        seed for seed in range(1, 50) if sample_demonstration("put-in-box", seed).instruction != setup.instruction
    )
    found = alternatives(setup.instruction, unlike, TASKS)
    assert (found.others, found.absent) == ((), ())


def test_what_is_not_there_can_be_asked_for_in_every_scene() -> None:
    for task in TASKS:
        setup = sample_demonstration(task.name, 1)
        absent = alternatives(setup.instruction, 1, TASKS).absent
        assert absent
        assert all(missing(setup, each) for each in absent)
        assert not missing(setup)


def test_other_words_change_what_is_asked_and_leave_what_is_done(lessons: Lessons) -> None:
    asking = Asking(other=1.0)
    blocks = lessons_of(lessons, sample_demonstration("put-in-box", 0), asking)
    before, after = np.full(32, 5), np.full(32, 45)  # the gripper closes at ticks 30 and, of the next episode, 85
    own = blocks.batch(before, np.random.default_rng(0))
    other = blocks.batch(before, np.random.default_rng(0), asking)
    assert (other.subtask == -1).all()
    assert (own.subtask >= 0).all()
    assert (other.sight.words != own.sight.words).any(1).all()
    assert (cells_of(other.asked, 10) < 100).sum() == 32  # each time one arm is to act, where the other block lies
    assert not np.array_equal(other.asked, own.asked, equal_nan=True)
    for name in ("points", "traces", "followed", "actions", "codes"):
        np.testing.assert_array_equal(getattr(own, name), getattr(other, name))
    late = blocks.batch(after, np.random.default_rng(0), asking)
    assert (late.subtask >= 0).all()
    np.testing.assert_array_equal(late.asked, late.points)


def test_asked_for_what_is_not_there_the_model_is_to_point_nowhere(lessons: Lessons) -> None:
    asking = Asking(absent=1.0)
    blocks = lessons_of(lessons, sample_demonstration("put-in-box", 0), asking)
    batch = blocks.batch(np.full(32, 5), np.random.default_rng(0), asking)
    assert batch.asked.isnan().all()
    assert (batch.subtask == -1).all()
    assert not batch.points.isnan().all()


def test_other_phrasings_of_a_sentence_are_drawn_and_mean_the_same(lessons: Lessons) -> None:
    asking = Asking(rephrased=1.0)
    blocks = lessons_of(lessons, sample_demonstration("put-in-box", 0), asking)
    batch = blocks.batch(np.full(64, 5), np.random.default_rng(0), asking)
    said = {tuple(row) for row in batch.sight.words.tolist()}
    assert len(said) > 4
    assert (batch.subtask >= 0).all()
    np.testing.assert_array_equal(batch.asked, batch.points)
