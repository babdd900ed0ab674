"""The action expert: a velocity field over action chunks, conditioned on every decoder layer's keys and values.

A diffusion transformer with AdaLN modulation (Peebles and Xie 2023, arXiv 2212.09748). What does not depend on the
noisy actions, the projected context and the modulations of the flow times, is computed once and used in every step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from forearm.errors import InputError
from forearm.model.attention import Mask, additive, attend, causal_mask
from forearm.model.config import ExpertConfig
from forearm.model.layers import Linear, Rotation, SwiGLU, rms


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What the blocks attend to: keys and values per layer, and which of the T positions may be seen (None: all)."""

    keys: Sequence[Float[Tensor, "B T heads d"]]
    values: Sequence[Float[Tensor, "B T heads d"]]
    mask: Mask | None


@dataclass(frozen=True, slots=True, eq=False)
class Modulation:
    """Shifts, scales and gates at N flow times: `blocks` (L, N, 9, 1, d), `final` (N, 2, 1, d)."""

    blocks: Float[Tensor, "L N 9 1 d"]
    final: Float[Tensor, "N 2 1 d"]

    def at(self, step: int) -> Modulation:
        """One of the N times, for a whole batch."""
        return Modulation(self.blocks[:, step : step + 1], self.final[step : step + 1])


def sinusoids(t: Float[Tensor, " N"], channels: int) -> Float[Tensor, "N channels"]:
    """Sines, then cosines, of `t` at `channels // 2` frequencies from 1 to 1e-4 rad; an odd last channel is zero."""
    half = channels // 2
    powers = torch.arange(half, device=t.device, dtype=t.dtype) * (-math.log(1e4) / max(half - 1, 1))
    angles = t[:, None] * powers.exp()
    return functional.pad(torch.cat([angles.sin(), angles.cos()], dim=-1), (0, channels % 2))


def _modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return rms(x) * (1 + scale) + shift


class AdaLN(nn.Module):
    """`count` vectors as wide as the stream, from the flow time's embedding."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.linear = Linear(width, count * width)
        self._count = count

    def forward(self, time: Float[Tensor, "N d"]) -> Float[Tensor, "N count 1 d"]:
        return self.linear(functional.silu(time)).unflatten(-1, (self._count, 1, -1))


class RowAttention(nn.Module):
    """Self-attention over the rows of a chunk."""

    def __init__(self, config: ExpertConfig) -> None:
        super().__init__()
        self._config = config
        self.qkv = Linear(config.width, 3 * config.width)
        self.out_proj = Linear(config.width, config.width)

    def forward(
        self, x: Float[Tensor, "N H d"], rotation: Rotation | None, mask: Mask | None
    ) -> Float[Tensor, "N H d"]:
        config = self._config
        q, k, v = self.qkv(x).unflatten(-1, (3, config.heads, config.head_dim)).unbind(2)
        if config.qk_norm:
            q, k = rms(q, config.qk_norm_eps), rms(k, config.qk_norm_eps)
        if rotation is not None:
            q, k = rotation.apply(q), rotation.apply(k)
        return self.out_proj(attend(q, k, v, mask, config.attention_dropout if self.training else 0.0))


class ContextAttention(nn.Module):
    """Cross-attention from the rows of a chunk to one decoder layer's projected keys and values, without positions."""

    def __init__(self, config: ExpertConfig) -> None:
        super().__init__()
        self._config = config
        self.q_proj = Linear(config.width, config.width)
        self.out_proj = Linear(config.width, config.width)

    def forward(self, x: Float[Tensor, "N H d"], k: Tensor, v: Tensor, mask: Mask | None) -> Float[Tensor, "N H d"]:
        config = self._config
        # Chunks that share a context (several noises per sample) are more rows of one query: nothing is repeated.
        rows = self.q_proj(x).reshape(k.shape[0], -1, config.heads, config.head_dim)
        if config.qk_norm:
            rows = rms(rows, config.qk_norm_eps)
        seen = attend(rows, k, v, mask, config.attention_dropout if self.training else 0.0)
        return self.out_proj(seen.reshape(x.shape))


class ExpertBlock(nn.Module):
    """Self-attention, cross-attention and feed-forward, each shifted, scaled and gated by the flow time."""

    def __init__(self, config: ExpertConfig) -> None:
        super().__init__()
        self.self_attn = RowAttention(config)
        self.cross_attn = ContextAttention(config)
        self.mlp = SwiGLU(config.width, config.hidden, config.dropout)
        self.modulation = AdaLN(config.width, 9)
        self._dropout = config.dropout

    def forward(
        self,
        x: Float[Tensor, "N H d"],
        modulation: Float[Tensor, "#N 9 1 d"],
        context: tuple[Tensor, Tensor, Mask | None],
        rotation: Rotation | None,
        mask: Mask | None,
    ) -> Float[Tensor, "N H d"]:
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2, shift_3, scale_3, gate_3 = modulation.unbind(1)
        x = x + gate_1 * self._drop(self.self_attn(_modulate(x, shift_1, scale_1), rotation, mask))
        x = x + gate_2 * self._drop(self.cross_attn(_modulate(x, shift_2, scale_2), *context))
        return x + gate_3 * self.mlp(_modulate(x, shift_3, scale_3))

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self._dropout, self.training) if self._dropout else x


class FinalLayer(nn.Module):
    """From the stream to a velocity per action channel."""

    def __init__(self, width: int, action_dim: int) -> None:
        super().__init__()
        self.modulation = AdaLN(width, 2)
        self.linear = Linear(width, action_dim)

    def forward(self, x: Float[Tensor, "N H d"], modulation: Float[Tensor, "#N 2 1 d"]) -> Float[Tensor, "N H D"]:
        return self.linear(_modulate(x, *modulation.unbind(1)))


class ActionExpert(nn.Module):
    """The velocity field. Fresh weights make it zero everywhere: AdaLN and the final layer start at zero."""

    def __init__(self, config: ExpertConfig) -> None:
        super().__init__()
        self.config = config
        # Published names count the sinusoids as entry 0 and the SiLU as entry 2 of this list.
        self.time_embed = nn.ModuleDict(
            {"1": Linear(config.time_channels, config.width), "3": Linear(config.width, config.width)}
        )
        self.action_embed = Linear(config.action_dim, config.width)
        self.context_k_proj = Linear(config.context_width, config.width, bias=False)
        self.context_v_proj = Linear(config.context_width, config.width, bias=False)
        self.blocks = nn.ModuleList(ExpertBlock(config) for _ in range(config.layers))
        self.final_layer = FinalLayer(config.width, config.action_dim)

    def context(
        self,
        pairs: Sequence[tuple[Float[Tensor, "B T kv"], Float[Tensor, "B T kv"]]],
        mask: Bool[Tensor, "B T"] | None = None,
    ) -> Context:
        """What the blocks attend to, from one pair of keys and values per block.

        One projection pair serves all layers. `mask` is True at positions that may be seen; None shows all.

        Raises:
            InputError: for another number of pairs than blocks.
        """
        if len(pairs) != len(self.blocks):
            raise InputError(
                f"context layers: got {len(pairs)}, allowed is {len(self.blocks)}; give one pair per expert block"
            )
        keys = [self._project(k, self.context_k_proj) for k, _ in pairs]
        values = [self._project(v, self.context_v_proj) for _, v in pairs]
        if self.config.qk_norm:
            keys = [rms(k, self.config.qk_norm_eps) for k in keys]
        bias = None if mask is None else additive(mask[:, None, :], keys[0].dtype)
        return Context(keys, values, bias)

    def _project(self, x: Float[Tensor, "B T kv"], projection: nn.Linear) -> Float[Tensor, "B T heads d"]:
        flat: Tensor = projection(x)
        if self.config.context_norm:
            flat = rms(flat)
        return flat.reshape(*flat.shape[:2], self.config.heads, self.config.head_dim)

    def modulations(self, t: Float[Tensor, " N"]) -> Modulation:
        """What the blocks need to know of N flow times."""
        first, second = self.time_embed["1"], self.time_embed["3"]
        time = second(
            functional.silu(first(sinusoids(t, self.config.time_channels).to(self.action_embed.weight.dtype)))
        )
        blocks = torch.stack([cast(ExpertBlock, block).modulation(time) for block in self.blocks])
        return Modulation(blocks, self.final_layer.modulation(time))

    def velocity(
        self,
        x: Float[Tensor, "N H D"],
        t: Float[Tensor, " N"],
        context: Context,
        valid: Bool[Tensor, "N H"] | None = None,
    ) -> Float[Tensor, "N H D"]:
        """The field at chunks `x` and flow times `t`; see `field`."""
        return self.field(x, self.modulations(t), context, valid)

    def field(
        self,
        x: Float[Tensor, "N H D"],
        modulation: Modulation,
        context: Context,
        valid: Bool[Tensor, "N H"] | None = None,
    ) -> Float[Tensor, "N H D"]:
        """The velocity at chunks `x`, with modulations made beforehand (of N times, or of one for all).

        Args:
            x: noisy chunks. N is a multiple K of the context's batch: chunks `K * b` to `K * b + K - 1` see context b.
            modulation: of their flow times.
            context: from `context`.
            valid: False at padded rows: they are zero and unseen in every block. None for none.

        Raises:
            InputError: for more rows than the expert's horizon.
        """
        rows, config = x.shape[1], self.config
        if rows > config.horizon:
            raise InputError(f"chunk rows: got {rows}, allowed are ≤ {config.horizon}; shorten the chunk")
        mask = causal_mask(rows, device=x.device) if config.causal else None
        if valid is not None:
            mask = valid[:, None, :] if mask is None else valid[:, None, :] & mask
        rotation = (
            Rotation(torch.arange(rows, device=x.device), config.head_dim, 1e4) if config.rope else None
        )  # base: released
        keep = None if valid is None else valid[..., None]
        h = self.action_embed(x.to(self.action_embed.weight.dtype))  # chunks may stay finer than the weights
        bias = None if mask is None else additive(mask, h.dtype)
        h = h if keep is None else h * keep
        for layer, block in enumerate(self.blocks):
            seen = (context.keys[layer], context.values[layer], context.mask)
            h = block(h, modulation.blocks[layer], seen, rotation, bias)
            h = h if keep is None else h * keep
        out = self.final_layer(h, modulation.final)
        return out if keep is None else out * keep

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Fresh weights: Xavier, scaled by 1/sqrt(2 L) where they write to the stream; AdaLN and final layer zero."""
        residual = (2 * len(self.blocks)) ** -0.5
        for name, module in cast(Iterable[tuple[str, nn.Module]], self.named_modules()):
            if isinstance(module, nn.Linear):
                zero = "modulation" in name or name.startswith("final_layer")
                nn.init.xavier_uniform_(module.weight, generator=generator)
                module.weight.mul_(0.0 if zero else residual if name.endswith(("out_proj", "down_proj")) else 1.0)
                if module.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]  # torch types it as never None
                    module.bias.zero_()
