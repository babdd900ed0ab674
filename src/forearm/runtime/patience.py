"""Patience: says after each tick whether the session may go on, must hold, or must stop.

Invariant: nothing that went wrong is tried for ever. A refused decision is tried again `tries` times, a hold lasts
`patience_s`, the first decision may take `warm_up_s`, an objection of either gate that keeps the arms from getting
anywhere comes back no more often than `progress` allows; then it is a protective stop that says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from forearm.clock import NANOSECONDS
from forearm.errors import ConfigError
from forearm.messages import Outcome, Verdict
from forearm.runtime.inference import Answer
from forearm.runtime.loop import Tick
from forearm.safety.escalation import Escalation, Progress

SPENT = "The last chunk is spent and no new decision came."
WARMING = "No decision has come yet."


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long what goes wrong is borne with.

    Attributes:
        tries: decisions in a row that may be refused before the arms hold.
        patience_s: s that a hold may last.
        warm_up_s: s that the first motion may take to come: a model's first inference also loads its kernels.
        progress: how often one objection may come back while the arms get nowhere, accepted chunks in between or not.
    """

    tries: int = 3
    patience_s: float = 2.0
    warm_up_s: float = 10.0
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        if self.tries < 1 or self.patience_s <= 0 or self.warm_up_s <= 0:
            raise ConfigError(
                f"patience: got {self}, allowed are at least 1 try and times > 0; raise what is too small"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """What is to be done about the session, ALLOW, HOLD or STOP, and why in words.

    `final` is a stop that nothing is tried against, neither by the ladder nor by a person: a gate's own, or a livelock.
    """

    outcome: Outcome
    reason: str = ""
    final: bool = False


class Monitor:
    """Watches every tick of one session. Used by the control thread alone."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._escalation = Escalation(patience.progress)
        self._refused = 0
        self._refusal = ""
        self._objection = ""
        """The guard's last one in this hold: a tick that merely has nothing to follow does not explain it."""
        self._moved = False
        self._held_since_ns: int | None = None

    def judge(self, tick: Tick, *, by_person: bool = False) -> Concern:
        """What this tick means for the session; call it after each.

        While it is a person who moves the arms, objections are hers to look at and no livelock.
        """
        if tick.answer is not None:
            self._count(tick.answer)
        reason = self._why_stop(tick, by_person)
        if reason:
            return Concern(outcome=Outcome.STOP, reason=reason, final=True)
        reason = self._why_hold(tick)
        if not reason:
            self._moved, self._held_since_ns, self._objection = True, None, ""
            return Concern(outcome=Outcome.ALLOW)
        if self._held_since_ns is None:
            self._held_since_ns = tick.stamp_ns
        since_ns = min(self._held_since_ns, self._escalation.held_since_ns(tick.stamp_ns))
        allowed_s = self._patience.patience_s if self._moved else self._patience.warm_up_s
        if tick.stamp_ns - since_ns > allowed_s * NANOSECONDS:
            return Concern(outcome=Outcome.STOP, reason=f"{reason} Nothing changed for {allowed_s:g} s.")
        return Concern(outcome=Outcome.HOLD, reason=reason)

    def _why_stop(self, tick: Tick, by_person: bool) -> str:
        """A gate's own stop, or a livelock; empty where there is neither."""
        if tick.answer is not None and tick.answer.verdict.outcome is Outcome.STOP:
            return in_words(tick.answer.verdict)
        if tick.verdict.outcome is Outcome.STOP:
            return in_words(tick.verdict)
        if by_person:
            return ""
        seen, now_ns = tick.observation.positions, tick.stamp_ns
        answered = "" if tick.answer is None else self._escalation.note_answer(tick.answer.verdict, seen, now_ns)
        held = self._escalation.note_hold(tick.verdict, seen, now_ns) if tick.verdict.outcome is Outcome.HOLD else ""
        return answered or held

    def _why_hold(self, tick: Tick) -> str:
        if tick.verdict.outcome is Outcome.HOLD:
            self._objection = in_words(tick.verdict)
            return self._objection
        if self._refused >= self._patience.tries:
            return f"{self._refused} decisions in a row were refused: {self._refusal}"
        if tick.dry:
            return self._refusal or self._objection or (SPENT if self._moved else WARMING)
        return ""

    def _count(self, answer: Answer) -> None:
        if answer.verdict.vetted is not None:
            self._refused, self._refusal = 0, ""
        else:
            self._refused, self._refusal = self._refused + 1, in_words(answer.verdict)


def in_words(verdict: Verdict) -> str:
    """The findings that decided the verdict, as sentences."""
    deciding = [finding.text for finding in verdict.findings if finding.outcome is verdict.outcome]
    return " ".join(deciding) or f"The answer was {verdict.outcome.name} without a finding."
