"""Takes events from the control loop to the log without ever holding the loop up.

Two recorders share one writer thread's behaviour: `Recorder` drops what it has no room for and counts it;
`LosslessRecorder` makes the caller wait, for simulated time, where a drop would make the log depend on the machine.
Neither raises from `emit`: a log that cannot be written is counted and reported, and the robot goes on.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from types import MappingProxyType, TracebackType
from typing import Protocol, Self

from forearm.events import Event, Observed

CAPACITY = 2048  # events; about 10 s of a 100 Hz loop with two events a tick
IDLE_FLUSH_S = 0.25  # a loop that stalls still has its last events on disk before somebody kills it
STALL_S = 30.0  # without one more event written, closing gives up; those still waiting then are counted as lost

# The share of the queue up to which the most frequent events are taken: all the others still find room then.
_SHARES: Mapping[str, float] = MappingProxyType({"observed": 0.6, "commanded": 0.6, "decided": 0.8})
_IMAGE_SHARE = 0.3
IMAGES = "images"  # the name under which observations recorded without their captures are counted


class EventLog(Protocol):
    """Where a recorder's events go. Called from one thread."""

    def append(self, event: Event) -> None:
        """Takes one event, in order. May block, may raise."""
        ...

    def flush(self) -> None:
        """Brings what was taken to safety."""
        ...

    def close(self) -> None:
        """Finishes the log. Called once."""
        ...

    def abandon(self) -> None:
        """Lets go of a log that cannot be written any more, without raising."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recorded:
    """What became of a run's events.

    Attributes:
        written: events in the log.
        dropped: events refused for want of room by kind, and under "images" the observations that lost their captures.
        lost: events accepted, then not written.
        failure: the first thing that went wrong with the log, in words; empty when nothing did.
    """

    written: int
    dropped: Mapping[str, int]
    lost: int
    failure: str

    @property
    def fault(self) -> str:
        """What the log lacks of what was accepted, in words; empty when it is whole. Drops are in the log itself."""
        return f"{self.lost} events are not in it: {self.failure}" if self.lost or self.failure else ""


class _Drain:
    """A queue and the thread that empties it into a log. After the log's first I/O error everything counts as lost.

    Args:
        log: where the events go.
        idle_flush_s: how long nothing may come before what came is flushed; None for never.
        taken: called on the thread for each event that left the queue.
    """

    def __init__(self, log: EventLog, idle_flush_s: float | None, taken: Callable[[], None]) -> None:
        # Put and get never hold a lock for longer than it takes to move a pointer: the control loop waits for nobody.
        self.queue: SimpleQueue[Event | None] = SimpleQueue()
        self.closing = False
        self.written = 0
        self.lost = 0
        self.failure = ""
        self._broken = False
        self._log = log
        self._idle_flush_s = idle_flush_s
        self._taken = taken
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Waits until everything is written and the log is closed, or until it is clear that it will not be."""
        if not self.closing:
            self.closing = True
            self.queue.put(None)
        done = -1
        while self._thread.is_alive() and done < self.written + self.lost:
            done = self.written + self.lost
            self._thread.join(STALL_S)
        if self._thread.is_alive():
            self.lost += self.queue.qsize() - 1  # the last one only says that it is the last
            self._note(f"the log took nothing for {STALL_S:.0f} s")

    def _run(self) -> None:
        dirty = False
        while True:
            try:
                event = self.queue.get(timeout=self._idle_flush_s if dirty else None)
            except Empty:
                self._guarded(self._log.flush)
                dirty = False
                continue
            if event is None:
                break
            self._taken()
            self._append(event)
            dirty = True
        if self._broken:
            self._log.abandon()
        else:
            self._guarded(self._log.close)

    def _append(self, event: Event) -> None:
        if self._broken:
            self.lost += 1
            return
        try:
            self._log.append(event)
            self.written += 1
        except (
            Exception
        ) as error:  # an event that cannot be encoded costs itself; a disk that cannot be written, the rest
            self.lost += 1
            self._broken = isinstance(error, OSError)
            self._note(f"{event.kind} at {event.stamp_ns} ns: {error}")

    def _guarded(self, step: Callable[[], None]) -> None:
        if self._broken:
            return
        try:
            step()
        except (OSError, ValueError) as error:  # ValueError: the file was closed under us
            self._broken = True
            self._note(str(error))

    def _note(self, failure: str) -> None:
        self.failure = self.failure or failure


class Recorder:
    """Records what the control loop emits; never blocks it, drops by priority when the disk is too slow.

    The queue is shared out: images stop being taken first (their observations are recorded without them), then joint
    states and set-points, then decisions; verdicts, changes of mode and the ends of a session have all of it.

    Args:
        log: opened; closed by `close`, which also the context manager calls.
        capacity: events that may wait.
    """

    def __init__(self, log: EventLog, *, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._dropping = threading.Lock()
        self._dropped: Counter[str] = Counter()
        self._drain = _Drain(log, IDLE_FLUSH_S, lambda: None)

    def emit(self, event: Event) -> None:
        """Hands `event` over, or counts it as dropped. Never blocks, never raises; 20 µs to wake the writer."""
        taken = self._drain.queue.qsize() / self._capacity
        if taken >= _SHARES.get(event.kind, 1.0) or self._drain.closing:
            self._drop(event.kind)
            return
        if taken >= _IMAGE_SHARE and isinstance(event, Observed) and event.observation.images:
            event = replace(event, observation=replace(event.observation, images={}, depths={}))
            self._drop(IMAGES)
        self._drain.queue.put(event)

    def _drop(self, what: str) -> None:
        with self._dropping:
            self._dropped[what] += 1

    @property
    def dropped(self) -> int:
        """Events refused so far, observations recorded without their images among them."""
        with self._dropping:
            return self._dropped.total()

    def close(self) -> Recorded:
        """Writes what is waiting, finishes the log, and says what became of everything. May be called again.

        Blocks until the disk has it, or has taken nothing for `STALL_S`.
        """
        self._drain.finish()
        return _recorded(self._drain, self._dropped)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LosslessRecorder:
    """Records everything, waiting for room where there is none: for simulated time only, never beside real motors.

    The same events give the same bytes, whatever the machine's speed.

    Args:
        log: opened; closed by `close`, which also the context manager calls.
        capacity: events that may wait.
    """

    dropped = 0

    def __init__(self, log: EventLog, *, capacity: int = CAPACITY) -> None:
        self._room = threading.Semaphore(capacity)
        self._drain = _Drain(log, None, self._room.release)

    def emit(self, event: Event) -> None:
        """Hands `event` over; blocks while the queue is full. Never raises."""
        if self._drain.closing:
            self._drain.lost += 1
            return
        self._room.acquire()
        self._drain.queue.put(event)

    def close(self) -> Recorded:
        """Writes what is waiting, finishes the log, and says what became of everything. May be called again."""
        self._drain.finish()
        return _recorded(self._drain, {})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _recorded(drain: _Drain, dropped: Mapping[str, int]) -> Recorded:
    return Recorded(written=drain.written, dropped=dict(dropped), lost=drain.lost, failure=drain.failure)
