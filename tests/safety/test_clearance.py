"""Clearances against MuJoCo's distances of the same capsules, and what a sweep promises about the whole path."""

from collections import Counter
from functools import cache
from itertools import pairwise

import mujoco
import numpy as np
import pytest

from forearm.robot.embodiment import BIMANUAL_YAM, GRIPPER_STROKE_M
from forearm.robot.kinematics import LINKS
from forearm.safety.capsules import ARMS, CAPSULES, HALF_LENGTHS, RADII, capsule_ends
from forearm.safety.clearance import PAIRS, Bodies, margins
from forearm.safety.limits import Limits
from forearm.safety.sweep import (
    ARMS_AND_TABLE,
    PARTS,
    RESOLUTION_M,
    Sweep,
    _divided,
    _first,
    _Items,
    _never_nearer,
    reach_of,
    sweep,
)

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


def test_the_quick_bound_of_two_capsules_is_that_of_the_spheres_round_them() -> None:
    starts, ends = capsule_ends(anywhere(5, seed=2))
    middles, bounds = (starts + ends) / 2, Bodies.at(anywhere(5, seed=2)).at_least()
    for pair, bound in zip(PAIRS, bounds, strict=True):
        if pair.second is not None:
            apart = np.linalg.norm(middles[:, pair.first] - middles[:, pair.second], axis=0)
            spheres = sum((RADII + HALF_LENGTHS)[[pair.first, pair.second]])
            np.testing.assert_allclose(bound, apart - spheres, atol=1e-12, err_msg=pair.text)


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
    lower = margins(limits, arms_m=0.5, table_m=0.25, sag_m=0.125)
    assert {pair.kind: margin for pair, margin in zip(PAIRS, lower, strict=True)} == {
        "arms": 0.5,
        "self": limits.self_clearance_m - 0.125,
        "links over table": limits.link_height_m + 0.25 - 0.125,
        "fingers over table": limits.finger_height_m + 0.25 - 0.125,
    }


class AtStart:
    """Pairs that are so far apart, m."""

    def __init__(self, apart: np.ndarray) -> None:
        self._apart = apart

    def clearance(self, pairs: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return self._apart[pairs] + rows


def test_what_starts_out_nearer_may_stay_so_and_nothing_else_is_loosened() -> None:
    apart, required = np.array([0.0055, 0.008, 0.02]), np.array([[0.005], [0.012], [0.012]])
    relaxed = _never_nearer(AtStart(apart), apart, required)
    np.testing.assert_allclose(relaxed, [[0.005], [0.008 - RESOLUTION_M], [0.012]])


def test_of_what_is_too_near_on_the_same_step_what_lacks_most_is_named() -> None:
    apart, required = np.array([0.1, 0.03, 0.04, 0.0]), np.array([0.2, 0.05, 0.08, 0.1])
    items = _Items(np.array([5, 3, 7, 9]), np.array([1.5, 2.0, 2.5, 3.0]), apart, apart, 0.0 * apart, required)
    found = _first(items, np.array([False, True, True, True]), np.zeros(1))
    assert (found.clear_rows, found.pair, found.clearance_m, found.required_m) == (2, 7, 0.04, 0.08)


def test_pairs_say_in_words_what_they_are() -> None:
    texts = {pair.text for pair in PAIRS}
    assert {"left fingers and right fingers", "right camera and table", "left gripper and left upper arm"} <= texts
    assert not any("base and right shoulder" in text for text in texts)


def test_every_pair_that_can_come_near_is_watched_under_its_kind() -> None:
    assert Counter(pair.kind for pair in PAIRS) == {
        "arms": 20 * 20 - 3 * 3,  # all capsules of one arm and the other but bases and shoulders
        "self": 2 * 10 * 5,  # both hands, from their own base, shoulder and upper arm
        "links over table": 2 * 11,
        "fingers over table": 2 * 6,
    }
    assert {pair.text.split()[1] for pair in PAIRS if pair.kind == "fingers over table"} == {"fingers"}
    assert "fingers" not in {pair.text.split()[1] for pair in PAIRS if pair.kind == "links over table"}
    for pair in PAIRS:
        assert pair.kind != "self" or pair.first % 2 == pair.second % 2, pair.text
        assert pair.kind != "arms" or (pair.first % 2, pair.second % 2) == (0, 1), pair.text


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


def test_what_shows_only_between_two_rows_is_found_before_a_later_row_that_is_bad_itself() -> None:
    before = np.array([1.0, 2.6, 3.0, -1.3, 1.1, -1.8, 1.0, -0.1, 1.8, 3.1, 0.8, -0.6, -1.0, 1.0])
    after = before - 2.9 * (np.arange(14) == 0)
    swing = np.linspace(before, after, 101)
    bad = swing[np.argmin((clearances(swing) - REQUIRED).min(axis=1))]
    found = sweep(before, np.stack([after, bad]), REQUIRED)
    assert (found.clear_rows, PAIRS[found.pair].kind) == (0, "arms")


def test_of_two_rows_that_are_bad_the_first_ones_pair_is_named_and_what_late_arms_leave_is_told_too() -> None:
    rows = np.tile(BOTH_HOME, (2, 1))
    rows[:, 1] += 0.6
    rows[1, 8] += 0.7
    left = [pair.text for pair in PAIRS].index("left fingers and table")
    first = clearances(rows)[0]
    assert (first < REQUIRED).any()
    found = sweep(BOTH_HOME, rows, REQUIRED)
    assert found.clear_rows == 0
    assert PAIRS[found.pair].text == PAIRS[left].text
    assert found.clearance_m == pytest.approx(first[[pair.text == "left fingers and table" for pair in PAIRS]].min())
    assert found.late_m.shape == (len(PAIRS),)


@cache
def swung() -> tuple[np.ndarray, np.ndarray]:
    """Poses in which the left arm swings past the right one, and how much each of them has to spare."""
    before = np.array([1.0, 2.6, 3.0, -1.3, 1.1, -1.8, 1.0, -0.1, 1.8, 3.1, 0.8, -0.6, -1.0, 1.0])
    swing = np.linspace(before, before - 2.9 * (np.arange(14) == 0), 1001)
    return swing, (clearances(swing) - REQUIRED).min(axis=1)


@pytest.mark.parametrize("part", [0.15, 0.4, 0.65, 0.9])
def test_a_narrow_place_is_found_wherever_in_a_step_it_is(part: float) -> None:
    """One arm swings past the other, and only at the nearest is it two millimetres too near."""
    swing, spare = swung()
    middle = int(np.argmin(spare))
    width = min(middle / part, (1000 - middle) / (1 - part))
    start, end = swing[round(middle - part * width)], swing[round(middle + (1 - part) * width)]
    required = REQUIRED + spare.min() + 0.002
    assert sweep(start, end[None], required).clear_rows == 0
    assert sweep(start, end[None], required - 0.004).clear_rows == 1


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


@pytest.mark.parametrize(("spare_m", "clear_rows"), [(0.0001, 0), (0.0006, 1)])
def test_what_is_not_shown_clear_to_a_millimetre_of_travel_is_not_clear(spare_m: float, clear_rows: int) -> None:
    """A turn about the vertical keeps every height over the table, but its travel alone does not show that."""
    table = np.array([pair.second is None for pair in PAIRS])
    required = np.where(table, clearances(BOTH_HOME[None])[0] - spare_m, -np.inf)
    turned = BOTH_HOME + 0.1 * (np.arange(14) == 0)
    assert sweep(BOTH_HOME, turned[None], required).clear_rows == clear_rows


def test_where_nothing_moves_nothing_can_be_late() -> None:
    found = sweep(BOTH_HOME, np.tile(BOTH_HOME, (3, 1)), REQUIRED)
    np.testing.assert_allclose(found.late_m, Bodies.at(BOTH_HOME[None]).at_least()[:, 0])


def test_an_arm_that_is_late_is_reckoned_with_the_longer_of_the_two_steps_it_may_be_in() -> None:
    rows = BOTH_HOME + np.array([[0.1], [0.3], [0.35]]) * (np.arange(14) == 0)
    found = sweep(BOTH_HOME, rows, np.full(len(PAIRS), -np.inf))
    bounds = Bodies.at(np.concatenate([BOTH_HOME[None], rows])).at_least()
    travel = ARMS_AND_TABLE.reach[:, :1] * np.array([0.1, 0.2, 0.05])
    lowest = (bounds[:, :-1] + bounds[:, 1:] - travel) / 2 - ARMS_AND_TABLE.reach[:, :1] * np.array([0.1, 0.2, 0.2])
    np.testing.assert_allclose(found.late_m, lowest.min(axis=1))
    assert found.late_m.shape == (len(PAIRS),)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
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


def test_the_reach_of_a_pair_leaves_out_the_joints_that_carry_both_and_counts_fingers_that_slide() -> None:
    for pair, row in zip(PAIRS, ARMS_AND_TABLE.reach, strict=True):
        part, own = CAPSULES[pair.first // 2].part, slice(7 * (pair.first % 2), 7 * (pair.first % 2) + 7)
        others = np.delete(row, np.r_[own])
        assert row[own][6] == (GRIPPER_STROKE_M if part == "fingers" else 0.0), pair.text
        assert (others > 0).any() == (pair.kind == "arms" and CAPSULES[pair.second // 2].link != "base"), pair.text
        if pair.kind == "self":
            carried = {"base": 0, "shoulder": 1, "upper arm": 2}[CAPSULES[pair.second // 2].part]
            assert (row[own][:carried] == 0).all(), pair.text
            assert (row[own][carried:6] > 0).any(), pair.text


def test_the_reach_of_the_links_is_the_length_of_the_arm_from_each_joint_on() -> None:
    gripper = np.array([0.7393, 0.6791, 0.4063, 0.1448, 0.0539, 0.0])  # m, the joints' origins one after the other
    np.testing.assert_allclose(reach_of("gripper", 0, 0.0)[:6], gripper, atol=5e-5)
    for tip in ("tip_left", "tip_right"):  # 0.13 m farther where it is open farthest
        np.testing.assert_allclose(reach_of(tip, 0, 0.0)[:6], gripper + 0.1304, atol=1e-4)
    np.testing.assert_allclose(reach_of("link3", 0, 0.0)[:3], [0.3330, 0.2728, 0.0], atol=5e-5)
    assert np.allclose(reach_of("gripper", 1, 0.1)[7:13], gripper + 0.1, atol=5e-5)
    assert reach_of("gripper", 0, 0.1)[6] == 0.0


def test_a_distance_may_be_asked_for_on_some_steps_alone() -> None:
    rows = BOTH_HOME + np.linspace(0, 1, 9)[:, None] * np.array([-1.4, *[0] * 6, 1.4, *[0] * 6])
    required = np.full(len(PAIRS), -np.inf)
    required[[pair.text for pair in PAIRS].index("left gripper and right gripper")] = 0.3
    always = sweep(BOTH_HOME, rows, required)
    assert 0 < always.clear_rows < 8
    assert sweep(BOTH_HOME, rows, np.tile(required[:, None], 9)).clear_rows == always.clear_rows
    later = np.tile(required[:, None], 9)
    later[:, : always.clear_rows + 1] = -np.inf
    found = sweep(BOTH_HOME, rows, later)
    assert (found.clear_rows, found.pair, found.required_m) == (always.clear_rows + 1, always.pair, 0.3)
    later[:] = -np.inf
    assert sweep(BOTH_HOME, rows, later).clear_rows == 9


def test_parts_meet_in_between_and_each_has_its_share_of_the_travel() -> None:
    rows = BOTH_HOME + np.array([[0.0], [0.1], [0.5]]) * (np.arange(14) == 0)
    pair = np.array([[pair.text for pair in PAIRS].index("left gripper and right gripper")])
    whole = _Items(pair, np.array([1.5]), np.array([0.3]), np.array([0.2]), np.array([0.08]), np.array([0.1]))
    parts = _divided(whole, rows, 0.5, ARMS_AND_TABLE)
    begin = 1.5 + 0.5 / PARTS * np.arange(PARTS)
    turned = 0.1 + (begin[1:, None] - 1.0) * 0.4
    between = clearances(BOTH_HOME[None] + turned * (np.arange(14) == 0))[:, pair[0]]
    np.testing.assert_array_equal(parts.pairs, [pair[0]] * PARTS)
    np.testing.assert_array_equal(parts.begin, begin)
    np.testing.assert_allclose(parts.before, [0.3, *between])
    np.testing.assert_allclose(parts.after, [*between, 0.2])
    np.testing.assert_allclose(parts.travel, [0.08 / PARTS] * PARTS)
    np.testing.assert_allclose(parts.required, [0.1] * PARTS)
