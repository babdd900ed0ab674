from dataclasses import replace

import pytest

from forearm.cell.perturbations import varied
from forearm.cell.tasks import TASKS, find_task, refuse_misunderstood
from forearm.cell.tasks.absence import impossible, missing
from forearm.cell.tasks.interface import Task
from forearm.cell.tasks.put_in_box import PutInBox
from forearm.cell.variation import COLOURS

NAMING = [task for task in TASKS if any(colour in task.pattern for colour in COLOURS)]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_what_a_sampled_scene_is_asked_for_is_there(task: Task) -> None:
    for seed in range(20):
        assert missing(task.sample(seed)) == ()


@pytest.mark.parametrize("task", NAMING, ids=lambda task: task.name)
def test_an_impossible_sentence_is_the_task_s_own_and_names_one_colour_that_no_thing_has(task: Task) -> None:
    for seed in range(20):
        setup = task.sample(seed)
        there = {placement.colour for placement in setup.placements}
        sentences = impossible(setup)
        assert len(set(sentences)) == len(sentences) > 0
        for sentence in sentences:
            assert find_task(sentence) is task
            (thing,) = missing(replace(setup, instruction=sentence))
            assert thing in sentence
            assert thing.split()[0] in set(COLOURS) - there


def test_which_sentences_are_impossible_follows_from_the_scene() -> None:
    setup = PutInBox().sample(3, "put the red block in the box")
    other = next(each.colour for each in setup.placements if each.colour not in ("", "red"))
    absent = [colour for colour in COLOURS if colour not in ("red", other)]
    assert impossible(setup) == tuple(f"put the {colour} block in the box" for colour in absent)


@pytest.mark.parametrize("task", [task for task in TASKS if task not in NAMING], ids=lambda task: task.name)
def test_a_sentence_that_names_no_colour_can_always_be_done(task: Task) -> None:
    assert impossible(task.sample(1)) == ()


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_scene_can_be_asked_for_what_only_another_task_s_has(task: Task) -> None:
    for seed in range(10):
        setup = varied(task.sample(seed), "another-task:absent")
        assert missing(setup)
        assert find_task(setup.instruction) is not task
        assert replace(setup, instruction="", variation="") == replace(task.sample(seed), instruction="")
        refuse_misunderstood(setup)


def test_another_task_s_things_are_missing() -> None:
    assert missing(PutInBox().sample(3), "lift the tray with both arms") == ("tray",)
    assert missing(PutInBox().sample(3), "put everything in the box") == ()
