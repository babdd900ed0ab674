"""The station as the loop sees it: a `Robot` at the other end of the board. No call waits for anybody."""

from __future__ import annotations

import numpy as np

from forearm.clock import NANOSECONDS, Clock
from forearm.errors import RobotError
from forearm.messages import Floats, Observation, SafeCommand
from forearm.robot.embodiment import BIMANUAL_YAM, Embodiment
from forearm.runtime.live.board import Board, J, Part, Phase, Setpoint
from forearm.runtime.live.pictures import Pictures
from forearm.runtime.live.watchdog import Silence

LOST = 2.5  # times the silence that the station may keep: by then the state is unknown
NOWHERE: Floats = np.zeros(J)


class RemoteRobot:
    """Reads and commands the station. Also the loop's heart: it beats with every command.

    Args:
        board: of the run; the station is at work on it.
        pictures: of its cameras.
        instruction: the person's sentence.
        clock: the machine's.
        silence: that the station may keep.
    """

    def __init__(self, board: Board, pictures: Pictures, instruction: str, clock: Clock, silence: Silence) -> None:
        self._board, self._pictures, self._instruction, self._clock = board, pictures, instruction, clock
        self._lost_s = LOST * silence.station
        self._epoch = 0
        self._sequence = 0
        self._closed = False

    @property
    def embodiment(self) -> Embodiment:
        return BIMANUAL_YAM

    def connect(self, epoch: int) -> None:
        self._epoch = epoch
        self.read()

    def read(self) -> Observation:
        images, depths = self._pictures.newest()  # before the state, which the station gives first: none is of later
        state = self._board.state()
        silence_s = (self._clock.now_ns() - state.stamp_ns) / NANOSECONDS
        if state.sequence == 0 or silence_s > self._lost_s:
            raise RobotError(
                f"station: got a state that is {silence_s * 1e3:.0f} ms old, allowed is {self._lost_s * 1e3:.0f} ms; "
                "its own log and the watchdog's say what happened"
            )
        if state.epoch != self._epoch:
            raise RobotError(
                f"station: got a state of session {state.epoch}, allowed is session {self._epoch}; start again"
            )
        return Observation(
            stamp_ns=state.stamp_ns,
            sequence=state.sequence,
            epoch=state.epoch,
            positions=state.positions,
            velocities=state.velocities,
            efforts=state.efforts,
            images=images,
            depths=depths,
            instruction=self._instruction,
        )

    def send(self, command: SafeCommand) -> None:
        self._give(command.positions, stop=False)
        self._board.give_beat(Part.LOOP, self._clock.now_ns(), Phase.WORKING)

    def stop(self) -> None:
        if not self._closed:
            self._give(NOWHERE, stop=True)
            self._board.give_beat(Part.LOOP, self._clock.now_ns(), Phase.RESTING)

    def close(self) -> None:
        """Says that the loop is done; the station goes on holding until the arms stand. Safe to call twice."""
        if not self._closed:
            self.stop()
            self._closed = True
            self._board.give_beat(Part.LOOP, self._clock.now_ns(), Phase.DONE)

    def held(self) -> str:
        """Why the station holds on its own, in words; empty while it follows."""
        return self._board.report().reason

    def succeeded(self) -> bool:
        """Whether the task's goal holds and has for a while, as the cell knows it."""
        return self._board.state().succeeded

    def progress(self) -> float:
        """How far the task is, 0..1."""
        return self._board.state().progress

    def _give(self, positions: Floats, *, stop: bool) -> None:
        self._sequence += 1
        self._board.give_setpoint(Setpoint(self._epoch, self._sequence, self._clock.now_ns(), stop, positions))
