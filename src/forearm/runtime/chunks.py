"""Late, irregular chunks become one smooth set-point per tick.

Invariant: every set-point follows the one before it within the limits of speed, acceleration and jerk, whatever chunks
arrive and whenever they stop. Only chunks that vetting let through can get in.

Two ideas do it. *Time aligns*: row k belongs to an instant, so a chunk that took 80 ms to make starts 80 ms into
itself and its past is skipped. *A chase smooths*: a straight seam joins the old target to the new rows, and the
set-point chases that target by the time-optimal jerk-limited motion that could still stop at it (ruckig's community
edition; Berscheid & Kröger, RSS 2021). A chase that can always stop overshoots neither target nor range, and comes to
rest by itself when the rows run out. It trails its target by the distance it needs to stop, so it is given a target
that is ahead by the time that takes.
"""

from __future__ import annotations

import numpy as np
import ruckig
from numpy.typing import NDArray

from forearm.clock import NANOSECONDS
from forearm.errors import SafetyError
from forearm.messages import Command, Floats, Observation, VettedChunk
from forearm.safety.limits import TICK_S, Limits

SLOW = 0.5  # share of full speed at which the set-point chases after `slow`: a quarter of the way to stop
EXECUTION_HORIZON = 8  # rows in use before the next chunk is wanted; the prototype did equally well with 4, 8 and 16


class ChunkBuffer:
    """The vetted chunk being followed, and the set-point following it. Used by the control thread alone.

    Args:
        limits: greatest speed, acceleration and jerk of each joint.
        horizon: rows of a chunk after which the next one is wanted, ≥ 1.
    """

    def __init__(self, limits: Limits, *, horizon: int = EXECUTION_HORIZON) -> None:
        self._joints = np.arange(len(limits.velocity))
        self._limits = limits
        self._horizon = horizon
        self._chase = ruckig.Ruckig(len(self._joints), TICK_S)
        self._motion = ruckig.InputParameter(len(self._joints))
        self._next = ruckig.OutputParameter(len(self._joints))
        self._fast, self._slow = list(limits.velocity), list(SLOW * limits.velocity)
        self._slow_until_ns = -1
        self._motion.max_acceleration = list(limits.acceleration)
        self._motion.max_jerk = list(limits.jerk)
        self._motion.synchronization = ruckig.Synchronization.No  # a slow joint must not delay the others
        self._epoch = 0
        self._sequence = 0
        self._stamp_ns = -1
        self._times_ns = np.empty(0, dtype=np.int64)
        self._rows: Floats = np.empty((0, len(self._joints)))
        self.needed_ns = 0
        """When the next chunk should be here: its predecessor's execution horizon. 0 while there is none."""
        self.following: VettedChunk | None = None
        """What the arms follow at this moment."""

    def start(self, observation: Observation, *, at: Floats | None = None) -> None:
        """Rests at the observed pose, or `at` (J,), and follows only what answers this observation or a later one."""
        self.hold()
        self._epoch = observation.epoch
        self._stamp_ns = observation.stamp_ns - 1
        self._motion.current_position = list(observation.positions if at is None else at)
        self._motion.current_velocity = [0.0] * len(self._joints)
        self._motion.current_acceleration = [0.0] * len(self._joints)

    def hold(self) -> None:
        """Forgets the rows and brakes to rest where the path leads, within the limits."""
        self._times_ns, self._rows, self.needed_ns = self._times_ns[:0], self._rows[:0], 0
        self.following = None

    def slow(self, until_ns: int) -> None:
        """Goes at no more than the share `SLOW` of full speed until then; call it at rest."""
        self._slow_until_ns = until_ns

    def accept(self, vetted: VettedChunk, now_ns: int) -> bool:
        """Follows this chunk from now on; False for one that is of another session, outdated or wholly in the past.

        False also for one that vetting cut so short that it will be spent before another answer can be here, if what is
        followed lasts longer: that was vetted as a whole, and the arms need not stop for want of rows.
        """
        chunk = vetted.chunk
        period_ns = round(chunk.period_s * NANOSECONDS)
        times_ns = chunk.stamp_ns + period_ns * np.arange(1, len(chunk.positions) + 1, dtype=np.int64)
        ahead = times_ns > now_ns
        if vetted.epoch != self._epoch or chunk.stamp_ns <= self._stamp_ns or not ahead.any():
            return False
        lasts_ns, took_ns = int(times_ns[-1]) - now_ns, now_ns - chunk.stamp_ns
        if lasts_ns < took_ns and len(self._times_ns) and int(self._times_ns[-1]) > int(times_ns[-1]):
            return False
        seam = self._target_at(np.full(len(self._joints), now_ns))
        self._times_ns = np.concatenate([[now_ns], times_ns[ahead]])
        self._rows = np.concatenate([seam[None], chunk.positions[ahead]])
        self._stamp_ns, self.following = chunk.stamp_ns, vetted
        self.needed_ns = int(times_ns[min(self._horizon, len(times_ns)) - 1])
        return True

    def is_dry(self, now_ns: int) -> bool:
        """Whether no row lies ahead: the set-point rests, or is coming to rest."""
        return len(self._times_ns) == 0 or now_ns > int(self._times_ns[-1])

    def command_at(self, now_ns: int) -> Command:
        """The set-point of this tick; call it once per tick. About 60 µs.

        Raises:
            SafetyError: when there is no motion within the limits, which no chunk that vetting let through can cause.
        """
        motion = self._motion
        motion.max_velocity = self._slow if now_ns < self._slow_until_ns else self._fast
        if len(self._times_ns):
            ahead_ns = self._stopping_time_s() * NANOSECONDS
            motion.control_interface = ruckig.ControlInterface.Position
            motion.target_position = list(self._target_at(now_ns + ahead_ns.astype(np.int64)))
        else:
            motion.control_interface = ruckig.ControlInterface.Velocity  # brakes: its target velocity is always zero
        result = self._chase.update(motion, self._next)
        if result < 0:
            raise SafetyError(f"set-point: got {result}, allowed is a motion within the limits; vet the chunk")
        self._next.pass_to_input(motion)
        self._sequence += 1
        positions = np.array(self._next.new_position)
        return Command(stamp_ns=now_ns, sequence=self._sequence, epoch=self._epoch, positions=positions)

    def _stopping_time_s(self) -> Floats:
        """(J,) s, stopping distance over speed: the chase's lag behind a steady target.

        Braking from speed v takes the distance v √(v / j) while the acceleration's peak √(v j) stays below its limit a,
        and v (v / 2a + a / 2j) above that.
        """
        speed = np.abs(self._motion.current_velocity)
        greatest, jerk = self._limits.acceleration, self._limits.jerk
        trapezoid = speed / (2.0 * greatest) + greatest / (2.0 * jerk)
        return np.where(speed * jerk < greatest**2, np.sqrt(speed / jerk), trapezoid)

    def _target_at(self, at_ns: NDArray[np.int64]) -> Floats:
        """(J,) where each joint is at its own instant `at_ns` (J,): straight between the rows, at rest beyond them."""
        if len(self._times_ns) == 0:
            return np.array(self._motion.current_position)
        at_ns = np.clip(at_ns, self._times_ns[0], self._times_ns[-1])
        after = np.maximum(np.searchsorted(self._times_ns, at_ns), 1)
        before_ns, after_ns = self._times_ns[after - 1], self._times_ns[after]
        share = (at_ns - before_ns) / (after_ns - before_ns)
        return (1.0 - share) * self._rows[after - 1, self._joints] + share * self._rows[after, self._joints]
