"""The watchdog: a program of its own that has the arms held when any part of a live run falls silent, and says why.

    python -m forearm.runtime.live.watchdog DESCRIPTOR DIARY SILENCE

Invariant: it waits for nobody and shares nothing with those it watches but the board. Its word to the station is never
taken back: after a hold a person starts the next run. That a part is fine, or that the arms stand, is what was heard of
them and nothing else: unknown is never fine, and never standing.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forearm.clock import NANOSECONDS, Clock, RealClock
from forearm.errors import ConfigError
from forearm.runtime.live.board import Beat, Board, Part, Phase, Report, Word
from forearm.runtime.live.diary import Diary
from forearm.runtime.live.punctual import before_others

HOLD_S = 0.2  # s, from a part's last sign of life until the station brakes at the latest: what all of this promises
ROUND_S = 0.01  # s, between two looks at the board
STANDING_S = 2.0  # s after a hold by which the arms were seen to stand, or it is unknown whether they do
RESTING_S = (
    15.0  # s of silence that a part may keep while nothing can move: a first inference, a policy being abandoned
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """How long a part at work may be silent, s.

    The longest is half of what is promised: the rest is for one round of ours, one step of the station, and for an
    operating system that gives neither of them the processor at once.

    Attributes:
        loop: eight ticks; all that it does in one takes 1 to 2 ms.
        inference: ten beats of a thread beside the thinking, which gives up the interpreter every 5 ms.
        recorder: ten times the writing of its largest event.
        station: twenty steps.
        watchdog: eight rounds; this one the station looks at.
    """

    loop: float = 0.08
    inference: float = 0.10
    recorder: float = 0.10
    station: float = 0.08
    watchdog: float = 0.08

    def __post_init__(self) -> None:
        if not all(0.0 < self.allowed_s(part) < math.inf for part in Part):
            raise ConfigError(f"silence: got {self}, allowed are times > 0 s; give every part one")

    def allowed_s(self, part: Part) -> float:
        """For one part at work."""
        return float(getattr(self, str(part)))


def silent(part: Part, beat: Beat, now_ns: int, silence: Silence) -> str:
    """Why this part is not fine at `now_ns`, in words; empty when it is, or has nothing to do any more."""
    if beat.phase is Phase.FAILED:
        return f"The {part} failed: {beat.failure}"
    if beat.phase in (Phase.ABSENT, Phase.DONE):
        return ""
    allowed_s = silence.allowed_s(part) if beat.phase is Phase.WORKING else RESTING_S
    silence_s = (now_ns - beat.stamp_ns) / NANOSECONDS
    if silence_s > allowed_s:
        return f"The {part} has been silent for {silence_s * 1e3:.0f} ms; {allowed_s * 1e3:.0f} ms is allowed."
    if beat.due_ns and now_ns > beat.due_ns:
        return f"The {part}'s work is {(now_ns - beat.due_ns) / NANOSECONDS * 1e3:.0f} ms past its deadline."
    return ""


def objection(beats: Mapping[Part, Beat], now_ns: int, silence: Silence, *, orphaned: bool) -> tuple[Part, str] | None:
    """The first part that is not fine, and why. `orphaned`: the loop's process has ended.

    Before the loop's first command nothing can move, and who starts the parts looks after them.
    """
    loop = beats[Part.LOOP]
    if orphaned and loop.phase is not Phase.DONE:
        return Part.LOOP, "The loop's process ended before its work was done."
    if loop.phase is Phase.ABSENT:
        return None
    for part, beat in beats.items():
        if part is not Part.WATCHDOG and (why := silent(part, beat, now_ns, silence)):
            return part, why
        if beat.phase is Phase.DONE and loop.phase is Phase.WORKING:
            return part, f"The {part} ended while the loop was at work."
    return None


class Watchdog:
    """Looks at the board, round after round, and keeps the diary."""

    def __init__(self, board: Board, diary: Diary, silence: Silence) -> None:
        self._silence = silence
        self._board = board
        self._diary = diary
        self._word = Word()
        self._seen = Report()
        self._settled = False
        self._introduced = False

    def round(self, now_ns: int, *, orphaned: bool) -> bool:
        """One look, taken at `now_ns`; False when there is nothing left to watch."""
        beats = {part: self._board.beat(part) for part in Part}
        objected = objection(beats, now_ns, self._silence, orphaned=orphaned)
        if objected is not None and not self._word.hold_ns:
            part, reason = objected
            self._word = Word(now_ns, reason)
            self._board.give_word(self._word)  # the arms first, the diary second
            self._diary.write(
                now_ns, "tripped", part=str(part), silent_ms=_ms(now_ns - beats[part].stamp_ns), reason=reason
            )
        self._board.give_beat(Part.WATCHDOG, now_ns, Phase.WORKING)
        self._introduce(now_ns, beats)
        self._follow(now_ns)
        over = orphaned or beats[Part.LOOP].phase is Phase.DONE
        return not (over and (self._settled or not self._held_ns))

    def end(self, now_ns: int) -> None:
        """The last line, and the last beat."""
        self._diary.write(now_ns, "ended", tripped=bool(self._word.hold_ns), held=bool(self._seen.held_ns))
        self._board.give_beat(Part.WATCHDOG, now_ns, Phase.DONE)

    @property
    def _held_ns(self) -> int:
        """When the hold was commanded, by us or by the station itself; 0 for never."""
        return self._word.hold_ns or self._seen.held_ns

    def _introduce(self, now_ns: int, beats: Mapping[Part, Beat]) -> None:
        """Says once who is watched."""
        if not self._introduced and beats[Part.LOOP].phase is Phase.WORKING:
            self._introduced = True
            self._diary.write(now_ns, "watching", pids={str(part): beat.pid for part, beat in beats.items()})

    def _follow(self, now_ns: int) -> None:
        """Writes down what the station says of the hold, or that it says nothing."""
        before, self._seen = self._seen, self._board.report()
        seen = self._seen
        if seen.held_ns and not before.held_ns:
            self._diary.write(seen.held_ns, "held", reason=seen.reason)
        if self._settled or not self._held_ns:
            return
        if seen.standing_ns:
            self._settled = True
            after_ms = _ms(seen.standing_ns - seen.held_ns)
            self._diary.write(seen.standing_ns, "standing", after_ms=after_ms, moved_mm=round(seen.moved_m * 1e3, 1))
        elif now_ns - self._held_ns > STANDING_S * NANOSECONDS:
            self._settled = True
            self._diary.write(
                now_ns, "unknown", reason=f"The station did not say within {STANDING_S:g} s that the arms stand."
            )


def watch(board: Board, diary: Diary, clock: Clock, silence: Silence) -> None:
    """Blocks until the loop's process has done its work, or has ended and the arms were seen to stand."""
    watchdog, parent = Watchdog(board, diary, silence), board.beat(Part.LOOP).pid
    due_ns = clock.now_ns()
    # The hour is taken before the beats are read: a pause in between makes them look younger, not older.
    while watchdog.round(due_ns, orphaned=os.getppid() != parent):
        clock.sleep_until(due_ns + round(ROUND_S * NANOSECONDS))
        due_ns = clock.now_ns()
    watchdog.end(due_ns)


def _ms(ns: int) -> float:
    return round(ns / NANOSECONDS * 1e3, 1)


def main(arguments: list[str]) -> None:
    """Watches the board whose memory this process inherited."""
    descriptor, path, silence = arguments
    before_others()  # it needs a hundredth of a core, and whoever waits for it holds
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the loop's process, which ends the others in order
    with Diary(Path(path)) as diary:
        watch(Board(descriptor=int(descriptor)), diary, RealClock(), Silence(**json.loads(silence)))


if __name__ == "__main__":
    main(sys.argv[1:])
