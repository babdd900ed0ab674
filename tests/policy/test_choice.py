import json
from pathlib import Path

import pytest

from forearm.cell.tasks import TASKS, find_task, held_out_phrasings, taught_phrasings
from forearm.cell.tasks.hand_over import HandOver
from forearm.cell.tasks.open_the_box import OpenTheBox
from forearm.cell.tasks.put_in_box import PutInBox
from forearm.cell.tasks.stack import Stack
from forearm.errors import InstructionError
from forearm.model.description import CONFIG
from forearm.model.words import Words
from forearm.policy.choice import scene_for, tasks_for

SENTENCES = [each for task in (PutInBox(), HandOver(), Stack()) for each in task.instructions()]


def taught(folder: Path, *sentences: str) -> str:
    """A checkpoint's folder that says what was taught, and nothing else."""
    words = Words.taught_by(sentences, ("reach",))
    fields = {name: getattr(words, name) for name in ("instructions", "subtasks", "places", "vocabulary")}
    (folder / CONFIG).write_text(json.dumps({"words": fields}))
    return str(folder)


@pytest.fixture
def paraphrasing(tmp_path: Path) -> str:
    """A model that was taught three tasks in all their taught phrasings."""
    return taught(tmp_path, *(said for sentence in SENTENCES for said in taught_phrasings(sentence)))


def test_a_model_that_was_taught_phrasings_may_be_asked_in_them_and_in_those_held_out(paraphrasing: str) -> None:
    for sentence in SENTENCES:
        for said in (*taught_phrasings(sentence), *held_out_phrasings(sentence)):
            setup = scene_for(paraphrasing, f" {said.capitalize()}. ", 4)
            assert (setup.instruction, setup.spoken) == (sentence, f"{said.capitalize()}.")
            assert setup.placements == find_task(sentence).sample(4, sentence).placements


def test_its_tasks_are_those_of_which_it_was_taught_anything(paraphrasing: str, tmp_path: Path) -> None:
    assert [task.name for task in tasks_for(paraphrasing)] == ["put-in-box", "hand-over", "stack"]
    folder = tmp_path / "another"
    folder.mkdir()
    assert [task.name for task in tasks_for(taught(folder, "raise the tray with both arms"))] == ["lift"]


def test_what_it_was_not_taught_is_refused_with_what_it_was(paraphrasing: str) -> None:
    for said in ("lift the tray with both arms", "put the pink block in the box", ""):
        with pytest.raises(InstructionError) as refusal:
            scene_for(paraphrasing, said, 0)
        assert PutInBox.pattern in str(refusal.value)
        assert OpenTheBox.pattern not in str(refusal.value)


@pytest.mark.parametrize("said", ["drop the red cube in the box", "place the red block in the box"])
def test_a_model_that_knows_one_way_to_say_it_is_asked_in_no_other_though_it_knows_the_words(
    tmp_path: Path, said: str
) -> None:
    model = taught(tmp_path, *SENTENCES)
    with pytest.raises(InstructionError, match="allowed are 'put the red block in the box'"):
        scene_for(model, said, 0)
    assert scene_for(model, "Put the red block in the box!", 0).instruction == "put the red block in the box"


def test_a_colour_that_was_never_taught_is_refused(tmp_path: Path) -> None:
    known = [said for each in SENTENCES if "yellow" not in each for said in taught_phrasings(each)]
    with pytest.raises(InstructionError, match="yellow"):
        scene_for(taught(tmp_path, *known), "put the yellow block in the box", 0)


def test_a_phrasing_with_a_word_that_this_model_was_not_taught_is_refused_by_that_word(tmp_path: Path) -> None:
    _, first, *_, last = taught_phrasings("put the red block in the box")
    folder = taught(tmp_path, "put the red block in the box", first, last)
    with pytest.raises(InstructionError, match="word of the instruction: got 'drop'"):
        scene_for(folder, "drop the red cube in the box", 0)


def test_a_policy_without_words_may_be_asked_in_any() -> None:
    for task in TASKS:
        (said, *_), sentence = held_out_phrasings(task.instructions()[0]), task.instructions()[0]
        assert scene_for("demonstrator", said, 0).instruction == sentence
