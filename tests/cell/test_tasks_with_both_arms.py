"""Tasks that the small model was not taught: scenes, goals and demonstrations of work that needs both arms."""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby, islice, pairwise

import mujoco
import numpy as np
import pytest

from forearm.cell.demonstrator import rehearse
from forearm.cell.physics import Physics
from forearm.cell.posture import OTHER, OUTWARD, nearest_side, tool_down
from forearm.cell.reaching import Reaching
from forearm.cell.scene import MIDLINE_Y_M
from forearm.cell.setup import Setup
from forearm.cell.solver import Performance, cell_model, task_model
from forearm.cell.tasks import clear_the_pad, insert_peg, open_the_box, put_everything_in_box, sort_by_colour, stack
from forearm.cell.tasks.blocks import APART_M, BLOCK_HALF_M, scatter
from forearm.cell.tasks.clear_the_pad import ClearThePad
from forearm.cell.tasks.insert_peg import InsertPeg
from forearm.cell.tasks.interface import Staged, Task
from forearm.cell.tasks.open_the_box import OpenTheBox
from forearm.cell.tasks.place_upright import PlaceUpright
from forearm.cell.tasks.put_everything_in_box import BLOCKS, PutEverythingInBox
from forearm.cell.tasks.sort_by_colour import SortByColour
from forearm.cell.tasks.stack import Stack
from forearm.cell.variation import Matter
from forearm.geometry import Pose
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.mirror import MIRROR_Y_M, mirror_positions

NEW: tuple[Task, ...] = (
    ClearThePad(),
    Stack(),
    PutEverythingInBox(),
    OpenTheBox(),
    SortByColour(),
    PlaceUpright(),
    InsertPeg(),
)
Point = tuple[float, float, float]


def moved(setup: Setup, places: Mapping[str, Point]) -> Physics:
    """The scene with these things at other places, half a second later."""
    placements = tuple(
        replace(each, position=places[each.name], yaw=0.0) if each.name in places else each for each in setup.placements
    )
    physics = Physics(cell_model(setup), replace(setup, placements=placements))
    physics.advance(250)
    return physics


def mirrored(setup: Setup) -> Setup:
    placements = tuple(
        replace(each, position=(each.position[0], 2 * MIRROR_Y_M - each.position[1], each.position[2]), yaw=-each.yaw)
        for each in setup.placements
    )
    return replace(setup, placements=placements, start=tuple(mirror_positions(np.array(setup.start))))


def performed(setup: Setup) -> tuple[np.ndarray, list[str]]:
    """Every target (T, 14), and what was said to be done in the order in which it was."""
    ticks = list(Performance(setup, seed=1, speed=1.0, noise_amplitude=0.0).ticks())
    return np.stack([tick.target for tick in ticks]), [phrase for phrase, _ in groupby(tick.subtask for tick in ticks)]


def with_sides_swapped(phrase: str) -> str:
    return re.sub("left|right", lambda found: OTHER[found[0]], phrase)


@pytest.mark.slow
@pytest.mark.parametrize("matter", [Matter(size=1.2, table_m=0.005), Matter(size=0.84, table_m=-0.005)])
@pytest.mark.parametrize("task", [Stack(), ClearThePad()], ids=lambda task: task.name)
def test_the_demonstrator_does_it_with_larger_things_on_a_higher_table_and_smaller_ones_on_a_lower(
    task: Task, matter: Matter
) -> None:
    setup = replace(task.sample(3), matter=matter)
    performance = Performance(setup, seed=1, speed=1.0, noise_amplitude=0.0)
    assert list(performance.ticks())
    assert task.reached(setup, performance.physics)


@pytest.mark.slow
@pytest.mark.parametrize("task", NEW, ids=lambda task: task.name)
@pytest.mark.parametrize("seed", [3, 4])
def test_the_demonstrator_does_it_and_moves_both_arms(task: Task, seed: int) -> None:
    performance = Performance(task.sample(seed), seed=seed, speed=1.0, noise_amplitude=0.0)
    rows = np.stack([tick.target for tick in performance.ticks()])
    assert performance.success
    grips = np.abs(np.diff(rows[:, BIMANUAL_YAM.grippers], axis=0)).sum(axis=0)
    assert (grips >= 1.0 - 1e-6).all()  # each hand closed at least once


@pytest.mark.slow
@pytest.mark.parametrize("task", NEW, ids=lambda task: task.name)
def test_no_sentence_names_a_side_and_a_mirrored_scene_is_done_by_the_mirrored_motion(task: Task) -> None:
    setup = task.sample(2)
    assert not any(side in sentence for side in OTHER for sentence in task.instructions())
    (targets, phrases), (other_targets, other_phrases) = performed(setup), performed(mirrored(setup))
    assert [with_sides_swapped(phrase) for phrase in phrases] == other_phrases
    before_contact = slice(0, 20)
    np.testing.assert_allclose(mirror_positions(targets)[before_contact], other_targets[before_contact], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("task", NEW, ids=lambda task: task.name)
def test_askew_and_hurried_demonstrations_from_anywhere_mostly_succeed(task: Task) -> None:
    assert sum(rehearse(task.sample(seed, odd_start=True), seed=seed) for seed in range(10, 16)) >= 5


def test_scattered_things_lie_on_the_sides_asked_for_and_apart() -> None:
    for seed in range(20):
        sides = ["left", "right", "right", "left"]
        places = scatter(sides, (0.2, 0.3), (0.15, 0.36), np.random.default_rng(seed))
        assert [nearest_side(y) for _, y in places] == sides
        apart = [np.hypot(x - u, y - v) for i, (x, y) in enumerate(places) for u, v in places[:i]]
        assert min(apart) >= APART_M


def test_the_pad_has_no_room_beside_the_grey_block_and_counts_only_once_it_is_cleared() -> None:
    task = ClearThePad()
    setup = task.sample(1)
    x, y, _ = setup.placement("pad").position
    room = clear_the_pad.PAD_HALF_M[0] - clear_the_pad.OBSTACLE_HALF_M[0] + clear_the_pad.OBSTACLE_SPREAD_M
    assert room < 2 * BLOCK_HALF_M
    asked = next(each for each in setup.placements if each.colour == task.colour(setup.instruction)).name
    other = next(name for name in clear_the_pad.BLOCKS if name != asked)
    helper = OTHER[nearest_side(setup.placement(asked).position[1])]
    on_pad = (x, y, 0.024)
    aside = (0.40, MIDLINE_Y_M + OUTWARD[helper] * 0.15, 0.04)
    done = moved(setup, {asked: on_pad, "obstacle": aside})
    assert task.reached(setup, done)
    assert task.progress(setup, done) == 1.0
    assert not task.reached(setup, moved(setup, {asked: (x, y, 0.104)}))  # on top of the grey block
    assert not task.reached(setup, moved(setup, {"obstacle": aside}))
    assert task.progress(setup, moved(setup, {"obstacle": aside})) == 0.5
    assert not task.reached(setup, moved(setup, {other: on_pad, "obstacle": aside}))


@pytest.mark.parametrize("matter", [Matter(size=1.3, table_m=0.008), Matter(size=0.84, table_m=-0.008)])
def test_goals_are_the_same_for_larger_things_on_a_higher_table_and_smaller_ones_on_a_lower(matter: Matter) -> None:
    stacking = Stack()
    setup = replace(stacking.sample(1), matter=matter)
    upper, lower = stacking.colours(setup.instruction)
    names = {each.colour: each.name for each in setup.placements}
    place = (0.30, MIDLINE_Y_M)
    assert stacking.reached(setup, moved(setup, {names[lower]: (*place, 0.02), names[upper]: (*place, 0.06)}))
    third = next(name for name in stack.BLOCKS if name not in (names[upper], names[lower]))
    tower = {third: (*place, 0.02), names[lower]: (*place, 0.06), names[upper]: (*place, 0.10)}
    assert not stacking.reached(setup, moved(setup, tower))
    clearing = ClearThePad()
    setup = replace(clearing.sample(1), matter=matter)
    x, y, _ = setup.placement("pad").position
    asked = next(each for each in setup.placements if each.colour == clearing.colour(setup.instruction)).name
    helper = OTHER[nearest_side(setup.placement(asked).position[1])]
    aside = (0.40, MIDLINE_Y_M + OUTWARD[helper] * 0.15, 0.04)
    assert clearing.reached(setup, moved(setup, {asked: (x, y, 0.03), "obstacle": aside}))
    assert not clearing.reached(setup, moved(setup, {asked: (x, y, 0.104)}))


def test_the_words_say_which_block_is_the_upper_one() -> None:
    task = Stack()
    setup = task.sample(1)
    upper, lower = task.colours(setup.instruction)
    names = {each.colour: each.name for each in setup.placements}
    place = (0.30, MIDLINE_Y_M)
    stacked = moved(setup, {names[lower]: (*place, 0.02), names[upper]: (*place, 0.06)})
    assert task.reached(setup, stacked)
    assert task.progress(setup, stacked) == 1.0
    other_way = replace(setup, instruction=f"stack the {lower} block on the {upper} block")
    assert other_way.instruction in task.instructions()
    assert not task.reached(other_way, stacked)
    askew = moved(setup, {names[lower]: (*place, 0.02), names[upper]: (place[0] + 0.018, place[1], 0.06)})
    assert not task.reached(setup, askew)
    third = next(name for name in stack.BLOCKS if name not in (names[upper], names[lower]))
    assert not task.reached(setup, moved(setup, {third: (*place, 0.02), names[upper]: (*place, 0.06)}))


def test_the_upper_ones_arm_waits_until_the_lower_one_stands() -> None:
    task = Stack()
    setup = task.sample(1)
    upper, lower = task.colours(setup.instruction)
    _, said = performed(setup)
    assert said.index(f"reach for the {upper} block") > said.index("set it down in the middle")
    names = {each.colour: each for each in setup.placements}
    (other_way,) = [
        each for each in task.others(setup) if each.instruction == f"stack the {lower} block on the {upper} block"
    ]
    assert other_way.grips == {nearest_side(names[upper].position[1]): names[upper].position}


def test_named_blocks_lie_on_different_sides() -> None:
    task = Stack()
    setup = task.sample(5, "stack the green block on the yellow block")
    sides = {each.colour: nearest_side(each.position[1]) for each in setup.placements}
    assert sides["green"] != sides["yellow"]
    assert len(sides) == 3


def test_everything_must_be_in_the_box() -> None:
    task = PutEverythingInBox()
    setup = task.sample(1)
    x, y, _ = setup.placement("box").position
    spots = [(-0.05, -0.045), (0.0, -0.045), (0.05, -0.045), (-0.045, 0.03), (0.045, 0.03)]
    places = {name: (x + dx, y + dy, 0.03) for name, (dx, dy) in zip(put_everything_in_box.THINGS, spots, strict=True)}
    done = moved(setup, places)
    assert task.reached(setup, done)
    assert task.progress(setup, done) == 1.0
    for name in put_everything_in_box.THINGS:
        but_one = moved(setup, {each: at for each, at in places.items() if each != name})
        assert not task.reached(setup, but_one)
        assert task.progress(setup, but_one) == pytest.approx(0.72)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_an_arm_whose_half_of_the_box_is_full_uses_the_other_half(seed: int) -> None:
    task = PutEverythingInBox()
    setup = task.sample(seed)
    arm = nearest_side(setup.placement("bar_1").position[1])
    x, y, _ = setup.placement("box").position
    spots = {
        name: (x + dx, y + OUTWARD[arm] * 0.045, 0.03) for name, dx in zip(BLOCKS, (-0.05, 0.0, 0.05), strict=True)
    }
    other = {"bar_2": (x, y - OUTWARD[arm] * 0.045, 0.02)}
    placements = tuple(
        replace(each, position={**spots, **other}.get(each.name, each.position)) for each in setup.placements
    )
    performance = Performance(replace(setup, placements=placements), seed=0, speed=1.0, noise_amplitude=0.0)
    assert sum(task.stages(setup, performance.physics).values()) == 4
    for _ in performance.ticks():
        pass
    assert task.reached(setup, performance.physics)


@pytest.mark.parametrize(("task", "parts"), [(PutEverythingInBox(), 5), (SortByColour(), 4)])
def test_a_long_task_may_begin_with_some_of_it_done_but_never_all_of_it(task: Staged, parts: int) -> None:
    def done(seed: int, odd_start: bool) -> int:
        setup = task.sample(seed, odd_start=odd_start)
        return sum(task.stages(setup, Physics(task_model(setup.task), setup)).values())

    begun = {done(seed, odd_start=True) for seed in range(30)}
    assert begun == set(range(parts))
    assert done(0, odd_start=False) == 0


def test_who_begins_of_two_with_equally_much_is_decided_alike_in_the_mirror() -> None:
    task = PutEverythingInBox()
    for seed in range(12):
        setup = task.sample(seed, odd_start=True)
        first, other = (
            next(task.script(each, Physics(task_model(each.task), each))).reaches.keys()
            for each in (setup, mirrored(setup))
        )
        assert {OTHER[arm] for arm in first} == set(other)


@pytest.mark.slow
def test_arms_take_turns_over_the_box_and_never_are_over_it_together() -> None:
    setup = PutEverythingInBox().sample(3)
    performance = Performance(setup, seed=3, speed=1.0, noise_amplitude=0.0)
    over, turns = 0.12, list[str]()  # m from the midline
    for _ in performance.ticks():
        outs = {arm: abs(performance.physics.tool_pose(arm).translation[1] - MIDLINE_Y_M) for arm in OTHER}
        inside = [arm for arm, out in outs.items() if out < over]
        assert len(inside) < 2
        turns += [arm for arm in inside if turns[-1:] != [arm]]
    assert len(turns) == 5
    assert all(one != other for one, other in pairwise(turns))


def test_the_lid_keeps_the_block_out_of_the_box() -> None:
    task = OpenTheBox()
    setup = task.sample(1)
    asked = next(each for each in setup.placements if each.colour == task.colour(setup.instruction)).name
    other = next(name for name in open_the_box.BLOCKS if name != asked)
    x, y, _ = setup.placement("box").position
    aside = (0.28, MIDLINE_Y_M + OUTWARD[OTHER[nearest_side(setup.placement(asked).position[1])]] * 0.15, 0.03)
    inside = (x, y, 0.03)
    opened = moved(setup, {"lid": aside, asked: inside})
    assert task.reached(setup, opened)
    assert task.progress(setup, opened) == 1.0
    on_the_lid = moved(setup, {asked: (x + 0.04, y, 0.09)})
    assert not task.reached(setup, on_the_lid)
    assert task.progress(setup, on_the_lid) == 0.0
    assert not task.reached(setup, moved(setup, {"lid": aside, other: inside}))


def sorted_places(setup: Setup) -> dict[str, Point]:
    """Every block in the bin of its colour."""
    places = dict[str, Point]()
    for each in setup.placements:
        if each.name in sort_by_colour.BLOCKS:
            x, y, _ = next(b for b in setup.placements if b.name.startswith("bin") and b.colour == each.colour).position
            beside = 0.025 if any(abs(y - placed[1]) < 0.06 for placed in places.values()) else -0.025
            places[each.name] = (x, y + beside, 0.03)
    return places


def test_blocks_are_sorted_when_each_is_in_the_bin_of_its_colour_and_not_otherwise() -> None:
    task = SortByColour()
    setup = task.sample(1)
    places = sorted_places(setup)
    done = moved(setup, places)
    assert task.reached(setup, done)
    assert task.progress(setup, done) == 1.0
    one, other = (
        next(name for name in sort_by_colour.BLOCKS if setup.placement(name).colour == setup.placement(each).colour)
        for each in sort_by_colour.BINS
    )
    exchanged = moved(setup, places | {one: places[other], other: places[one]})
    assert not task.reached(setup, exchanged)
    assert task.progress(setup, exchanged) == pytest.approx(0.48)


def test_there_are_two_blocks_of_each_bins_colour_and_no_arm_reaches_the_other_ones_bin() -> None:
    setup = SortByColour().sample(3)
    colours = [setup.placement(name).colour for name in sort_by_colour.BLOCKS]
    bins = {nearest_side(each.position[1]): each for each in map(setup.placement, sort_by_colour.BINS)}
    assert sorted(colours) == sorted([each.colour for each in bins.values()] * 2)
    reaching = Reaching()
    start = np.array(setup.start)
    for arm in BIMANUAL_YAM.arms:
        x, y, _ = bins[OTHER[arm.name]].position
        above = tool_down(arm.name, (x, y, 0.08), 0.0)
        posture, missed_m = reaching.solve(arm.name, above, start[arm.joints])
        for _ in range(4):
            posture, missed_m = reaching.solve(arm.name, above, posture)
        assert missed_m > 0.05


def test_a_block_left_in_the_middle_is_taken_by_the_arm_whose_bin_is_its_and_never_passed_again() -> None:
    task = SortByColour()
    scenes = [task.sample(seed, odd_start=True) for seed in range(40)]
    left_there = [
        (setup, name)
        for setup in scenes
        for name in sort_by_colour.BLOCKS
        if abs(setup.placement(name).position[1] - MIDLINE_Y_M) < sort_by_colour.MIDDLE_M
    ]
    assert 5 <= len(left_there) <= 25
    home = [setup for setup in scenes if abs(np.array(setup.start) - np.array(task.sample(0).start)).max() < 0.2]
    assert 10 <= len(home) <= 30  # as often as not the arms have been sent home
    setup, name = left_there[0]
    y = next(
        each.position[1]
        for each in setup.placements
        if each.name in sort_by_colour.BINS and each.colour == setup.placement(name).colour
    )
    performance = Performance(setup, seed=1, speed=1.0, noise_amplitude=0.0)
    taken = [arm for _ in performance.ticks() for arm in performance.physics.holders(name)]
    assert set(taken) == {nearest_side(y)}
    assert performance.success


def test_a_block_dropped_onto_another_is_lifted_off_and_put_beside_it() -> None:
    task = SortByColour()

    def on_another(physics: Physics) -> list[str]:
        return [name for name in sort_by_colour.BLOCKS if physics.object_pose(name).translation[2] > 0.055]

    scenes = {seed: task.sample(seed, odd_start=True) for seed in range(60)}
    heaped = [seed for seed, setup in scenes.items() if on_another(Physics(task_model(setup.task), setup))]
    assert 8 <= len(heaped) <= 28
    setup = scenes[heaped[0]]
    settled = Physics(task_model(task.name), setup)
    settled.advance(300)
    (upper,) = on_another(settled)
    assert not task.stages(setup, settled)[upper]
    performance = Performance(setup, seed=1, speed=1.0, noise_amplitude=0.0)
    taken = {name for _ in performance.ticks() for name in sort_by_colour.BLOCKS if performance.physics.holders(name)}
    assert upper in taken
    assert task.reached(setup, performance.physics)


def test_a_bar_counts_only_where_it_stands_and_only_the_named_one() -> None:
    task = PlaceUpright()
    setup = task.sample(3)
    performance = Performance(setup, seed=3, speed=1.0, noise_amplitude=0.0)
    let_go = ("let it go", "move away", "done")
    assert not any(
        task.reached(setup, performance.physics) for tick in performance.ticks() if tick.subtask not in let_go
    )
    assert task.reached(setup, performance.physics)
    assert task.progress(setup, performance.physics) == 1.0
    one, other = (
        next(each for each in setup.placements if (each.colour in setup.instruction) == named and each.colour)
        for named in (True, False)
    )
    asked_other = replace(setup, instruction=setup.instruction.replace(one.colour, other.colour))
    assert asked_other.instruction in task.instructions()
    assert not task.reached(asked_other, performance.physics)
    x, y, _ = setup.placement("pad").position
    assert not task.reached(setup, moved(setup, {one.name: (x, y, 0.019)}))  # it lies there


@pytest.mark.slow
def test_one_hand_has_the_bar_across_and_the_other_one_lengthwise() -> None:
    setup = PlaceUpright().sample(4)
    name = next(each.name for each in setup.placements if each.colour and each.colour in setup.instruction)
    performance = Performance(setup, seed=4, speed=1.0, noise_amplitude=0.0)
    along = dict[str, list[float]]()
    for _ in performance.ticks():
        for arm in performance.physics.holders(name):
            bar, tool = performance.physics.object_pose(name), performance.physics.tool_pose(arm)
            along.setdefault(arm, []).append(abs(float(bar.rotation[:, 0] @ tool.rotation[:, 2])))
    giver = nearest_side(setup.placement(name).position[1])
    assert max(along[giver]) < 0.2
    assert min(along[OTHER[giver]]) > 0.98


@pytest.mark.slow
def test_what_else_a_scene_of_bars_could_be_asked_for_is_where_the_hands_would_close() -> None:
    task = PlaceUpright()
    setup = task.sample(5)
    (other,) = task.others(setup)
    performance = Performance(replace(setup, instruction=other.instruction), seed=5, speed=1.0, noise_amplitude=0.0)
    closed = dict[str, np.ndarray]()
    for tick in performance.ticks():
        for arm in BIMANUAL_YAM.arms:
            if tick.target[arm.gripper] < 0.5:
                closed.setdefault(arm.name, performance.physics.tool_pose(arm.name).translation)
    assert closed.keys() == other.grips.keys()
    for arm, at in closed.items():
        np.testing.assert_allclose(at, other.grips[arm], atol=0.01)


def with_peg(setup: Setup, name: str, at: Point, turned: float = 0.0) -> Physics:
    """The scene with that peg at another place, turned so far from the way the socket is, half a second later."""
    yaw = setup.placement("socket").yaw + turned
    placements = tuple(replace(each, position=at, yaw=yaw) if each.name == name else each for each in setup.placements)
    physics = Physics(cell_model(setup), replace(setup, placements=placements))
    physics.advance(250)
    return physics


def test_a_peg_counts_only_deep_in_the_hole_and_only_the_named_one() -> None:
    task = InsertPeg()
    setup = task.sample(1)
    asked = next(each.name for each in setup.placements if each.colour == task.colour(setup.instruction))
    other = next(name for name in insert_peg.PEGS if name != asked)
    x, y, _ = setup.placement("socket").position
    inside = (x, y, insert_peg.FLOOR_M + insert_peg.PEG_HALF_M[2] + 0.001)
    done = with_peg(setup, asked, inside)
    assert task.reached(setup, done)
    assert task.progress(setup, done) == 1.0
    assert not task.reached(setup, with_peg(setup, other, inside))
    assert not task.reached(setup, with_peg(setup, asked, (x, y, 0.08), turned=np.pi / 4))  # it does not fit like that
    assert not task.reached(setup, with_peg(setup, asked, (x + 0.1, y, insert_peg.PEG_HALF_M[2])))


def test_the_hole_is_wider_than_the_peg_by_its_play_and_no_more() -> None:
    setup = InsertPeg().sample(2)
    physics = Physics(task_model(setup.task), setup)
    socket = physics.object_pose("socket")
    point = socket.apply(np.array([0.0, 0.0, insert_peg.FLOOR_M + insert_peg.DEPTH_M / 2]))
    geom = np.zeros(1, dtype=np.int32)
    for across in (0, 1):
        walls = [
            mujoco.mj_ray(physics.model, physics.data, point, sign * socket.rotation[:, across], None, 1, -1, geom)
            for sign in (-1.0, 1.0)
        ]
        assert sum(walls) - 2 * insert_peg.PEG_HALF_M[across] == pytest.approx(insert_peg.PLAY_M, abs=1e-6)
    assert insert_peg.PLAY_M <= 0.003


@pytest.mark.parametrize("seed", [3, 4])
def test_a_hand_comes_to_a_peg_straight_and_turns_to_its_sides_above_it(seed: int) -> None:
    task = InsertPeg()
    setup = task.sample(seed)
    asked = next(each for each in setup.placements if each.colour == task.colour(setup.instruction))
    worker = nearest_side(asked.position[1])
    moves = islice(task.script(setup, Physics(task_model(setup.task), setup)), 4)
    come, turned, low, _ = (move.reaches[worker].pose for move in moves)

    def beside_its_sides(pose: Pose) -> float:
        across = pose.rotation[:2, 1]  # the way the fingers close
        return float((np.arctan2(across[1], across[0]) - asked.yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4)

    assert beside_its_sides(come) == pytest.approx(-asked.yaw, abs=1e-6)  # it does not know yet
    assert abs(asked.yaw) > 0.1
    for pose in (turned, low):
        assert beside_its_sides(pose) == pytest.approx(0.0, abs=1e-6)
    top = asked.position[2] + insert_peg.PEG_HALF_M[2]
    assert turned.translation[2] > top > low.translation[2]


@pytest.mark.slow
def test_the_socket_is_in_the_other_hand_while_the_peg_goes_in() -> None:
    setup = InsertPeg().sample(3)
    name = next(each.name for each in setup.placements if each.colour and each.colour in setup.instruction)
    worker = nearest_side(setup.placement(name).position[1])
    performance = Performance(setup, seed=3, speed=1.0, noise_amplitude=0.0)
    held = [performance.physics.holders("socket") for tick in performance.ticks() if tick.subtask == "push it in"]
    assert held
    assert set(held) == {frozenset({OTHER[worker]})}
