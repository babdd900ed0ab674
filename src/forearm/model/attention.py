"""Attention over explicit masks, and the keys and values that outlive one call.

Everything here is laid out (batch, position, head, channel): a projection's output is used as it is, and a cache's keys
are, without a copy, the flat vectors that condition the action expert.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from forearm.errors import InputError
from forearm.model.layers import bf16_has_tiles, bf16_is_emulated, emulated

Mask = Bool[Tensor, "*batch S T"] | Float[Tensor, "*batch S T"]

FEW = 1 << 16  # scores of a head; fewer are not worth batched products, unless query heads share them
STEP = 128  # queries; shorter steps skip more keys and call the kernel more often


def additive(mask: Bool[Tensor, "*batch S T"], dtype: torch.dtype) -> Float[Tensor, "*batch S T"]:
    """0 where `mask` allows and the lowest finite number elsewhere: made once for all layers."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, torch.finfo(dtype).min)


@dataclass(frozen=True, slots=True, eq=False)
class Staircase:
    """A mask in steps: stretches of queries, how many of the first keys any of them sees, the additive mask between.

    A causal mask is half empty, and kernels that are given it as numbers compute what it hides all the same.
    """

    steps: tuple[tuple[slice, int, Float[Tensor, "*batch s t"]], ...]


def staircase(mask: Bool[Tensor, "*batch S T"], dtype: torch.dtype) -> Staircase | Float[Tensor, "*batch S T"]:
    """`mask`, additive, for all layers; in steps where it is long, and on a CPU: elsewhere one kernel is quicker."""
    length = mask.shape[-2]
    if length <= 2 * STEP or mask.device.type != "cpu":
        return additive(mask, dtype)
    furthest = (mask * torch.arange(1, mask.shape[-1] + 1)).amax(-1).reshape(-1, length).amax(0)
    # A query of padding sees nothing, yet needs a key: what comes of it is hidden from everybody.
    reaches = [max(1, int(each.max())) for each in furthest.split(STEP)]
    starts = [STEP * next(group)[0] for _, group in groupby(enumerate(reaches), key=lambda each: each[1])]
    steps = [(slice(a, b), reaches[a // STEP]) for a, b in pairwise([*starts, length])]
    return Staircase(tuple((rows, keys, additive(mask[..., rows, :keys], dtype)) for rows, keys in steps))


def attend(
    q: Float[Tensor, "B S heads d"],
    k: Float[Tensor, "B T kv_heads d"],
    v: Float[Tensor, "B T kv_heads d"],
    mask: Mask | Staircase | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "B S width"]:
    """Scaled dot-product attention.

    On a CPU this is two plain matrix products where they are quicker than torch's fused kernel: in fp32 where gradients
    will be needed, or a single query is in bf16, and for many scores in bf16 where there are instructions for that,
    which the kernel does not use well but for tiles. Everywhere else it is the fused kernel.

    Args:
        q: queries; their heads are a multiple of the keys' heads, neighbours sharing one.
        k: keys.
        v: values.
        mask: True, or 0 when additive, where a query may look, (S, T) or (B, S, T); None lets it look everywhere.
        dropout: probability of dropping a weight.
    """
    if q.device.type == "cpu":
        learning = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad)
        if learning or (q.dtype == torch.bfloat16 and q.shape[1] == 1):
            return _attend_plainly(q, k, v, mask, dropout, torch.float32)
        many = q.shape[2] != k.shape[2] or q.shape[1] * k.shape[1] >= FEW
        if q.dtype == torch.bfloat16 and many and not (bf16_is_emulated() or bf16_has_tiles()):
            return _attend_plainly(q, k, v, mask, dropout, torch.bfloat16)
    if isinstance(mask, Staircase):
        parts = [attend(q[:, rows], k[:, :keys], v[:, :keys], each, dropout) for rows, keys, each in mask.steps]
        return torch.cat(parts, dim=1)
    if mask is not None and mask.ndim == 3:
        mask = mask[:, None]
    kind = q.dtype
    if emulated(q):
        q, k, v = q.float(), k.float(), v.float()
        mask = mask.float() if mask is not None and mask.is_floating_point() else mask
    grouped = q.shape[2] != k.shape[2]
    if grouped and mask is not None and q.is_cuda:  # fused kernels there take a mask or shared key heads, not both
        k, v = (repeated(each, q.shape[2]) for each in (k, v))
        grouped = False
    out = functional.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask, dropout_p=dropout, enable_gqa=grouped
    )
    return out.transpose(1, 2).flatten(2).to(kind)


def repeated(x: Float[Tensor, "B T kv_heads d"], heads: int) -> Float[Tensor, "B T heads d"]:
    """Each key head once for every query head that shares it."""
    return x.unsqueeze(3).expand(*x.shape[:3], heads // x.shape[2], x.shape[3]).flatten(2, 3)


def _attend_plainly(
    q: Tensor, k: Tensor, v: Tensor, mask: Mask | Staircase | None, dropout: float, kind: torch.dtype
) -> Float[Tensor, "B S width"]:
    """In `kind` whatever comes in: batched bf16 products are slow on CPUs without bf16 instructions.

    A few queries at a time: their scores are still in the cache when they are read again.
    """
    batch, length, heads, channels = q.shape
    shared = k.shape[2]
    with torch.autocast("cpu", enabled=False):
        # Query heads that share a key head become rows of one product: nothing is repeated.
        scaled = (q.to(kind) * channels**-0.5).reshape(batch, length, shared, heads // shared, channels)
        queries = scaled.transpose(1, 2).contiguous()
        keys, values = (each.to(kind).transpose(1, 2).contiguous() for each in (k, v))
        parts: list[Tensor] = []
        for rows, seen, bias in _stretches(mask, length, k.shape[1]):
            asked = queries[:, :, rows]
            scores = (asked.flatten(2, 3) @ keys[:, :, :seen].transpose(-1, -2)).unflatten(2, asked.shape[2:4])
            if bias is not None:
                wide = (additive(bias, kind) if bias.dtype == torch.bool else bias.to(kind)).unsqueeze(-2)
                scores += wide.unsqueeze(1) if bias.ndim == 3 else wide
            weights = functional.dropout(scores.softmax(-1), dropout)
            parts.append((weights.flatten(2, 3) @ values[:, :, :seen]).view(asked.shape).transpose(1, 2).flatten(2))
    return (parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)).to(v.dtype)


def _stretches(mask: Mask | Staircase | None, length: int, keys: int) -> Iterator[tuple[slice, int, Mask | None]]:
    """Stretches of at most `STEP` queries, how many of the first keys they see, and the mask between them."""
    steps = mask.steps if isinstance(mask, Staircase) else ((slice(0, length), keys, mask),)
    for rows, seen, bias in steps:
        for start in range(rows.start, rows.stop, STEP):
            stop = min(start + STEP, rows.stop)
            between = bias
            if bias is not None and bias.shape[-2] > 1:  # else one row for all queries
                between = bias[..., start - rows.start : stop - rows.start, :]
            yield slice(start, stop), seen, between


def causal_mask(length: int, past: int = 0, device: torch.device | None = None) -> Bool[Tensor, "S T"]:
    """Query i, at position `past + i`, sees keys up to its own position."""
    ones = torch.ones(length, past + length, dtype=torch.bool, device=device)
    return ones.tril(past)


def image_block_mask(is_image: Bool[Tensor, "B S"]) -> Bool[Tensor, "B S S"]:
    """Causal, and image tokens of all cameras see one another in both directions."""
    both = is_image[:, :, None] & is_image[:, None, :]
    return causal_mask(is_image.shape[1], device=is_image.device) | both


class Cache(Protocol):
    """Keys and values of every decoder layer, in the order their positions were fed."""

    @property
    def length(self) -> int:
        """Positions held by every layer."""
        ...

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Adds (B, S, kv_heads, d) at the end of `layer` and answers everything it now holds, (B, T, kv_heads, d)."""
        ...

    def pairs(self) -> list[tuple[Float[Tensor, "B T kv"], Float[Tensor, "B T kv"]]]:
        """What each layer holds, heads side by side, as the action expert reads it. No copy."""
        ...

    def truncate(self, length: int) -> None:
        """Forgets every position from `length` on."""
        ...


class GrowingCache:
    """Concatenates, so gradients flow through it: training, and prompts of unknown length."""

    def __init__(self, layers: int) -> None:
        self._held: list[tuple[Tensor, Tensor] | None] = [None] * layers

    @property
    def length(self) -> int:
        last = self._held[-1]
        return 0 if last is None else last[0].shape[1]

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        held = self._held[layer]
        if held is not None:
            k, v = torch.cat([held[0], k], dim=1), torch.cat([held[1], v], dim=1)
        self._held[layer] = (k, v)
        return k, v

    def pairs(self) -> list[tuple[Float[Tensor, "B T kv"], Float[Tensor, "B T kv"]]]:
        return [(each[0].flatten(2), each[1].flatten(2)) for each in self._held if each is not None]

    def truncate(self, length: int) -> None:
        self._held = [None if each is None else (each[0][:, :length], each[1][:, :length]) for each in self._held]


class StaticCache:
    """Room for `capacity` positions, taken once: no allocation while decoding, and fixed addresses for CUDA graphs."""

    def __init__(
        self,
        layers: int,
        batch: int,
        capacity: int,
        kv_heads: int,
        head_dim: int,
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        shape = (layers, batch, capacity, kv_heads, head_dim)
        self._k = torch.zeros(shape, dtype=dtype, device=device)
        self._v = torch.zeros(shape, dtype=dtype, device=device)
        self._lengths = [0] * layers

    @property
    def length(self) -> int:
        return self._lengths[-1]

    @property
    def capacity(self) -> int:
        """Positions it has room for."""
        return self._k.shape[2]

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        start = self._lengths[layer]
        end = start + k.shape[1]
        if end > self.capacity:
            raise InputError(f"cache positions: got {end}, allowed are ≤ {self.capacity}; make a cache with more room")
        self._k[layer, :, start:end] = k
        self._v[layer, :, start:end] = v
        self._lengths[layer] = end
        return self._k[layer, :, :end], self._v[layer, :, :end]

    def pairs(self) -> list[tuple[Float[Tensor, "B T kv"], Float[Tensor, "B T kv"]]]:
        end = self.length
        keys, values = self._k[:, :, :end].flatten(3), self._v[:, :, :end].flatten(3)
        return list(zip(keys.unbind(0), values.unbind(0), strict=True))

    def truncate(self, length: int) -> None:
        self._lengths = [min(held, length) for held in self._lengths]


def positions_after(cache: Cache | None, length: int, device: torch.device) -> Int[Tensor, " S"]:
    """The next `length` positions: from 0, or from where `cache` ends."""
    start = 0 if cache is None else cache.length
    return torch.arange(start, start + length, device=device)
