"""Time as an argument: whoever needs the hour is given a clock, so that every run can be a replay."""

from __future__ import annotations

import time
from typing import Protocol

from forearm.errors import InputError

NANOSECONDS = 1_000_000_000  # ns per s


class Clock(Protocol):
    """Monotonic time that can be waited for."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary fixed instant; never decreases."""
        ...

    def sleep_until(self, stamp_ns: int) -> None:
        """Returns at `stamp_ns` or later; at once when that has passed."""
        ...


class RealClock:
    """The machine's monotonic clock."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def sleep_until(self, stamp_ns: int) -> None:
        remaining_ns = stamp_ns - time.monotonic_ns()
        if remaining_ns > 0:
            time.sleep(remaining_ns / NANOSECONDS)


class SimulatedClock:
    """Time that passes only when somebody sleeps: as fast as the machine allows, and the same every run."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        return self._now_ns

    def sleep_until(self, stamp_ns: int) -> None:
        self._now_ns = max(self._now_ns, stamp_ns)

    def advance(self, seconds: float) -> None:
        """Moves on by `seconds` ≥ 0.

        Raises:
            InputError: for a negative step; time does not run backwards.
        """
        if seconds < 0:
            raise InputError(f"clock step: got {seconds} s, allowed is ≥ 0; make a new clock instead")
        self._now_ns += round(seconds * NANOSECONDS)


class PacedClock(SimulatedClock):
    """Simulated time that passes no faster than the machine's, for people to watch and act.

    A machine that is too slow makes time slow, never a tick late.

    Args:
        pace: the clock that it must not overtake.
    """

    def __init__(self, pace: Clock) -> None:
        super().__init__()
        self._pace = pace
        self._ahead_ns = pace.now_ns()
        """The pace's time at which this one may be where it is."""

    def sleep_until(self, stamp_ns: int) -> None:
        before_ns = self.now_ns()
        super().sleep_until(stamp_ns)
        due_ns = self._ahead_ns + self.now_ns() - before_ns
        self._pace.sleep_until(due_ns)
        self._ahead_ns = max(due_ns, self._pace.now_ns())
