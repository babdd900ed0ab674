"""From any motion to rest within the limits of acceleration and jerk, without anybody's help."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import ruckig

from forearm.errors import SafetyError
from forearm.messages import Floats
from forearm.safety.limits import TICK_S, Limits

HISTORY = 3  # set-points that tell a motion: where, how fast, how much faster


class Brake:
    """The way to rest from the newest of the set-points `recent`, (J,) each, one tick apart, oldest first.

    It goes on along the motion that they were; of a single one, it stays there.

    Raises:
        SafetyError: when there is no such way, which no finite set-points can cause.
    """

    def __init__(self, limits: Limits, recent: Sequence[Floats]) -> None:
        here = np.array(recent[-1])
        steps = np.diff([recent[0]] * (HISTORY - len(recent)) + list(recent[-HISTORY:]), axis=0)
        speed, acceleration = steps[-1] / TICK_S, (steps[-1] - steps[-2]) / TICK_S**2
        if len(recent) < HISTORY:
            acceleration = np.zeros_like(here)
        # The set-points were within the limits; their differences are, but for rounding.
        motion = ruckig.InputParameter(len(here))
        motion.control_interface = ruckig.ControlInterface.Velocity  # its target velocity is zero
        motion.synchronization = ruckig.Synchronization.No
        motion.current_position = list(here)
        motion.current_velocity = list(np.clip(speed, -limits.velocity, limits.velocity))
        motion.current_acceleration = list(np.clip(acceleration, -limits.acceleration, limits.acceleration))
        motion.max_velocity = list(limits.velocity)
        motion.max_acceleration = list(limits.acceleration)
        motion.max_jerk = list(limits.jerk)
        self._way = ruckig.Trajectory(len(here))
        result = ruckig.Ruckig(len(here), TICK_S).calculate(motion, self._way)
        if result < 0:
            raise SafetyError(f"brake: got {result}, allowed is a motion to rest; hold the last set-point")
        self._lower, self._upper = np.minimum(limits.lower, here), np.maximum(limits.upper, here)

    @property
    def duration_s(self) -> float:
        """Seconds until rest."""
        return self._way.duration

    def at(self, seconds: float) -> Floats:
        """(J,) the set-point `seconds` ≥ 0 after the newest one; the same for ever once at rest."""
        positions, _, _ = self._way.at_time(min(seconds, self._way.duration))
        return np.clip(positions, self._lower, self._upper)
