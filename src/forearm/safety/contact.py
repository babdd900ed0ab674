"""Contact where none was planned, felt in what the motors give.

Invariant: an effort that is not explained by moving, and stays, is an objection; one that comes and goes is not.
"""

from __future__ import annotations

import numpy as np

from forearm.messages import Finding, Observation, Outcome
from forearm.robot.embodiment import Embodiment
from forearm.safety import checks
from forearm.safety.limits import TICK_S, Limits

# 150 ms: longer than an acceleration at its limit lasts (3 rad/s at 25 rad/s²: 120 ms) and than a touch that bounces.
STRAINING_TICKS = 15


class Contact:
    """Counts, joint by joint, for how long an effort has been too large. Used once per tick; the guard owns it."""

    def __init__(self, limits: Limits, embodiment: Embodiment) -> None:
        self._limits = limits
        self._embodiment = embodiment
        self.reset()

    def reset(self) -> None:
        """Forgets what was felt."""
        self._ticks = np.zeros(len(self._embodiment.joints), dtype=np.int64)

    def review(self, observation: Observation) -> tuple[Finding, ...]:
        """HOLD for the joint that strains most, once it has for `STRAINING_TICKS`. Takes 10 µs.

        A joint may always give `limits.effort`, and more the faster it moves: what its own friction takes.
        """
        efforts = np.abs(observation.efforts)
        allowed = self._limits.effort + self._limits.effort_of_speed * np.abs(observation.velocities)
        self._ticks = np.where(efforts <= allowed, 0, self._ticks + 1)
        strained = self._ticks >= STRAINING_TICKS
        if not strained.any():
            return ()
        worst = int(np.argmax(np.where(strained, efforts / allowed, 0.0)))
        joint, effort, limit = self._embodiment.joints[worst], float(efforts[worst]), float(allowed[worst])
        unit = "N" if joint.unit == "opening" else "N m"
        text = (
            f"{joint.name} has strained for {self._ticks[worst] * TICK_S * 1e3:.0f} ms, now with {effort:.3g} {unit}; "
            f"{limit:.3g} is allowed at its speed. It is stalled, or touches what nobody planned to touch."
        )
        return checks.finding("effort", Outcome.HOLD, joint.name, effort, limit, unit, text)
