"""The operating-limit card of a model, held at run time: what was not measured to work is refused, with the reason.

Invariant: a card only ever refuses. It belongs to one model; another model has no card, and the run says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.errors import CheckpointError, InstructionError, listing
from forearm.messages import Decision, Finding, Observation, Outcome, Verdict
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.safety.checks import finding
from forearm.safety.gates import Vets
from forearm.safety.limits import TICK_S
from forearm.sentence import words_of

FORMAT = "forearm.card.v1"
FILE_NAME = "limits.json"  # beside the weights
MAIN = BIMANUAL_YAM.cameras[0].name
BESIDE = (
    5.0  # of 255: no pair of eyes sees so small a difference in light, and no measured scene was the darkest there is
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLimits:
    """What a card says of one task.

    Attributes:
        instructions: its sentences.
        refusal: why it is not to be done, in words; empty for a task that is good enough.
        latency_s: s from an observation to its decision, up to which it is; None where that was not measured.
    """

    instructions: tuple[str, ...]
    refusal: str
    latency_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Card:
    """A model's operating limits, as far as they can be observed while it runs.

    Attributes:
        model_digest: of the weights that were measured.
        rate: success rate that the limits are made for.
        tasks: by name.
        light: least and greatest mean of the main camera's picture that was measured, 0..255; None for not measured.
    """

    model_digest: str
    rate: float
    tasks: Mapping[str, TaskLimits]
    light: tuple[float, float] | None

    def task_of(self, instruction: str) -> TaskLimits:
        """The limits for that sentence.

        Raises:
            InstructionError: when the card does not have it, or says that it is not good enough.
        """
        words = words_of(instruction)
        known = (task for task in self.tasks.values() for each in task.instructions if words_of(each) == words)
        found = next(known, None)
        if found is None:
            allowed = [name for name, task in self.tasks.items() if not task.refusal]
            raise InstructionError(
                f"operating limits: got {instruction!r}, the card of model {self.model_digest[:12]} allows "
                f"{listing(allowed) or 'nothing'}; measure it and make the card anew"
            )
        if found.refusal:
            raise InstructionError(f"operating limits: got {instruction!r}, {found.refusal}; train or measure more")
        return found


class WithinCard:
    """A vetting that holds, too, what lies outside the card. Keeps no state.

    Args:
        vetting: judges everything else.
        card: of the model that decides.
        instruction: what it is asked.

    Raises:
        InstructionError: for a sentence that is not on the card.
    """

    def __init__(self, vetting: Vets, card: Card, instruction: str) -> None:
        self._vetting, self.card, self.task = vetting, card, card.task_of(instruction)

    def vet(self, decision: Decision, observation: Observation, now_ns: int) -> Verdict:
        """As `Vetting.vet`; about 0.1 ms more."""
        verdict = self._vetting.vet(decision, observation, now_ns)
        objections = self._timely(observation, now_ns) + self._in_light(observation)
        if not objections:
            return verdict
        return Verdict(
            outcome=max(verdict.outcome, Outcome.HOLD),
            findings=(*verdict.findings, *objections),
            cost_s=verdict.cost_s,
        )

    def _timely(self, observation: Observation, now_ns: int) -> tuple[Finding, ...]:
        limit_s, took_s = self.task.latency_s, (now_ns - observation.stamp_ns) / NANOSECONDS
        if limit_s is None or took_s <= limit_s + TICK_S:
            return ()
        text = f"The decision took {took_s * 1e3:.0f} ms; the model's card ends at {limit_s * 1e3:.0f} ms."
        return finding("card latency", Outcome.HOLD, "decision", took_s, limit_s, "s", text)

    def _in_light(self, observation: Observation) -> tuple[Finding, ...]:
        if self.card.light is None:
            return ()
        (darkest, brightest), seen = self.card.light, brightness(observation)
        if darkest - BESIDE <= seen <= brightest + BESIDE:
            return ()
        limit, how = (darkest, "darker") if seen < darkest else (brightest, "brighter")
        text = (
            f"The {MAIN} camera's picture has a mean of {seen:.0f} of 255, {how} than the model's card allows, which "
            f"goes from {darkest:.0f} to {brightest:.0f}."
        )
        return finding("card light", Outcome.HOLD, MAIN, seen, limit, "of 255", text)


def refuse_uncarded(card: Card | None, model_digest: str, instruction: str) -> None:
    """Nothing, unless this model's card does not allow the instruction.

    Raises:
        InstructionError: that says why.
    """
    if card is not None and card.model_digest == model_digest:
        card.task_of(instruction)


def within_card(card: Card | None, vetting: Vets, model_digest: str, instruction: str) -> Vets:
    """The vetting, held to the card where that belongs to this model.

    Raises:
        InstructionError: for a sentence that is not on it.
    """
    if card is None or card.model_digest != model_digest:
        return vetting
    return WithinCard(vetting, card, instruction)


def brightness(observation: Observation) -> float:
    """Mean of the main camera's picture, 0..255; NaN where there is none, which no card allows."""
    image = observation.images.get(MAIN)
    return float(np.mean(image.pixels)) if image is not None else float("nan")


def about_card(card: Card | None, model_digest: str) -> tuple[bool, str]:
    """Whether the card belongs to this model, and what is to be said of it in one line."""
    if not model_digest:
        return False, "no model, no card"
    if card is None:
        return False, "none: nothing is known of this model's operating limits"
    if card.model_digest != model_digest:
        return False, f"no card for this model: the card is of model {card.model_digest[:12]}"
    good = [name for name, task in card.tasks.items() if not task.refusal]
    return True, f"{listing(good) or 'no task'} at {card.rate:.0%} success or more"


def read_card(path: Path) -> Card | None:
    """The card in a file, None where there is no such file.

    Raises:
        CheckpointError: when the file is not a card: a damaged one is no reason to go without.
    """
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']!r}")
        tasks = {
            name: TaskLimits(
                instructions=tuple(each["instructions"]), refusal=str(each["refusal"]), latency_s=each["latency_s"]
            )
            for name, each in document["tasks"].items()
        }
        return Card(
            model_digest=str(document["model_digest"]),
            rate=float(document["rate"]),
            tasks=tasks,
            light=None if document["light"] is None else (float(document["light"][0]), float(document["light"][1])),
        )
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: got {type(error).__name__}: {error}, needed is a {FORMAT}; make it again or delete it"
        ) from error
