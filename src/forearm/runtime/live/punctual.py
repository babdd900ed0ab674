"""What keeps the tick punctual among other threads and on a machine with other work."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

PRIORITY = 10  # of the kernel's 1..99 for real-time threads: before all that are none, behind drivers
HAND_OVER_S = 0.0005  # s that a thread may keep the interpreter from the tick; CPython's own 5 ms are half a tick
THREADS = Path("/proc/self/task")


@contextmanager
def punctual() -> Generator[None]:
    """In here, the tick waits for no other thread's turn, no other process and no look through old garbage.

    Vetting a chunk and pickling pictures for the log are such turns; going through all objects takes three ticks. Where
    the kernel grants it (to root, or within `ulimit -r`), the process's threads run before others on the machine: all
    of them, so that none is put aside while it has the interpreter.
    """
    turn_s = sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(HAND_OVER_S)
    threads = before_others()
    try:
        yield
    finally:
        _schedule(threads, os.SCHED_OTHER, 0)
        sys.setswitchinterval(turn_s)
        gc.unfreeze()


def before_others() -> list[int]:
    """Has all threads of this process run before others on the machine, where that is granted; which they are."""
    threads = [int(thread.name) for thread in THREADS.iterdir()]
    _schedule(threads, os.SCHED_RR | os.SCHED_RESET_ON_FORK, PRIORITY)
    return threads


def _schedule(threads: list[int], policy: int, priority: int) -> None:
    for thread in threads:
        with suppress(PermissionError, ProcessLookupError):  # not granted; or it ended meanwhile
            os.sched_setscheduler(thread, policy, os.sched_param(priority))
