"""Tells a run on the terminal while it happens: what is seen, what is planned, what was objected to."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import Self

import numpy as np
from rich.markup import escape

from forearm.cli.terminal import PEOPLE, with_digest
from forearm.clock import NANOSECONDS
from forearm.events import (
    Alarmed,
    CameraRegistered,
    Decided,
    Event,
    Judged,
    LimitsStated,
    ModeChanged,
    Observed,
    OperatorActed,
    RecoveryBegan,
    RecoveryEnded,
    SessionStarted,
    Stopped,
)
from forearm.messages import Decision, Floats, Outcome, Plan
from forearm.robot.embodiment import BIMANUAL_YAM

COLOURS = {Outcome.ALLOW: "green", Outcome.LIMIT: "yellow", Outcome.HOLD: "red", Outcome.STOP: "bold red"}
STAYS_M = 0.01  # m, a predicted path shorter than this is none
GRIPS = 0.3  # of the opening, a smaller change is not worth a word
STATUS_EVERY_NS = 100_000_000  # ns of session time between updates of the running time


class Story:
    """One line per decision and objection, and a running clock where stderr is a terminal.

    A terminal that can no longer be written to is told nothing more: the run does not depend on being watched.
    """

    def __init__(self) -> None:
        self._status = PEOPLE.status("getting ready")
        self._started_ns = 0
        self._shown_ns = -STATUS_EVERY_NS
        self._mode = "idle"
        self._told = ""
        self._gone = False

    def __enter__(self) -> Self:
        with suppress(OSError):
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._status.stop()

    def tell(self, event: Event) -> None:
        """Takes any event; most are not worth a line."""
        if self._gone:
            return
        try:
            self._tell(event)
        except OSError:
            self._gone = True

    def _tell(self, event: Event) -> None:
        if isinstance(event, SessionStarted):
            self._started_ns = event.stamp_ns
            policy = escape(with_digest(event.policy, event.model_digest))
            line = f"[bold]{escape(event.instruction)}[/] · policy {policy} · seed {event.seed}"
            PEOPLE.print(line, highlight=False, soft_wrap=True)
        elif isinstance(event, LimitsStated):
            PEOPLE.print(
                f"monitors {event.monitors}\ncard     {event.card}", markup=False, highlight=False, soft_wrap=True
            )
        elif isinstance(event, CameraRegistered):
            if event.verdict != "as drawn":
                self._line(event.stamp_ns, f"[yellow]camera[/]: {escape(event.text)}")
        elif isinstance(event, Alarmed):
            self._line(event.stamp_ns, f"[yellow]monitor {event.monitor}[/]: {escape(event.text)}")
        elif isinstance(event, Observed):
            self._tick(event.stamp_ns)
        elif isinstance(event, Decided):
            self._line(event.stamp_ns, decision_in_words(event.decision))
        elif isinstance(event, Judged):
            self._objections(event)
        elif isinstance(event, ModeChanged):
            self._mode = event.after
            self._line(event.stamp_ns, f"[bold]{event.before} → {event.after}[/]: {escape(event.reason)}")
        elif isinstance(event, Stopped):
            self._line(event.stamp_ns, escape(event.text))
        elif isinstance(event, RecoveryBegan):
            self._line(event.stamp_ns, f"[yellow]{event.condition}[/]: {event.rung}, attempt {event.attempt}")
        elif isinstance(event, RecoveryEnded):
            how = "[green]recovered[/]" if event.recovered else "[yellow]not recovered[/]"
            self._line(event.stamp_ns, f"{how} by {event.rung}: {escape(event.proof)}")
        elif isinstance(event, OperatorActed):
            refused = "" if event.accepted else "[yellow]refused[/] "
            what = escape(f"{event.act} {event.details}".rstrip())
            self._line(event.stamp_ns, f"[bold magenta]{escape(event.who)}[/]: {refused}{what}")

    def _objections(self, event: Judged) -> None:
        """A finding that repeats at every tick is told once."""
        for finding in event.findings:
            text = f"[{COLOURS[finding.outcome]}]{event.gate} {finding.outcome.name.lower()}[/]: {escape(finding.text)}"
            kind = f"{event.gate} {finding.check} {finding.subject}"
            if kind != self._told:
                self._told = kind
                self._line(event.stamp_ns, text)

    def _tick(self, stamp_ns: int) -> None:
        if stamp_ns - self._shown_ns >= STATUS_EVERY_NS:
            self._shown_ns = stamp_ns
            self._status.update(f"{self._seconds(stamp_ns):5.1f} s  {self._mode}")

    def _line(self, stamp_ns: int, text: str) -> None:
        PEOPLE.print(f"{self._seconds(stamp_ns):5.1f} s  {text}", highlight=False, soft_wrap=True)

    def _seconds(self, stamp_ns: int) -> float:
        return (stamp_ns - self._started_ns) / NANOSECONDS


class StoryLog:
    """A story as a recorder's `EventLog`: a terminal that takes nothing then holds up nobody but the recorder."""

    def __init__(self, story: Story) -> None:
        self._story = story

    def append(self, event: Event) -> None:
        self._story.tell(event)

    def flush(self) -> None:
        """Lines are out as soon as they are told."""

    def close(self) -> None:
        """The story ends with its own context."""

    def abandon(self) -> None:
        """Nothing is held."""


def decision_in_words(decision: Decision) -> str:
    """What was seen and what is meant, in one line: `closing on the red block · sees 0.62-1.31 m · left → …`."""
    if decision.plan is None:
        return f"{len(decision.chunk.positions)} rows, no plan"
    plan = decision.plan
    near, far = np.nanquantile(plan.depth_map, [0.02, 0.98])
    arms = [_arm_in_words(arm.name, plan, number) for number, arm in enumerate(BIMANUAL_YAM.arms)]
    return " · ".join([f"[cyan]{escape(plan.subtask)}[/]", f"sees {near:.2f}-{far:.2f} m", *filter(None, arms)])


def _arm_in_words(name: str, plan: Plan, number: int) -> str:
    """Where the arm goes and what its gripper will do there; nothing for an arm that stays."""
    trace: Floats = plan.trace[number]
    if np.isnan(plan.points[number]).any() and np.ptp(trace, axis=0).max() < STAYS_M:
        return ""
    named = f" ({escape(plan.names[number])})" if plan.names and plan.names[number] else ""
    x, y, z = trace[-1]
    before, after = plan.trace_grippers[number][[0, -1]]
    gripper = " closing" if after < before - GRIPS else " opening" if after > before + GRIPS else ""
    return f"{name}{named} to ({x:.2f}, {y:.2f}, {z:.2f}) m{gripper}"
