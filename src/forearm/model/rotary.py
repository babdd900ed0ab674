"""How rotary frequencies are stretched for sequences longer than those the weights were first made for. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearScaling:
    """Every frequency divided by `factor` (Chen et al. 2023, arXiv 2306.15595)."""

    attention: ClassVar[float] = 1.0  # what sines and cosines are multiplied by
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Llama3Scaling:
    """Slow frequencies divided by `factor`, fast ones kept, a blend between (Llama 3.1, arXiv 2407.21783).

    Attributes:
        factor: of the slow ones.
        original: the longest sequence of the weights' first training, tokens.
        slow, fast: turns over `original` below which a frequency is slow and above which it is fast.
    """

    attention: ClassVar[float] = 1.0  # what sines and cosines are multiplied by
    factor: float
    original: int
    slow: float
    fast: float


@dataclass(frozen=True, slots=True, kw_only=True)
class YarnScaling:
    """Slow frequencies divided by `factor`, fast ones kept, a ramp over the channels between (arXiv 2309.00071).

    Attributes:
        factor: of the slow ones.
        original: the longest sequence of the weights' first training, tokens.
        slow, fast: turns over `original` at which the ramp ends and begins.
        whole: whether its ends are moved out to whole channels.
        attention: what sines and cosines are multiplied by.
    """

    factor: float
    original: int
    slow: float
    fast: float
    whole: bool
    attention: float

    def ramp(self, head_dim: int, theta: float) -> tuple[float, float]:
        """Between which channels a frequency goes over from kept to divided."""
        first, last = (
            head_dim * math.log(self.original / (turns * 2 * math.pi)) / (2 * math.log(theta))
            for turns in (self.fast, self.slow)
        )
        if self.whole:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, head_dim - 1)
        return first, last + 0.001 if first == last else last  # published constant: no division by zero


RopeScaling = LinearScaling | Llama3Scaling | YarnScaling
