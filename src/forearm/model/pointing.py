"""Pointing: where in the main image each gripper will next open or close, as one cell of a grid and a place by it.

A pointer compares a question with every cell's key (Vinyals et al. 2015, arXiv 1506.03134). Each word adds its own
direction to the question, so that "red" comes to mean cells that look red from the first hundred examples on; left to
attention alone, colours were still chosen by chance after 80,000. The offset recovers what a cell of 8 cm is too coarse
for. Where two blocks lie close together it is the mean of both, which no regression of one place can avoid: a closer
look then points once more, among parts of cells that are smaller than a block. Only where it is sure, and finds another
place, that one is taken; everywhere else the first one stays as it is, to the last bit.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from forearm.model.stem import CELLS, PART_CHANNELS, PARTS, token_order

KEY_WIDTH = 64
# Of an arm, expected to act at a first look: 0.36 and 0.38 in two of four scenes that were refused though there was
# something to do; 0.19 at the most in 209 of 210 scenes without what was asked for.
EXPECTED = 0.25
# Where the two differ in recordings the first look is better, three times of four. Where the closer is so sure,
# 61 of 4,070 points in clear-the-pad are over 20 mm off instead of 62, and 20 of 2,040 by close blocks instead of 24.
SURE = 0.9
APART = 0.35  # of a part's side, 14 mm: less than from the middle between two blocks to either's


class Naming(nn.Module):
    """By which word what each gripper holds, or is to take next, is called: said before it points, and then heeded.

    Where no sentence names it, as when blocks are sorted, the pointer alone would have to compare two colours that it
    sees, and takes one place for the other; said, it is a word like those of a sentence.

    Args:
        width: d, of the tokens.
        vocabulary: words known; id 0 means that it goes by none.
    """

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__()
        self.say = nn.Linear(width, vocabulary + 1)
        self.heed = nn.Linear(width, KEY_WIDTH)


class PointHead(nn.Module):
    """Scores of every cell and of "none", and the place inside a cell.

    Args:
        width: d, of the tokens.
        channels: of a cell.
        cells_side: cells along one side of the image.
        vocabulary: words known; id 0 means nothing.
    """

    def __init__(self, width: int, channels: int, cells_side: int, vocabulary: int) -> None:
        super().__init__()
        self.cells_side = cells_side
        self.enquire = nn.Linear(width, KEY_WIDTH)
        self.meaning = nn.Embedding(vocabulary + 1, KEY_WIDTH, padding_idx=0)
        self.heed = nn.Linear(width, KEY_WIDTH)
        self.answer = nn.Linear(width, CELLS * CELLS * KEY_WIDTH)
        self.answer_cell = nn.Linear(channels, KEY_WIDTH, bias=False)
        self.none = nn.Linear(width, 1)
        self.offset_enter = nn.Linear(2 * KEY_WIDTH, KEY_WIDTH)
        self.offset_leave = nn.Linear(KEY_WIDTH, 2)
        order = torch.tensor(token_order(cells_side))
        nn.init.zeros_(self.meaning.weight)
        self.register_buffer("_row_major", torch.argsort(order), persistent=False)

    def keys(
        self, tokens: Float[Tensor, "B tokens d"], cells: Float[Tensor, "B tokens 4 c"]
    ) -> Float[Tensor, "B cells key"]:
        """One key per cell, row-major over the grid."""
        from_tokens = self.answer(tokens).unflatten(-1, (CELLS * CELLS, KEY_WIDTH))
        return (from_tokens + self.answer_cell(cells)).flatten(1, 2)[:, self._row_major]

    def ask(self, queries: Float[Tensor, "B arms d"], words: Int[Tensor, "B places"]) -> Float[Tensor, "B arms key"]:
        """What each arm looks for: its query's own question, and the words as far as it heeds them now."""
        meant = self.meaning(words).sum(1, keepdim=True)
        return self.enquire(queries) + torch.sigmoid(self.heed(queries)) * meant

    def named(
        self, naming: Naming, queries: Float[Tensor, "B arms d"], names: Int[Tensor, "B arms"]
    ) -> Float[Tensor, "B arms key"]:
        """What the words that were said of its own thing add to an arm's question, as far as it heeds them now."""
        return torch.sigmoid(naming.heed(queries)) * self.meaning(names)

    def scores(
        self,
        queries: Float[Tensor, "B arms d"],
        questions: Float[Tensor, "B arms key"],
        keys: Float[Tensor, "B cells key"],
    ) -> Float[Tensor, "B arms cells+1"]:
        """Logits of each cell, then of "this gripper will do neither"."""
        compared = questions @ keys.transpose(1, 2) * KEY_WIDTH**-0.5
        return torch.cat([compared, self.none(queries)], dim=-1)

    def choose(self, scores: Float[Tensor, "B arms cells+1"]) -> Int[Tensor, "B arms"]:
        """The likeliest cell of each arm, or none.

        Where either arm could begin, none is the likeliest for both; yet if more than `EXPECTED` of an arm is expected
        to act, the one that is likelier to takes its likeliest cell.
        """
        chances = scores.softmax(-1)
        cells, none = scores.argmax(-1), scores.shape[-1] - 1
        acts = 1 - chances[..., none]
        tied = (cells == none).all(-1) & (acts.sum(-1) > EXPECTED)
        first = tied[:, None] & (torch.arange(scores.shape[1], device=scores.device) == acts.argmax(-1)[:, None])
        return torch.where(first, scores[..., :none].argmax(-1), cells)

    def place(
        self,
        questions: Float[Tensor, "B arms key"],
        keys: Float[Tensor, "B cells key"],
        cells: Int[Tensor, "B arms"],
    ) -> Float[Tensor, "B arms 2"]:
        """Fractions of the image: where, in or beside the given cells of the grid that has these keys, each point lies.

        Meaningless for "none".
        """
        inside, side = cells.clamp(max=keys.shape[1] - 1), math.isqrt(keys.shape[1])
        chosen = torch.gather(keys, 1, inside[..., None].expand(-1, -1, keys.shape[-1]))
        joined = torch.cat([questions, chosen], dim=-1)
        offset = self.offset_leave(F.gelu(self.offset_enter(joined)))
        return _centres(inside, side) + offset.float() / side


class CloserLook(nn.Module):
    """Scores of the parts of a cell and of those around it: a finer grid, in which places are found as in the other.

    Args:
        width: d, of the tokens.
        cells_side: cells along one side of the image.
    """

    _around: Tensor
    _row_major: Tensor

    def __init__(self, width: int, cells_side: int) -> None:
        super().__init__()
        self.parts_side = PARTS * cells_side
        self.enquire = nn.Linear(KEY_WIDTH, KEY_WIDTH)
        self.answer = nn.Linear(width, (CELLS * PARTS) ** 2 * KEY_WIDTH)
        self.answer_part = nn.Linear(PART_CHANNELS, KEY_WIDTH, bias=False)
        order = torch.tensor(token_order(self.parts_side, CELLS * PARTS))
        self.register_buffer("_row_major", torch.argsort(order), persistent=False)
        cells, parts = torch.arange(cells_side**2), torch.arange(self.parts_side**2)
        apart = _centres(cells, cells_side)[:, None] - _centres(parts, self.parts_side)
        self.register_buffer("_around", apart.abs().amax(-1) < 1.5 / cells_side, persistent=False)

    def keys(
        self, tokens: Float[Tensor, "B tokens d"], parts: Float[Tensor, "B c rows columns"]
    ) -> Float[Tensor, "B parts key"]:
        """One key per part, row-major over the image."""
        from_tokens = self.answer(tokens).unflatten(-1, ((CELLS * PARTS) ** 2, KEY_WIDTH)).flatten(1, 2)
        return from_tokens[:, self._row_major] + self.answer_part(parts.flatten(2).transpose(1, 2))

    def scores(
        self,
        questions: Float[Tensor, "B arms key"],
        keys: Float[Tensor, "B parts key"],
        cells: Int[Tensor, "B arms"],
    ) -> Float[Tensor, "B arms parts"]:
        """Logits of every part; of those that are not of the given cells or next to them, the least there are."""
        compared = (self.enquire(questions) @ keys.transpose(1, 2)).float() * KEY_WIDTH**-0.5
        near = self._around[cells.clamp(max=len(self._around) - 1)]
        return compared.masked_fill(~near, torch.finfo(compared.dtype).min)

    def overrules(
        self,
        scores: Float[Tensor, "B arms parts"],
        closer: Float[Tensor, "B arms 2"],
        places: Float[Tensor, "B arms 2"],
    ) -> Bool[Tensor, "B arms"]:
        """Whether the likeliest parts' places, fractions of the image, are to be taken instead of a first look's."""
        away = (closer - places).abs().amax(-1) * self.parts_side
        return (scores.softmax(-1).amax(-1) > SURE) & (away > APART)


def _centres(cells: Int[Tensor, "*shape"], side: int) -> Float[Tensor, "*shape 2"]:
    column, row = cells % side, cells // side
    return (torch.stack([column, row], dim=-1) + 0.5) / side
