"""A small camera's encoder: convolutions down to cells of 12 px, then 2 × 2 cells merged into a token.

The small reasoner sees 120 px, not 378, and learns from nothing in minutes: early convolutions (Xiao et al. 2021,
arXiv 2106.14881) stand where the released model has its pretrained vision transformer, and patch merging (Liu et al.
2021, arXiv 2103.14030) where that one pools 2 × 2 patches.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

CELL_PX = 12  # px, what the convolutions below reduce to one cell: 3 · 2 · 2
CELLS = 2  # cells a side of one token
PARTS = 2  # parts a side of one cell, 6 px: what the first two convolutions reduce the image to
PART_CHANNELS = 64


class Encoded(NamedTuple):
    """Images as tokens, as the four cells each was merged from, row-major inside the token, and as parts of cells."""

    tokens: Float[Tensor, "B tokens d"]
    cells: Float[Tensor, "B tokens 4 c"]
    parts: Float[Tensor, "B 64 rows columns"]


class ConvStem(nn.Module):
    """Images to cells and tokens.

    Args:
        side: of the square image, px; a multiple of 24.
        channels: of a cell.
        width: d, of a token.
    """

    def __init__(self, side: int, channels: int, width: int) -> None:
        super().__init__()
        self.cells_side = side // CELL_PX
        self.first = nn.Conv2d(3, 32, 7, stride=3, padding=2)
        self.second = nn.Conv2d(32, PART_CHANNELS, 3, stride=2, padding=1)
        self.third = nn.Conv2d(PART_CHANNELS, channels, 3, stride=2, padding=1)
        self.fourth = nn.Conv2d(channels, channels, 3, padding=1)
        self.cell_norm = nn.LayerNorm(channels)
        self.merge = nn.Linear(CELLS * CELLS * channels, width)
        tokens = (self.cells_side // CELLS) ** 2
        self.place = nn.Parameter(torch.zeros(tokens, width))
        nn.init.normal_(self.place, std=0.1)

    @property
    def tokens(self) -> int:
        """Tokens of one image."""
        return self.place.shape[0]

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Encoded:
        """Images in -1..1 as tokens, cells and parts of cells."""
        parts = F.relu(self.second(F.relu(self.first(images))))
        x = F.relu(self.third(parts))
        cells = self.cell_norm((x + F.relu(self.fourth(x))).permute(0, 2, 3, 1))  # (B, rows, columns, c)
        batch, rows, columns, channels = cells.shape
        cells = cells.view(batch, rows // CELLS, CELLS, columns // CELLS, CELLS, channels)
        cells = cells.permute(0, 1, 3, 2, 4, 5).reshape(batch, self.tokens, CELLS * CELLS, channels)
        return Encoded(self.merge(cells.flatten(2)) + self.place, cells, parts)


def token_order(side: int, across: int = CELLS) -> list[int]:
    """For each cell in (token, place in token) order its row-major number in the whole grid.

    Args:
        side: cells, or parts of cells, along one side of the image.
        across: how many of them a token is wide and high.
    """
    tokens = side // across
    return [
        (across * row + inner_row) * side + across * column + inner_column
        for row in range(tokens)
        for column in range(tokens)
        for inner_row in range(across)
        for inner_column in range(across)
    ]
