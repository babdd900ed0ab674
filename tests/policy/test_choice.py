import json
from pathlib import Path

import pytest

from forearm.cell.tasks import TASKS, find_task, held_out_phrasings, taught_phrasings
from forearm.cell.tasks.hand_over import HandOver
from forearm.cell.tasks.open_the_box import OpenTheBox
from forearm.cell.tasks.put_in_box import PutInBox
from forearm.cell.tasks.stack import Stack
from forearm.errors import CheckpointError, InputError, InstructionError
from forearm.evaluation.plans import tasks_of
from forearm.evaluation.suites import suite_named
from forearm.model.description import CONFIG
from forearm.model.words import Words
from forearm.policy.choice import MODEL, about_policy, answering, policy_named, scene_for, tasks_for

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


@pytest.mark.slow
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


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    """A small model of two tasks in their own words, and a larger one of three in all their taught phrasings."""
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    own = [each for task in (PutInBox(), HandOver()) for each in task.instructions()]
    return taught(small, *own), taught(large, *(said for each in SENTENCES for said in taught_phrasings(each)))


@pytest.mark.parametrize(
    ("said", "which"),
    [
        ("Put the red block in the box!", 0),
        ("stack the red block on the blue block", 1),
        (taught_phrasings("put the red block in the box")[1], 1),  # the task is the small one's, these words are not
    ],
)
def test_the_smallest_model_that_can_be_asked_answers(two: tuple[str, str], said: str, which: int) -> None:
    assert answering(MODEL, lambda name: scene_for(name, said, 0), two) == two[which]


def test_a_policy_that_is_named_answers_whatever_it_was_taught(two: tuple[str, str]) -> None:
    for policy in (*two, "nano", "hold"):
        assert answering(policy, lambda name: pytest.fail(f"{name} was asked"), two) == policy


def test_what_no_model_was_taught_is_refused_with_what_each_can_do(two: tuple[str, str]) -> None:
    with pytest.raises(InstructionError) as refusal:
        answering(MODEL, lambda name: scene_for(name, "lift the tray with both arms", 0), two)
    of_small, of_large = str(refusal.value).split(f"; model {two[1]}: ")
    assert of_small.startswith(f"model {two[0]}: instruction: got 'lift the tray with both arms', allowed are ")
    assert PutInBox.pattern in of_small
    assert Stack.pattern not in of_small
    assert Stack.pattern in of_large


@pytest.mark.parametrize(
    ("suite", "asked", "which"),
    [
        ("clean", (), 0),
        ("clean", ("put-in-box", "hand-over"), 0),
        ("clean", ("put-in-box", "stack"), 1),
    ],
)
def test_one_model_is_evaluated_the_smallest_that_knows_every_task(
    two: tuple[str, str], suite: str, asked: tuple[str, ...], which: int
) -> None:
    tried = suite_named(suite)
    assert answering(MODEL, lambda name: tasks_of(tried, asked, tasks_for(name)), two) == two[which]


def test_a_reason_that_all_models_have_is_said_once(two: tuple[str, str]) -> None:
    staged = suite_named("long-horizon")
    with pytest.raises(InputError) as refusal:
        answering(MODEL, lambda name: tasks_of(staged, ("put-in-box",), tasks_for(name)), two)
    assert str(refusal.value) == "suite long-horizon: got put-in-box, allowed are tasks of many parts; leave it out"


def test_a_damaged_model_is_not_passed_over(two: tuple[str, str]) -> None:
    (Path(two[0]) / CONFIG).write_text("{}")
    with pytest.raises(CheckpointError, match="does not describe words"):
        answering(MODEL, lambda name: scene_for(name, "stack the red block on the blue block", 0), two)


def test_a_name_that_is_no_policy_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"policy: got 'nanno', allowed are model, nano, .*; did you mean 'nano'"):
        policy_named("nanno")


def test_a_model_that_ships_is_the_same_by_its_name_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nano").mkdir()
    monkeypatch.chdir(tmp_path)
    assert about_policy("nano") == about_policy(MODEL)
    with pytest.raises(CheckpointError):
        about_policy("./nano")
