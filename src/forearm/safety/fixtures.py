"""What stands round the arms, as the guard looks at it tick by tick: boxes that set-points and arms come no nearer to.

Invariant: what is too near may leave but not come nearer; and arms that are far from every box cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from forearm.safety.approach import NOTHING_NEAR, Approach, approach
from forearm.safety.capsules import HALF_LENGTHS, RADII
from forearm.safety.clearance import Bodies
from forearm.safety.limits import Limits
from forearm.safety.surroundings import Surroundings
from forearm.safety.workspace import Workspace


class Fixtures:
    """The boxes of a workspace, its fixtures and zones; what the arms may hold is vetting's.

    Args:
        workspace: what is there.
        limits: whose clearance at a set-point, and as measured, is kept.
    """

    def __init__(self, workspace: Workspace, limits: Limits) -> None:
        self._surroundings = Surroundings(workspace, limits)
        self._required_m = limits.fixture_clearance_now_m
        boxes = (*workspace.fixtures, *workspace.keep_out)
        self.any = bool(boxes)
        if boxes:
            corners = np.concatenate([box.extent for box in boxes])
            self._low = np.minimum.reduce(corners)[:, None, None]
            self._high = np.maximum.reduce(corners)[:, None, None]
            self._reach = (RADII + HALF_LENGTHS + self._required_m)[:, None]

    def review(self, bodies: Bodies, everything: Callable[[], Bodies], late: str) -> Approach:
        """HOLD for the pair that comes nearest, where one comes nearer than it may. 15 µs far from everything.

        Args:
            bodies: in the poses that `approach` judges.
            everything: places them in all six; asked only where something is nearer than it has to be.
            late: says when the arms would stand where they would.
        """
        if not self.any or not self._perhaps_near(bodies):
            return NOTHING_NEAR
        around = self._surroundings
        judged = around.of(bodies)
        bounds = judged.at_least()
        required = np.full_like(bounds, self._required_m)
        return approach(judged, bounds, lambda: around.of(everything()), around.pairs, required, late)

    def _perhaps_near(self, bodies: Bodies) -> bool:
        """Whether the sphere round any capsule reaches the one box round all boxes, counted along one axis."""
        middle = (bodies.starts + bodies.ends) / 2.0
        beyond = np.maximum(self._low - middle, middle - self._high)
        return not bool((beyond.max(axis=0) >= self._reach).all())
