"""What a person's sentence consists of: the same words for whoever reads it."""

from __future__ import annotations

PUNCTUATION = str.maketrans(",.!?", "    ")


def words_of(sentence: str) -> list[str]:
    """Its words in lower case; capitals, spaces and punctuation mean nothing."""
    return sentence.lower().translate(PUNCTUATION).split()
