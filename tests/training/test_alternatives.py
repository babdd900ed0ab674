from dataclasses import replace

import numpy as np

from forearm.cell.demonstrator import sample_demonstration
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.training.alternatives import alternative
from forearm.training.batch import Lessons
from forearm.training.objective import cells_of


def test_the_other_block_of_a_scene_could_have_been_asked_for_and_lies_where_it_was_placed() -> None:
    for seed in range(20):
        setup = sample_demonstration("put-in-box", seed)
        other = alternative(setup.instruction, seed)
        assert other is not None
        block = next(each for each in setup.placements if each.colour and each.colour in other.instruction.split())
        assert other.instruction != setup.instruction
        arm = 0 if block.position[1] > -0.305 else 1  # the one on the block's side of the midline
        assert np.isnan(other.points[1 - arm]).all()
        camera = BIMANUAL_YAM.cameras[0]
        ray = camera.pinhole.project(camera.cell_from_camera.inverse().apply(np.array(block.position)))
        np.testing.assert_allclose(other.points[arm] * [camera.width, camera.height], ray, atol=1e-3)


def test_where_there_is_one_object_or_the_scene_is_not_the_seed_s_nothing_else_can_be_asked() -> None:
    assert alternative("lift the tray with both arms", 3) is None
    setup = sample_demonstration("put-in-box", 0)
    unlike = next(
        seed for seed in range(1, 50) if sample_demonstration("put-in-box", seed).instruction != setup.instruction
    )
    assert alternative(setup.instruction, unlike) is None


def test_other_words_change_what_is_asked_and_leave_what_is_done(lessons: Lessons) -> None:
    setup = sample_demonstration("put-in-box", 0)
    dataset = replace(lessons.dataset, instructions=(setup.instruction,) * 2, seeds=np.array([0, 0]))
    blocks = Lessons.of(dataset, horizon=16)
    before, after = np.full(32, 5), np.full(32, 45)  # the gripper closes at ticks 30 and, of the next episode, 85
    own = blocks.batch(before, np.random.default_rng(0), other_words=0.0)
    other = blocks.batch(before, np.random.default_rng(0), other_words=1.0)
    assert (other.subtask == -1).all()
    assert (own.subtask >= 0).all()
    assert (other.sight.words != own.sight.words).any(1).all()
    assert (cells_of(other.asked, 10) < 100).sum() == 32  # each time one arm is to act, where the other block lies
    assert not np.array_equal(other.asked, own.asked, equal_nan=True)
    for name in ("points", "traces", "followed", "actions", "codes"):
        np.testing.assert_array_equal(getattr(own, name), getattr(other, name))
    late = blocks.batch(after, np.random.default_rng(0), other_words=1.0)
    assert (late.subtask >= 0).all()
    np.testing.assert_array_equal(late.asked, late.points)
