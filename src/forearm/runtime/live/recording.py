"""The log's writer in a process of its own: the recorder's thread hands it events over a pipe.

Invariant: a write that fails is on the board before the next one is tried; and when the loop's process dies, what had
reached the pipe is written and the log is closed.
"""

from __future__ import annotations

from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from forearm.clock import Clock, RealClock
from forearm.errors import LogError
from forearm.events import Event
from forearm.runtime.live.board import Board, Part, Phase
from forearm.telemetry.writer import LogWriter

BEAT_S = 0.02  # s, between two beats while nothing comes
CLOSING_S = 30.0  # s, as long as the recorder waits for a log that takes nothing

Order = Literal["flush", "close"]


def run_recorder(board: Board, path: Path, pipe: Connection) -> None:
    """The writer's process, until it is told to close, the pipe does, or a write fails. Blocks.

    Sends "ready" or the error that kept the log from being made, and last of all what went wrong, in words.
    """
    try:
        log = LogWriter.create(path)
    except (LogError, OSError) as error:
        pipe.send(error)
        return
    pipe.send("ready")
    clock = RealClock()
    try:
        unwritten = _write(board, log, pipe, clock)
        log.close()
        if board.beat(Part.LOOP).phase is Phase.DONE:  # otherwise the loop is gone, which the watchdog says
            board.give_beat(Part.RECORDER, clock.now_ns(), Phase.DONE)
    except OSError as error:
        unwritten = str(error)
        board.give_beat(Part.RECORDER, clock.now_ns(), Phase.FAILED, failure=unwritten)
        log.abandon()
    with suppress(OSError):  # nobody may be there to hear it
        pipe.send(unwritten)


def _write(board: Board, log: LogWriter, pipe: Connection, clock: Clock) -> str:
    """Writes what comes; returns why the first event that could not be encoded could not."""
    unwritten = ""
    while True:
        board.give_beat(Part.RECORDER, clock.now_ns(), Phase.WORKING)
        if not pipe.poll(BEAT_S):
            continue
        try:
            got: Event | Order = pipe.recv()
        except (EOFError, OSError):  # the loop is gone, perhaps in the middle of an event
            return unwritten
        if got == "close":
            return unwritten
        if got == "flush":
            log.flush()
            continue
        try:
            log.append(got)
        except LogError as error:
            unwritten = unwritten or str(error)


class RemoteLog:
    """The writer at the other end of the pipe, as a recorder's `EventLog`. Used by the recorder's thread alone.

    Args:
        pipe: to the writer, which has said that it is ready.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def append(self, event: Event) -> None:
        self._send(event)

    def flush(self) -> None:
        self._send("flush")

    def close(self) -> None:
        self._send("close")
        failure = self._last_words()
        if failure:
            raise OSError(failure)

    def abandon(self) -> None:
        self._pipe.close()

    def _send(self, what: Event | Order) -> None:
        try:
            self._pipe.send(what)
        except OSError as error:
            raise OSError(self._last_words()) from error

    def _last_words(self) -> str:
        """What the writer says at its end, or that it says nothing."""
        with suppress(EOFError, OSError):
            if self._pipe.poll(CLOSING_S):
                return str(self._pipe.recv())
        return "the recorder's process has ended"
