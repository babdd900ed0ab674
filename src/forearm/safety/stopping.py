"""Where the arms would stand if they had to stop now.

Invariant: never nearer than they could really stop within their own limits, however late it is noticed.
"""

from __future__ import annotations

import numpy as np

from forearm.messages import Floats
from forearm.safety.limits import Limits


def stopping_distance(speed: Floats, rising: Floats, reaction_s: float, limits: Limits) -> Floats:
    """(J,) how far each joint still goes when it is told to stop after `reaction_s`, rad or opening.

    Three parts follow each other, with speed v, acceleration a, and limits A and J of acceleration and jerk:

    1. For the reaction time t nobody knows: v t + a t² / 2, and v becomes v + a t.
    2. An acceleration that still raises the speed is first taken back to zero at the jerk limit. That takes a / J, in
       which v grows by a² / 2J and the way is v a / J + a³ / 3J².
    3. From a steady v the joint brakes to rest. While the peak √(v J) of the braking stays below A, the speed falls in
       two equal parts of √(v / J) each, symmetrically about its half: the way is v √(v / J). Otherwise, from a speed of
       A² / J on, A is held between two ramps of A / J: the way is v (v + A² / J) / 2A.

    Args:
        speed: (J,) ≥ 0, rad/s or 1/s.
        rising: (J,) ≥ 0, how fast the speed grows, rad/s² or 1/s².
        reaction_s: s until the stop is commanded, ≥ 0; the acceleration is taken to last as long, but not beyond the
            speed limit.
        limits: of acceleration and jerk.
    """
    greatest, jerk = limits.acceleration, limits.jerk
    unnoticed = np.maximum(speed, np.minimum(speed + rising * reaction_s, limits.velocity))
    ramp_s = rising / jerk
    grown = rising * ramp_s
    steady, held = unnoticed + grown / 2.0, greatest * greatest / jerk
    braking_s = np.where(steady < held, np.sqrt(steady / jerk), (steady + held) / (2.0 * greatest))
    return unnoticed * reaction_s + (unnoticed + grown / 3.0) * ramp_s + steady * braking_s


def standing_pose(
    positions: Floats, velocities: Floats, accelerations: Floats, reaction_s: float, limits: Limits
) -> Floats:
    """(J,) where the joints would come to rest, each at the end of its own stopping distance.

    A joint that already brakes is taken to be at its speed: braking less than it does is not an error on this side.
    """
    ahead = np.sign(velocities)
    rising = np.maximum(accelerations * ahead, 0.0)
    return positions + ahead * stopping_distance(np.abs(velocities), rising, reaction_s, limits)
