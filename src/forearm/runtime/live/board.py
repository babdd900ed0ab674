"""What the parts of a live run tell each other: heartbeats, set-points, the measured state, the watchdog's word.

Invariant: every value has one writer, named beside it, and stands at a fixed place with a fixed length.
"""

from __future__ import annotations

import os
import struct
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from forearm.messages import Floats
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.live.memory import Memory

J = len(BIMANUAL_YAM.joints)
TEXT_BYTES = 400  # of a reason in UTF-8; a longer one is cut


class Part(IntEnum):
    """A process of a live run."""

    LOOP = 0
    INFERENCE = 1
    RECORDER = 2
    STATION = 3
    WATCHDOG = 4

    def __str__(self) -> str:
        return self.name.lower()


class Phase(IntEnum):
    """What a part is doing, and so how soon it must be heard of again."""

    ABSENT = 0
    RESTING = 1
    WORKING = 2
    DONE = 3
    FAILED = 4


class Beat(NamedTuple):
    """A part's sign of life. Written by that part.

    Attributes:
        stamp_ns: when it was given.
        phase: what the part is doing.
        pid: of its process.
        due_ns: when the piece of work under way must be done, 0 for none.
        failure: what went wrong, in words, where the phase is FAILED.
    """

    stamp_ns: int
    phase: Phase
    pid: int
    due_ns: int = 0
    failure: str = ""


class Word(NamedTuple):
    """The watchdog's word to the station: hold since `hold_ns`, and why; 0 while there is no need. Never taken back."""

    hold_ns: int = 0
    reason: str = ""


class Setpoint(NamedTuple):
    """What the loop wants of the motors: these `positions` (J,), or to stand where they are. Written by the loop.

    `epoch` is the loop's session.
    """

    epoch: int
    sequence: int
    stamp_ns: int
    stop: bool
    positions: Floats


class Report(NamedTuple):
    """What the station did about a hold. Written by the station.

    Attributes:
        held_ns: when it began to brake, 0 for never; from then on nothing but a new run moves the arms.
        standing_ns: since when the arms have stood still after that, 0 for not yet.
        moved_m: m, the longest way a tool went in between.
        reason: why it holds.
    """

    held_ns: int = 0
    standing_ns: int = 0
    moved_m: float = 0.0
    reason: str = ""


class State(NamedTuple):
    """The joints as measured at `stamp_ns`, (J,) each, and how far the task is. Written by the station.

    `epoch` is the one session that the station serves.
    """

    epoch: int
    sequence: int
    stamp_ns: int
    succeeded: bool
    progress: float
    positions: Floats
    velocities: Floats
    efforts: Floats


_BEAT = struct.Struct(f"=qqqq{TEXT_BYTES}s")
_WORD = struct.Struct(f"=q{TEXT_BYTES}s")
_SETPOINT = struct.Struct("=qqq?")
_REPORT = struct.Struct(f"=qqd{TEXT_BYTES}s")
_STATE = struct.Struct("=qqq?d")
_JOINTS = J * 8  # bytes, float64


class Board(Memory):
    """The one board of a run: made by the loop's process, handed to every other."""

    SIZES = (*[_BEAT.size] * len(Part), _WORD.size, _SETPOINT.size + _JOINTS, _REPORT.size, _STATE.size + 3 * _JOINTS)

    def __init__(self, sizes: tuple[int, ...] = SIZES, descriptor: int | None = None) -> None:
        super().__init__(sizes, descriptor)
        self._beats = self.slots[: len(Part)]
        self._word, self._setpoint, self._report, self._state = self.slots[len(Part) :]

    def beat(self, part: Part) -> Beat:
        """The newest sign of life of a part."""
        stamp_ns, phase, pid, due_ns, failure = _BEAT.unpack(self._beats[part].read())
        return Beat(stamp_ns, Phase(phase), pid, due_ns, _text(failure))

    def give_beat(self, part: Part, stamp_ns: int, phase: Phase, *, due_ns: int = 0, failure: str = "") -> None:
        """The part of this process is alive."""
        self._beats[part].write(_BEAT.pack(stamp_ns, phase, os.getpid(), due_ns, _bytes(failure)))

    def word(self) -> Word:
        """The watchdog's."""
        hold_ns, reason = _WORD.unpack(self._word.read())
        return Word(hold_ns, _text(reason))

    def give_word(self, word: Word) -> None:
        """Only the watchdog does."""
        self._word.write(_WORD.pack(word.hold_ns, _bytes(word.reason)))

    def setpoint(self) -> Setpoint:
        """The loop's newest; sequence 0 before the first."""
        value = self._setpoint.read()
        epoch, sequence, stamp_ns, stop = _SETPOINT.unpack_from(value)
        return Setpoint(epoch, sequence, stamp_ns, stop, np.frombuffer(value, offset=_SETPOINT.size))

    def give_setpoint(self, setpoint: Setpoint) -> None:
        """Only the loop does."""
        head = _SETPOINT.pack(setpoint.epoch, setpoint.sequence, setpoint.stamp_ns, setpoint.stop)
        self._setpoint.write(head + setpoint.positions.astype(np.float64).tobytes())

    def report(self) -> Report:
        """The station's."""
        held_ns, standing_ns, moved_m, reason = _REPORT.unpack(self._report.read())
        return Report(held_ns, standing_ns, moved_m, _text(reason))

    def give_report(self, report: Report) -> None:
        """Only the station does."""
        self._report.write(_REPORT.pack(report.held_ns, report.standing_ns, report.moved_m, _bytes(report.reason)))

    def state(self) -> State:
        """The station's newest; sequence 0 before the first."""
        value = self._state.read()
        joints = np.frombuffer(value, offset=_STATE.size).reshape(3, J)
        return State(*_STATE.unpack_from(value), *joints)

    def give_state(self, state: State) -> None:
        """Only the station does."""
        head = _STATE.pack(state.epoch, state.sequence, state.stamp_ns, state.succeeded, state.progress)
        self._state.write(head + np.concatenate([state.positions, state.velocities, state.efforts]).tobytes())


def _bytes(text: str) -> bytes:
    return text.encode()[:TEXT_BYTES]


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
