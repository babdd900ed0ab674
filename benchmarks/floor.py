"""What a decision of the released architecture cannot cost less than: its multiplications, and what this core does a second.

Counted are matrix products and attention over the pairs of positions that see each other, once each; in the last decoder
layer only keys and values, all that is read of it without depth. Norms, activations and everything else are free.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from forearm.model.config import ModelConfig
from forearm.model.layers import product
from forearm.model.packing import packed

REPEATS = 5


def gigaflop(config: ModelConfig, *, images: int, tokens: int, pairs: int, decoded: int = 0) -> dict[str, float]:
    """Multiplications and additions of each part, 1e9.

    Args:
        config: with an action expert.
        images: one crop each.
        tokens: read in the first pass, drafted codes included.
        pairs: (query, key) pairs of these that see each other.
        decoded: how many of them have their hidden state read.
    """
    vision, adapter, text, expert = config.vision, config.adapter, config.text, config.expert
    assert expert is not None
    patches = images * vision.grid[0] * vision.grid[1]
    pooled = images * ((vision.grid[0] + 1) // 2) * ((vision.grid[1] + 1) // 2)
    block = 4 * vision.width**2 + 2 * vision.width * vision.hidden
    tower = patches * (vision.patch**2 * 3 * vision.width + vision.kept_layers * block)
    tower += 2 * vision.kept_layers * vision.width * patches**2 // images
    taps = vision.width * len(vision.taps)
    between = 2 * patches * taps * adapter.width + pooled * adapter.width * (taps + adapter.width)
    between += pooled * adapter.hidden * (2 * adapter.width + text.width)
    width = text.heads * text.head_dim
    projected = text.width * (width + 2 * text.kv_width)
    rest = width * text.width + 3 * text.width * text.hidden
    decoder = tokens * (text.layers * projected + (text.layers - 1) * rest) + decoded * rest
    decoder += 2 * (text.layers - 1) * pairs * width
    rows, steps = expert.horizon, config.flow.steps
    context = 2 * tokens * text.layers * text.kv_width * expert.width
    flow = rows * (6 * expert.width**2 + 3 * expert.width * expert.hidden) + 2 * rows * expert.width * (tokens + rows)
    counted = {"vision": tower, "adapter": between, "decoder": decoder, "context": context}
    return {name: 2e-9 * count for name, count in (counted | {"flow": flow * expert.layers * steps}).items()}


def product_rate(config: ModelConfig, tokens: int, dtype: torch.dtype) -> float:
    """1e9 multiplications and additions a second in the decoder's largest product, the best of a few goes."""
    x = torch.randn(tokens, config.text.width, dtype=dtype)
    weight = packed(torch.randn(2 * config.text.hidden, config.text.width, dtype=dtype))
    return 2e-9 * tokens * weight.numel() / _quickest(lambda: product(x, weight))


def reading_rate(config: ModelConfig, dtype: torch.dtype) -> float:
    """1e9 bytes of weights a second in products with one row, from memory: what writing token by token waits for."""
    x = torch.randn(1, config.text.width, dtype=dtype)
    weights = torch.randn(
        text_layers_beyond_cache(config, dtype), 2 * config.text.hidden, config.text.width, dtype=dtype
    )
    return 1e-9 * weights.nbytes / _quickest(lambda: [torch.nn.functional.linear(x, each) for each in weights])


def text_layers_beyond_cache(config: ModelConfig, dtype: torch.dtype) -> int:
    """How many of the decoder's largest matrices no cache holds."""
    held = 2 * config.text.hidden * config.text.width * dtype.itemsize
    return -(-256_000_000 // held)  # bytes, eight times a large cache


def _quickest(work: Callable[[], object]) -> float:
    """CPU seconds of the quickest of a few goes."""
    work()
    spent: list[float] = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent)
