"""A whole session in the cell on a simulated clock: the line of a real run, several times faster, the same every time.

Invariant: with equal arguments and equal code the events are equal, but for measured costs and latencies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from forearm.cell.drawing import drawn
from forearm.cell.setup import Setup
from forearm.cell.simulator import CellRobot
from forearm.cell.stage import Fault
from forearm.cell.tasks import refuse_misunderstood, understood
from forearm.clock import NANOSECONDS, SimulatedClock
from forearm.events import Emit, SessionEnded
from forearm.policy.choice import MakePolicy
from forearm.runtime.card import refuse_uncarded, within_card
from forearm.runtime.chunks import EXECUTION_HORIZON
from forearm.runtime.furnished import workspace_of
from forearm.runtime.inference import SimulatedInference
from forearm.runtime.known import NOTHING, Known
from forearm.runtime.monitors.watch import Watch
from forearm.runtime.operator import Operator, TraceDesk
from forearm.runtime.proofs import prove_around
from forearm.runtime.recovery import Budget
from forearm.runtime.registered import RegisteredRobot
from forearm.runtime.session import Charge, Session
from forearm.runtime.steering import Steering
from forearm.runtime.understanding import Understanding
from forearm.safety.gates import Gates, Vets
from forearm.safety.limits import Limits

EPOCH = 1  # of every session: a simulated robot serves one, and equal arguments give equal events
LATENCY_S = 0.05  # s, simulated, from observation to decision: what the small model takes on one core (35 to 46 ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """How a simulated session went.

    Its last event, s of session time, the object first taken, empty if none, the kinds of fault that happened, and, for
    a task of many parts, whether each was done at the end.
    """

    ended: SessionEnded
    duration_s: float
    taken: str
    faults: tuple[str, ...] = ()
    stages: Mapping[str, bool] = field(default_factory=dict[str, bool])


class Simulation:
    """A session that is ready to run: everything that can be refused has been, and nothing has moved.

    Args:
        setup: the scene and its sentence.
        make_policy: makes the policy for the scene.
        latency_s: simulated s from observation to decision; the setup's pace comes on top.
        execution_horizon: rows of a chunk after which the next one is wanted.
        outside_view: whether a camera for people is captured too.
        faults: what is to go wrong on purpose.
        recovers: whether the ladder is climbed when something goes wrong; else the pair is stopped as its table says.
        operator: who may act during the run; None for nobody.
        desk: where the operator's edits of the trace go; the policy must have been made with it.
        clock: the session's time; as fast as the machine allows by default.
        known: what is known of the model's limits; what is of another model is not held against it.
        intervened: whether a test changes the plan on purpose: where it points need not be what was said.

    Raises:
        InstructionError: when what was said does not mean the setup's instruction.
        CheckpointError: when the policy's weights are missing or corrupt.
        InstructionError: for a sentence that the model's card does not allow.
    """

    def __init__(
        self,
        setup: Setup,
        make_policy: MakePolicy,
        *,
        latency_s: float = LATENCY_S,
        execution_horizon: int = EXECUTION_HORIZON,
        outside_view: bool = False,
        faults: Sequence[Fault] = (),
        recovers: bool = True,
        operator: Operator | None = None,
        desk: TraceDesk | None = None,
        clock: SimulatedClock | None = None,
        known: Known = NOTHING,
        intervened: bool = False,
    ) -> None:
        refuse_misunderstood(setup)
        self._clock = clock or SimulatedClock()
        self._robot = CellRobot(setup=setup, clock=self._clock, outside_view=outside_view, faults=faults)
        self._latency_s = latency_s + setup.pace.answer_s
        self._recovers, self._execution_horizon = recovers, execution_horizon
        self._operator, self._desk = operator, desk
        self._known, self._intervened = known, intervened
        self.policy = make_policy(self._robot)
        refuse_uncarded(known.card, self.policy.model_digest, setup.instruction)

    def run(
        self,
        *,
        seed: int,
        emit: Emit,
        commit: str = "",
        recipe: str = "{}",
        interrupted: Callable[[], str] = str,
        external_stop: Callable[[], str] = str,
        dropped: Callable[[], int] = int,
    ) -> Simulated:
        """Runs the setup's task with guard and vetting on. Once only.

        Args:
            seed: of the policy's random draws.
            emit: takes every event.
            commit: for the log.
            recipe: for the log, JSON text.
            interrupted: why to end now, in words; empty while there is no reason.
            external_stop: why the cell wants the arms to stop, in words; empty while it does not.
            dropped: events that the log had no room for.

        Raises:
            Exception: what was not raised on purpose, after the safe end.
        """
        watch = Watch(emit, self._known)
        gates = self._gates()
        carded = within_card(self._known.card, gates.vetting, gates.model_digest, self._robot.setup.instruction)
        session = Session(
            charge=self._charge(seed, commit, recipe),
            robot=RegisteredRobot(self._robot, drawn, watch.emit),
            policy=self.policy,
            gates=gates,
            steering=Steering.of(
                Understanding(self._inference(gates, carded), goes_by_colour=not self._intervened),
                gates,
                watch.emit,
                horizon=self._execution_horizon,
                budget=Budget() if self._recovers else None,
                operator=self._operator,
                desk=self._desk,
                question=watch.question,
            ),
            goal=self._robot,
            clock=self._clock,
            emit=watch.emit,
            interrupted=interrupted,
            dropped=dropped,
            external_stop=external_stop,
            prove_also=partial(prove_around, carded, gates.model_digest, understood, self._robot.setup.spoken),
        )
        return Simulated(
            ended=session.run(),  # first: the others say how it went
            duration_s=self._clock.now_ns() / NANOSECONDS,
            taken=self._robot.taken() or "",
            faults=self._robot.faults(),
            stages=self._robot.stages(),
        )

    def left(self) -> Setup | None:
        """The scene that starts as this one stands now; None where none does, as `CellRobot.left` says."""
        return self._robot.left()

    def _charge(self, seed: int, commit: str, recipe: str) -> Charge:
        setup = self._robot.setup
        return Charge(
            instruction=setup.spoken,
            seed=seed,
            time_limit_s=setup.time_limit_s,
            epoch=EPOCH,
            commit=commit,
            recipe=recipe,
        )

    def _gates(self) -> Gates:
        setup = self._robot.setup
        return Gates.of(
            Limits.of(self._robot.embodiment),
            workspace=workspace_of(setup),
            model_digest=self.policy.model_digest,
        )

    def _inference(self, gates: Gates, carded: Vets) -> SimulatedInference:
        setup = self._robot.setup
        drawn, most_s = np.random.default_rng((setup.seed, 8)), setup.pace.answer_jitter_s
        return SimulatedInference(
            self.policy,
            carded,
            latency_s=self._latency_s,
            jitter=lambda: drawn.uniform(0.0, most_s),
            ages=gates.ages,
        )
