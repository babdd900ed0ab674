"""The decoder: vectors in, vectors out, with every layer's keys and values kept for whoever is conditioned on them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from forearm.model.attention import Cache, Mask, Staircase, attend, positions_after, staircase
from forearm.model.config import TextConfig
from forearm.model.layers import FusedSwiGLU, Linear, RMSNorm, Rotation, TokenEmbedding


class SelfAttention(nn.Module):
    """Grouped-query self-attention with one matrix for [query | key | value] and optional norms on queries and keys."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self._config = config
        width = config.heads * config.head_dim
        self._split = [width, config.kv_width, config.kv_width]
        self.att_proj = Linear(config.width, sum(self._split), bias=config.qkv_bias)
        self.attn_out = Linear(width, config.width, bias=False)
        if config.qk_norm == "qwen3":
            self.q_norm = RMSNorm(config.head_dim, config.eps)
            self.k_norm = RMSNorm(config.head_dim, config.eps)
        elif config.qk_norm == "olmo":
            self.q_norm = RMSNorm(width, config.eps)
            self.k_norm = RMSNorm(config.kv_width, config.eps)

    def project(
        self, x: Float[Tensor, "B S d"], rotation: Rotation | None
    ) -> tuple[Float[Tensor, "B S h c"], Float[Tensor, "B S kv c"], Float[Tensor, "B S kv c"]]:
        """Queries, keys and values of `x`, normed and rotated."""
        config = self._config
        q, k, v = self.att_proj(x).split(self._split, dim=-1)
        if config.qk_norm == "olmo":
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = (each.unflatten(-1, (-1, config.head_dim)) for each in (q, k, v))
        if config.qk_norm == "qwen3":
            q, k = self.q_norm(q), self.k_norm(k)
        if rotation is not None:
            q, k = rotation.apply(q), rotation.apply(k)
        return q, k, v

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Mask | Staircase | None) -> Float[Tensor, "B S d"]:
        """What each query takes from the values."""
        dropout = self._config.attention_dropout if self.training else 0.0
        return self.attn_out(attend(q, k, v, mask, dropout))


class PreNormBlock(nn.Module):
    """`x + attention(norm(x))`, then `x + feed_forward(norm(x))`: the released order."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.self_attn = SelfAttention(config)
        self.mlp = FusedSwiGLU(config.width, config.hidden, config.activation)
        self.attn_norm = RMSNorm(config.width, config.eps)
        self.ff_norm = RMSNorm(config.width, config.eps)
        self._dropout = config.residual_dropout

    def read(
        self, x: Float[Tensor, "B S d"], rotation: Rotation | None
    ) -> tuple[Float[Tensor, "B S h c"], Float[Tensor, "B S kv c"], Float[Tensor, "B S kv c"]]:
        """The attention's queries, keys and values."""
        return self.self_attn.project(self.attn_norm(x), rotation)

    def forward(
        self, x: Float[Tensor, "B S d"], q: Tensor, k: Tensor, v: Tensor, mask: Mask | None
    ) -> Float[Tensor, "B S d"]:
        """`x` with both branches added."""
        x = x + self._drop(self.self_attn.mix(q, k, v, mask))
        return x + self._drop(self.mlp(self.ff_norm(x)))

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self._dropout, self.training) if self._dropout else x


class PostNormBlock(PreNormBlock):
    """`x + norm(attention(x))`, then `x + norm(feed_forward(x))`: OLMo 2's order (arXiv 2501.00656)."""

    def read(
        self, x: Float[Tensor, "B S d"], rotation: Rotation | None
    ) -> tuple[Float[Tensor, "B S h c"], Float[Tensor, "B S kv c"], Float[Tensor, "B S kv c"]]:
        return self.self_attn.project(x, rotation)

    def forward(
        self, x: Float[Tensor, "B S d"], q: Tensor, k: Tensor, v: Tensor, mask: Mask | None
    ) -> Float[Tensor, "B S d"]:
        x = x + self._drop(self.attn_norm(self.self_attn.mix(q, k, v, mask)))
        return x + self._drop(self.ff_norm(self.mlp(x)))


class Decoder(nn.Module):
    """A stack of blocks and a final norm."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        block = PostNormBlock if config.norm_after else PreNormBlock
        self.blocks = nn.ModuleList(block(config) for _ in range(config.layers))
        self.ln_f = RMSNorm(config.width, config.eps)

    def forward(
        self,
        x: Float[Tensor, "B S d"],
        positions: Int[Tensor, "*batch S"] | None = None,
        mask: Bool[Tensor, "*batch S T"] | None = None,
        cache: Cache | None = None,
        tail: int | None = None,
    ) -> Float[Tensor, "B tail d"]:
        """Hidden states after the final norm.

        Args:
            x: what the S new positions hold.
            positions: (S,) or (B, S); None continues where `cache` ends.
            mask: (S, T) or (B, S, T), True where a query may look, T counting the positions in `cache` and these S;
                None lets each look everywhere: one token fed to a cache, or a bidirectional stack.
            cache: gets every layer's keys (normed, rotated) and values; None keeps nothing.
            tail: how many positions at the end are wanted; the others stop at the last layer's keys and values, which
                is all that anybody else reads of them. None wants all.
        """
        config = self.config
        if positions is None:
            positions = positions_after(cache, x.shape[1], x.device)
        rotations = self._rotations(positions)
        bias = None if mask is None else staircase(mask, _compute_dtype(x))
        for layer, block in enumerate(cast(Iterable[PreNormBlock], self.blocks)):
            q, k, v = block.read(x, rotations[layer])
            if cache is not None:
                k, v = cache.append(layer, k, v)
            if tail is not None and layer == config.layers - 1:
                skip = x.shape[1] - tail
                x, q = x[:, skip:], q[:, skip:]
                bias = None if mask is None else staircase(mask[..., skip:, :], _compute_dtype(x))
            x = block(x, q, k, v, bias) if x.shape[1] > 0 else x
        return self.ln_f(x)

    def _rotations(self, positions: Int[Tensor, "*batch S"]) -> list[Rotation | None]:
        """Every layer's: one for all, unless only some are stretched."""
        config, layers = self.config, range(self.config.layers)
        if config.rope_theta is None:
            return [None for _ in layers]
        every = Rotation(positions, config.head_dim, config.rope_theta, config.rope_scaling)
        if config.scaled_layers is None or config.rope_scaling is None:
            return [every for _ in layers]
        plain = Rotation(positions, config.head_dim, config.rope_theta)
        return [every if layer in config.scaled_layers else plain for layer in layers]

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Fresh weights: normal matrices, zero biases, unit norms."""
        std = self.config.initializer_range
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.weight.normal_(0.0, std, generator=generator)
                if module.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]  # torch types it as never None
                    module.bias.zero_()
            elif isinstance(module, RMSNorm):
                module.weight.fill_(1.0)
            elif isinstance(module, TokenEmbedding):
                module.embedding.normal_(0.0, std, generator=generator)
                module.new_embedding.normal_(0.0, std, generator=generator)
            elif isinstance(module, nn.Embedding):
                module.weight.normal_(0.0, std, generator=generator)


class LanguageModel(Decoder):
    """A decoder with its token embeddings."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        extra, shape = config.extra_vocabulary, (config.vocabulary, config.width)
        self.wte = nn.Embedding(*shape) if extra is None else TokenEmbedding(config.vocabulary, extra, config.width)

    def embed(self, ids: Int[Tensor, "B S"]) -> Float[Tensor, "B S d"]:
        """The vectors of token ids."""
        return functional.dropout(self.wte(ids), self.config.embedding_dropout, self.training)


def _compute_dtype(x: Tensor) -> torch.dtype:
    """What matrix products of `x` come out as here: autocast may narrow it."""
    kind = x.device.type
    narrowed = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if narrowed else x.dtype
