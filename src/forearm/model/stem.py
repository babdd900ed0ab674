"""A small camera's encoder: convolutions down to cells of 12 px, then 2 × 2 cells merged into a token.

The small reasoner sees 120 px, not 378, and learns from nothing in minutes: early convolutions (Xiao et al. 2021,
arXiv 2106.14881) stand where the released model has its pretrained vision transformer, and patch merging (Liu et al.
2021, arXiv 2103.14030) where that one pools 2 × 2 patches.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

CELL_PX = 12  # px, what the convolutions below reduce to one cell: 3 · 2 · 2
CELLS = 2  # cells a side of one token


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
        self.second = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.third = nn.Conv2d(64, channels, 3, stride=2, padding=1)
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

    def forward(
        self, images: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B tokens d"], Float[Tensor, "B tokens 4 c"]]:
        """Tokens, and the four cells each was merged from, row-major inside the token. Images in -1..1."""
        x = F.relu(self.second(F.relu(self.first(images))))
        x = F.relu(self.third(x))
        cells = self.cell_norm((x + F.relu(self.fourth(x))).permute(0, 2, 3, 1))  # (B, rows, columns, c)
        batch, rows, columns, channels = cells.shape
        cells = cells.view(batch, rows // CELLS, CELLS, columns // CELLS, CELLS, channels)
        cells = cells.permute(0, 1, 3, 2, 4, 5).reshape(batch, self.tokens, CELLS * CELLS, channels)
        return self.merge(cells.flatten(2)) + self.place, cells


def token_order(cells_side: int) -> list[int]:
    """For each cell in (token, place in token) order its row-major number in the whole grid."""
    side = cells_side // CELLS
    return [
        (CELLS * row + inner_row) * cells_side + CELLS * column + inner_column
        for row in range(side)
        for column in range(side)
        for inner_row in range(CELLS)
        for inner_column in range(CELLS)
    ]
