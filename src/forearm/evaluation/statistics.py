"""What counts of successes say, and what they do not: intervals, never bare rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from forearm.errors import InputError

Z_95 = 1.959963984540054  # standard normal quantile at 0.975


def wilson_interval(successes: int, trials: int, *, z: float = Z_95) -> tuple[float, float]:
    """The score interval of a success rate, (lower, upper) within 0..1; (0, 1) where nothing was tried.

    Unlike the textbook interval it is right near 0 and 1, where we mean to be. Source: Wilson, JASA 22 (1927).

    Raises:
        InputError: for counts that no experiment has.
    """
    if not 0 <= successes <= trials:
        raise InputError(f"successes: got {successes} of {trials} trials, allowed is 0 to {trials}; count again")
    if trials == 0:
        return 0.0, 1.0
    rate = successes / trials
    weight = z * z / trials
    centre = rate + weight / 2.0
    spread = z * math.sqrt((rate * (1.0 - rate) + weight / 4.0) / trials)
    return max(0.0, (centre - spread) / (1.0 + weight)), min(1.0, (centre + spread) / (1.0 + weight))


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """How two policies differ on the same seeds.

    Attributes:
        difference: rate of the second minus rate of the first.
        ci95: its interval.
        p: two-sided exact probability of a split at least as uneven if the two were alike.
    """

    difference: float
    ci95: tuple[float, float]
    p: float


def paired_difference(first: Sequence[bool], second: Sequence[bool]) -> PairedDifference:
    """Second minus first, outcome by outcome of the same seeds in the same order.

    The interval adds half a pair to each cell (Agresti & Min, Statistics in Medicine 24, 2005); the probability is
    McNemar's exact one (Psychometrika 12, 1947).

    Raises:
        InputError: for nothing at all, or lists of unequal length.
    """
    if len(first) != len(second) or not first:
        raise InputError(
            f"paired outcomes: got {len(first)} and {len(second)}, allowed is the same number ≥ 1; match the seeds"
        )
    gained = sum(b and not a for a, b in zip(first, second, strict=True))
    lost = sum(a and not b for a, b in zip(first, second, strict=True))
    pairs = len(first) + 2.0
    adjusted = (gained - lost) / pairs
    spread = Z_95 * math.sqrt(gained + lost + 1.0 - (gained - lost) ** 2 / pairs) / pairs
    changed = gained + lost
    tail = sum(math.comb(changed, k) for k in range(min(gained, lost) + 1)) / 2.0**changed
    return PairedDifference(
        difference=(gained - lost) / len(first),
        ci95=(max(-1.0, adjusted - spread), min(1.0, adjusted + spread)),
        p=min(1.0, 2.0 * tail),
    )
