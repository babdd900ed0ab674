"""One scored rollout: a task, a seed and a policy, through the whole line with vetting and guard on.

Invariant: a result depends on the trial, the policy and the code alone, and an error is never counted as a failure.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from forearm.cell.perturbations import varied
from forearm.cell.setup import Setup
from forearm.cell.tasks import task_named
from forearm.cell.tasks.absence import missing
from forearm.cell.tasks.put_in_box import PutInBox
from forearm.clock import NANOSECONDS
from forearm.errors import InputError
from forearm.evaluation.trace_response import path_shift_mm
from forearm.events import Alarmed, Decided, Emit, Event, Judged, Observed
from forearm.messages import Observation, Outcome
from forearm.policy.choice import MakePolicy
from forearm.runtime.card import brightness
from forearm.runtime.chunks import EXECUTION_HORIZON
from forearm.runtime.known import Known
from forearm.runtime.monitors.calibration import Calibration
from forearm.runtime.simulation import LATENCY_S, Simulation

Words = Literal["asked", "swap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is tried: a task's scene of that seed, with its own words or with the other block's colour in them.

    `variation` is what is different about it, NAME:LEVEL of `cell.perturbations`; empty for nothing.
    """

    task: str
    seed: int
    words: Words = "asked"
    variation: str = ""

    def setup(self) -> Setup:
        """The scene.

        Raises:
            InputError: for an unknown task or variation, one that the scene has nothing for, or swapped words where
                there is no choice of object.
        """
        task = task_named(self.task)
        setup = task.sample(self.seed)
        if self.words == "swap":
            if not isinstance(task, PutInBox):
                raise InputError(
                    f"swapped words: got task {self.task!r}, only {PutInBox.name!r} has two objects; use that"
                )
            setup = task.other_word(setup)
        return varied(setup, self.variation) if self.variation else setup


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """How a trial went.

    Attributes:
        task, seed, words, variation: which trial.
        instruction: the sentence that the policy was given.
        outcome: of the session; "error" also for a trial that could not be run.
        success: whether the task's goal was reached; where the scene does not have what is asked for, whether that was
            refused before any motion.
        progress: 0..1 at the end.
        asked: the object that the sentence means, empty where there is only one.
        taken: the object that was first held between two fingers, empty if none was.
        duration_s: s of session time.
        wall_s: s it took to simulate.
        decisions: how many the policy made.
        findings: how often each check objected.
        reason: why the session ended, in words.
        path_shift_mm: how far tool paths answered a trace shifted by `trace_response.SHIFT_M`, mean over decisions and
            arms free of contact; None where that was not measured.
        stages: of a task of many parts, whether each was done at the end; empty for a task of one part.
        alarms: decisions that monitors raised an alarm about; 0 also where none are calibrated.
        first_alarm_s: s of session time of the first one.
        darkest, brightest: least and greatest mean of the main camera's picture when a decision came, 0..255; None
            where none did.
    """

    task: str
    seed: int
    words: Words
    instruction: str = ""
    outcome: str = "error"
    success: bool = False
    progress: float = 0.0
    asked: str = ""
    taken: str = ""
    duration_s: float = 0.0
    wall_s: float = 0.0
    decisions: int = 0
    findings: Mapping[str, int] = field(default_factory=dict[str, int])
    reason: str = ""
    path_shift_mm: float | None = None
    variation: str = ""
    stages: Mapping[str, bool] = field(default_factory=dict[str, bool])
    alarms: int = 0
    first_alarm_s: float | None = None
    darkest: float | None = None
    brightest: float | None = None

    @property
    def trial(self) -> Trial:
        """Which trial it was."""
        return Trial(task=self.task, seed=self.seed, words=self.words, variation=self.variation)

    @property
    def is_error(self) -> bool:
        """Whether nothing can be said about the policy: the machinery failed, not the task."""
        return self.outcome == "error"

    def record(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


class _Tally:
    """Counts what a trial's events say, and passes them on."""

    def __init__(self, emit: Emit | None) -> None:
        self._emit = emit
        self.findings: Counter[str] = Counter()
        self.decisions = self.alarms = 0
        self.followed = 0
        """Decisions that were let through."""
        self.first_alarm_s: float | None = None
        self.light: list[float] = []
        self._seen: Observation | None = None

    def note(self, event: Event) -> None:
        if self._emit is not None:
            self._emit(event)
        match event:
            case Judged():
                self.findings.update(finding.check for finding in event.findings)
                self.decisions += event.gate == "vetting"
                self.followed += event.gate == "vetting" and event.outcome < Outcome.HOLD
            case Observed():
                self._seen = event.observation
            case Decided() if self._seen is not None:
                self.light.append(brightness(self._seen))
            case Alarmed():
                self.alarms += 1
                if self.first_alarm_s is None:
                    self.first_alarm_s = event.stamp_ns / NANOSECONDS
            case _:
                pass

    def record(self) -> dict[str, Any]:
        """The fields of a result that it counts."""
        return {
            "decisions": self.decisions,
            "findings": dict(sorted(self.findings.items())),
            "alarms": self.alarms,
            "first_alarm_s": self.first_alarm_s,
            "darkest": min(self.light, default=None),
            "brightest": max(self.light, default=None),
        }


def run_trial(
    trial: Trial,
    make_policy: MakePolicy,
    *,
    latency_s: float = LATENCY_S,
    execution_horizon: int = EXECUTION_HORIZON,
    outside_view: bool = False,
    emit: Emit | None = None,
    commit: str = "",
    recipe: str = "{}",
    calibration: Calibration | None = None,
    intervened: bool = False,
) -> TrialResult:
    """Runs it, at several times real speed; rendering and inference take nearly all of the time.

    Args:
        trial: what is tried.
        make_policy: makes the policy for the scene.
        latency_s: simulated s from observation to decision.
        execution_horizon: rows of a chunk after which the next one is wanted.
        outside_view: whether a camera for people is captured too.
        emit: takes every event beside the tally.
        commit: for a log.
        recipe: for a log, JSON text.
        calibration: by which alarms are raised and counted; they change nothing.
        intervened: whether the policy's plan is changed on purpose.

    Raises:
        InputError: for a trial that there is none of.
        Exception: whatever the machinery raised; a failed task is a result.
    """
    setup, tally, began = trial.setup(), _Tally(emit), time.perf_counter()
    simulation = Simulation(
        setup,
        make_policy,
        latency_s=latency_s,
        execution_horizon=execution_horizon,
        outside_view=outside_view,
        known=Known(calibration=calibration),  # no card: what is on it is measured by trying everything
        intervened=intervened,
    )
    run = simulation.run(seed=trial.seed, emit=tally.note, commit=commit, recipe=recipe)
    task, absent = task_named(setup.task), bool(missing(setup))
    refused = run.ended.outcome == "refused" and not tally.followed
    return TrialResult(
        **asdict(trial),
        instruction=setup.spoken,
        outcome=run.ended.outcome,
        success=refused if absent else run.ended.outcome == "done",
        progress=run.ended.progress,
        asked=task.asked(setup) if isinstance(task, PutInBox) and not absent else "",
        taken=run.taken,
        duration_s=run.duration_s,
        wall_s=time.perf_counter() - began,
        reason=run.ended.reason,
        path_shift_mm=path_shift_mm(simulation.policy),
        stages=run.stages,
        **tally.record(),
    )
