"""Depth reasoning: how far the expert listens to it, and which of its cells the published adaptive mode writes anew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from forearm.errors import InputError
from forearm.model.config import DepthConfig

Pairs = Sequence[tuple[Tensor, Tensor]]

CELL_PX = 32  # px, side of the image patch that belongs to one cell; published constant
SIMILARITY = 0.996  # cosine of two frames' patches under which a cell is written anew; published constant


class SharedGate(nn.Linear):
    """One gate, asked by the last layer's values, for the depth tokens of every layer."""

    def __init__(self, channels: int, bias: float) -> None:
        super().__init__(channels, 1)  # pyright: ignore[reportUnknownMemberType]
        close(self, bias)

    def gates(self, pairs: Pairs, weights: Float[Tensor, "B T"]) -> list[Float[Tensor, "B 1"]]:
        """The gate, once for each layer."""
        gate = _gate(self, pairs[-1][1], weights)
        return [gate] * len(pairs)


class LayerGates(nn.ModuleList):
    """A gate for each layer, asked by that layer's values."""

    def __init__(self, layers: int, channels: int, bias: float) -> None:
        heads = [nn.Linear(channels, 1) for _ in range(layers)]
        super().__init__(heads)
        for head in heads:
            close(head, bias)

    def gates(self, pairs: Pairs, weights: Float[Tensor, "B T"]) -> list[Float[Tensor, "B 1"]]:
        """The gates, layer by layer."""
        return [_gate(gate, v, weights) for gate, (_, v) in zip(self, pairs, strict=True)]  # pyright: ignore[reportArgumentType]


@torch.no_grad()
def close(gate: nn.Linear, bias: float) -> None:
    """A fresh gate: the same for every input, nearly shut for a bias of -4."""
    gate.weight.zero_()
    gate.bias.fill_(bias)


def _gate(head: nn.Linear, values: Float[Tensor, "B T kv"], weights: Float[Tensor, "B T"]) -> Float[Tensor, "B 1"]:
    shares = weights.to(values.dtype)
    pooled = (shares[:, None, :] @ values)[:, 0] / shares.sum(1, keepdim=True).clamp(min=1.0)
    return torch.sigmoid(head(pooled.to(head.weight.dtype))).to(values.dtype)


def new_gate(config: DepthConfig, layers: int, channels: int) -> SharedGate | LayerGates | None:
    """The gate that `config` asks for, fresh."""
    if config.gate is None:
        return None
    return (
        SharedGate(channels, config.gate_bias)
        if config.gate == "shared"
        else LayerGates(layers, channels, config.gate_bias)
    )


def apply_gate(
    gate: SharedGate | LayerGates, pairs: Pairs, depth: Bool[Tensor, "B T"], visible: Bool[Tensor, "B T"]
) -> list[tuple[Tensor, Tensor]]:
    """Keys and values with those of depth tokens scaled by a gate between 0 and 1.

    A gate reads the mean value of the visible positions that are not depth (of all visible ones where there is
    nothing else).

    Args:
        gate: of the model.
        pairs: keys and values (B, T, kv) of every layer.
        depth: True at depth-related tokens.
        visible: True where the expert may look.
    """
    depth = depth & visible
    others = visible & ~depth
    others = torch.where(others.any(-1, keepdim=True), others, visible)
    scaled: list[tuple[Tensor, Tensor]] = []
    for (k, v), each in zip(pairs, gate.gates(pairs, others.float()), strict=True):
        scale = torch.where(
            depth[..., None], each[:, :, None].to(k.dtype), torch.ones((), dtype=k.dtype, device=k.device)
        )
        scaled.append((k * scale, v * scale))
    return scaled


def changed_cells(now: NDArray[np.uint8], before: NDArray[np.uint8], codes: int) -> NDArray[np.bool_]:
    """(codes,) True where the two frames' patches differ, row-major: the published test, for bit-compatibility with it.

    Raw RGB is not centred, so that a change of brightness alone is not seen, and slow drift between successive frames
    is not either.

    Args:
        now: (H, W, 3) RGB of the main camera.
        before: the same camera's previous frame.
        codes: cells, a square number.

    Raises:
        InputError: when `codes` is not a square number.
    """
    side = math.isqrt(codes)
    if side * side != codes:
        raise InputError(f"depth codes: got {codes}, allowed is a square number; adaptive depth needs a square grid")
    a, b = _cells(now, side), _cells(before, side)
    dot = np.sum(a * b, axis=-1)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    similarity = np.where(norms < 1e-8, 1.0, dot / (norms + 1e-12))
    return np.asarray(similarity < SIMILARITY, dtype=np.bool_).reshape(-1)


def _cells(image: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    size = side * CELL_PX
    if image.shape[:2] != (size, size):
        image = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    cells = image.astype(np.float32).reshape(side, CELL_PX, side, CELL_PX, 3).transpose(0, 2, 1, 3, 4)
    return cells.reshape(side, side, -1)


def runs(changed: NDArray[np.bool_]) -> list[tuple[int, int, bool]]:
    """Maximal stretches of equal entries as (start, end, value)."""
    edges = np.flatnonzero(np.diff(changed)) + 1
    bounds = [0, *edges.tolist(), len(changed)] if len(changed) else []
    return [(start, end, bool(changed[start])) for start, end in pairwise(bounds)]
