"""Pictures that come late: each is held back from its capture until it could have been read.

Stamps stay what they were, so whoever reads them knows how old they are.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from forearm.cell.shutter import Views
from forearm.cell.variation import Pace
from forearm.clock import NANOSECONDS


class Lag:
    """Holds pictures back as the pace says. Made anew at every connect; the first pictures are there at once.

    Args:
        pace: how late they come.
        seed: of the jitter.
    """

    def __init__(self, pace: Pace, seed: int) -> None:
        self._pace = pace
        self._rng = np.random.default_rng((seed, 7))
        self._coming: deque[tuple[int, Views]] = deque()
        self._last: Views | None = None
        self._read: Views | None = None

    def pass_on(self, views: Views, now_ns: int) -> Views:
        """The newest pictures that can be read at `now_ns`, given the newest that there are."""
        if not views.images:
            return views  # no camera has taken any
        if views is not self._last:
            jitter_s = float(self._rng.uniform(0.0, self._pace.image_jitter_s))
            late_ns = round((self._pace.image_s + jitter_s) * NANOSECONDS)
            stamp_ns = next(iter(views.images.values())).stamp_ns
            self._coming.append((stamp_ns + late_ns, views))
            self._last = views
        if self._read is None:
            self._read = views
        while self._coming and self._coming[0][0] <= now_ns:
            self._read = self._coming.popleft()[1]
        return self._read
