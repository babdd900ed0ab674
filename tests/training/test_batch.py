from dataclasses import replace

import numpy as np
import pytest
import torch

from forearm.data.labels import TRACE_TICKS, waiting
from forearm.robot.kinematics import tool_poses
from forearm.training.batch import Lessons
from forearm.training.shifts import NEAR_SHIFT_M, SHIFT_M


def seed_that_flips(flipped: bool) -> np.random.Generator:
    """A generator whose first draw mirrors, or does not mirror, the first sample."""
    seed = next(seed for seed in range(100) if (np.random.default_rng(seed).random(1)[0] < 0.5) == flipped)
    return np.random.default_rng(seed)


def test_a_mirrored_sample_is_the_scene_in_the_mirror(lessons: Lessons) -> None:
    tick = np.array([5])
    plain, mirrored = lessons.batch(tick, seed_that_flips(False)), lessons.batch(tick, seed_that_flips(True))
    words = {index + 1: word for index, word in enumerate(lessons.words.vocabulary)}
    spelt = [[words[i] for i in batch.sight.words[0].tolist()] for batch in (plain, mirrored)]
    assert "left" in spelt[0]
    assert spelt[1] == ["right" if word == "left" else word for word in spelt[0]]
    np.testing.assert_allclose(mirrored.points[0, 1, 0], 1 - plain.points[0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(mirrored.points[0, 1, 1], plain.points[0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(mirrored.traces[0, 1, :, 0], plain.traces[0, 0, :, 0], atol=1e-6)
    np.testing.assert_allclose(mirrored.traces[0, 1, :, 1], -0.61 - plain.traces[0, 0, :, 1], atol=1e-6)
    assert mirrored.codes[0].view(10, 10).flip(1).tolist() == plain.codes[0].view(10, 10).tolist()
    assert mirrored.depth[0].view(10, 10).flip(1).tolist() == plain.depth[0].view(10, 10).tolist()
    assert plain.depth[0].tolist() == lessons.dataset.depth_cells[5].flatten().tolist()
    assert lessons.words.subtasks[int(mirrored.subtask[0])] == "take it with the right arm"


@pytest.mark.parametrize(("share", "times"), [(0.0, 0), (1.0, 32)])
def test_no_sample_or_every_one_is_mirrored_where_a_recipe_says_so(lessons: Lessons, share: float, times: int) -> None:
    ticks = np.full(32, 5)
    undeveloped = lessons.undeveloped(ticks, np.random.default_rng(0), mirrored=share)
    codes = undeveloped.develop(torch.device("cpu")).codes.view(32, 10, 10)
    mirrored = (codes == torch.from_numpy(lessons.codes[5]).flip(1)).all(dim=(1, 2))
    assert int(mirrored.sum()) == times


def test_names_are_colours_by_their_words_and_change_arms_in_the_mirror(lessons: Lessons) -> None:
    data = lessons.dataset
    called = replace(data, subtasks=np.array(["left: take the red bar; right: take the green bar"] * len(data)))
    told = Lessons.of(called, horizon=16)
    red = told.words.vocabulary.index("red") + 1  # green is in no sentence, the right arm takes nothing
    assert told.names[:60].tolist() == [[red, 0]] * 60
    plain, mirrored = (told.batch(np.array([5]), seed_that_flips(flipped)) for flipped in (False, True))
    assert (plain.names.tolist(), mirrored.names.tolist()) == ([[red, 0]], [[0, red]])
    assert lessons.names.tolist() == [[0, 0]] * len(data)  # whose phrases name no colour


def test_where_turns_are_told_an_arm_that_waits_points_nowhere_and_the_others_where_they_did(lessons: Lessons) -> None:
    told = Lessons.of(lessons.dataset, horizon=16, turns=("hand-over",))
    others = Lessons.of(lessons.dataset, horizon=16, turns=("stack",))
    np.testing.assert_array_equal(others.points, lessons.points)
    still = waiting(lessons.dataset.actions[:60])
    assert still[:, 1].all()
    assert np.isnan(told.points[:60][still]).all()
    np.testing.assert_array_equal(told.points[:60][~still], lessons.points[:60][~still])


def test_actions_and_the_trace_they_follow_agree_also_where_the_trace_was_shifted(lessons: Lessons) -> None:
    rng = np.random.default_rng(1)
    tick = np.full(64, 4)
    rows = tick[:, None] + np.arange(16)
    chunks, followed = lessons._shift_traces(tick, rows, rng)  # the step before network units
    shift = (followed - lessons.traces[tick])[..., 0, :3]
    moved = np.linalg.norm(shift, axis=-1) > 0
    assert 0.2 < moved[:, 1].mean() < 0.8
    tools, _ = tool_poses(chunks.astype(np.float64))
    inside = [ticks for ticks in TRACE_TICKS if ticks <= 16]
    for waypoint, ticks in enumerate(inside):
        apart = np.linalg.norm(tools[:, ticks - 1] - followed[:, :, waypoint, :3], axis=-1)
        assert apart[moved].mean() < 0.006  # m: one step of the pseudo-inverse
        assert apart[~moved].max() < 1e-4
    assert np.linalg.norm(shift, axis=-1)[moved].max() <= SHIFT_M[1] + 1e-6
    assert (shift[..., 2] >= 0).all()


def test_an_arm_about_to_grip_is_shifted_far_or_not_at_all(lessons: Lessons) -> None:
    tick = np.full(256, 24)  # the left gripper closes at tick 30
    _, followed = lessons._shift_traces(tick, tick[:, None] + np.arange(16), np.random.default_rng(1))
    shift = np.linalg.norm((followed - lessons.traces[tick])[..., 0, :3], axis=-1)
    moved = shift > 0
    assert 0 < moved[:, 0].mean() < 0.35
    assert shift[:, 0][moved[:, 0]].min() >= NEAR_SHIFT_M[0] - 1e-6
    assert shift[:, 1][moved[:, 1]].min() < NEAR_SHIFT_M[0]  # the other arm is free


def test_chunks_in_network_units_decode_to_what_was_demonstrated(lessons: Lessons) -> None:
    scales, data = lessons.scales, lessons.dataset
    positions, chunks = data.positions[:3], np.stack([data.actions[k : k + 16] for k in range(3)])
    np.testing.assert_allclose(scales.decode(scales.encode(chunks, positions), positions), chunks, atol=1e-5)


def test_batches_repeat_themselves(lessons: Lessons) -> None:
    first, second = (lessons.draw(np.random.default_rng(7), 8) for _ in range(2))
    assert all(bool((a == b).all()) for a, b in zip(first.sight, second.sight, strict=True))
    assert bool((first.actions == second.actions).all())


def test_the_first_second_and_the_moments_before_a_grip_are_drawn_more_often(lessons: Lessons) -> None:
    weight = lessons.weight / lessons.weight[15]
    assert weight[0] == pytest.approx(3.0)
    assert weight[28] == pytest.approx(2.0)
    assert weight[45] == pytest.approx(1.0)
