import pytest

from forearm.errors import InputError, InstructionError
from forearm.model.words import PAD, Words

TAUGHT = Words.taught_by(("put the red block in the box", "lift the tray"), ("reach", "lift"))


def test_a_taught_sentence_becomes_the_ids_of_its_words() -> None:
    ids = TAUGHT.encode("Lift the  tray.")
    assert [TAUGHT.vocabulary[index - 1] for index in ids if index != PAD] == ["lift", "the", "tray"]
    assert ids.shape == (7,)


def test_a_word_that_was_not_taught_is_refused_by_name_with_those_that_were() -> None:
    with pytest.raises(InstructionError, match="got 'try', allowed are block, box, in, lift") as refused:
        TAUGHT.encode("lift the try")
    assert "did you mean 'tray'" in str(refused.value)


def test_known_words_make_new_sentences() -> None:
    ids = TAUGHT.encode("put the tray in the box")
    assert [TAUGHT.vocabulary[index - 1] for index in ids if index != PAD] == ["put", "the", "tray", "in", "the", "box"]


@pytest.mark.parametrize("sentence", ["", " . ", "put the red block in the box box"])
def test_no_words_and_more_than_the_longest_sentence_had_are_refused(sentence: str) -> None:
    with pytest.raises(
        InstructionError, match=f"got {len(sentence.replace('.', '').split())} words, allowed are 1 to 7"
    ):
        TAUGHT.encode(sentence)


def test_a_vocabulary_needs_sentences() -> None:
    with pytest.raises(InputError, match="needs ≥ 1"):
        Words.taught_by((), ("reach",))
