"""The flow's Euler steps in few kernels: the rows of one chunk are too little work to fill a GPU with.

Everything that depends on the flow time alone is folded in beforehand: AdaLN's scale is the weight of the norm before
it, its shift is part of the bias of the layer behind it, up and gate are one matrix. What comes out is what
`flow.sample` answers, but for rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from forearm.errors import InputError
from forearm.model.action_expert import ActionExpert, Context, ExpertBlock
from forearm.model.attention import additive, attend, causal_mask
from forearm.model.layers import Linear, Rotation, fused_rms, rms

ALIGNED = 8  # keys: attention kernels read additive masks in vectors of as many numbers, and copy others first


@dataclass(frozen=True, slots=True, eq=False)
class _Folded:
    """A linear layer behind a norm and AdaLN: for each of N flow times, the norm's weight and the layer's bias."""

    scale: Float[Tensor, "N d"]
    weight: Float[Tensor, "o d"]
    bias: Float[Tensor, "N o"]

    @classmethod
    def of(cls, shift: Float[Tensor, "N 1 d"], scale: Float[Tensor, "N 1 d"], *layers: Linear) -> _Folded:
        """Of one layer, or of several that read the same."""
        weights = [each.weight for each in layers]
        weight = weights[0] if len(weights) == 1 else torch.cat(weights)
        bias = torch.cat([each.bias for each in layers])
        shifted = functional.linear(shift[:, 0].float(), weight.float(), bias.float())
        return cls((1 + scale[:, 0]).contiguous(), weight, shifted.to(weight.dtype))

    def __call__(self, x: Float[Tensor, "B H d"], step: int) -> Float[Tensor, "B H o"]:
        return functional.linear(fused_rms(x, self.scale[step]), self.weight, self.bias[step])


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """One block at N flow times; `gates` (N, 3, d) are those of its three branches."""

    layers: ExpertBlock
    rows: _Folded
    seen: _Folded
    inner: _Folded
    gates: Float[Tensor, "N 3 d"]

    @classmethod
    def of(cls, block: ExpertBlock, modulation: Float[Tensor, "N 9 1 d"]) -> _Block:
        """Of a block and what its AdaLN makes of the flow times."""
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2, shift_3, scale_3, gate_3 = modulation.unbind(1)
        return cls(
            block,
            _Folded.of(shift_1, scale_1, block.self_attn.qkv),
            _Folded.of(shift_2, scale_2, block.cross_attn.q_proj),
            _Folded.of(shift_3, scale_3, block.mlp.up_proj, block.mlp.gate_proj),
            torch.cat([gate_1, gate_2, gate_3], dim=1),
        )


class FusedFlow:
    """`flow.sample` of one expert, in `steps` steps over chunks of `rows` rows, for inference.

    Up and gate matrices are held a second time: three tenths of the expert's memory.
    """

    @torch.no_grad()
    def __init__(self, expert: ActionExpert, steps: int, rows: int) -> None:
        config, weight = expert.config, expert.action_embed.weight
        if rows > config.horizon:
            raise InputError(f"chunk rows: got {rows}, allowed are ≤ {config.horizon}; shorten the chunk")
        times = torch.arange(steps, device=weight.device, dtype=torch.float32) / steps
        modulation = expert.modulations(times)
        self._expert, self._config, self._steps = expert, config, steps
        self._blocks = [
            _Block.of(cast(ExpertBlock, block), each)
            for block, each in zip(expert.blocks, modulation.blocks, strict=True)
        ]
        shift, scale = modulation.final.unbind(1)
        self._last = _Folded.of(shift, scale, expert.final_layer.linear)
        places = torch.arange(rows, device=weight.device)
        self._rotation = Rotation(places, config.head_dim, 1e4) if config.rope else None  # base: released
        self._mask = additive(causal_mask(rows, device=weight.device), weight.dtype) if config.causal else None

    @torch.no_grad()
    def sample(
        self, context: Context, noise: Float[Tensor, "B H D"], keep: Float[Tensor, "#B #H D"]
    ) -> Float[Tensor, "B H D"]:
        """Actions from `noise`, one chunk for each row of the context; `keep` is 1, and 0 at padded action channels."""
        context = context if context.mask is None else _aligned(context, context.mask)
        embed, x = self._expert.action_embed, noise * keep
        for step in range(self._steps):
            h = embed(x.to(embed.weight.dtype))
            for block, k, v in zip(self._blocks, context.keys, context.values, strict=True):
                h = self._through(block, step, h, (k, v, context.mask))
            x = torch.add(x, self._last(h, step), alpha=1 / self._steps) * keep
        return x

    def _through(
        self, block: _Block, step: int, x: Float[Tensor, "B H d"], context: tuple[Tensor, Tensor, Tensor | None]
    ) -> Float[Tensor, "B H d"]:
        config, gates = self._config, block.gates[step]
        projected = block.rows(x, step).unflatten(-1, (3, config.heads, config.head_dim))
        turned = projected[:, :, :2].flatten(2, 3)  # queries and keys, side by side
        turned = rms(turned, config.qk_norm_eps) if config.qk_norm else turned
        turned = turned if self._rotation is None else self._rotation.apply(turned)
        q, k = turned.chunk(2, dim=2)
        x = torch.addcmul(x, gates[0], block.layers.self_attn.out_proj(attend(q, k, projected[:, :, 2], self._mask)))
        q = block.seen(x, step).unflatten(-1, (config.heads, config.head_dim))
        q = rms(q, config.qk_norm_eps) if config.qk_norm else q
        x = torch.addcmul(x, gates[1], block.layers.cross_attn.out_proj(attend(q, *context)))
        up, gate = block.inner(x, step).chunk(2, dim=-1)
        return torch.addcmul(x, gates[2], block.layers.mlp.down_proj(functional.silu(gate) * up))


def _aligned(context: Context, mask: Float[Tensor, "B 1 T"]) -> Context:
    """With hidden keys at the end, once for all steps."""
    more = -mask.shape[-1] % ALIGNED
    keys, values = ([functional.pad(x, (0, 0, 0, 0, 0, more)) for x in held] for held in (context.keys, context.values))
    return Context(keys, values, functional.pad(mask, (0, more), value=torch.finfo(mask.dtype).min))
