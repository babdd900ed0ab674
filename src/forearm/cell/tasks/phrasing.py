"""Other ways to say a task's sentences: most are taught, some are kept back to measure understanding with.

Invariant: every template has the slots of the task's own sentence and names no colour and no side beside them, so that
a scene seen in a mirror is asked for in the same words with its sides exchanged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from forearm.errors import InstructionError

SLOT = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrasings:
    """Templates in lower case without punctuation, slots in braces, at most 14 words each.

    Attributes:
        sentence: the task's own.
        taught: everyday ways to say it, which a model is trained with.
        held_out: ways that no model is trained with, of words which all occur in the taught ones.
    """

    sentence: str
    taught: tuple[str, ...]
    held_out: tuple[str, ...]

    def taught_for(self, instruction: str) -> tuple[str, ...]:
        """Every taught way to say one of the task's sentences, that sentence first.

        Raises:
            InstructionError: for a sentence that is not the task's.
        """
        return self._filled(instruction, (self.sentence, *self.taught))

    def held_out_for(self, instruction: str) -> tuple[str, ...]:
        """Every way to say it that was kept back.

        Raises:
            InstructionError: for a sentence that is not the task's.
        """
        return self._filled(instruction, self.held_out)

    def _filled(self, instruction: str, templates: tuple[str, ...]) -> tuple[str, ...]:
        slots = re.fullmatch(SLOT.sub(r"(?P<\1>[a-z]+)", self.sentence), instruction)
        if slots is None:
            raise InstructionError(f"instruction: got {instruction!r}, allowed is {self.sentence!r}; fill its slots")
        return tuple(template.format(**slots.groupdict()) for template in templates)
