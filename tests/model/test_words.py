import pytest

from forearm.errors import InputError, InstructionError
from forearm.model.words import PAD, Words

TAUGHT = Words.taught_by(("put the red block in the box", "lift the tray"), ("reach", "lift"))


def test_a_taught_sentence_becomes_the_ids_of_its_words() -> None:
    ids = TAUGHT.encode("Lift the  tray.")
    assert [TAUGHT.vocabulary[index - 1] for index in ids if index != PAD] == ["lift", "the", "tray"]
    assert ids.shape == (7,)


def test_every_other_sentence_is_refused_with_what_was_taught() -> None:
    with pytest.raises(InstructionError, match="lift the tray") as refused:
        TAUGHT.encode("lift the try")
    assert "did you mean" in str(refused.value)


def test_known_words_in_another_order_are_no_taught_sentence() -> None:
    with pytest.raises(InstructionError):
        TAUGHT.encode("put the tray in the box")


def test_a_vocabulary_needs_sentences() -> None:
    with pytest.raises(InputError, match="needs ≥ 1"):
        Words.taught_by((), ("reach",))
