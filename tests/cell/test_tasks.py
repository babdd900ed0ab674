from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from forearm.cell.physics import Physics
from forearm.cell.scene import MIDLINE_Y_M
from forearm.cell.solver import cell_model, task_model
from forearm.cell.tasks import TASKS, find_task, task_named
from forearm.cell.tasks.blocks import APART_M, BLOCK_HALF_M, LEAST_OPENING, opening_beside
from forearm.cell.tasks.clear_the_pad import ClearThePad
from forearm.cell.tasks.hand_over import HandOver
from forearm.cell.tasks.interface import Task
from forearm.cell.tasks.put_in_box import BLOCKS, PutInBox
from forearm.clock import NANOSECONDS
from forearm.errors import InputError, InstructionError
from forearm.robot.embodiment import BIMANUAL_YAM, GRIPPER_STROKE_M
from forearm.safety.gates import Gates
from forearm.safety.known_good import good_command
from forearm.safety.limits import Limits
from forearm.safety.selftest import prove, refuse_unproven
from forearm.safety.workspace import Workspace

SENTENCES = [(task.name, sentence) for task in TASKS for sentence in task.instructions()]


def test_no_two_sentences_are_alike() -> None:
    assert len({sentence for _, sentence in SENTENCES}) == len(SENTENCES) == 4 + 8 + 1 + 4 + 12 + 1 + 4 + 1 + 4 + 4


@pytest.mark.parametrize(("name", "sentence"), SENTENCES)
def test_every_sentence_finds_its_task_whatever_the_capitals_spaces_and_period(name: str, sentence: str) -> None:
    assert find_task(sentence).name == name
    assert find_task(f"  {sentence.upper().replace(' ', '  ')}. ").name == name
    assert find_task(sentence).sample(3, sentence.title() + ".").instruction == sentence


@pytest.mark.parametrize(
    "sentence", ["", "put the purple block in the box", "make tea", "put the red block in the box now"]
)
def test_any_other_sentence_is_refused_with_the_list_of_what_can_be_done(sentence: str) -> None:
    with pytest.raises(InstructionError) as refusal:
        find_task(sentence)
    for task in TASKS:
        assert task.pattern in str(refusal.value)
        with pytest.raises(InstructionError):
            task.sample(1, sentence)


def test_what_is_asked_for_can_be_kept_to_some_of_the_tasks() -> None:
    taught = (PutInBox(), HandOver())
    assert find_task("put the red block in the box", taught).name == "put-in-box"
    with pytest.raises(InstructionError) as refusal:
        find_task("clear the pad and put the red block on it", taught)
    assert PutInBox.pattern in str(refusal.value)
    assert ClearThePad.pattern not in str(refusal.value)
    with pytest.raises(InputError, match="allowed are put-in-box or hand-over"):
        task_named("clear-the-pad", taught)


def test_a_near_miss_is_suggested() -> None:
    with pytest.raises(InstructionError, match="did you mean 'put the green block in the box'"):
        find_task("put the green bloc in the box")


def test_a_task_is_found_by_its_name_and_no_other() -> None:
    assert [task_named(task.name) for task in TASKS] == list(TASKS)
    with pytest.raises(InputError, match="did you mean 'put-in-box'"):
        task_named("put-in-bx")


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("odd_start", [False, True])
@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, 12), marks=pytest.mark.slow)])
def test_scenes_repeat_by_seed_start_within_limits_and_begin_unsolved(
    task: Task, odd_start: bool, seeds: range
) -> None:
    for seed in seeds:
        setup = task.sample(seed, odd_start=odd_start)
        assert setup == task.sample(seed, odd_start=odd_start)
        assert setup.instruction in task.instructions()
        start = np.array(setup.start)
        assert (BIMANUAL_YAM.lower <= start).all()
        assert (start <= BIMANUAL_YAM.upper).all()
        physics = Physics(task_model(task.name), setup)
        physics.advance(50)
        assert not task.reached(setup, physics)
        assert not physics.arms_touch()
        assert not any(physics.touching(placement.name) for placement in setup.placements)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_no_scene_stands_in_the_way_of_the_proof_that_its_gates_work(task: Task) -> None:
    at_ready = good_command(1, NANOSECONDS).observation
    for seed in range(3):
        gates = Gates.of(Limits.of(), workspace=Workspace(fixtures=task.fixtures(task.sample(seed))))
        refuse_unproven(prove(gates, at_ready, NANOSECONDS))


def test_blocks_differ_in_colour_lie_apart_and_the_words_mean_one_of_them() -> None:
    task = PutInBox()
    asked_sides = set()
    for seed in range(60):
        setup = task.sample(seed)
        first, second = (setup.placement(name) for name in BLOCKS)
        assert first.colour != second.colour
        assert np.hypot(first.position[0] - second.position[0], first.position[1] - second.position[1]) >= APART_M
        asked_sides.add((task.asked(setup), setup.placement(task.asked(setup)).position[1] > MIDLINE_Y_M))
    assert len(asked_sides) == 4  # either block, either side


def test_a_hand_beside_a_wall_opens_as_wide_as_there_is_room_and_still_goes_round_a_block() -> None:
    across, along = np.pi / 2, 0.0  # fingers that close towards the wall, and along it
    assert opening_beside(0.10, across) == opening_beside(0.06, along) == 1.0
    openings = [opening_beside(room_m, across) for room_m in (0.055, 0.075, 0.08, 0.085)]
    assert openings == sorted(openings)
    assert openings[0] == LEAST_OPENING
    assert LEAST_OPENING * GRIPPER_STROKE_M > BLOCK_HALF_M + 0.005
    task = PutInBox()
    setup = task.sample(22_117)  # the wall is 62 mm from the block's middle
    widest = [
        move.reaches["left"].opening for move in islice(task.script(setup, Physics(task_model(task.name), setup)), 2)
    ]
    assert widest == [LEAST_OPENING, LEAST_OPENING]


def test_the_bar_starts_with_the_giver_and_the_pad_with_the_receiver() -> None:
    task = HandOver()
    for arm, sign in (("left", 1.0), ("right", -1.0)):
        setup = task.sample(8, f"hand the blue bar to the {arm} arm and place it on the pad")
        assert sign * (setup.placement("pad").position[1] - MIDLINE_Y_M) > 0.15
        assert sign * (setup.placement("bar").position[1] - MIDLINE_Y_M) < -0.15


@pytest.mark.parametrize(("size", "out_m"), [(1.0, 0.105), (0.9, 0.105), (0.77, 0.77 * 0.13 - 0.007)])
def test_a_short_bar_is_taken_and_handed_over_inside_its_ends(size: float, out_m: float) -> None:
    task = HandOver()
    setup = task.sample(8)
    setup = replace(setup, matter=replace(setup.matter, size=size))
    physics = Physics(cell_model(setup), setup)
    moves = list(task.script(setup, physics))  # nothing moves: the bar lies where it lay
    arms = {move.subtask.split()[0]: move.reaches for move in moves}
    giver = next(iter(arms["grasp"]))
    reach, meet = arms["grasp"][giver].pose, arms["bring"]
    along = np.linalg.norm((reach.translation - physics.object_pose("bar").translation)[:2])
    assert along == pytest.approx(out_m, abs=1e-4)
    apart = np.abs([each.pose.translation[1] - MIDLINE_Y_M for each in meet.values()])
    np.testing.assert_allclose(apart, [out_m, out_m], atol=1e-4)


def test_a_block_set_down_in_the_box_counts_and_with_the_other_one_beside_it_no_more() -> None:
    task = PutInBox()
    setup = task.sample(11)
    asked, box = task.asked(setup), setup.placement("box").position
    inside = (box[0], box[1], 0.03)

    def with_inside(*names: str) -> Physics:
        placements = tuple(
            replace(each, position=(inside[0], inside[1], 0.03 + 0.045 * names.index(each.name)), yaw=0.0)
            if each.name in names
            else each
            for each in setup.placements
        )
        physics = Physics(task_model(task.name), replace(setup, placements=placements))
        physics.advance(200)
        return physics

    assert task.reached(setup, with_inside(asked))
    assert task.progress(setup, with_inside(asked)) == 1.0
    other = next(name for name in BLOCKS if name != asked)
    assert not task.reached(setup, with_inside(other))
    assert task.progress(setup, with_inside(other)) == 0.0
