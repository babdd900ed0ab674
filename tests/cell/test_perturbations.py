from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from forearm.cell.camera import Cameras, Capture
from forearm.cell.perturbations import (
    PERTURBATIONS,
    applies,
    for_training,
    levels_to_teach,
    mixed,
    perturbation_named,
    variations_of,
    varied,
)
from forearm.cell.perturbations.cells import CELL
from forearm.cell.perturbations.felt import FELT
from forearm.cell.perturbations.goods import HELD_OUT, SKU, TRAINING
from forearm.cell.perturbations.interface import SEVERITIES
from forearm.cell.perturbations.seen import SEEN
from forearm.cell.perturbations.spoken import SPOKEN
from forearm.cell.perturbations.timed import TIMED
from forearm.cell.physics import Physics
from forearm.cell.scene import FINGER_FRICTION, OBJECT_FRICTION, TABLE_HALF_M
from forearm.cell.setup import Setup
from forearm.cell.shutter import BackgroundShutter, InlineShutter
from forearm.cell.solver import cell_model, task_model
from forearm.cell.tasks import TASKS, task_named
from forearm.cell.variation import COLOURS, Look, Matter, Pace
from forearm.errors import InputError
from forearm.messages import Image
from forearm.robot.embodiment import BIMANUAL_YAM, GRIPPER_STROKE_M
from forearm.runtime.colour_words import is_coloured
from forearm.sentence import words_of

PLAIN = task_named("put-in-box").sample(1001)
NAMES = [perturbation.name for perturbation in PERTURBATIONS]
DEPTH_ALONE = {"depth-dropouts", "depth-holes"}
MOVES_CAMERAS = {"top-shift", "top-turn", "wrist-shift", "wrist-turn"}
IN_THE_WAY = {"occlusion"}


@pytest.fixture(scope="module")
def cameras() -> Iterator[Cameras]:
    with Cameras(task_model(PLAIN.task)) as made:
        yield made


def physics_of(setup: Setup) -> Physics:
    return Physics(cell_model(setup), setup)


def see(cameras: Cameras, setup: Setup, name: str = "top") -> Capture:
    physics = physics_of(setup)
    return cameras.capture(physics.model, physics.data, name, physics.look)


def changed(before: Capture, after: Capture) -> tuple[float, float]:
    """How much colour (0..255) and depth (m, missing counts as 1 m) differ, mean over the pixels."""
    colour = np.abs(before.pixels.astype(float) - after.pixels).mean()
    depth = np.nan_to_num(np.abs(before.metres - after.metres), nan=1.0).mean()
    return float(colour), float(depth)


def test_what_is_not_varied_is_the_task_s_own_cell() -> None:
    for task in TASKS:
        setup = task.sample(3)
        assert (setup.matter, setup.pace, setup.variation) == (Matter(), Pace(), "")
        assert setup.look == Look(table=setup.look.table)
        assert cell_model(setup) is task_model(setup.task)


@pytest.mark.parametrize("name", NAMES)
def test_a_variation_is_the_same_every_time_and_other_for_another_level(name: str) -> None:
    levels = variations_of(name)
    setups = [varied(PLAIN, level) for level in levels]
    assert setups == [varied(PLAIN, level) for level in levels]
    assert [setup.variation for setup in setups] == list(levels)
    bare = {replace(setup, variation="") for setup in (*setups, PLAIN)}
    assert len(bare) == len(levels) + 1


@pytest.mark.parametrize("name", [each.name for each in PERTURBATIONS if each not in (CELL, SKU, *TIMED, *SPOKEN)])
def test_there_is_a_mild_a_strong_and_a_worst(name: str) -> None:
    assert tuple(perturbation_named(name).levels) == SEVERITIES


@pytest.mark.parametrize("name", [each.name for each in SEEN])
def test_what_is_seen_changes_more_with_each_level_and_nothing_that_is_felt(name: str, cameras: Cameras) -> None:
    camera = "left" if name.startswith("wrist") else "top"
    clean = see(cameras, PLAIN, camera)
    setups = [varied(PLAIN, f"{name}:{level}") for level in SEVERITIES]
    for setup in setups:
        assert replace(setup, look=PLAIN.look, variation="") == PLAIN
    colours, depths = zip(*(changed(clean, see(cameras, setup, camera)) for setup in setups), strict=True)
    if name in DEPTH_ALONE:
        assert colours == (0.0, 0.0, 0.0)
        assert 0.0 < depths[0] < depths[1] < depths[2]
    else:
        assert 0.0 < colours[0] < colours[1] < colours[2]
        if name not in MOVES_CAMERAS | IN_THE_WAY:
            assert max(depths) < 0.001  # m


def test_the_table_is_as_bright_in_a_lamp_s_light_as_before(cameras: Cameras) -> None:
    clean, lit = (np.median(see(cameras, setup).pixels) for setup in (PLAIN, varied(PLAIN, "shadows:strong")))
    assert abs(clean - lit) < 12  # of 255


def test_warm_light_is_redder_and_less_blue(cameras: Cameras) -> None:
    clean, warm = (
        see(cameras, setup).pixels.mean(axis=(0, 1)) for setup in (PLAIN, varied(PLAIN, "colour-temperature:worst"))
    )
    assert warm[0] > clean[0] + 10
    assert warm[2] < clean[2] - 40


def test_each_picture_has_noise_of_its_own_and_the_same_again_in_another_run(cameras: Cameras) -> None:
    setup = varied(PLAIN, "noise:worst")
    runs = []
    for _ in range(2):
        physics, pictures = physics_of(setup), []
        for _ in range(2):
            pictures.append(cameras.capture(physics.model, physics.data, "top", physics.look).pixels)
            physics.advance(50)
        runs.append(pictures)
    assert np.array_equal(runs[0], runs[1])
    difference = runs[0][0].astype(float) - runs[0][1]
    assert 10 < difference[:10].std() < 80  # of 255, where nothing moves


def test_pictures_taken_beside_have_the_look_too() -> None:
    physics = physics_of(varied(PLAIN, "noise:strong"))
    inline, beside = InlineShutter(), BackgroundShutter()
    inline.open(physics, ("top",), 0)
    beside.open(physics, ("top",), 0)
    np.testing.assert_array_equal(beside.newest().images["top"].pixels, inline.newest().images["top"].pixels)
    inline.close()
    beside.close()


def test_a_pole_hides_what_is_behind_it_from_the_top_camera_alone(cameras: Cameras) -> None:
    setup = varied(PLAIN, "occlusion:worst")
    near = see(cameras, setup).metres < 0.6
    assert 0.03 < near.mean() < 0.25
    assert changed(see(cameras, PLAIN, "right"), see(cameras, setup, "right"))[0] < 1.0


def resting(setup: Setup) -> Physics:
    physics = physics_of(setup)
    physics.advance(150)
    return physics


def test_larger_and_heavier_objects_are_that_and_lie_on_the_table() -> None:
    clean = physics_of(PLAIN)
    for level in SEVERITIES:
        setup = varied(varied(PLAIN, f"size:{level}"), f"mass:{level}")
        physics, matter = resting(setup), setup.matter
        block = physics.model.body("block_1")
        first = block.geomadr[0]
        before = clean.model.geom_size[clean.model.body("block_1").geomadr[0]]
        np.testing.assert_allclose(physics.model.geom_size[first], before * matter.size)
        assert block.mass[0] == pytest.approx(clean.model.body("block_1").mass[0] * matter.mass)
        assert physics.object_pose("block_1").translation[2] == pytest.approx(before[2] * matter.size, abs=0.001)
        assert physics.model.body("box").mass == clean.model.body("box").mass


def test_slippery_objects_and_worn_fingers_are_as_slippery_as_they_say_whatever_they_touch() -> None:
    def sliding(setup: Setup) -> tuple[float, int]:
        physics = physics_of(setup)
        finger, block = physics.model.geom("left_left_fingertip"), physics.model.body("block_1").geomadr[0]
        priority = max(int(finger.priority[0]), int(physics.model.geom_priority[block]))
        pairs = [(finger.friction[0], finger.priority[0]), (physics.model.geom_friction[block, 0], 0)]
        pairs[1] = (pairs[1][0], physics.model.geom_priority[block])
        return max(friction for friction, each in pairs if each == priority), priority

    assert sliding(PLAIN) == (FINGER_FRICTION[0], 0)
    assert sliding(varied(PLAIN, "friction:worst")) == (0.25, 1)
    assert sliding(varied(PLAIN, "finger-wear:worst")) == (0.35, 1)


def test_grease_goes_and_leaves_the_friction_that_was_there() -> None:
    physics = physics_of(varied(PLAIN, "friction:strong"))
    block = physics.model.body("block_1").geomadr[0]
    physics.grease("block_1", True)
    assert physics.model.geom_friction[block, 0] < 0.05
    physics.grease("block_1", False)
    assert physics.model.geom_friction[block, 0] == 0.4
    assert physics.model.geom_priority[block] == 1
    clean = physics_of(PLAIN)
    clean.grease("block_1", True)
    clean.grease("block_1", False)
    assert clean.model.geom_friction[block, 0] == OBJECT_FRICTION[0]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_higher_or_lower_table_carries_everything_with_it(task) -> None:
    plain = task.sample(4)
    before, setup = resting(plain), varied(plain, "table-height:worst")
    after, by = resting(setup), setup.matter.table_m
    assert abs(by) == 0.015
    assert after.model.geom("table").pos[2] + TABLE_HALF_M[2] == pytest.approx(by)
    for placement in plain.placements:
        shift = after.object_pose(placement.name).translation - before.object_pose(placement.name).translation
        np.testing.assert_allclose(shift, [0.0, 0.0, by], atol=0.001)


def test_a_bar_on_the_pad_of_a_higher_table_counts() -> None:
    task = task_named("hand-over")
    setup = task.sample(4)
    bar, pad = setup.placement("bar"), setup.placement("pad")
    lying = replace(bar, position=(*pad.position[:2], bar.position[2] + 0.004), yaw=0.0)
    for table_m in (-0.015, 0.0, 0.015):
        placed = replace(setup, placements=(lying, pad), matter=Matter(table_m=table_m))
        assert task.reached(placed, resting(placed))


def test_a_worn_gripper_opens_as_far_as_it_says_and_closes() -> None:
    setup = varied(PLAIN, "opening:worst")
    physics = physics_of(setup)
    physics.target(np.array(setup.start))
    physics.advance(500)
    assert physics.positions[BIMANUAL_YAM.grippers] == pytest.approx([0.6, 0.6], abs=0.05)
    assert physics.model.joint("left_joint7").range[1] == pytest.approx(0.6 * GRIPPER_STROKE_M)
    closed = np.array(setup.start)
    closed[BIMANUAL_YAM.grippers] = 0.0
    physics.target(closed)
    physics.advance(500)
    assert physics.positions[BIMANUAL_YAM.grippers] == pytest.approx([0.0, 0.0], abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_clutter_stands_still_and_clear_of_what_the_task_needs(task) -> None:
    for seed in range(3):
        plain = task.sample(seed)
        setup = varied(plain, "clutter:worst")
        assert len(setup.matter.clutter) == 8
        physics = resting(setup)
        names = [f"clutter_{number}" for number in range(1, 9)]
        for name, thing in zip(names, setup.matter.clutter, strict=True):
            np.testing.assert_allclose(physics.object_pose(name).translation, thing.position, atol=0.002)
        for placement in plain.placements:
            assert not set(names) & set(touching(physics, placement.name))
        assert setup.placements == plain.placements


def touching(physics: Physics, name: str) -> list[str]:
    body = physics.model.body(name).id
    owners = physics.model.geom_bodyid[physics.data.contact.geom]
    return [physics.model.body(int(other)).name for pair in owners if body in pair for other in pair if other != body]


@pytest.mark.parametrize("task", [each for each in TASKS if applies("neighbour:worst", each.sample(0))])
@pytest.mark.parametrize("level", ["mild", "worst"])
def test_a_neighbour_is_an_object_that_is_not_named_and_lies_as_near_as_said_and_clear_of_the_rest(task, level) -> None:
    apart = {"mild": 0.14, "worst": 0.10}[level]
    moved_at_all = 0
    for seed in range(12):
        before = task.sample(seed)
        setup = varied(before, f"neighbour:{level}")
        moved = [each for each, was in zip(setup.placements, before.placements, strict=True) if each != was]
        assert len(moved) <= 1
        for each in moved:
            assert each.colour not in words_of(setup.instruction)
            away = [float(np.hypot(*np.subtract(each.position[:2], other.position[:2]))) for other in setup.placements]
            assert min(abs(distance - apart) for distance in away) < 1e-9
            assert sorted(away)[1] > 0.0999  # the first is itself; fingers go round
        moved_at_all += len(moved)
    assert moved_at_all >= 4  # of 12: a box may leave no room


def test_what_is_taught_is_drawn_from_the_levels_that_are_not_held_out() -> None:
    assert levels_to_teach("size:worst") == ("size:worst",)
    assert levels_to_teach("sku") == ("sku:training",)
    with pytest.raises(InputError, match="got sku:held-out, which is held out, allowed are sku:training"):
        levels_to_teach("sku:held-out")
    drawn = {for_training(PLAIN, "size", np.random.default_rng(seed)).variation for seed in range(40)}
    assert drawn == {"size:mild", "size:strong", "size:worst"}


def test_fixtures_alone_are_shifted_and_a_task_without_any_is_refused() -> None:
    setup = varied(PLAIN, "fixture-shift:strong")
    moved = [each.name for each, before in zip(setup.placements, PLAIN.placements, strict=True) if each != before]
    assert moved == ["box"]
    assert abs(setup.placement("box").position[0] - PLAIN.placement("box").position[0]) == pytest.approx(0.04)
    tray = task_named("lift").sample(1)
    assert not applies("fixture-shift:mild", tray)
    with pytest.raises(InputError, match="leave one of them out"):
        varied(tray, "fixture-shift:mild")


@pytest.mark.parametrize("name", [each.name for each in (*FELT, SKU)])
def test_what_is_felt_changes_no_light_and_no_time(name: str) -> None:
    for level in perturbation_named(name).levels:
        setup = varied(PLAIN, f"{name}:{level}")
        assert (setup.look, setup.pace, setup.start) == (PLAIN.look, PLAIN.pace, PLAIN.start)


@pytest.mark.parametrize("name", [each.name for each in TIMED])
def test_what_is_late_is_later_with_each_level_and_nothing_else(name: str) -> None:
    setups = [varied(PLAIN, f"{name}:{level}") for level in SEVERITIES]
    assert all(replace(setup, pace=Pace(), variation="") == PLAIN for setup in setups)
    late = [s.pace.image_s + s.pace.image_jitter_s + s.pace.answer_s + s.pace.answer_jitter_s for s in setups]
    assert 0.0 < late[0] < late[1] < late[2]


def test_a_cell_is_the_same_place_for_every_seed_and_two_are_held_out() -> None:
    assert len(CELL.levels) >= 6
    assert CELL.held_out == {"slate", "canteen"}
    assert CELL.held_out < set(CELL.levels)
    for name in CELL.levels:
        one, other = (varied(task_named("lift").sample(seed), f"cell:{name}") for seed in (1, 2))
        assert (one.matter, replace(one.look, table=())) == (other.matter, replace(other.look, table=()))


def test_held_out_makes_lie_outside_those_for_training() -> None:
    assert {sku.name for sku in TRAINING}.isdisjoint(sku.name for sku in HELD_OUT)
    assert SKU.held_out == {"held-out"}
    drawn = {varied(task_named("lift").sample(seed), "sku:held-out").matter.size for seed in range(12)}
    assert drawn <= {sku.size for sku in HELD_OUT}
    sizes, frictions = [sku.size for sku in TRAINING], [sku.friction for sku in TRAINING]
    for sku in HELD_OUT:
        inside = min(sizes) <= sku.size <= max(sizes) and min(frictions) <= sku.friction <= max(frictions)
        assert not inside


def test_names_and_levels_that_there_are_none_of_are_refused_with_what_there_is() -> None:
    with pytest.raises(InputError, match="did you mean 'glare'"):
        variations_of("glair")
    with pytest.raises(InputError, match="level of glare: got 'bad', allowed are mild"):
        varied(PLAIN, "glare:bad")


def test_other_shades_are_still_what_their_word_says() -> None:
    shifted = set[tuple[str, tuple[float, ...]]]()
    for seed in range(60):
        clean = task_named("stack").sample(seed)
        for before, after in zip(clean.placements, varied(clean, "colour:worst").placements, strict=True):
            assert before.rgba is not None
            assert after.rgba is not None
            word = min(COLOURS, key=lambda each: np.abs(np.subtract(COLOURS[each], before.rgba)).sum())
            pixels = np.full((60, 60, 3), 190, dtype=np.uint8)  # a table, and the block on it
            pixels[20:40, 20:40] = np.rint(np.array(after.rgba[:3]) * 255)
            assert is_coloured(Image(stamp_ns=0, pixels=pixels), np.array([0.5, 0.5]), frozenset({word}))
            shifted.add((word, tuple(np.sign(np.subtract(after.rgba[:3], before.rgba[:3])))))
    assert {word for word, _ in shifted} == set(COLOURS)
    assert len(shifted) > 2 * len(COLOURS)


def test_another_table_is_as_much_darker_as_said_and_recorded_far_oftener_than_a_texture() -> None:
    for level, darker in perturbation_named("table-colour").amounts.items():
        table = varied(PLAIN, f"table-colour:{level}").look.table
        assert np.mean(PLAIN.look.table[:3]) - np.mean(table[:3]) == pytest.approx(darker, abs=0.25 * darker)
    assert min(table) >= 0.1
    drawn = [mixed(PLAIN, np.random.default_rng(seed)).variation for seed in range(400)]
    shares = {name: np.mean([name in each for each in drawn]) for name in ("table-colour", "texture")}
    assert shares["table-colour"] > 3 * shares["texture"]


def test_several_variations_are_made_one_after_the_other() -> None:
    both = varied(PLAIN, "mass:strong+brightness:worst")
    assert both.matter == varied(PLAIN, "mass:strong").matter
    assert both.look == varied(PLAIN, "brightness:worst").look
    assert both.variation == "mass:strong+brightness:worst"


def test_a_recorded_scene_never_has_what_is_held_out() -> None:
    held_out = {f"{each.name}:{level}" for each in PERTURBATIONS for level in each.held_out}
    drawn = [mixed(PLAIN, np.random.default_rng(seed)).variation.split("+") for seed in range(400)]
    names = {name for some in drawn for name in some}
    assert held_out
    assert not names & held_out
    assert {len(some) for some in drawn} == {1, 2, 3}
    possible = {
        f"{each.name}:{level}"
        for each in PERTURBATIONS
        if each not in (*TIMED, *SPOKEN) and each.applies(PLAIN)
        for level in each.levels.keys() - each.held_out
    }
    assert names == possible
