"""One run of the fault campaign: the whole line in the cell, something going wrong in it, and four questions to the run.

Did the arms touch each other, truly, whatever they were measured at? Did what was sent break a limit, by an independent
oracle? Is every hold and stop explained by what its log holds? Is the log whole, and does it open?
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from campaign_phases import IN_TURN, phases
from campaign_troubles import KINDS, Moment, Trouble
from escape_oracle import Oracle
from forearm.cell.setup import Setup
from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import NANOSECONDS, SimulatedClock
from forearm.events import Event, ModeChanged
from forearm.messages import Decision, Observation, Request, SafeCommand
from forearm.policy.choice import policy_named
from forearm.policy.interface import Policy
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.furnished import workspace_of
from forearm.runtime.inference import Answer, SimulatedInference
from forearm.runtime.operator import Act
from forearm.runtime.patience import SPENT, WARMING
from forearm.runtime.recovery import Budget
from forearm.runtime.session import Charge, Session
from forearm.runtime.steering import Steering
from forearm.runtime.understanding import Understanding
from forearm.safety.gates import Gates
from forearm.safety.limits import Limits
from forearm.telemetry.log import RunLog, read_run
from forearm.telemetry.recorder import LosslessRecorder
from forearm.telemetry.writer import FILE_NAME, LogWriter

LATENCY_S = 0.05  # s, simulated, from observation to answer
SECONDS = (0.3, 4.0)  # s that a trouble lasts: some are over before a hold may last no longer, some are not
DELAYS_S = {
    "approach": (0.1, 0.9),
    "grasp": (0.0, 0.1),
    "carry": (0.0, 0.5),
    "exchange": (0.0, 0.8),
    "place": (0.0, 0.3),
    "insertion": (0.0, 0.8),
}
GAP_S = 0.25  # s without a decision after which a chunk may well be spent


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is run: a trouble, the task and phase it happens in, a scene, with the ladder of recoveries or without."""

    kind: str
    task: str
    phase: str
    seed: int
    recovers: bool

    @property
    def key(self) -> str:
        """Its name in the journal."""
        return f"{self.kind}|{self.task}|{self.phase}|{self.seed}|{self.recovers}"


@dataclass(kw_only=True)
class Result:
    """What came of a case; the four lists hold what must not be."""

    key: str
    happened: bool
    outcome: str
    label: str
    reason: str
    duration_s: float
    nearest_m: float
    contacts: list[str] = field(default_factory=list[str])
    broken_limits: list[str] = field(default_factory=list[str])
    unexplained: list[str] = field(default_factory=list[str])
    log_faults: list[str] = field(default_factory=list[str])

    def record(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


class Watched(CellRobot):
    """The cell, with a witness: the truth of every tick, and every set-point in order."""

    def __init__(self, *, setup: Setup, clock: SimulatedClock, trouble: Trouble, oracle: Oracle) -> None:
        super().__init__(setup=setup, clock=clock, faults=trouble.faults())
        self._trouble, self._oracle = trouble, oracle
        self._entered = set[str]()  # things that have been in the trouble's phase
        self.stretches: list[list[np.ndarray]] = []
        """Set-points between two stops, each stretch behind the pose that it began at."""
        self.nearest_m = np.inf
        self.contacts: list[str] = []

    def read(self) -> Observation:
        # A bus that is silent moves the physics on as well, so the truth is looked at in any case.
        try:
            self._seen = super().read()
        finally:
            self._witness()
        if not self.stretches:
            self.stretches.append([self._seen.positions])
        return self._seen

    def send(self, command: SafeCommand) -> None:
        stretch = self.stretches[-1]
        if len(stretch) == 1:
            stretch[0] = self._rest(stretch[0], command.positions)
        stretch.append(command.positions)
        super().send(command)

    def stop(self) -> None:
        super().stop()
        if self.stretches:
            self.stretches.append([self._seen.positions])

    def _rest(self, seen: np.ndarray, first: np.ndarray) -> np.ndarray:
        """The pose that a stretch begins at: stopped grippers rest at what they were told, or where they were."""
        hands, rest = BIMANUAL_YAM.grippers, seen.copy()
        told = self._command[hands]
        goes_on = np.abs(first[hands] - told) < np.abs(first[hands] - seen[hands])
        rest[hands] = np.where(goes_on, told, seen[hands])
        return rest

    def _witness(self) -> None:
        truth, now_ns = self._physics.positions, self._start_ns + self._elapsed_ns
        moment = self._trouble.moment
        now_in = phases(self.setup, self._physics, self._command)
        self._entered |= {thing for thing, phase in now_in.items() if phase == moment.phase}
        moment.note(len(self._entered), now_ns)
        apart = self._oracle.arms_apart(truth)
        self.nearest_m = min(self.nearest_m, apart)
        if (apart < 0.0 and self._oracle.arms_touching(truth)) or self.arms_touch():
            self.contacts.append(f"the arms touch at {now_ns / NANOSECONDS:.2f} s")


class Troubled:
    """A policy whose decisions pass through the trouble."""

    def __init__(self, policy: Policy, trouble: Trouble, clock: SimulatedClock) -> None:
        self._policy, self._trouble, self._clock = policy, trouble, clock
        self.name, self.model_digest = policy.name, policy.model_digest

    def reset(self, *, seed: int) -> None:
        self._policy.reset(seed=seed)

    def decide(self, request: Request) -> Decision:
        return self._trouble.decided(self._policy.decide(request), self._clock.now_ns())


class Thinking(SimulatedInference):
    """Thinking whose answers come when the trouble lets them."""

    trouble: Trouble

    def take(self, now_ns: int) -> Answer | None:
        return super().take(now_ns) if self.trouble.passes(now_ns) else None


class Time(SimulatedClock):
    """Time that jumps on when the trouble says so."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__()
        self._trouble = trouble

    def sleep_until(self, stamp_ns: int) -> None:
        super().sleep_until(stamp_ns)
        self.advance(self._trouble.stall_s(self.now_ns()))


class Person:
    """An operator who does what the trouble says."""

    def __init__(self, trouble: Trouble) -> None:
        self._trouble = trouble

    def poll(self, now_ns: int) -> Act | None:
        return self._trouble.act(now_ns)


class Rig:
    """A session in the cell that is ready to go wrong as the case says."""

    def __init__(self, case: Case, policy: str, oracle: Oracle) -> None:
        rng = np.random.default_rng((case.seed, sum(map(ord, case.kind + case.task + case.phase))))
        most = 1 if case.phase == "approach" else IN_TURN.get(case.task, 1)
        moment = Moment(
            case.phase,
            number=int(rng.integers(most)) + 1,
            delay_s=float(rng.uniform(*DELAYS_S[case.phase])),
            seconds=float(rng.uniform(*SECONDS)),
        )
        self.trouble = KINDS[case.kind](moment, rng)
        self._clock = Time(self.trouble)
        setup = task_named(case.task).sample(case.seed)
        self.robot = Watched(setup=setup, clock=self._clock, trouble=self.trouble, oracle=oracle)
        self._policy = Troubled(policy_named(policy)(self.robot), self.trouble, self._clock)
        self._case = case

    def run(self, log: Path) -> tuple[int, int, str]:
        """Runs it with its log; events emitted and lost, and what became of the log."""
        case, trouble, clock = self._case, self.trouble, self._clock
        gates = Gates.of(
            Limits.of(),
            workspace=workspace_of(self.robot.setup),
            model_digest=self._policy.model_digest,
        )
        thinking = Thinking(self._policy, gates.vetting, latency_s=LATENCY_S)
        thinking.trouble = trouble
        emitted = 0
        with LosslessRecorder(LogWriter.create(log)) as recorder:

            def emit(event: Event) -> None:
                nonlocal emitted
                emitted += 1
                recorder.emit(event)

            Session(
                charge=Charge(
                    instruction=self.robot.setup.instruction,
                    seed=case.seed,
                    time_limit_s=self.robot.setup.time_limit_s,
                ),
                robot=self.robot,
                policy=self._policy,
                gates=gates,
                steering=Steering.of(
                    Understanding(thinking),
                    gates,
                    emit,
                    budget=Budget() if case.recovers else None,
                    operator=Person(trouble),
                ),
                goal=self.robot,
                clock=clock,
                emit=emit,
                interrupted=lambda: trouble.interrupted(clock.now_ns()),
                external_stop=lambda: trouble.external(clock.now_ns()),
            ).run()
            recorded = recorder.close()
        return emitted, emitted - recorded.written, recorded.failure


def run(case: Case, policy: str, oracle: Oracle) -> Result:
    """Runs the case and asks its questions. About 1.5 s of a core with the smallest model, 7 s with a larger one."""
    rig = Rig(case, policy, oracle)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE_NAME
        emitted, lost, failure = rig.run(path)
        log = read_run(path)
    assert log.end is not None
    robot = rig.robot
    sent = sum(len(stretch) - 1 for stretch in robot.stretches)
    held = any(each.after in ("holding", "recovering", "operator") for each in log.mode_changes)
    outcome = f"held, then {log.end.outcome}" if held and log.end.outcome in ("done", "failed") else log.end.outcome
    wrong = [text for begun in robot.stretches for text in of_stretch(begun, oracle)]
    return Result(
        key=case.key,
        happened=rig.trouble.moment.begun and (not rig.trouble.faults() or bool(robot.faults())),
        outcome=outcome,
        label=label(log.end.reason, log, rig.trouble.says) if log.end.outcome == "stopped" else "",
        reason=log.end.reason,
        duration_s=log.duration_s,
        nearest_m=float(robot.nearest_m),
        contacts=robot.contacts[:3],
        broken_limits=wrong,
        unexplained=list(unexplained(log, rig.trouble.says)),
        log_faults=list(of_log(log, sent, emitted, lost, failure)),
    )


def of_stretch(stretch: list[np.ndarray], oracle: Oracle) -> list[str]:
    """What is wrong with the set-points of a stretch behind the pose it began at."""
    if len(stretch) < 2:
        return []
    return sorted(oracle.of_set_points(stretch[0], np.array(stretch[1:])))


def of_log(log: RunLog, sent: int, emitted: int, lost: int, failure: str) -> Iterator[str]:
    """What is wrong with the log."""
    if lost or failure:
        yield f"{lost} of {emitted} events were lost: {failure}"
    if not log.complete:
        yield log.damage
    if len(log.commands) != sent:
        yield f"{len(log.commands)} set-points are in the log, {sent} were sent"


def unexplained(log: RunLog, says: str) -> Iterator[str]:
    """The holds and stops, and the end, whose reason nothing in the log or the trouble bears out."""
    for change in log.mode_changes:
        if change.after in ("holding", "recovering", "protective_stop") and not _cause(change, log, says):
            yield f"{change.after} at {log.seconds(change.stamp_ns):.2f} s: {change.reason or 'no reason'}"
    assert log.end is not None
    if log.end.outcome in ("stopped", "error") and not label(log.end.reason, log, says):
        yield f"the end: {log.end.reason or 'no reason'}"


def _cause(change: ModeChanged, log: RunLog, says: str) -> str:
    return label(change.reason, log, says, change.stamp_ns)


def label(reason: str, log: RunLog, says: str, before_ns: int | None = None) -> str:
    """A short name for what bears out a reason given at `before_ns`, the end by default; empty where nothing does."""
    until_ns = before_ns if before_ns is not None else log.end.stamp_ns if log.end else 0
    if not reason:
        return ""
    for verdict in reversed(log.verdicts):
        for finding in verdict.findings:
            if verdict.stamp_ns <= until_ns and finding.text and finding.text in reason:
                return finding.check.split(":")[0]
    for event in log.recoveries:
        if event.kind == "recovery_began" and event.stamp_ns <= until_ns and event.reason and event.reason in reason:
            return event.condition
        if event.kind == "recovery_began" and reason.lower().startswith(event.rung):
            return event.condition
    if any(act.stamp_ns <= until_ns and act.who in reason for act in log.operator_acts) or "operator" in reason:
        return "a person"
    if says and says in reason:
        return says.split(":")[0]
    until_ns = _held_since(log, reason, until_ns)
    decided = [each.stamp_ns for each in log.decisions if each.stamp_ns <= until_ns]
    if reason.startswith(WARMING) and not decided:
        return "no decision"
    if reason.startswith(SPENT) and decided:
        return "no decision" if _starved(log, max(decided), until_ns) else ""
    return "the way back" if reason == "An arm goes back the way it came." else ""


def _held_since(log: RunLog, reason: str, until_ns: int) -> int:
    """When a hold for that reason began, of which a stop says that nothing changed; else `until_ns`."""
    holds = [each for each in log.mode_changes if each.after == "holding" and each.stamp_ns <= until_ns]
    return holds[-1].stamp_ns if holds and holds[-1].reason and reason.startswith(holds[-1].reason) else until_ns


def _starved(log: RunLog, decided_ns: int, until_ns: int) -> bool:
    """Whether no decision came for a while, the last one was cut, or somebody else had steered meanwhile."""
    judged = [each for each in log.verdicts if each.gate == "vetting" and each.stamp_ns <= until_ns]
    recent = [
        each.stamp_ns
        for each in (*log.recoveries, *log.operator_acts)
        if until_ns - NANOSECONDS <= each.stamp_ns <= until_ns
    ]
    handed_back = any(
        change.after == "engaged" and until_ns - NANOSECONDS <= change.stamp_ns <= until_ns
        for change in log.mode_changes
    )
    cut = bool(judged) and bool(judged[-1].findings)
    return until_ns - decided_ns >= GAP_S * NANOSECONDS or cut or bool(recent) or handed_back
