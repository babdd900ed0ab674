"""A session in the cell in real time: the loop in this process, everything that can fail beside it in its own.

Invariant: on every way out the arms stand before their station ends, and no process and no memory is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from forearm.cell.drawing import drawn
from forearm.cell.scene import OUTSIDE, OUTSIDE_SIZE
from forearm.cell.setup import Setup
from forearm.cell.stage import Fault
from forearm.cell.tasks import refuse_misunderstood, understood
from forearm.clock import RealClock
from forearm.events import Emit, Event, SessionEnded
from forearm.policy.choice import MakePolicy
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.card import refuse_uncarded, within_card
from forearm.runtime.furnished import workspace_of
from forearm.runtime.inference import ThreadedInference
from forearm.runtime.known import NOTHING, Known
from forearm.runtime.live.board import Board, Part, Phase
from forearm.runtime.live.inference import RemotePolicy, run_inference
from forearm.runtime.live.parts import Parts
from forearm.runtime.live.pictures import Frame, Pictures
from forearm.runtime.live.punctual import punctual
from forearm.runtime.live.recording import RemoteLog, run_recorder
from forearm.runtime.live.robot import RemoteRobot
from forearm.runtime.live.station import run_station
from forearm.runtime.live.watchdog import Silence
from forearm.runtime.monitors.watch import Watch
from forearm.runtime.operator import Operator
from forearm.runtime.patience import Patience
from forearm.runtime.proofs import prove_around
from forearm.runtime.recovery import Budget
from forearm.runtime.registered import RegisteredRobot
from forearm.runtime.session import Charge, Session
from forearm.runtime.steering import Steering
from forearm.runtime.understanding import Understanding
from forearm.safety.freshness import AGES, Ages
from forearm.safety.gates import Gates
from forearm.safety.limits import Limits
from forearm.telemetry.recorder import Recorder
from forearm.telemetry.writer import FILE_NAME

WATCHDOG_FILE, STATION_FILE = "watchdog.jsonl", "station.jsonl"
EPOCH_NS = 1000  # ns of the wall clock per epoch: no two sessions share one, and JSON numbers hold it exactly
ABANDON_S = 1.0  # s, for a decision under way when the session ends; the arms hold by then


class Live:
    """Everything a live run needs, started and ready; ended by leaving the context. Main thread only.

    Args:
        setup: the scene and its sentence.
        make_policy: makes the policy, in the process that thinks.
        folder: exists; gets the log, and the watchdog's and the station's diaries.
        outside_view: whether a camera for people is captured too.
        ages: how old what is acted on may be.
        silence: that each part may keep.
        patience: of the loop, with what goes wrong in its tick.
        faults: what is to go wrong in the cell on purpose.
        recovers: whether the ladder is climbed when something goes wrong; else the pair is stopped as its table says.
        operator: who may act during the run; None for nobody.
        known: what is known of the model's limits; what is of another model is not held against it.

    Raises:
        InstructionError: when what was said does not mean the setup's instruction.
        LogError: on entering, when the folder has a log already.
        CheckpointError: on entering, when the policy's weights are missing or corrupt.
        InstructionError: on entering, for a sentence that the model's card does not allow.
        RobotError: on entering, when a part does not start.
    """

    def __init__(
        self,
        setup: Setup,
        make_policy: MakePolicy,
        folder: Path,
        *,
        outside_view: bool = False,
        ages: Ages = AGES,
        silence: Silence | None = None,
        patience: Patience | None = None,
        faults: Sequence[Fault] = (),
        recovers: bool = True,
        operator: Operator | None = None,
        known: Known = NOTHING,
    ) -> None:
        refuse_misunderstood(setup)
        self._faults, self._recovers, self._operator = tuple(faults), recovers, operator
        self._known = known
        self._ages, self._silence, self._patience = ages, silence or Silence(), patience or Patience()
        self._setup, self._make_policy, self._folder, self._outside_view = setup, make_policy, folder, outside_view
        self._clock = RealClock()
        self._epoch = time.time_ns() // EPOCH_NS
        self._board = Board()
        self._board.give_beat(Part.LOOP, self._clock.now_ns(), Phase.ABSENT)  # says whose children the others are
        more = [Frame(OUTSIDE, OUTSIDE_SIZE[1], OUTSIDE_SIZE[0], has_depth=False)] * outside_view
        self._pictures = Pictures.of(BIMANUAL_YAM.cameras, *more)
        self._robot = RemoteRobot(self._board, self._pictures, setup.spoken, self._clock, self._silence)
        self._parts = Parts(self._board)
        self._recorder: Recorder | None = None
        self.log_fault = ""
        """What the log lacks, in words, once the context was left; empty when it is whole."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def run(
        self,
        *,
        seed: int,
        emit: Emit,
        commit: str = "",
        recipe: str = "{}",
        interrupted: Callable[[], str] = str,
        external_stop: Callable[[], str] = str,
    ) -> SessionEnded:
        """Runs the setup's task with guard, vetting and watchdog on. Once only.

        Args:
            seed: of the policy's random draws.
            emit: takes every event, besides the log.
            commit: for the log.
            recipe: for the log, JSON text.
            interrupted: why to end now, in words; empty while there is no reason.
            external_stop: why the cell wants the arms to stop, in words; empty while it does not. Asked every tick, so
                it must not wait; one that fails is a stop.

        Raises:
            Exception: what was not raised on purpose, after the safe end.
        """
        assert self._recorder is not None  # the context was entered
        setup, recorder = self._setup, self._recorder
        gates = self._gates()
        carded = within_card(self._known.card, gates.vetting, self.policy.model_digest, setup.instruction)
        threaded = ThreadedInference(self.policy, carded, self._clock, abandon_after_s=ABANDON_S, ages=self._ages)

        def both(event: Event) -> None:
            recorder.emit(event)
            emit(event)

        watch = Watch(both, self._known)
        session = Session(
            charge=self._charge(seed, commit, recipe),
            robot=RegisteredRobot(self._robot, drawn, watch.emit),
            policy=self.policy,
            gates=gates,
            steering=Steering.of(
                Understanding(threaded),
                gates,
                watch.emit,
                budget=Budget() if self._recovers else None,
                operator=self._operator,
                question=watch.question,
            ),
            goal=self._robot,
            clock=self._clock,
            emit=watch.emit,
            patience=self._patience,
            interrupted=lambda: self._robot.held() or interrupted(),
            dropped=lambda: recorder.dropped,
            external_stop=external_stop,
            prove_also=partial(prove_around, carded, gates.model_digest, understood, setup.spoken),
        )
        with punctual():
            return session.run()

    def _charge(self, seed: int, commit: str, recipe: str) -> Charge:
        return Charge(
            instruction=self._setup.spoken,
            seed=seed,
            time_limit_s=self._setup.time_limit_s,
            epoch=self._epoch,
            commit=commit,
            recipe=recipe,
        )

    def _gates(self) -> Gates:
        return Gates.of(
            Limits.of(),
            workspace=workspace_of(self._setup),
            ages=self._ages,
            model_digest=self.policy.model_digest,
        )

    def _start(self) -> None:
        parts, folder = self._parts, self._folder
        log = parts.start(Part.RECORDER, run_recorder, folder / FILE_NAME)
        parts.hear(Part.RECORDER, log)  # a folder that has a log is refused before anything else begins
        self._recorder = Recorder(RemoteLog(log))
        parts.start_watchdog(folder / WATCHDOG_FILE, self._silence)
        parts.start(
            Part.STATION,
            run_station,
            self._pictures,
            self._setup,
            self._outside_view,
            self._faults,
            self._silence,
            self._epoch,
            folder / STATION_FILE,
        )
        thoughts = parts.start(Part.INFERENCE, run_inference, self._make_policy, self._setup, self._patience)
        self.policy = RemotePolicy(parts.hear(Part.INFERENCE, thoughts), thoughts)
        refuse_uncarded(self._known.card, self.policy.model_digest, self._setup.instruction)
        parts.await_beat(Part.STATION)
        parts.await_beat(Part.WATCHDOG)

    def _end(self) -> None:
        """The arms first, then the log, then everybody."""
        self._robot.close()
        if self._recorder is not None:
            self._parts.kill_if_deaf(Part.RECORDER)
            self.log_fault = self._recorder.close().fault
        self._parts.end()
        self._board.close()
        self._pictures.close()
