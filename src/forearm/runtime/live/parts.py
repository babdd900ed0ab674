"""The processes of a live run: each in a session of its own, and ended on every path.

Invariant: what a terminal or a supervisor sends to the loop's whole process group reaches none of them, so that those
who must hold the arms and finish the log outlive the loop; and when `end` returns none of them is left, not even one
that was stopped and cannot hear.
"""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import resource_tracker
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
TERMINAL = frozenset({signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP})  # what it sends to a job at once
PR_SET_PDEATHSIG = 1  # of linux/prctl.h


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
            target=_apart, args=(part, target, self._board, *arguments, theirs), name=str(part), daemon=True
        )
        resource_tracker.ensure_running()  # multiprocessing's own, which unblocks signals when it begins
        with deaf_to_the_terminal():
            self._processes[part].start()
        theirs.close()  # so that the pipe ends with the process
        return ours

    def start_watchdog(self, diary: Path, silence: Silence) -> None:
        """Runs the watchdog: not by multiprocessing, which would load the caller's main module there."""
        descriptor = self._board.descriptor
        arguments = [str(descriptor), str(diary), json.dumps(asdict(silence))]
        command = [sys.executable, "-m", "forearm.runtime.live.watchdog", *arguments]
        with deaf_to_the_terminal():
            self._watchdog = subprocess.Popen(
                command, pass_fds=[descriptor], stdin=subprocess.DEVNULL, start_new_session=True
            )

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


def _apart(part: Part, target: Callable[..., None], *arguments: Any) -> None:
    """Runs `target` in a session of its own. Blocks.

    Thinking ends with the loop, even when it hangs or was stopped: nobody wants its answer. The others end by
    themselves, once the arms stand or what they were given is written.
    """
    os.setsid()
    if part is Part.INFERENCE:
        loop = multiprocessing.parent_process()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if loop is None or os.getppid() != loop.pid:  # it ended before that was asked for
            return
    target(*arguments)


@contextmanager
def deaf_to_the_terminal() -> Generator[None]:
    """What is started in here never hears what a terminal sends to every process of a job, not even while it begins.

    The signals are held back, not ignored: this process gets those that come meanwhile when it leaves.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
