"""What a person's sentence consists of: the same words for whoever reads it."""

from __future__ import annotations

PUNCTUATION = str.maketrans(",.!?", "    ")
SPELT = {"color": "colour", "colors": "colours"}  # as people write, as the tasks' sentences do


def words_of(sentence: str) -> list[str]:
    """Its words in lower case and one spelling; capitals, spaces and punctuation mean nothing."""
    return [SPELT.get(word, word) for word in sentence.lower().translate(PUNCTUATION).split()]
