"""What is too near and coming nearer, in the poses that the guard compares in one tick.

Invariant: what is too near may leave but not come nearer. Set-points do not at all; the arms themselves by no more than
what their sensors' noise adds up to, from where they were last clear or were told to stop, however slowly they drift.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from forearm.messages import Finding, Outcome
from forearm.safety import checks
from forearm.safety.sweep import Near, Placed

Findings = tuple[Finding, ...]

# The poses of one tick, in this order: the set-point to send; where the arms would stand if stopped then; as measured;
# as measured a tick on. Then what they are beside: the set-point sent last; where the arms were last measured clear, or
# where what is sent now began.
COMMANDED, STANDING, MEASURED, AHEAD, SENT, CLEAR = range(6)
MEASURED_STEPS = slice(MEASURED, SENT)  # those among them that were measured
_BESIDE = np.array([SENT, SENT, CLEAR, MEASURED])
# m, how much nearer than beside: arithmetic alone for set-points, which would add up; for measured arms what encoders
# and a load that settles add up to, and within a tick 10 mm/s, below which noise looks like motion.
_NEARER_M = np.array([1e-12, 1e-12, 1e-3, 1e-4])


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach:
    """What objects, and whether nothing is too near as measured."""

    findings: Findings = ()
    clear: bool = True


NOTHING_NEAR = Approach()


def approach(
    judged: Placed,
    bounds: Float64[ndarray, "K 4"],
    everything: Callable[[], Placed],
    pairs: Sequence[Near],
    required: Float64[ndarray, "K 4"],
    late: str,
) -> Approach:
    """HOLD for the pair that comes nearest, where one comes nearer than it may; about 2 µs where nothing is near.

    Args:
        judged: the pairs in the poses that are judged; asked only where something may be near.
        bounds: of their clearances there, from below, m.
        everything: places them in all six poses; asked only where something is nearer than it has to be.
        pairs: their names.
        required: the least clearance of each pair in the poses that are judged, m.
        late: says of `STANDING` when that would be.
    """
    ample = bounds >= required
    if ample.all():
        return NOTHING_NEAR
    numbers, steps = np.nonzero(~ample)
    needed = required[numbers, steps]
    spare = judged.clearance(numbers, steps) - needed
    short = ~(spare >= 0.0)
    if not short.any():
        return NOTHING_NEAR
    numbers, steps, needed, spare = numbers[short], steps[short], needed[short], spare[short]
    beside = everything().clearance(numbers, _BESIDE[steps]) - needed
    nearing = ~(spare >= beside - _NEARER_M[steps])

    def nearest(among: ndarray) -> Findings:
        if not among.any():
            return ()
        worst = int(np.argmin(np.where(among, spare, np.inf)))
        where = late if steps[worst] == STANDING else "and nearing" + " as measured" * bool(steps[worst] >= MEASURED)
        limit_m = float(needed[worst])
        pair = pairs[int(numbers[worst])]
        return checks.near(Outcome.HOLD, pair, float(spare[worst]) + limit_m, limit_m, where)

    at_once, stopped_late = nearest(nearing & (steps != STANDING)), nearest(nearing & (steps == STANDING))
    findings = at_once or tuple(replace(finding, check="stopping") for finding in stopped_late)
    return Approach(findings=findings, clear=not (steps == MEASURED).any())
