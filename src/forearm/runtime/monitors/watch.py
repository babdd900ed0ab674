"""Watches a run's events and says when what is decided, seen and measured is no longer what success looks like.

Invariant: an alarm is only raised by a calibration of this model with these cameras; without one the run says that it
has none, and what is unknown is not called good. An alarm moves nothing and stops nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan

from forearm.events import Alarmed, Emit, Event, LimitsStated, OperatorActed, SessionStarted
from forearm.runtime.card import about_card
from forearm.runtime.known import Known
from forearm.runtime.monitors.calibration import Calibration, cameras_digest
from forearm.runtime.monitors.signals import FEATURES
from forearm.runtime.monitors.weighing import Weighed, Weighing

PERSISTS = 3  # alarms in a row, about 2 s, after which a person is asked
UNCALIBRATED = "not calibrated for this model"
SENTENCES: Mapping[str, str] = {
    "depth": "The plan's depth map is {value:.0f} mm off what the camera measures; up to {limit:.0f} is usual.",
    "trace": "A tool is {value:.0f} mm from where the plan before said it would be; up to {limit:.0f} is usual.",
    "chunk": "The new chunk is {value:.2f} rad off the one before at the same times; up to {limit:.2f} is usual.",
    "progress": "Nothing has come nearer for {value:.1f} s; up to {limit:.1f} s is usual.",
    FEATURES: "What the model sees is {value:.1f} times as strange as on average; up to {limit:.1f} times is usual.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """Why a person should look: the signal that raised alarms in a row, how many, and the newest in words."""

    monitor: str
    in_a_row: int
    text: str


class Watch:
    """Passes every event of one session on, and adds what it has to say. Takes about 1 ms where a decision is new.

    Args:
        emit: takes every event.
        known: of the model that decides: a calibration of another model or other cameras raises no alarm, and the card
            is only stated here.
    """

    def __init__(self, emit: Emit, known: Known) -> None:
        self._emit, self._known = emit, known
        self._weighing = Weighing()
        self._calibration: Calibration | None = None
        self._in_a_row = 0
        self.suspicion: Suspicion | None = None
        """What has persisted since a person acted last."""

    def emit(self, event: Event) -> None:
        """Takes the session's events in order."""
        self._emit(event)
        if isinstance(event, SessionStarted):
            self._state_limits(event)
        elif isinstance(event, OperatorActed) and event.accepted:
            self._in_a_row, self.suspicion = 0, None  # a person has looked
        if self._calibration is not None:
            self._look(self._calibration, event)

    def _state_limits(self, event: SessionStarted) -> None:
        self._calibration, text = applying(self._known.calibration, event.model_digest)
        carded, about = about_card(self._known.card, event.model_digest)
        self._emit(
            LimitsStated(
                stamp_ns=event.stamp_ns,
                calibrated=self._calibration is not None,
                monitors=text,
                carded=carded,
                card=about,
            )
        )

    def _look(self, calibration: Calibration, event: Event) -> None:
        try:
            weighed = self._weighing.note(event)
            if weighed is not None:
                self._compare(calibration, weighed)
        except Exception as error:  # a policy may say anything; what cannot be weighed is not unsuspicious
            text = f"The monitors cannot weigh what happened: {type(error).__name__}: {error}"
            self._alarm(event.stamp_ns, -1, "monitors", nan, nan, text)

    def _compare(self, calibration: Calibration, weighed: Weighed) -> None:
        values = calibration.complete(weighed.values, weighed.features)
        scores = calibration.scores(values)
        monitor = max(scores, key=scores.__getitem__, default="")
        if not monitor or scores[monitor] <= calibration.threshold:
            self._in_a_row = 0
            return
        limit = calibration.limits[monitor]
        text = SENTENCES[monitor].format(value=values[monitor], limit=limit)
        self._alarm(weighed.stamp_ns, weighed.sequence, monitor, values[monitor], limit, text)

    def _alarm(self, stamp_ns: int, sequence: int, monitor: str, value: float, threshold: float, text: str) -> None:
        self._in_a_row += 1
        if self._in_a_row >= PERSISTS:
            self.suspicion = Suspicion(monitor=monitor, in_a_row=self._in_a_row, text=text)
        self._emit(
            Alarmed(
                stamp_ns=stamp_ns,
                sequence=sequence,
                monitor=monitor,
                value=value,
                threshold=threshold,
                in_a_row=self._in_a_row,
                text=text,
            )
        )

    def question(self) -> str:
        """What a person is to be asked, empty while there is nothing."""
        if self.suspicion is None:
            return ""
        return f"{self.suspicion.text} {self.suspicion.in_a_row} decisions in a row were suspicious: look, then resume."


def applying(calibration: Calibration | None, model_digest: str) -> tuple[Calibration | None, str]:
    """The calibration where it belongs to this model and to the robot's cameras, and what is to be said of it."""
    if not model_digest:
        return None, "no model, nothing to calibrate"
    if calibration is None:
        return None, UNCALIBRATED
    if calibration.model_digest != model_digest:
        return None, f"{UNCALIBRATED}: the calibration is of model {calibration.model_digest[:12]}"
    if calibration.cameras != cameras_digest():
        return None, f"{UNCALIBRATED}: the calibration is of other cameras"
    return calibration, calibration.text()
