"""The processes of a live run: started so that Ctrl-C does not reach them, and ended on every path.

Invariant: when `end` returns none of them is left, not even one that was stopped and cannot hear.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from forearm.clock import NANOSECONDS
from forearm.errors import ForearmError, RobotError
from forearm.runtime.live.board import Board, Part, Phase
from forearm.runtime.live.watchdog import STANDING_S, Silence

READY_S = 120.0  # s, for all parts together to start: on a busy machine importing torch alone takes tens of seconds
LOOK_S = 0.01  # s, between two looks at whether something has started or ended
END_S = STANDING_S + 3.0  # s, for a part to end by itself before it is killed
DEAF_S = 1.0  # s, a part that has been silent for so long at the end is not waited for


class Parts:
    """Starts, hears and ends the processes that have a board in common. Main thread only."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._spawn = multiprocessing.get_context("spawn")
        self._processes: dict[Part, BaseProcess] = {}
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._pipes: list[Connection] = []
        self._until_s = time.monotonic() + READY_S

    def start(self, part: Part, target: Callable[..., None], *arguments: Any) -> Connection:
        """Runs `target(board, *arguments, pipe)` in a process of its own; returns the pipe's other end."""
        ours, theirs = self._spawn.Pipe()
        self._pipes.append(ours)
        self._processes[part] = self._spawn.Process(
            target=target, args=(self._board, *arguments, theirs), name=str(part), daemon=True
        )
        with _deaf_to_interrupts():
            self._processes[part].start()
        theirs.close()  # so that the pipe ends with the process
        return ours

    def start_watchdog(self, diary: Path, silence: Silence) -> None:
        """Runs the watchdog: not by multiprocessing, which would load the caller's main module there."""
        descriptor = self._board.descriptor
        arguments = [str(descriptor), str(diary), json.dumps(asdict(silence))]
        command = [sys.executable, "-m", "forearm.runtime.live.watchdog", *arguments]
        with _deaf_to_interrupts():
            self._watchdog = subprocess.Popen(command, pass_fds=[descriptor], stdin=subprocess.DEVNULL)

    def hear(self, part: Part, pipe: Connection) -> Any:
        """The first thing that a part says. Blocks.

        Raises:
            ForearmError: what the part raised, or RobotError when it did not start.
        """
        while not pipe.poll(LOOK_S):
            self._require(part)
        try:
            said = pipe.recv()
        except EOFError:
            raise self._not_started(part) from None
        if isinstance(said, (ForearmError, OSError)):
            raise said
        return said

    def await_beat(self, part: Part) -> None:
        """Blocks until the part has given its first sign of life.

        Raises:
            RobotError: when it did not start.
        """
        while self._board.beat(part).phase is Phase.ABSENT:
            self._require(part)
            time.sleep(LOOK_S)

    def kill_if_deaf(self, part: Part) -> None:
        """Kills a process that is not heard of any more, so that nobody waits for it."""
        beat = self._board.beat(part)
        silent = time.monotonic_ns() - beat.stamp_ns > DEAF_S * NANOSECONDS
        if silent and beat.phase in (Phase.RESTING, Phase.WORKING):
            self._kill(part)

    def end(self) -> None:
        """Waits for every process to end by itself, as they do once the loop is done; kills those that do not."""
        for pipe in self._pipes:
            pipe.close()
        until_s = time.monotonic() + END_S
        while (alive := [part for part in Part if self._is_alive(part)]) and time.monotonic() < until_s:
            for part in alive:
                self.kill_if_deaf(part)
            time.sleep(LOOK_S)
        for part in Part:
            self._kill(part)

    def _require(self, part: Part) -> None:
        if not self._is_alive(part) or time.monotonic() > self._until_s:
            raise self._not_started(part)

    def _not_started(self, part: Part) -> RobotError:
        return RobotError(f"{part}: got no sign of life, one is needed within {READY_S:g} s; see what it wrote above")

    def _is_alive(self, part: Part) -> bool:
        if part is Part.WATCHDOG:
            return self._watchdog is not None and self._watchdog.poll() is None
        return part in self._processes and self._processes[part].is_alive()

    def _kill(self, part: Part) -> None:
        if part is Part.WATCHDOG and self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.wait()
        elif part in self._processes:
            self._processes[part].kill()
            self._processes[part].join()


@contextmanager
def _deaf_to_interrupts() -> Generator[None]:
    """What is started in here ignores Ctrl-C, which a terminal sends to every process at once."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
