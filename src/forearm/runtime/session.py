"""One run from start to safe end: connect, warm up, engage, run, stop — whatever happens in between.

Invariant: on every way out, an error and a signal included, the robot is told to stop before anything was closed, it is
measured whether it did, and the log ends with a `SessionEnded` that says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

from forearm.clock import NANOSECONDS, Clock
from forearm.errors import ForearmError, InstructionError
from forearm.events import Emit, ModeChanged, SelfTested, SessionEnded, SessionStarted
from forearm.messages import Outcome
from forearm.policy.interface import Policy
from forearm.robot.interface import Robot
from forearm.runtime.brakes import TICK_NS, Brakes
from forearm.runtime.grasp import Hands
from forearm.runtime.loop import Loop, Tick
from forearm.runtime.patience import Concern, Monitor, Patience
from forearm.runtime.proofs import prove_chunks
from forearm.runtime.steering import Steering
from forearm.safety.gates import Gates
from forearm.safety.mode import Mode, Trigger, step
from forearm.safety.selftest import Proof, prove, refuse_unproven
from forearm.safety.stops import Cause, StopKind
from forearm.telemetry.metrics import Histogram

Ended = Literal["done", "failed", "refused", "stopped", "error"]


class Goal(Protocol):
    """What the run is for, and whether it is there yet; the cell knows, on a bench a person does."""

    def succeeded(self) -> bool:
        """Whether the task is done."""
        ...

    def progress(self) -> float:
        """How far it is, 0..1."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a session is told to do, and what its log says about itself.

    Attributes:
        instruction: the person's sentence.
        seed: every random draw of the policy comes from it.
        time_limit_s: s of session time after which the task counts as failed.
        epoch: the session's number; replies of another are not followed.
        commit: of the code, with a mark when it was changed since.
        recipe: the resolved settings as JSON text.
    """

    instruction: str
    seed: int
    time_limit_s: float
    epoch: int = 1
    commit: str = ""
    recipe: str = "{}"


class Session:
    """Runs one charge on one robot with one policy. Used once.

    Args:
        charge: what is to be done.
        robot: not yet connected; closed at the end.
        policy: reset here; from then on only the thinking behind `steering` calls it.
        gates: judge every motion; proven here before the first one.
        steering: leads to commands, in those gates; its helm is closed at the end.
        goal: says when it is done.
        clock: the session's time.
        emit: takes every event.
        patience: how long what goes wrong is borne with.
        interrupted: why the session must end now, in words; empty while it need not.
        dropped: events that the log had no room for.
        external_stop: why the cell wants the arms to stop, in words; empty while it does not. One that fails stops.
        prove_also: of what else judges, at that time; the gates and the chunk buffer prove themselves in any case.
    """

    def __init__(
        self,
        *,
        charge: Charge,
        robot: Robot,
        policy: Policy,
        gates: Gates,
        steering: Steering,
        goal: Goal,
        clock: Clock,
        emit: Emit,
        patience: Patience | None = None,
        interrupted: Callable[[], str] = str,
        dropped: Callable[[], int] = int,
        external_stop: Callable[[], str] = str,
        prove_also: Callable[[int], tuple[Proof, ...]] = lambda now_ns: (),
    ) -> None:
        self._prove_also = prove_also
        self._charge = charge
        self._robot = robot
        self._policy = policy
        self._gates = gates
        self._steering = steering
        self._goal = goal
        self._clock = clock
        self._emit = emit
        helm, chunks = steering.helm, steering.chunks
        self._loop = Loop(
            robot=robot,
            clock=clock,
            inference=helm,
            chunks=chunks,
            hands=Hands(gates.workspace),
            guard=gates.guard,
            emit=emit,
        )
        self._monitor = Monitor(patience or Patience())
        self._brakes = Brakes(chunks=chunks, embodiment=robot.embodiment, emit=emit, trail=steering.trail)
        self._interrupted = interrupted
        self._external_stop = external_stop
        self._dropped = dropped
        self._mode = Mode.IDLE
        self._returning = False  # whether the brakes have sent an arm back the way it came
        self._cause = Cause.FAULT
        self._lateness = Histogram()
        self._progress = 0.0

    def run(self) -> SessionEnded:
        """Does it, and says how it ended. Blocks until the robot holds still.

        Raises:
            Exception: what was not raised on purpose, after the safe end; the log has it as outcome "error".
        """
        self._start()
        outcome: Ended = "error"
        reason = ""
        try:
            self._policy.reset(seed=self._charge.seed)
            self._robot.connect(self._charge.epoch)
            outcome, reason = self._drive()
        except InstructionError as error:
            outcome, reason = "refused", str(error)
        except ForearmError as error:
            outcome, reason = "stopped", str(error)
        except KeyboardInterrupt:
            outcome, reason = "stopped", "The process was interrupted."
            raise
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
            raise
        finally:
            ended = self._end(outcome, reason)
        return ended

    def _drive(self) -> tuple[Ended, str]:
        """Ticks until something ends it; says what."""
        self._arm()
        started_ns = due_ns = self._clock.now_ns()
        while True:
            self._clock.sleep_until(due_ns)
            self._lateness.add((self._clock.now_ns() - due_ns) / NANOSECONDS)
            tick = self._loop.tick()
            self._brakes.note(tick)
            concern = self._monitor.judge(tick, by_person=self._mode is Mode.OPERATOR)
            concern = self._reconsider(tick, concern)
            self._change_mode(concern, tick)
            if self._mode is Mode.PROTECTIVE_STOP:
                return "stopped", concern.reason
            if reason := self._external_reason():
                self._cause = Cause.EXTERNAL
                return "stopped", reason
            if reason := self._interrupted():
                self._cause = Cause.PERSON
                return "stopped", reason
            if self._goal.succeeded():
                return "done", "The task is done."
            if tick.stamp_ns - started_ns > self._charge.time_limit_s * NANOSECONDS:
                return "failed", f"The task was not done within {self._charge.time_limit_s:g} s."
            # Ticks that were missed are left out: catching up would be a burst of commands.
            due_ns += TICK_NS * max(1, (self._clock.now_ns() - due_ns) // TICK_NS)

    def _arm(self) -> None:
        """Lets motion begin where the robot stands, once every gate has proven itself.

        Raises:
            SafetyError: that names the checks which let through what is known to be bad.
        """
        observation, now_ns, begun = self._robot.read(), self._clock.now_ns(), time.perf_counter()
        gates, chunks = self._gates, self._steering.chunks
        proofs = prove(gates, observation, now_ns)
        proofs += prove_chunks(chunks, gates.vetting, now_ns, model_digest=gates.model_digest)
        proofs += self._prove_also(now_ns)
        self._emit(
            SelfTested(
                stamp_ns=now_ns,
                proven=tuple(str(proof) for proof in proofs if proof.proven),
                failed=tuple(str(proof) for proof in proofs if not proof.proven),
                cost_s=time.perf_counter() - begun,
            )
        )
        refuse_unproven(proofs)
        chunks.start(observation)

    def _external_reason(self) -> str:
        """Why the cell wants the arms to stop; an input that cannot be read wants it too."""
        try:
            reason = self._external_stop()
        except Exception as error:
            return f"The external stop input failed: {type(error).__name__}: {error}"
        return f"External stop: {reason}" if reason else ""

    def _reconsider(self, tick: Tick, concern: Concern) -> Concern:
        """What remains of the concern when a person overrides it, or what can be tried is tried."""
        override, recovery = self._steering.override, self._steering.recovery
        order = None if override is None else override.judge(tick, concern, self._mode)
        if recovery is not None:
            if order is None:
                order = recovery.judge(tick, concern, self._mode)
            else:
                recovery.watch(tick, "A person steers.")
        if order is None:
            return concern
        if order.trigger is not None:
            self._step(order.trigger, order.reason)
            self._returning = False  # the way back is not gone on with: the arms were told to brake, or it was done
        if order.brakes:
            self._brakes.measure(tick, order.reason)
        return order.concern

    def _change_mode(self, concern: Concern, tick: Tick) -> None:
        """Takes the step that the concern asks for; a hold that begins does with both arms what the table says."""
        if concern.outcome is Outcome.STOP:
            self._step(Trigger.FAULT, concern.reason)
        elif concern.outcome is Outcome.HOLD and (self._mode is Mode.ENGAGED or self._returning):
            each = self._brakes.stop(tick, concern.reason, may_retreat=not self._returning)
            self._returning = self._brakes.retreating
            self._step(Trigger.FAULT if each.hardest is StopKind.PROTECTIVE else Trigger.HOLD, concern.reason)
            if self._returning:
                self._step(Trigger.RECOVER, "An arm goes back the way it came.")
        elif concern.outcome is Outcome.ALLOW and self._returning and not self._brakes.retreating:
            self._returning = False
            self._step(Trigger.RECOVERED, "The way back is done, and a vetted chunk is here.")
        elif concern.outcome is Outcome.ALLOW and self._mode is Mode.IDLE:
            self._step(Trigger.ENGAGE, "The first vetted chunk is here.")
        elif concern.outcome is Outcome.ALLOW and self._mode is Mode.HOLDING:
            self._step(Trigger.RESUME, "A vetted chunk is here again.")

    def _step(self, trigger: Trigger, reason: str) -> None:
        before, self._mode = self._mode, step(self._mode, trigger)
        if before is not self._mode:
            self._emit(
                ModeChanged(
                    stamp_ns=self._clock.now_ns(),
                    before=before.value,
                    after=self._mode.value,
                    trigger=trigger.value,
                    reason=reason,
                )
            )

    def _start(self) -> None:
        charge = self._charge
        self._emit(
            SessionStarted(
                stamp_ns=self._clock.now_ns(),
                epoch=charge.epoch,
                instruction=charge.instruction,
                robot=self._robot.embodiment.name,
                policy=self._policy.name,
                model_digest=self._policy.model_digest,
                seed=charge.seed,
                commit=charge.commit,
                recipe=charge.recipe,
            )
        )

    def _end(self, outcome: Ended, reason: str) -> SessionEnded:
        """Stops, measures that, closes, says so; a step that fails does not keep the next from being taken."""
        cause = self._cause if outcome in ("stopped", "error") else None
        measure = partial(self._brakes.end, reason, cause, self._robot, self._clock)
        prove = partial(self._close_recovery, outcome == "done")
        steps = (self._robot.stop, measure, prove, self._note_progress, self._steering.helm.close, self._robot.close)
        for last_step in steps:
            try:
                last_step()
            except Exception as error:  # the arms hold by their own controller; the log must still be finished
                outcome, reason = "error", f"{reason} Then ending failed: {type(error).__name__}: {error}"
        self._step(Trigger.FAULT if outcome in ("stopped", "error") else Trigger.DONE, reason)
        ended = SessionEnded(
            stamp_ns=self._clock.now_ns(),
            outcome=outcome,
            reason=reason,
            progress=self._progress,
            ticks=self._lateness.count,
            late_p50_s=self._lateness.quantile(0.5),
            late_p99_s=self._lateness.quantile(0.99),
            dropped=self._dropped(),
        )
        self._emit(ended)
        return ended

    def _close_recovery(self, done: bool) -> None:
        if self._steering.recovery is not None:
            self._steering.recovery.close(self._clock.now_ns(), done)

    def _note_progress(self) -> None:
        """How far the task got, where anything was moved."""
        if self._lateness.count:
            self._progress = self._goal.progress()
