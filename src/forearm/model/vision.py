"""The vision tower and what turns its patches into image tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional

from forearm.model.attention import attend
from forearm.model.config import Activation, AdapterConfig, VisionConfig
from forearm.model.layers import Linear, activated, bf16_has_tiles


class VisionAttention(nn.Module):
    """Multi-head attention with separate biased projections; queries may come from elsewhere than keys and values."""

    def __init__(self, inputs: int, config: VisionConfig | AdapterConfig) -> None:
        super().__init__()
        self._config = config
        width, kv_width = config.heads * config.head_dim, config.kv_heads * config.head_dim
        self.wq = Linear(inputs, width)
        self.wk = Linear(inputs, kv_width)
        self.wv = Linear(inputs, kv_width)
        self.wo = Linear(width, config.width)

    def forward(
        self, x: Float[Tensor, "N S d"], context: Float[Tensor, "N T d"], mask: Tensor | None = None
    ) -> Float[Tensor, "N S width"]:
        config = self._config
        projected = (self.wq(x), self.wk(context), self.wv(context))
        q, k, v = (each.unflatten(-1, (-1, config.head_dim)) for each in projected)
        if config.fp32_attention and not _fused_in_fp32(q):
            q, k, v = q.float(), k.float(), v.float()
        seen = attend(q, k, v, mask, config.attention_dropout if self.training else 0.0)
        return functional.dropout(self.wo(seen.to(x.dtype)), config.residual_dropout, self.training)


def _fused_in_fp32(q: Tensor) -> bool:
    """Whether attention over bf16 has its scores and its softmax in fp32 anyway, and only weights are rounded.

    So does the kernel for tiles; what comes of it is rounded as coarsely in any case.
    """
    return q.dtype == torch.bfloat16 and q.device.type == "cpu" and bf16_has_tiles()


class VisionFeedForward(nn.Module):
    """Two biased layers with a GELU between them."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.w1 = Linear(config.width, config.hidden)
        self.w2 = Linear(config.hidden, config.width)
        self._act: Activation = config.activation

    def forward(self, x: Float[Tensor, "N P d"]) -> Float[Tensor, "N P d"]:
        return self.w2(activated(self.w1, x, self._act))


class VisionBlock(nn.Module):
    """A pre-norm transformer block, every patch seeing every other of its crop."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.attention = VisionAttention(config.width, config)
        self.feed_forward = VisionFeedForward(config)
        self.attention_norm = nn.LayerNorm(config.width, eps=config.eps)
        self.ffn_norm = nn.LayerNorm(config.width, eps=config.eps)

    def forward(self, x: Float[Tensor, "N P d"]) -> Float[Tensor, "N P d"]:
        normed = self.attention_norm(x)
        x = x + self.attention(normed, normed)
        return x + self.feed_forward(self.ffn_norm(x))


class VisionTower(nn.Module):
    """SigLIP's image transformer (Zhai et al. 2023, arXiv 2303.15343) up to its highest tapped block."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self._config = config
        self.positional_embedding = nn.Parameter(torch.zeros(config.positions, config.width))
        self.patch_embedding = Linear(config.patch * config.patch * 3, config.width)
        blocks = nn.ModuleList(VisionBlock(config) for _ in range(config.kept_layers))
        self.transformer = nn.ModuleDict({"resblocks": blocks})

    def forward(self, patches: Float[Tensor, "N P pixels"]) -> Float[Tensor, "N P taps"]:
        """The tapped blocks' outputs side by side, in the order of the taps."""
        x = self.patch_embedding(patches)
        x = x + self._positions().to(x.dtype)
        outputs: list[Tensor] = []
        for block in cast(Iterable[VisionBlock], self.transformer["resblocks"]):
            x = block(x)
            outputs.append(x)
        return torch.cat([outputs[tap] for tap in self._config.tapped], dim=-1)

    def _positions(self) -> Float[Tensor, "P d"]:
        """The learned positions, resampled (bicubic, antialiased) when a crop's grid is not theirs."""
        table, grid = self.positional_embedding, self._config.grid
        side = math.isqrt(table.shape[0])
        if (side, side) == grid:
            return table
        square = table.float().reshape(1, side, side, -1).permute(0, 3, 1, 2)
        resampled = functional.interpolate(square, size=grid, mode="bicubic", align_corners=False, antialias=True)
        return resampled.permute(0, 2, 3, 1).flatten(0, 2)


class Projector(nn.Module):
    """From pooled features to the decoder's width: a gated feed-forward whose first matrix is the activated one."""

    def __init__(self, config: AdapterConfig, text_width: int) -> None:
        super().__init__()
        self.w1 = Linear(config.width, config.hidden, bias=False)
        self.w2 = Linear(config.hidden, text_width, bias=False)
        self.w3 = Linear(config.width, config.hidden, bias=False)
        self._act: Activation = config.activation

    def forward(self, x: Float[Tensor, "T d"]) -> Float[Tensor, "T text"]:
        return self.w2(activated(self.w1, x, self._act) * self.w3(x))


class VisionBackbone(nn.Module):
    """Pixels in, one vector for every image token out."""

    def __init__(self, vision: VisionConfig, adapter: AdapterConfig, text_width: int) -> None:
        super().__init__()
        self._adapter = adapter
        self.image_vit = VisionTower(vision)
        self.image_pooling_2d = VisionAttention(vision.width * len(vision.taps), adapter)
        self.image_projector = Projector(adapter, text_width)

    def forward(
        self, patches: UInt8[Tensor, "N P pixels"], windows: Int[Tensor, "T w"]
    ) -> Float[Tensor, "tokens text"]:
        """Image features in the order of their tokens.

        Args:
            patches: of all crops of all images, RGB bytes.
            windows: for each token the patches it pools, counted over all crops; -1 where a window reaches over the
                edge.
        """
        unit = (patches.float() / 255.0 * 2.0 - 1.0).to(self.image_vit.patch_embedding.weight.dtype)
        features = functional.dropout(self.image_vit(unit), self._adapter.feature_dropout, self.training)
        return self.image_projector(self.pool(features, windows))

    def pool(self, features: Float[Tensor, "N P taps"], windows: Int[Tensor, "T w"]) -> Float[Tensor, "T width"]:
        """Attention over each window, asked by its mean."""
        valid = windows >= 0
        keys = features.flatten(0, 1)[windows.clamp(min=0)] * valid[..., None].to(features.dtype)
        if not self._adapter.masked:
            return self.image_pooling_2d(keys.mean(1, keepdim=True), keys)[:, 0]
        count = valid.sum(-1, dtype=torch.float32).clamp(min=1)[:, None, None].to(keys.dtype)
        query = keys.sum(1, keepdim=True) / count
        return self.image_pooling_2d(query, keys, valid[:, None, :] if self._adapter.hides_missing else None)[:, 0]
