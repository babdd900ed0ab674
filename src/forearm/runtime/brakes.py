"""Does with both arms what the table of stops says, and measures every stop.

Invariant: whatever the table says is done to the pair in one tick, and every stop that begins ends in a `Stopped` that
says what was measured.
"""

from __future__ import annotations

from contextlib import suppress

from forearm.clock import NANOSECONDS, Clock
from forearm.events import Emit, Observed, Stopped
from forearm.messages import Observation, Outcome, VettedChunk
from forearm.robot.embodiment import Embodiment
from forearm.robot.interface import Robot
from forearm.runtime.chunks import ChunkBuffer
from forearm.runtime.loop import Tick, judged
from forearm.runtime.standstill import PATIENCE_NS, Standstill
from forearm.runtime.trail import Trail
from forearm.safety.limits import TICK_S
from forearm.safety.stops import STOPS, Cause, Each, Faulty, Holding, StopKind, cause_of, faulty_arm, holding

SLOW_NS = 2 * NANOSECONDS  # ns, how long the arms stay slow after a stop of that kind: one chunk of 16 rows and more
TICK_NS = round(TICK_S * NANOSECONDS)


class Brakes:
    """Stops one session's arms. Used by the control thread alone.

    Args:
        chunks: what makes the set-points.
        embodiment: whose arms they are.
        emit: takes every event.
        trail: knows the ways back; without one, an arm that is to retreat stands.
    """

    def __init__(self, *, chunks: ChunkBuffer, embodiment: Embodiment, emit: Emit, trail: Trail | None) -> None:
        self._chunks = chunks
        self._embodiment = embodiment
        self._emit = emit
        self._trail = trail
        self._seen: Observation | None = None
        self._standstill: Standstill | None = None
        self._way_back: VettedChunk | None = None

    @property
    def retreating(self) -> bool:
        """Whether the arms follow a way back at this moment."""
        return self._way_back is not None and self._chunks.following is self._way_back

    def note(self, tick: Tick) -> None:
        """Takes every tick: remembers the way, and looks whether the arms stand."""
        self._seen = tick.observation
        if self._trail is not None:
            self._trail.note(tick.verdict)
        if self._standstill is not None:
            self._conclude(self._standstill.note(tick.observation))

    def stop(self, tick: Tick, cause: str, *, may_retreat: bool) -> Each:
        """Begins the stop that the table has for what this tick found; says what each arm does."""
        findings = tick.verdict.findings
        known = Cause.DECISIONS if tick.verdict.outcome is Outcome.ALLOW else cause_of(findings)
        each = STOPS[known, faulty_arm(findings), holding(tick.observation, self._embodiment)]
        kind = each.hardest
        self._chunks.hold()
        if kind is StopKind.SLOW:
            self._chunks.slow(tick.stamp_ns + SLOW_NS)
        if kind is StopKind.RETREAT and not (may_retreat and self._retreat(each, tick)):
            kind = StopKind.HOLD
        if self._standstill is None:
            self._begin(cause, kind, tick.observation, tick.stamp_ns)
        return each

    def measure(self, tick: Tick, cause: str) -> None:
        """Begins to measure arms that somebody else told to brake in this tick, unless a stop is being measured."""
        if self._standstill is None:
            self._begin(cause, StopKind.HOLD, tick.observation, tick.stamp_ns)

    def end(self, reason: str, cause: Cause | None, robot: Robot, clock: Clock) -> None:
        """Waits for a robot that was just told to stop until it was measured standing, or `PATIENCE_NS`.

        Args:
            reason: why the session ends, in words.
            cause: what is wrong, None where nothing is.
            robot: read at every tick.
            clock: the session's time.
        """
        if self._seen is None:  # nothing was moved
            return
        if self._standstill is not None:
            self._conclude(self._standstill.given_up(clock.now_ns()))
        kind = StopKind.HOLD if cause is None else STOPS[cause, Faulty.BOTH, Holding.SHARED].hardest
        commanded_ns = due_ns = clock.now_ns()
        standstill = self._begin(reason, kind, self._seen, commanded_ns)
        with suppress(
            Exception
        ):  # a robot that cannot be read is one whose standing still is unknown, as is said below
            while self._standstill is not None and due_ns <= commanded_ns + PATIENCE_NS:
                due_ns += TICK_NS
                clock.sleep_until(due_ns)
                observation = robot.read()
                self._emit(Observed(stamp_ns=clock.now_ns(), observation=observation))
                self._conclude(standstill.note(observation))
        if self._standstill is not None:  # it could not be read, or gave the same pose again and again
            self._conclude(standstill.lost(clock.now_ns()))

    def _begin(self, cause: str, kind: StopKind, seen: Observation, commanded_ns: int) -> Standstill:
        self._standstill = Standstill(
            cause=cause, kind=kind, observation=seen, commanded_ns=commanded_ns, embodiment=self._embodiment
        )
        return self._standstill

    def _retreat(self, each: Each, tick: Tick) -> bool:
        """Follows the way back of the arms that are to retreat; whether there is one that vetting lets through."""
        back = [arm for arm, kind in (("left", each.left), ("right", each.right)) if kind is StopKind.RETREAT]
        verdict = None if self._trail is None else self._trail.back(back, tick.observation, tick.stamp_ns)
        if verdict is None:
            return False
        self._emit(judged("vetting", tick.observation.sequence, verdict, tick.stamp_ns))
        self._way_back = verdict.vetted
        return self._way_back is not None and self._chunks.accept(self._way_back, tick.stamp_ns)

    def _conclude(self, stopped: Stopped | None) -> None:
        if stopped is not None:
            self._standstill = None
            self._emit(stopped)
