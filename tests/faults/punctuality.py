"""How much longer than on a punctual machine everything may take here, and what a failure proves on one that pauses."""

import threading
import time
from collections.abc import Callable
from typing import Self

from forearm.safety.freshness import CLOCK_STEP_S

PUNCTUAL_S = 0.02  # s, a machine that wakes a sleeper within it keeps time: half of the slack in the limits
BUSY = 20.0  # times: the least that a machine that does not keep time is given
LONGEST = 80.0  # times: an image may be 40 s old then, and the self-test arms nothing that takes one of a minute
TRIES = 4


class HeldError(Exception):
    """A run was held before anything was done to it, as it must be on a machine that pauses."""


class Pauses(threading.Thread):
    """How late this process is woken up, meanwhile: what the machine adds to every part's time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()
        self._late_ms: list[tuple[int, float]] = [(0, 0.0)]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.is_set():
            begun_ns = time.monotonic_ns()
            time.sleep(0.002)
            self._late_ms.append((begun_ns, (time.monotonic_ns() - begun_ns) / 1e6 - 2.0))

    def worst_ms(self, since_ns: int = 0, until_ns: int | None = None) -> float:
        """The longest, from a second before `since_ns` to a second after `until_ns`, of the monotonic clock."""
        until_ns = time.monotonic_ns() if until_ns is None else until_ns
        return max(late for at_ns, late in self._late_ms if at_ns == 0 or since_ns - 1e9 <= at_ns <= until_ns + 1e9)


def stretch() -> float:
    """How many times longer: by the worst wake-up in a second."""
    with Pauses() as pauses:
        time.sleep(1.0)
    worst_s = pauses.worst_ms() / 1e3
    return 1.0 if worst_s <= PUNCTUAL_S else min(LONGEST, max(BUSY, 4.0 * worst_s / PUNCTUAL_S))


def with_time(tried: Callable[[int, float, Pauses], None]) -> None:
    """Tries that, given the number of the try, how many times longer everything may take, and the machine's pauses.

    What fails while the machine paused for longer than the parts of a run could bear proves nothing, and is tried again
    with more time, as is a run that was held before the test began. Whatever else fails has failed. No more time lets a
    loop stand still for longer than a clock may leap in a tick.
    """
    factor = stretch()
    for number in range(TRIES):
        with Pauses() as pauses:
            try:
                tried(number, factor, pauses)
            except (AssertionError, HeldError) as error:
                paused = pauses.worst_ms() > 1e3 * min(PUNCTUAL_S * factor, CLOCK_STEP_S)
                if number == TRIES - 1 or not (paused or isinstance(error, HeldError)):
                    raise
            else:
                return
        factor = min(LONGEST, max(BUSY, 2.0 * factor))
