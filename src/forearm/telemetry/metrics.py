"""Counters and histograms small enough for the control loop: constant memory, well under a microsecond a sample.

Each instrument has one writing thread; any thread may read, and may miss the sample that is just being added.
"""

from __future__ import annotations

import math

LOWEST_S = 1e-6  # s, everything shorter falls into the first bucket
GROWTH = 1.05  # ratio of neighbouring bucket edges: quantiles are at most 5 % too high
_BUCKETS = math.ceil(math.log(1e9) / math.log(GROWTH)) + 2  # 1 µs … 1000 s, and one beyond


class Counter:
    """How often something happened."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, amount: int = 1) -> None:
        """Counts `amount` more."""
        self.count += amount


class Histogram:
    """Durations in s, in buckets that grow by 5 %: quantiles without keeping the samples."""

    def __init__(self) -> None:
        self._buckets = [0] * _BUCKETS
        self.count = 0
        self.total_s = 0.0
        self.worst_s = 0.0

    def add(self, duration_s: float) -> None:
        """Adds a sample; a negative one counts as 0."""
        duration_s = max(duration_s, 0.0)
        index = 0 if duration_s <= LOWEST_S else math.ceil(math.log(duration_s / LOWEST_S) / math.log(GROWTH))
        self._buckets[min(index, _BUCKETS - 1)] += 1
        self.count += 1
        self.total_s += duration_s
        self.worst_s = max(self.worst_s, duration_s)

    def quantile(self, share: float) -> float:
        """The duration in s that `share` (0..1) of the samples do not exceed, at most 5 % too high; 0 without any."""
        needed, seen = share * self.count, 0
        for index, count in enumerate(self._buckets):
            seen += count
            if count and seen >= needed:
                return min(LOWEST_S * GROWTH**index, self.worst_s)
        return 0.0
