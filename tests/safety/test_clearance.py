"""Clearances against MuJoCo's distances of the same capsules, and what a sweep promises about the whole path."""

from itertools import pairwise

import mujoco
import numpy as np
import pytest

from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import LINKS
from forearm.safety.capsules import ARMS, CAPSULES
from forearm.safety.clearance import PAIRS, Bodies, margins
from forearm.safety.limits import Limits
from forearm.safety.sweep import ARMS_AND_TABLE, RESOLUTION_M, Sweep, sweep

from .station import place, with_capsules

HOME = np.array([0.611, 1.467, 1.299, -1.403, 0.0, -1.571, 1.0])
BOTH_HOME = np.concatenate([HOME, HOME * [-1, 1, 1, 1, -1, -1, 1]])
ALL = np.arange(len(PAIRS))
REQUIRED = margins(Limits.of(), arms_m=0.015)


def anywhere(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(BIMANUAL_YAM.lower, BIMANUAL_YAM.upper, (count, 14))


def clearances(positions: np.ndarray) -> np.ndarray:
    """Every pair's exact clearance (N, K)."""
    bodies = Bodies.at(positions)
    return np.stack([bodies.clearance(ALL, np.full(len(ALL), row)) for row in range(len(positions))])


def geom(capsule: int | None) -> str:
    return "table" if capsule is None else f"{ARMS[capsule % 2]}/{capsule // 2}"


def test_every_pairs_clearance_is_mujocos_to_a_micrometre() -> None:
    model = with_capsules()
    data = mujoco.MjData(model)
    positions = anywhere(12, seed=0)
    for row, ours in zip(positions, clearances(positions), strict=True):
        place(model, data, row)
        for index, pair in enumerate(PAIRS):
            first, second = model.geom(geom(pair.first)).id, model.geom(geom(pair.second)).id
            theirs = mujoco.mj_geomDistance(model, data, first, second, 10.0, None)
            assert ours[index] == pytest.approx(theirs, abs=1e-6), pair.text


def test_the_quick_bound_is_never_above_the_clearance() -> None:
    positions = anywhere(300, seed=1)
    bounds = Bodies.at(positions).at_least().T
    exact = clearances(positions)
    assert (bounds <= exact + 1e-12).all()
    over_table = np.array([pair.second is None for pair in PAIRS])
    np.testing.assert_allclose(bounds[:, over_table], exact[:, over_table], atol=1e-12)


def test_a_pose_that_is_not_a_number_has_no_clearance() -> None:
    positions = np.array([BOTH_HOME])
    positions[0, 2] = np.nan
    left = np.array([pair.text.startswith("left") for pair in PAIRS])
    first_moves = np.array([LINKS.index(CAPSULES[pair.first // 2].link) >= 3 for pair in PAIRS])
    assert np.isnan(clearances(positions)[0, left & first_moves]).all()
    assert sweep(BOTH_HOME, positions, REQUIRED).clear_rows == 0


def test_home_and_the_zero_pose_are_clear_by_centimetres() -> None:
    spare = clearances(np.array([BOTH_HOME, np.zeros(14)])) - margins(Limits.of(), arms_m=0.015)
    assert spare.min() > 0.025


def test_margins_follow_the_kind_of_pair() -> None:
    limits = Limits.of()
    of = {pair.kind: margin for pair, margin in zip(PAIRS, margins(limits, arms_m=0.5), strict=True)}
    assert of == {
        "arms": 0.5,
        "self": limits.self_clearance_m,
        "links over table": limits.link_height_m,
        "fingers over table": limits.finger_height_m,
    }


def test_pairs_say_in_words_what_they_are() -> None:
    texts = {pair.text for pair in PAIRS}
    assert {"left fingers and right fingers", "right camera and table", "left gripper and left upper arm"} <= texts
    assert not any("base and right shoulder" in text for text in texts)


def test_resting_is_clear() -> None:
    assert sweep(BOTH_HOME, np.tile(BOTH_HOME, (5, 1)), REQUIRED) == clear(5)


def clear(rows: int) -> object:
    class Clear:
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Sweep) and other.clear_rows == rows and other.pair == -1

        __hash__ = None

    return Clear()


def test_arms_that_would_pass_through_each_other_between_two_clear_rows_are_caught() -> None:
    before = np.array([1.0, 2.6, 3.0, -1.3, 1.1, -1.8, 1.0, -0.1, 1.8, 3.1, 0.8, -0.6, -1.0, 1.0])
    after = before.copy()
    after[0] = -1.9  # the left arm swings from one side of the right one to the other
    assert (clearances(np.array([before, after])) >= REQUIRED + 0.03).all()
    found = sweep(before, after[None], REQUIRED)
    assert found.clear_rows == 0
    assert found.clearance_m < found.required_m
    assert PAIRS[found.pair].kind == "arms"


def test_a_path_into_the_table_is_clear_up_to_the_row_before_it_touches() -> None:
    path = np.repeat(BOTH_HOME[None], 12, axis=0)
    path[:, 1] += np.linspace(0.05, 0.6, 12)
    found = sweep(BOTH_HOME, path, REQUIRED)
    lowest = (clearances(path) - REQUIRED).min(axis=1)
    first_bad = int(np.argmax(lowest < 0))
    assert 0 < first_bad < 12
    assert found.clear_rows in (first_bad - 1, first_bad)  # the way to a row may be too near when the row is not
    assert PAIRS[found.pair].text == "left fingers and table"


def test_what_starts_too_near_may_leave_but_not_come_nearer() -> None:
    low = BOTH_HOME.copy()
    low[1] += 0.6
    inside = clearances(low[None])[0] - REQUIRED
    assert inside.min() < -0.01
    up = np.linspace(low, BOTH_HOME, 8)[1:]
    down = np.linspace(low, 2 * low - BOTH_HOME, 8)[1:]
    assert sweep(low, up, REQUIRED).clear_rows == 7
    assert sweep(low, np.tile(low, (3, 1)), REQUIRED).clear_rows == 3
    assert sweep(low, down, REQUIRED).clear_rows == 0


@pytest.mark.parametrize("seed", range(6))
def test_a_path_found_clear_is_clear_at_every_dense_sample(seed: int) -> None:
    generator = np.random.default_rng(seed)
    lowest = []
    for start in anywhere(12, seed=100 + seed):
        steps = generator.normal(0, generator.choice([0.02, 0.1, 0.4]), (6, 14))
        path = np.clip(start + np.cumsum(steps, axis=0), BIMANUAL_YAM.lower, BIMANUAL_YAM.upper)
        kept = sweep(start, path, REQUIRED).clear_rows
        whole = np.concatenate([start[None], path[:kept]])
        dense = np.concatenate([np.linspace(a, b, 25) for a, b in pairwise(whole)] or [whole])
        at = clearances(dense)
        needed = np.minimum(REQUIRED, at[0] - RESOLUTION_M)
        lowest.append((at - needed).min())
    assert min(lowest) >= -1e-9


def test_no_step_changes_a_clearance_by_more_than_the_reach_allows() -> None:
    generator = np.random.default_rng(7)
    before = anywhere(200, seed=8)
    steps = generator.normal(0, 0.05, before.shape) * (generator.random(before.shape) < 0.3)
    change = np.abs(clearances(before + steps) - clearances(before))
    allowed = np.abs(steps) @ ARMS_AND_TABLE.reach.T
    assert (change <= allowed + 1e-9).all()
    assert (change / np.maximum(allowed, 1e-6)).max() > 0.6, "the bound is so loose that it proves nothing"
