"""A person, a supervisor or a terminal that closes asks the process to end; the session finishes its tick, then ends.

Invariant: a signal is only noted here. Nothing is stopped, closed or written inside a signal handler.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self


class Interruption:
    """Notes SIGINT, SIGTERM and SIGHUP while the context is open; main thread only.

    A second SIGINT interrupts at once. A SIGHUP that was ignored before stays ignored, as `nohup` wants it.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        """What arrived first, if anything did."""
        self._before: dict[signal.Signals, Any] = {}

    @property
    def reason(self) -> str:
        """Why the session must end, in words; empty while it need not."""
        return "" if self.signal is None else f"The process was asked to end ({self.signal.name})."

    def __enter__(self) -> Self:
        hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        for number in (signal.SIGINT, signal.SIGTERM, *[signal.SIGHUP] * hangs_up):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or signal.Signals(number)
