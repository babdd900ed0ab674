"""Attention, its masks, and what caches keep."""

import pytest
import torch

from forearm.errors import InputError
from forearm.model.attention import (
    GrowingCache,
    Staircase,
    StaticCache,
    additive,
    attend,
    causal_mask,
    image_block_mask,
    staircase,
)
from forearm.model.config import TextConfig, VisionConfig
from forearm.model.language import Decoder
from forearm.model.vision import VisionAttention


def tensors(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def small(**changes: object) -> Decoder:
    decoder = Decoder(TextConfig(width=32, layers=3, heads=4, kv_heads=2, head_dim=8, hidden=48, **changes))
    decoder.initialise(torch.Generator().manual_seed(1))
    return decoder.eval()


@pytest.mark.parametrize(
    "mask", [None, causal_mask(5, 2), torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(3)) > 0.3]
)
def test_attention_with_gradients_equals_attention_without(mask: torch.Tensor | None) -> None:
    q, k, v = tensors((2, 5, 4, 8), (2, 7, 2, 8), (2, 7, 2, 8))
    with torch.no_grad():
        fused = attend(q, k, v, mask)
    plain = attend(q.requires_grad_(), k, v, mask)
    torch.testing.assert_close(plain.detach(), fused, rtol=1e-5, atol=1e-6)


def test_query_heads_share_neighbouring_key_heads() -> None:
    q, k, v = tensors((1, 3, 4, 8), (1, 6, 2, 8), (1, 6, 2, 8))
    repeated = attend(q, k.repeat_interleave(2, 2), v.repeat_interleave(2, 2))
    torch.testing.assert_close(attend(q, k, v), repeated, rtol=1e-5, atol=1e-6)


def test_images_see_each_other_and_text_sees_only_what_came_before() -> None:
    mask = image_block_mask(torch.tensor([[False, True, True, False, True]]))[0]
    expected = [[1, 0, 0, 0, 0], [1, 1, 1, 0, 1], [1, 1, 1, 0, 1], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    assert mask.int().tolist() == expected


@pytest.mark.parametrize(
    "changes", [{}, {"qk_norm": "olmo", "norm_after": True, "qkv_bias": True}, {"qk_norm": None, "rope_theta": None}]
)
def test_decoding_from_a_cache_equals_one_full_pass(changes: dict[str, object]) -> None:
    decoder, (x,) = small(**changes), tensors((2, 9, 32))
    with torch.no_grad():
        full = decoder(x, None, causal_mask(9))
        for cache in (GrowingCache(3), StaticCache(3, 2, 9, 2, 8, dtype=torch.float32, device=torch.device("cpu"))):
            parts = [decoder(x[:, :4], None, causal_mask(4), cache), decoder(x[:, 4:8], None, causal_mask(4, 4), cache)]
            parts.append(decoder(x[:, 8:], None, None, cache))
            torch.testing.assert_close(torch.cat(parts, 1), full, rtol=1e-4, atol=1e-5)


def test_both_caches_answer_the_same_keys_and_values() -> None:
    decoder, (x,) = small(), tensors((2, 6, 32))
    growing, static = GrowingCache(3), StaticCache(3, 2, 8, 2, 8, dtype=torch.float32, device=torch.device("cpu"))
    with torch.no_grad():
        for cache in (growing, static):
            decoder(x, None, causal_mask(6), cache)
            cache.truncate(4)
    assert growing.length == static.length == 4
    for ours, theirs in zip(growing.pairs(), static.pairs(), strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])


@pytest.mark.parametrize("tail", [0, 1, 4])
def test_positions_that_nobody_asks_for_still_leave_keys_and_values(tail: int) -> None:
    decoder, (x,) = small(), tensors((1, 6, 32))
    all_of_it, wanted = GrowingCache(3), GrowingCache(3)
    with torch.no_grad():
        full = decoder(x, None, causal_mask(6), all_of_it)
        part = decoder(x, None, causal_mask(6), wanted, tail=tail)
    torch.testing.assert_close(part, full[:, 6 - tail :], rtol=1e-5, atol=1e-6)
    assert all(
        torch.equal(a, b)
        for one, two in zip(all_of_it.pairs(), wanted.pairs(), strict=True)
        for a, b in zip(one, two, strict=True)
    )


def test_gradients_flow_through_a_growing_cache() -> None:
    decoder, (x,) = small().train(), tensors((1, 5, 32))
    x.requires_grad_()
    cache = GrowingCache(3)
    decoder(x[:, :4], None, causal_mask(4), cache)
    decoder(x[:, 4:].detach(), None, None, cache).sum().backward()
    assert x.grad is not None
    assert x.grad[:, :4].abs().sum() > 0


def test_a_full_static_cache_refuses_more() -> None:
    decoder, (x,) = small(), tensors((1, 5, 32))
    cache = StaticCache(3, 1, 4, 2, 8, dtype=torch.float32, device=torch.device("cpu"))
    with pytest.raises(InputError, match="cache positions: got 5, allowed are ≤ 4"), torch.no_grad():
        decoder(x, None, causal_mask(5), cache)


@pytest.mark.parametrize("length", [257, 300, 384])
def test_a_mask_in_steps_hides_what_the_whole_mask_hides(length: int) -> None:
    q, k, v = tensors((2, length, 4, 8), (2, length + 7, 2, 8), (2, length + 7, 2, 8))
    mask = causal_mask(length, 7).repeat(2, 1, 1)
    mask[:, :150, 7:157] = True  # images that see each other
    mask[1, :, :20] = False  # padding of one prompt
    steps = staircase(mask, torch.float32)
    assert isinstance(steps, Staircase)
    assert sum((rows.stop - rows.start) * keys for rows, keys, _ in steps.steps) < 0.9 * length * (length + 7)
    stepped, whole = (attend(q, k, v, each) for each in (steps, mask))
    torch.testing.assert_close(stepped, whole, rtol=1e-5, atol=1e-6)


def test_queries_that_see_nothing_make_nothing_of_it_that_others_see() -> None:
    q, k, v = tensors((1, 300, 2, 8), (1, 300, 2, 8), (1, 300, 2, 8))
    mask = causal_mask(300)[None].clone()
    mask[:, :, :140] = False
    out = attend(q, k, v, staircase(mask, torch.float32))
    assert torch.isfinite(out).all()
    torch.testing.assert_close(out[:, 140:], attend(q, k, v, mask)[:, 140:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("tail", [None, 3, 290])
def test_one_long_pass_equals_two_short_ones(tail: int | None) -> None:
    decoder, (x,) = small(), tensors((1, 300, 32))
    cache, parts = GrowingCache(3), GrowingCache(3)
    with torch.no_grad():
        long = decoder(x, None, causal_mask(300), cache, tail=tail)
        first = decoder(x[:, :200], None, causal_mask(200), parts)
        short = torch.cat([first, decoder(x[:, 200:], None, causal_mask(100, 200), parts)], dim=1)
    torch.testing.assert_close(long, short if tail is None else short[:, 300 - tail :], rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(cache.pairs(), parts.pairs(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [30, 300])
@pytest.mark.parametrize("kv_heads", [2, 4])
@pytest.mark.parametrize("rows", ["each", "one"])
def test_attention_in_bf16_equals_attention_in_fp32_but_for_rounding(length: int, kv_heads: int, rows: str) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, length, 4, 16, generator=generator).bfloat16()
    k, v = (torch.randn(2, length, kv_heads, 16, generator=generator).bfloat16() for _ in range(2))
    mask = (
        causal_mask(length).expand(2, -1, -1) if rows == "each" else causal_mask(length)[None, -9:-8].expand(2, -1, -1)
    )
    narrow = attend(q, k, v, additive(mask, torch.bfloat16))
    wide = attend(q.float(), k.float(), v.float(), mask)
    torch.testing.assert_close(narrow.float(), wide, rtol=0.02, atol=0.02)


def test_scores_of_vision_attention_in_bf16_are_not_rounded() -> None:
    config = VisionConfig(width=64, layers=1, taps=(-1,), heads=2, kv_heads=2, head_dim=32, hidden=64)
    torch.manual_seed(0)
    attention = VisionAttention(64, config).bfloat16()
    with torch.no_grad():
        attention.wq.weight.mul_(40.0)  # scores to 50: bf16 has steps of a quarter there
        x = torch.randn(2, 300, 64).bfloat16()
        narrow = attention(x, x)
        q, k, v = (layer(x).unflatten(-1, (2, 32)) for layer in (attention.wq, attention.wk, attention.wv))
        exact = attention.wo(attend(q.double(), k.double(), v.double()).bfloat16())
    off = (narrow.double() - exact.double()).square().mean() / exact.double().square().mean()
    assert off.sqrt() < 0.006  # 0.0016 where only weights are rounded, 0.016 where scores are
