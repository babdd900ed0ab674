"""A run's events as weighed decisions: the same in a running session, a simulated one and a log that is read back."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

from forearm.events import Decided, Event, Judged, ModeChanged, Observed, SessionStarted
from forearm.messages import Decision, Floats, Observation, Outcome
from forearm.runtime.monitors.signals import SIGNALS, Look, Signal

KEPT = 400  # observations, 4 s: no answer that may still be followed is older


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weighed:
    """What the signals say of one decision.

    Attributes:
        stamp_ns: when it was there.
        sequence: of the observation that it answers.
        values: by signal, NaN where one says nothing.
        features: (F,) what the model made of the observation, empty where it does not say.
    """

    stamp_ns: int
    sequence: int
    values: Mapping[str, float]
    features: Floats


class Weighing:
    """Takes every event of one session in order, and weighs each of the policy's decisions. Takes about 1 ms for one.

    What a recovery or a person has the arms do is no decision of the policy, and what is not followed is not what the
    next decision is compared with.
    """

    def __init__(self) -> None:
        self._signals: dict[str, Signal] = {name: kind() for name, kind in SIGNALS.items()}
        self._seen: deque[Observation] = deque(maxlen=KEPT)
        self._digest = ""
        self._before: Look | None = None
        self._judging: Look | None = None

    def note(self, event: Event) -> Weighed | None:
        """What `event` comes to, where it is a decision of the policy."""
        match event:
            case SessionStarted():
                self._digest = event.model_digest
            case Observed():
                self._seen.append(event.observation)
            case Judged(gate="vetting") if self._judging is not None:
                self._judged(event)
            case ModeChanged() if event.after != "engaged":
                self._before = None
            case Decided():
                return self._weigh(event)
            case _:
                pass
        return None

    def _weigh(self, event: Decided) -> Weighed | None:
        decision = event.decision
        observation = self._answered(decision)
        if observation is None or decision.model_digest != self._digest:
            return None
        look = Look(decision=decision, observation=observation, before=self._before)
        self._judging = replace(look, before=None)
        return Weighed(
            stamp_ns=event.stamp_ns,
            sequence=decision.sequence,
            values={name: signal.weigh(look) for name, signal in self._signals.items()},
            features=decision.features,
        )

    def _answered(self, decision: Decision) -> Observation | None:
        return next((each for each in reversed(self._seen) if each.stamp_ns == decision.chunk.stamp_ns), None)

    def _judged(self, event: Judged) -> None:
        """A decision that vetting let through is what the arms follow from now on."""
        assert self._judging is not None  # the caller asked
        if event.sequence == self._judging.decision.sequence and event.outcome < Outcome.HOLD:
            self._before = self._judging
        self._judging = None
