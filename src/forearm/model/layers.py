"""The small parts every tower is made of: norms, rotary positions, gated feed-forwards, token embeddings."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from forearm.model.activations import Activation
from forearm.model.rotary import LinearScaling, Llama3Scaling, RopeScaling, YarnScaling

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_pytorch_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "gelu_10": lambda x: functional.gelu(x).clamp(-10.0, 10.0),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu": functional.relu,
    "relu2": lambda x: functional.relu(x).square(),
    "relu6": functional.relu6,
    "leaky_relu": functional.leaky_relu,
    "hardswish": functional.hardswish,
    "mish": functional.mish,
    "laplace": lambda x: 0.5 * (1.0 + torch.erf((x - 0.707107) / (0.282095 * math.sqrt(2.0)))),  # arXiv 2209.10655
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "linear": lambda x: x,
}


# Arguments of the kernel for packed weights that make an activation part of the product.
_FUSED: dict[Activation, tuple[str, list[float], str]] = {
    "silu": ("swish", [], ""),
    "gelu": ("gelu", [], "none"),
    "gelu_pytorch_tanh": ("gelu", [], "tanh"),
    "relu": ("relu", [], ""),
}


def activation(name: Activation) -> Callable[[Tensor], Tensor]:
    """The function of that published name."""
    return _ACTIVATIONS[name]


def activated(
    layer: Callable[[Float[Tensor, "... i"]], Float[Tensor, "... o"]], x: Float[Tensor, "... i"], name: Activation
) -> Float[Tensor, "... o"]:
    """The activation of what `layer` makes of `x`: one kernel where its weight is packed."""
    if isinstance(layer, Linear) and layer.weight.is_mkldnn and name in _FUSED:
        return _packed_product(x, layer.weight, layer.bias, _FUSED[name])
    return activation(name)(layer(x))


@cache
def bf16_is_emulated() -> bool:
    """Whether this CPU lacks instructions for bf16 matrix products, then eight times slower than fp32 ones."""
    return not (torch.cpu.get_capabilities().get("avx512_bf16") or bf16_has_tiles())


@cache
def bf16_has_tiles() -> bool:
    """Whether this CPU multiplies tiles of bf16 (AMX), eight times as fast as fp32; fused attention uses them."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def emulated(x: Tensor) -> bool:
    """Whether products of `x` would be emulated: bf16 on a CPU without instructions for it."""
    return x.dtype == torch.bfloat16 and x.device.type == "cpu" and bf16_is_emulated()


def product(
    x: Float[Tensor, "... i"], weight: Float[Tensor, "o i"], bias: Float[Tensor, " o"] | None = None
) -> Float[Tensor, "... o"]:
    """`x @ weight.T + bias`; in fp32 from bf16 storage where bf16 is emulated and there is more than a row or two.

    A packed weight (see `packing`) has a kernel of its own.
    A single row in bf16 is multiplied twice where it is not emulated: CPU kernels take a fifth less time over two.
    """
    if weight.is_mkldnn:
        return _packed_product(x, weight, bias, ("none", [], ""))
    if x.dtype == torch.bfloat16 and x.numel() == x.shape[-1] and x.device.type == "cpu" and not bf16_is_emulated():
        return functional.linear(x.reshape(1, -1).expand(2, -1), weight, bias)[:1].reshape(*x.shape[:-1], -1)
    if not emulated(x) or x.numel() <= 2 * x.shape[-1]:
        return functional.linear(x, weight, bias)
    wide = functional.linear(x.float(), weight.float(), None if bias is None else bias.float())
    return wide.to(x.dtype)


def _packed_product(x: Tensor, weight: Tensor, bias: Tensor | None, after: tuple[str, list[float], str]) -> Tensor:
    # Looked up when it is called: torch without oneDNN lacks it, and packs nothing.
    return torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, *after)


class Linear(nn.Linear):
    """A linear layer that is as fast in bf16 as the machine allows; see `product`."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:  # drawing values for what has no storage takes longer than all else of making it
            super().reset_parameters()

    def forward(self, input: Float[Tensor, "... i"]) -> Float[Tensor, "... o"]:  # noqa: A002  # torch's own name
        return product(input, self.weight, self.bias)


def rms(x: Float[Tensor, "... d"], eps: float = 1e-6) -> Float[Tensor, "... d"]:
    """`x` scaled to a root mean square of one over its last axis, computed in fp32, in `x`'s dtype."""
    if x.is_cuda:
        return fused_rms(x, None, eps)
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


def fused_rms(
    x: Float[Tensor, "... d"], weight: Float[Tensor, " d"] | None, eps: float = 1e-6
) -> Float[Tensor, "... d"]:
    """`rms` times `weight` in one kernel: on a GPU, to start one costs more than a short row's work in it."""
    return functional.rms_norm(x, x.shape[-1:], weight, eps).to(x.dtype)  # autocast may have widened it


class RMSNorm(nn.Module):
    """`rms` with a learned scale (Zhang and Sennrich 2019, arXiv 1910.07467)."""

    def __init__(self, size: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        weight = self.weight.to(x.dtype)
        return fused_rms(x, weight, self.eps) if x.is_cuda else rms(x, self.eps) * weight


class Rotation:
    """Rotary positions (arXiv 2104.09864): the two halves of each head turn against each other with distance."""

    def __init__(
        self, positions: Int[Tensor, "*batch S"], head_dim: int, theta: float, scaling: RopeScaling | None = None
    ) -> None:
        inverse = inverse_frequencies(head_dim, theta, scaling, positions.device)
        angles = positions.float()[..., None] * inverse
        self.cos = angles.cos()[..., None, :]  # one axis for the heads
        self.sin = angles.sin()[..., None, :]
        if scaling is not None:
            self.cos, self.sin = self.cos * scaling.attention, self.sin * scaling.attention
        self._wide = dict[torch.dtype, tuple[Tensor, Tensor]]()

    def apply(self, x: Float[Tensor, "B S heads d"]) -> Float[Tensor, "B S heads d"]:
        """`x` rotated, in its own dtype."""
        if x.is_cuda:
            return self.apply_whole(x)
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        first, second = x.chunk(2, dim=-1)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

    def apply_whole(self, x: Float[Tensor, "B S heads d"]) -> Float[Tensor, "B S heads d"]:
        """`apply` without taking the halves apart: three kernels for seven, and tables made once for all layers."""
        if x.dtype not in self._wide:
            cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
            self._wide[x.dtype] = torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)
        cos, sin = self._wide[x.dtype]
        return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


def inverse_frequencies(
    head_dim: int, theta: float, scaling: RopeScaling | None = None, device: torch.device | None = None
) -> Float[Tensor, " half"]:
    """The rotary frequencies, rad per position, fp32, fastest first."""
    inverse = 1.0 / theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim)
    match scaling:
        case None:
            return inverse
        case LinearScaling():
            return inverse / scaling.factor
        case Llama3Scaling():
            turns = scaling.original * inverse / (2 * math.pi)
            kept = ((turns - scaling.slow) / (scaling.fast - scaling.slow)).clamp(0.0, 1.0)
        case YarnScaling():
            first, last = scaling.ramp(head_dim, theta)
            channels = torch.arange(head_dim // 2, dtype=torch.float32, device=device)
            kept = 1.0 - ((channels - first) / (last - first)).clamp(0.0, 1.0)
    return inverse / scaling.factor * (1.0 - kept) + inverse * kept


class FusedSwiGLU(nn.Module):
    """The decoder's feed-forward: one matrix makes [up | gate], without biases (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, width: int, hidden: int, act: Activation = "silu") -> None:
        super().__init__()
        self.ff_proj = Linear(width, 2 * hidden, bias=False)
        self.ff_out = Linear(hidden, width, bias=False)
        self._act = activation(act)

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        up, gate = self.ff_proj(x).chunk(2, dim=-1)
        return self.ff_out(self._act(gate) * up)


class SwiGLU(nn.Module):
    """The action expert's feed-forward: separate up and gate matrices, with biases, and dropout between and behind."""

    def __init__(self, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.up_proj = Linear(width, hidden)
        self.gate_proj = Linear(width, hidden)
        self.down_proj = Linear(hidden, width)
        self._dropout = dropout

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        inner = activated(self.gate_proj, x, "silu") * self.up_proj(x)
        return self._drop(self.down_proj(self._drop(inner)))

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self._dropout, self.training) if self._dropout else x


class TokenEmbedding(nn.Module):
    """Two tables read as one: ids from the base table's end on belong to the second (image and special tokens)."""

    def __init__(self, vocabulary: int, extra: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(vocabulary, width))
        self.new_embedding = nn.Parameter(torch.zeros(extra, width))

    def forward(self, ids: Int[Tensor, "B S"]) -> Float[Tensor, "B S d"]:
        base = self.embedding.shape[0]
        x = functional.embedding(ids.clamp(max=base - 1), self.embedding)
        if self.new_embedding.shape[0] == 0:
            return x
        added = functional.embedding((ids - base).clamp(min=0), self.new_embedding)
        return torch.where((ids >= base)[..., None], added, x)
