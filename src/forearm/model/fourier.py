"""Numbers as tokens: sines and cosines make small differences of a coordinate visible to a network."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FourierEmbedding(nn.Module):
    """(..., n) numbers of about unit size to (..., d) vectors: octaves up to `2**octaves`, then a small MLP.

    Tancik et al. 2020, arXiv 2006.10739.
    """

    def __init__(self, numbers: int, octaves: int, width: int) -> None:
        super().__init__()
        self._octaves = octaves
        self.enter = nn.Linear(numbers * (2 * octaves + 1), width)
        self.leave = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "... n"]) -> Float[Tensor, "... d"]:
        angles = x[..., None] * (2.0 ** torch.arange(self._octaves, device=x.device, dtype=x.dtype))
        features = torch.cat([x[..., None], angles.sin(), angles.cos()], dim=-1).flatten(-2)
        return self.leave(nn.functional.silu(self.enter(features)))
