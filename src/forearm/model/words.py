"""The small reasoner's language: the words of the sentences it was taught, and no others. No torch.

Whether words that it knows make a sentence that means anything is for whoever asks to find out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forearm.errors import InputError, InstructionError, unknown
from forearm.sentence import words_of

PAD = 0  # id of the empty place behind a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A vocabulary made of taught sentences.

    Attributes:
        instructions: every sentence taught.
        subtasks: every phrase the model may say of itself.
        places: words of the longest sentence.
        vocabulary: words, those taught together in alphabetical order; word k has id k + 1.
    """

    instructions: tuple[str, ...]
    subtasks: tuple[str, ...]
    places: int
    vocabulary: tuple[str, ...]

    @classmethod
    def taught_by(cls, instructions: tuple[str, ...], subtasks: tuple[str, ...]) -> Words:
        """The vocabulary of these sentences.

        Raises:
            InputError: when there are none.
        """
        if not instructions or not subtasks:
            raise InputError(
                f"vocabulary: got {len(instructions)} sentences and {len(subtasks)} phrases, needs ≥ 1 each"
            )
        spelt = [words_of(sentence) for sentence in instructions]
        return cls(
            instructions=tuple(sorted({" ".join(words) for words in spelt})),
            subtasks=tuple(sorted(set(subtasks))),
            places=max(len(words) for words in spelt),
            vocabulary=tuple(sorted({word for words in spelt for word in words})),
        )

    def extended(self, others: Words) -> Words:
        """These and others: what is known here keeps its id, words and phrases that are not follow in their order."""
        return Words(
            instructions=tuple(sorted({*self.instructions, *others.instructions})),
            subtasks=(*self.subtasks, *(each for each in others.subtasks if each not in self.subtasks)),
            places=max(self.places, others.places),
            vocabulary=(*self.vocabulary, *(each for each in others.vocabulary if each not in self.vocabulary)),
        )

    def encode(self, sentence: str) -> NDArray[np.int64]:
        """Ids (places,) of a sentence of known words, padded.

        Raises:
            InstructionError: for a word that was not taught, and for no words or more than there are places for.
        """
        words = words_of(sentence)
        for word in words:
            if word not in self.vocabulary:
                raise InstructionError(unknown("word of the instruction", word, self.vocabulary))
        if not 1 <= len(words) <= self.places:
            raise InstructionError(
                f"instruction: got {len(words)} words, allowed are 1 to {self.places}; say it in other words"
            )
        ids = np.full(self.places, PAD, dtype=np.int64)
        ids[: len(words)] = [self.vocabulary.index(word) + 1 for word in words]
        return ids
