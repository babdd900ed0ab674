"""What stands round the arms, as the guard looks at it tick by tick: boxes that set-points and arms come no nearer to.

Invariant: what is too near may leave but not come nearer; and arms that are far from every box cost next to nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from forearm.messages import Finding, Outcome
from forearm.safety import checks
from forearm.safety.capsules import HALF_LENGTHS, RADII
from forearm.safety.clearance import Bodies
from forearm.safety.limits import Limits
from forearm.safety.surroundings import PlacedThings, Surroundings
from forearm.safety.workspace import Workspace

Findings = tuple[Finding, ...]
# Which of the poses that `review` is given is compared with which, and by how much it may be nearer: arithmetic alone
# for set-points, which would add up; for what is measured 10 mm/s, below which noise looks like motion.
_STEPS = ((1, 0, 1e-12), (2, 0, 1e-12), (4, 3, 1e-4))  # pose, compared with, m
_POSES = np.array([pose for pose, _, _ in _STEPS])
_BEFORE = np.array([before for _, before, _ in _STEPS])
_NEARER_M = np.array([nearer for _, _, nearer in _STEPS])
_LATE = 1  # the step to where the arms would stand


class Fixtures:
    """The boxes of a workspace, its fixtures and zones; what the arms may hold is vetting's.

    Args:
        workspace: what is there.
        limits: whose clearance at a set-point is kept.
    """

    def __init__(self, workspace: Workspace, limits: Limits) -> None:
        self._surroundings = Surroundings(workspace.standing, limits)
        self._required_m = limits.fixture_clearance_now_m
        boxes = (*workspace.fixtures, *workspace.keep_out)
        self.any = bool(boxes)
        if boxes:
            corners = np.concatenate([box.extent for box in boxes])
            self._low = np.minimum.reduce(corners)[:, None, None]
            self._high = np.maximum.reduce(corners)[:, None, None]
            self._reach = (RADII + HALF_LENGTHS + self._required_m)[:, None]

    def review(self, bodies: Bodies, late: str) -> Findings:
        """HOLD for the pair that comes nearest, where one comes nearer than it may. 15 µs far from everything.

        Args:
            bodies: in five poses: as sent, as commanded, where the arms would stand if stopped there, as measured, and
                as measured a tick on.
            late: says of the third when that would be.
        """
        if not self.any or not self._perhaps_near(bodies):
            return ()
        placed = self._surroundings.of(bodies)
        pairs, steps = np.nonzero(~(placed.at_least()[:, _POSES] >= self._required_m))
        if not len(pairs):
            return ()
        spare, nearing = self._spare(placed, pairs, steps)
        at_once = self._nearest(pairs, spare, nearing & (steps != _LATE), "and nearing")
        stopped_late = self._nearest(pairs, spare, nearing & (steps == _LATE), late)
        return at_once or tuple(replace(finding, check="stopping") for finding in stopped_late)

    def _perhaps_near(self, bodies: Bodies) -> bool:
        """Whether the sphere round any capsule reaches the one box round all boxes, counted along one axis."""
        middle = (bodies.starts + bodies.ends) / 2.0
        beyond = np.maximum(self._low - middle, middle - self._high)
        return not bool((beyond.max(axis=0) >= self._reach).all())

    def _spare(self, placed: PlacedThings, pairs: ndarray, steps: ndarray) -> tuple[Float64[ndarray, " n"], ndarray]:
        """What each pair has beyond its clearance in its step's pose, m, and whether that is too little and less."""
        rows = np.concatenate([_POSES[steps], _BEFORE[steps]])
        spare, before = np.split(placed.clearance(np.tile(pairs, 2), rows) - self._required_m, 2)
        return spare, ~(spare >= 0.0) & ~(spare >= before - _NEARER_M[steps])

    def _nearest(self, pairs: ndarray, spare: ndarray, among: ndarray, where: str) -> Findings:
        if not among.any():
            return ()
        worst = int(np.argmin(np.where(among, spare, np.inf)))
        pair = self._surroundings.pairs[int(pairs[worst])]
        apart_m = float(spare[worst]) + self._required_m
        return checks.near(Outcome.HOLD, pair, apart_m, self._required_m, where)
