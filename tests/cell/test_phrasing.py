from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forearm.cell.posture import OTHER
from forearm.cell.tasks import (
    TASKS,
    find_task,
    held_out_phrasings,
    refuse_misunderstood,
    scene,
    taught_phrasings,
    understood,
)
from forearm.cell.tasks.lift import Lift
from forearm.cell.tasks.phrasing import SLOT, Phrasings
from forearm.cell.variation import COLOURS
from forearm.errors import InstructionError
from forearm.policy.choice import hold
from forearm.runtime.simulation import Simulation

SENTENCES = [sentence for task in TASKS for sentence in task.instructions()]
SAID = [(said, each) for each in SENTENCES for said in (*taught_phrasings(each), *held_out_phrasings(each))]
EACH_TASK = pytest.mark.parametrize("phrasings", [task.phrasings for task in TASKS], ids=[task.name for task in TASKS])


def with_sides_swapped(sentence: str) -> str:
    return " ".join(OTHER.get(word, word) for word in sentence.split())


def test_no_phrasing_means_two_things_or_is_both_taught_and_held_out() -> None:
    phrasings = [said for said, _ in SAID]
    assert len(set(phrasings)) == len(phrasings)


def test_a_task_s_own_sentence_comes_first_and_every_phrasing_means_it() -> None:
    for sentence in SENTENCES:
        assert taught_phrasings(sentence)[0] == sentence
        assert set(map(understood, (*taught_phrasings(sentence), *held_out_phrasings(sentence)))) == {sentence}


@EACH_TASK
def test_there_are_enough_of_them_and_none_is_long(phrasings: Phrasings) -> None:
    assert 6 <= len(phrasings.taught) <= 10
    assert 3 <= len(phrasings.held_out) <= 4
    taught = max(len(each.split()) for each in (phrasings.sentence, *phrasings.taught))
    assert max(len(each.split()) for each in phrasings.held_out) <= taught <= 14


@EACH_TASK
def test_every_word_of_a_held_out_phrasing_is_taught_with_the_same_task(phrasings: Phrasings) -> None:
    taught = {word for each in (phrasings.sentence, *phrasings.taught) for word in each.split()}
    for each in phrasings.held_out:
        assert set(each.split()) <= taught, each


@EACH_TASK
def test_every_template_has_the_slots_of_the_sentence_and_names_no_colour_or_side_beside_them(
    phrasings: Phrasings,
) -> None:
    for each in (*phrasings.taught, *phrasings.held_out):
        assert sorted(SLOT.findall(each)) == sorted(SLOT.findall(phrasings.sentence)), each
        assert {*COLOURS, *OTHER}.isdisjoint(each.split()), each


def test_in_a_mirror_the_same_words_with_sides_swapped_ask_for_the_mirrored_task() -> None:
    for sentence in SENTENCES:
        mirrored = with_sides_swapped(sentence)
        for phrasings in (taught_phrasings, held_out_phrasings):
            assert tuple(map(with_sides_swapped, phrasings(sentence))) == phrasings(mirrored)


@settings(deadline=None)  # the first sentence looked up has the table of all of them made
@given(st.sampled_from(SAID), st.sampled_from(["{}", " {}!", "{}?", "  {} .", "{}, "]), st.booleans(), st.data())
def test_capitals_spaces_and_punctuation_do_not_matter(
    case: tuple[str, str], frame: str, loud: bool, data: st.DataObject
) -> None:
    said, sentence = case
    spaces = data.draw(st.lists(st.sampled_from([" ", "  ", ", "]), min_size=14, max_size=14))
    spoken = frame.format("".join(map("".join, zip(said.split(), spaces, strict=False))))
    assert understood(spoken.upper() if loud else spoken) == sentence
    assert sentence in find_task(spoken).instructions()


def test_either_spelling_of_colour_is_understood() -> None:
    assert understood("Sort the blocks by color.") == "sort the blocks by colour"


@pytest.mark.slow
@settings(deadline=None)  # the first sentence looked up has the table of all of them made
@given(st.sampled_from(SAID), st.integers(0, 13))
def test_a_sentence_with_a_word_left_out_is_another_phrasing_or_is_refused(case: tuple[str, str], place: int) -> None:
    words = case[0].split()
    del words[place % len(words)]
    rest = " ".join(words)
    if rest in dict(SAID):
        assert understood(rest) == dict(SAID)[rest] == case[1]
    else:
        with pytest.raises(InstructionError):
            understood(rest)


@pytest.mark.parametrize("sentence", ["do not put the red block in the box", "put the red and blue block in the box"])
def test_what_is_not_quite_a_phrasing_is_refused_with_the_list_of_what_can_be_done(sentence: str) -> None:
    with pytest.raises(InstructionError) as refusal:
        understood(sentence)
    assert all(task.pattern in str(refusal.value) for task in TASKS)
    assert "did you mean 'put the" in str(refusal.value)


def test_a_scene_keeps_what_was_said_beside_what_it_means() -> None:
    setup = scene("Please put the red cube  into the box!", 3)
    assert setup.instruction == "put the red block in the box"
    assert setup.spoken == "Please put the red cube into the box!"
    assert replace(setup, said="") == find_task(setup.instruction).sample(3, setup.instruction)
    assert replace(setup, said="").spoken == setup.instruction


def test_what_was_said_must_mean_the_setup_s_instruction() -> None:
    setup = scene("drop the red cube in the box", 3)
    refuse_misunderstood(setup)
    with pytest.raises(InstructionError, match="it means 'put the red block in the box'"):
        refuse_misunderstood(replace(setup, instruction="put the blue block in the box"))
    with pytest.raises(InstructionError, match="it means 'lift the tray with both arms'"):
        refuse_misunderstood(replace(setup, said="please lift the tray with both arms"))
    with pytest.raises(InstructionError, match="ask for one of these"):
        refuse_misunderstood(replace(setup, said="wave"))
    with pytest.raises(InstructionError, match="it means"):
        Simulation(replace(setup, instruction="put the blue block in the box"), hold)


def test_a_near_miss_of_a_paraphrase_is_suggested_and_other_tasks_phrasings_are_not_known() -> None:
    with pytest.raises(InstructionError, match="did you mean 'raise the tray with both arms'"):
        understood("raise the trey with both arms")
    with pytest.raises(InstructionError, match="allowed are 'lift the tray with both arms'"):
        find_task("drop the red cube in the box", (Lift(),))


def test_templates_are_filled_for_the_task_s_own_sentences_alone() -> None:
    with pytest.raises(InstructionError, match="fill its slots"):
        Lift().phrasings.taught_for("raise the tray with both arms")
