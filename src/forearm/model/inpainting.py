"""Known rows draw a chunk towards them while it is sampled, so that it continues the chunk before it.

Real-time chunking (Black, Galliker, Levine 2025, arXiv 2506.07339) without its backward pass: the guidance is the error
of the predicted end itself, not that error times the Jacobian. That costs a third and meets fixed rows more closely;
the rows that are free come along through the expert's attention between rows, one flow step later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Rows that a sampled chunk is drawn to, in network units, and how strongly: 1 fixes a row, 0 leaves it free."""

    rows: Float[Tensor, "#N H D"]
    weights: Float[Tensor, "#N H"]

    def pull(
        self, x: Float[Tensor, "N H D"], velocity: Float[Tensor, "N H D"], time: float, steps: int
    ) -> Float[Tensor, "N H D"]:
        """What is added to the `velocity` at chunks `x` and that flow time, in a flow of so many Euler steps."""
        end = x + (1.0 - time) * velocity
        return gain(time, steps) * self.weights[..., None] * (self.rows - end)


def gain(time: float, steps: int) -> float:
    """How much of the end's error becomes velocity: the paper's weight, (t² + (1 - t)²) / (t (1 - t)).

    At most `steps`, with which one Euler step takes the whole error away.
    """
    noise = 1.0 - time
    return min(float(steps), (time**2 + noise**2) / (time * noise)) if time > 0.0 else float(steps)


def fading(rows: int, frozen: int, until: int) -> Float[Tensor, " rows"]:
    """Weights of a chunk's rows: 1 for the `frozen` first ones, then falling off to 0 at row `until`.

    The paper's soft mask: c (eᶜ - 1) / (e - 1), with c falling evenly from 1 before the first row that is not frozen.
    """
    at = torch.arange(rows, dtype=torch.float32)
    c = ((until - at) / (until - frozen + 1)).clamp(0.0, 1.0)
    return torch.where(at < frozen, 1.0, c * c.expm1() / math.expm1(1.0))
