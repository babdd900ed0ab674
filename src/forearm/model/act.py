"""Action Chunking with Transformers, to compare with: a conditional VAE over chunks (Zhao et al. 2023, 2304.13705).

    state, chunk ──► style encoder ──► z          (training; z = 0 when acting)
    images, words, state, z ──► encoder ──► decoder, one query per row ──► chunk

The paper's design as it stands: a style encoder that sees joints and actions alone, two-dimensional sinusoids in every
encoder layer, learned queries, a linear head, z of 32 numbers. It departs from it where the others it is compared with
must be met on equal terms: their sizes; their inputs, which add the tools' positions and the words, one token each,
for the paper's model reads none; a residual network of its own for 120 px instead of a pretrained ResNet-18; norms
before instead of behind each part, an option of its authors' code, so that it learns at the others' rate; no dropout,
which five passes over the data do not need; and a learned mark per camera, because the wrists' pictures look alike.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from forearm.model.action_expert import sinusoids
from forearm.model.attention import attend
from forearm.model.reasoner import ARMS, STATE_CHANNELS, ReasonerConfig, Sight

LATENT = 32  # numbers of z: table III of the paper
WIDER = 4  # a feed-forward's hidden width, in widths; the paper's are 6
GROUPS = 8  # of a group norm (Wu and He 2018, arXiv 1803.08494): batches of one process are small
FIRST_CHANNELS, FIRST_PX = 32, 3  # of the first convolution: its channels and stride
HALVINGS = 2  # residual blocks, each of which halves the picture: cells of 12 px, as the other models'


class Style(NamedTuple):
    """How the style of a chunk is distributed, given the chunk: a normal distribution with a diagonal covariance."""

    mean: Float[Tensor, "B latent"]
    log_variance: Float[Tensor, "B latent"]

    def divergence(self) -> Float[Tensor, " B"]:
        """From the standard normal distribution, nats."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance).sum(-1)


class HalvingBlock(nn.Module):
    """The basic residual block (He et al. 2015, arXiv 1512.03385) with a stride of 2."""

    def __init__(self, channels: int, wider: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, wider, 3, stride=2, padding=1, bias=False)
        self.first_norm = nn.GroupNorm(GROUPS, wider)
        self.second = nn.Conv2d(wider, wider, 3, padding=1, bias=False)
        self.second_norm = nn.GroupNorm(GROUPS, wider)
        self.past = nn.Conv2d(channels, wider, 1, stride=2, bias=False)

    def forward(self, x: Float[Tensor, "B c H W"]) -> Float[Tensor, "B wider h w"]:
        inner = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(inner)) + self.past(x))


class Backbone(nn.Module):
    """A camera's image as one token per cell of 12 px.

    Args:
        side: of the square image, px; a multiple of 12.
        channels: of a cell.
        width: d, of a token.
    """

    place: Tensor

    def __init__(self, side: int, channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, FIRST_CHANNELS, 7, stride=FIRST_PX, padding=2, bias=False)
        self.first_norm = nn.GroupNorm(GROUPS, FIRST_CHANNELS)
        sizes = (FIRST_CHANNELS, channels // 2, channels)
        self.blocks = nn.ModuleList(HalvingBlock(*sizes[index : index + 2]) for index in range(HALVINGS))
        self.out = nn.Linear(channels, width)
        self.register_buffer("place", grid_places(side // (FIRST_PX * 2**HALVINGS), width), persistent=False)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B cells d"]:
        """Tokens, row-major, without their `place`. Images in -1..1."""
        x = F.relu(self.first_norm(self.first(images)))
        for block in self.blocks:
            x = block(x)
        return self.out(x.flatten(2).transpose(1, 2))


def grid_places(side: int, width: int) -> Float[Tensor, "cells d"]:
    """Sinusoids of a cell's row beside those of its column (Carion et al. 2020, arXiv 2005.12872), row-major."""
    along = sinusoids(torch.arange(side, dtype=torch.float32), width // 2)
    rows, columns = along[:, None].expand(-1, side, -1), along[None].expand(side, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)


class Attention(nn.Module):
    """Multi-head attention; places are part of what is compared, and no part of what is passed on."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(
        self, queries: Float[Tensor, "B S d"], keys: Float[Tensor, "B T d"], values: Float[Tensor, "B T d"]
    ) -> Float[Tensor, "B S d"]:
        q, k, v = self.q_proj(queries), self.k_proj(keys), self.v_proj(values)
        q, k, v = (each.unflatten(-1, (self._heads, -1)) for each in (q, k, v))
        return self.out_proj(attend(q, k, v))


class FeedForward(nn.Module):
    """Wider, rectified, and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up_proj = nn.Linear(width, WIDER * width)
        self.down_proj = nn.Linear(WIDER * width, width)

    def forward(self, x: Float[Tensor, "B S d"]) -> Float[Tensor, "B S d"]:
        return self.down_proj(F.relu(self.up_proj(x)))


class EncoderLayer(nn.Module):
    """Every token looks at every other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attention = Attention(width, heads)
        self.feed_forward = FeedForward(width)

    def forward(self, x: Float[Tensor, "B S d"], place: Float[Tensor, "S d"]) -> Float[Tensor, "B S d"]:
        y = self.norms[0](x)
        x = x + self.attention(y + place, y + place, y)
        return x + self.feed_forward(self.norms[1](x))


class DecoderLayer(nn.Module):
    """Every row looks at every other row, then at what the encoder made of the scene."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.rows = Attention(width, heads)
        self.scene = Attention(width, heads)
        self.feed_forward = FeedForward(width)

    def forward(
        self,
        x: Float[Tensor, "B H d"],
        place: Float[Tensor, "H d"],
        memory: Float[Tensor, "B S d"],
        memory_place: Float[Tensor, "S d"],
    ) -> Float[Tensor, "B H d"]:
        y = self.norms[0](x)
        x = x + self.rows(y + place, y + place, y)
        x = x + self.scene(self.norms[1](x) + place, memory + memory_place, memory)
        return x + self.feed_forward(self.norms[2](x))


class Encoder(nn.Module):
    """A stack of encoder layers, with a last norm."""

    def __init__(self, layers: int, width: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "B S d"], place: Float[Tensor, "S d"]) -> Float[Tensor, "B S d"]:
        for layer in self.layers:
            x = layer(x, place)
        return self.norm(x)


class ACT(nn.Module):
    """What is seen, what is asked and a style in; a whole chunk out, at once.

    Args:
        config: the reasoner's, so that both are of one size: each of the three stacks has its decoder's layers, width
            and heads. What only reasoning and flow need is not used.
    """

    _row_place: Tensor

    def __init__(self, config: ReasonerConfig) -> None:
        super().__init__()
        self.config = config
        stack = (config.decoder.layers, config.decoder.width, config.decoder.heads)
        layers, width, heads = stack
        horizon, joints = config.expert.horizon, config.expert.action_dim
        self.style_summary = nn.Parameter(torch.zeros(width))
        self.style_state = nn.Linear(ARMS * STATE_CHANNELS, width)
        self.style_row = nn.Linear(joints, width)
        self.style_encoder = Encoder(*stack)
        self.style_head = nn.Linear(width, 2 * LATENT)
        places = sinusoids(torch.arange(2 + horizon, dtype=torch.float32), width)
        self.register_buffer("_row_place", places, persistent=False)
        self.top_backbone = Backbone(config.top_side, config.cell_channels, width)
        self.wrist_backbone = Backbone(config.wrist_side, config.cell_channels, width)
        self.camera = nn.Embedding(1 + ARMS, width)
        self.style_token = nn.Linear(LATENT, width)
        self.state = nn.Linear(ARMS * STATE_CHANNELS, width)
        self.word = nn.Embedding(config.vocabulary + 1, width)
        self.token_place = nn.Parameter(torch.zeros(2 + config.places, width))  # of style, state and each word
        self.encoder = Encoder(*stack)
        self.query = nn.Parameter(torch.zeros(horizon, width))
        self.decoder = nn.ModuleList(DecoderLayer(width, heads) for _ in range(layers))
        self.decoder_norm = nn.LayerNorm(width)
        self.action_head = nn.Linear(width, joints)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Fresh weights: Xavier for what is linear, as DETR's; every style the prior; the rest makes its own."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight, generator=generator)
                nn.init.zeros_(module.bias)
        nn.init.zeros_(self.style_head.weight)
        for learned in (self.style_summary, self.camera.weight, self.word.weight, self.token_place, self.query):
            nn.init.normal_(learned, std=0.5, generator=generator)

    def style(self, state: Float[Tensor, "B arms 10"], actions: Float[Tensor, "B H J"]) -> Style:
        """What the style of a demonstrated chunk may have been. Sees neither images nor words."""
        summary = self.style_summary.expand(len(state), 1, -1)
        tokens = [summary, self.style_state(state.flatten(1))[:, None], self.style_row(actions)]
        hidden = self.style_encoder(torch.cat(tokens, dim=1), self._row_place)
        return Style(*self.style_head(hidden[:, 0]).float().chunk(2, dim=-1))

    def chunk(self, sight: Sight, style: Float[Tensor, "B latent"]) -> Float[Tensor, "B H J"]:
        """The chunk of that style, network units; zeros are the style of the prior's middle."""
        batch = len(style)
        top = self.top_backbone(sight.top)
        wrists = self.wrist_backbone(sight.wrists.flatten(0, 1)).unflatten(0, (batch, ARMS))
        single = [self.style_token(style)[:, None], self.state(sight.state.flatten(1))[:, None], self.word(sight.words)]
        place = torch.cat([self.token_place, *self._image_places()])
        memory = self.encoder(torch.cat([*single, top, wrists.flatten(1, 2)], dim=1), place)
        rows = torch.zeros_like(self.query).expand(batch, -1, -1)
        for layer in self.decoder:
            rows = layer(rows, self.query, memory, place)
        return self.action_head(self.decoder_norm(rows))

    def _image_places(self) -> list[Float[Tensor, "cells d"]]:
        """Of the main camera's cells, and of each wrist camera's."""
        grids = [self.top_backbone.place] + [self.wrist_backbone.place] * ARMS
        return [grid + mark for grid, mark in zip(grids, self.camera.weight, strict=True)]
