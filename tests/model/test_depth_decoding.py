"""Depth before acting: full greedy decoding defines the codes, and exact decoding always gives them."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from released import loaded, sampled

from forearm.errors import ConfigError, InputError, ModelError
from forearm.model import depth_decoding, generate
from forearm.model.depth import changed_cells, runs
from forearm.model.inputs import batch
from forearm.model.released import MolmoAct2, Prompt

CODES, CODEBOOK = 9, 8


@pytest.fixture(scope="module")
def thinker() -> tuple[MolmoAct2, Prompt]:
    """A model whose maps always close: the closing row of its head wins wherever a code is not forced."""
    model, prompter = loaded("think_gate_layer")
    torch.set_num_threads(1)
    prompt = batch([sampled(prompter, 1, depth=True), sampled(prompter, 2, "another", depth=True)], pad=256)
    closing(model, prompt)
    return model, prompt


@torch.no_grad()
def closing(model: MolmoAct2, prompt: Prompt) -> None:
    tokens = model.config.tokens
    assert tokens.depth_start is not None
    assert tokens.depth_end is not None
    then = torch.full((2, 12), tokens.depth_start)
    hidden = generate.read(model, prompt, room=12, then=then, tail=12).hidden.flatten(0, 1)
    model.lm_head.weight[tokens.depth_end] = 100 * hidden.mean(0)


def rows(prompt: Prompt, row: int, prompts: list[int]) -> Prompt:
    valid = prompt.valid
    assert valid is not None
    ids = prompt.ids[row][valid[row]][None]
    images = prompt.patches.shape[0] // len(prompts)
    windows = prompt.windows.unflatten(0, (len(prompts), -1))[row]
    first = row * images * prompt.patches.shape[1]
    return Prompt(
        ids=ids,
        valid=None,
        patches=prompt.patches[row * images : (row + 1) * images],
        windows=torch.where(windows >= 0, windows - first, -1),
    )


def same(one: depth_decoding.Depth, other: depth_decoding.Depth) -> None:
    assert torch.equal(one.codes, other.codes)
    assert torch.equal(one.tokens, other.tokens)
    seen = one.stream.valid if one.stream.valid is not None else torch.ones_like(one.stream.ids, dtype=torch.bool)
    for ours, theirs in zip(one.stream.cache.pairs(), other.stream.cache.pairs(), strict=True):
        for mine, yours in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine[seen], yours[seen], rtol=1e-4, atol=1e-4)


def test_an_unchanged_scene_needs_one_pass_and_gives_the_full_answer(thinker: tuple[MolmoAct2, Prompt]) -> None:
    model, prompt = thinker
    full = depth_decoding.write(model, prompt)
    exact = depth_decoding.verify(model, prompt, full.codes)
    same(exact, full)
    assert exact.passes == 1
    assert full.passes == 1 + CODES + 1


@pytest.mark.parametrize("wrong", [[0], [8], [3, 4, 5], list(range(9))])
@pytest.mark.parametrize(
    "pace",
    [depth_decoding.Pace(), depth_decoding.Pace(fixed=1e-6, each=1.0), depth_decoding.Pace(fixed=1.0, each=1e-6)],
)
def test_any_draft_and_any_pace_give_the_full_answer(
    thinker: tuple[MolmoAct2, Prompt], wrong: list[int], pace: depth_decoding.Pace
) -> None:
    model, prompt = thinker
    full = depth_decoding.write(model, prompt)
    draft = full.codes.clone()
    draft[:, wrong] = (draft[:, wrong] + 1) % CODEBOOK
    same(depth_decoding.verify(model, prompt, draft, pace=pace), full)


def test_hints_change_the_passes_and_not_the_answer(thinker: tuple[MolmoAct2, Prompt]) -> None:
    model, prompt = thinker
    full = depth_decoding.write(model, prompt)
    changed = np.arange(CODES) % 2 == 0
    exact = depth_decoding.verify(model, prompt, full.codes, changed, depth_decoding.Pace(fixed=1e-6, each=1.0))
    same(exact, full)


def test_a_batch_is_decided_row_by_row(thinker: tuple[MolmoAct2, Prompt]) -> None:
    model, prompt = thinker
    together = depth_decoding.write(model, prompt)
    for row in range(2):
        alone = depth_decoding.write(model, rows(prompt, row, [0, 1]))
        assert torch.equal(alone.codes[0], together.codes[row])


def test_the_published_mode_copies_what_did_not_change(thinker: tuple[MolmoAct2, Prompt]) -> None:
    model, prompt = thinker
    before = (depth_decoding.write(model, prompt).codes + 3) % CODEBOOK
    changed = np.zeros((2, CODES), dtype=np.bool_)
    changed[0, 4] = True
    after = depth_decoding.rewrite(model, prompt, before, changed)
    assert torch.equal(after.codes[1], before[1])
    assert torch.equal(after.codes[0, [0, 1, 2, 3, 5, 6, 7, 8]], before[0, [0, 1, 2, 3, 5, 6, 7, 8]])
    assert after.passes == 1 + 3 + 1


def test_slow_drift_is_invisible_to_the_published_test_but_not_to_exact_decoding(
    thinker: tuple[MolmoAct2, Prompt],
) -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(60, 200, (96, 96, 3)).astype(np.float64)
    darker = [(frame * 0.99**i).astype(np.uint8) for i in range(60)]
    assert not any(changed_cells(now, before, CODES).any() for before, now in pairwise(darker))
    model, prompt = thinker
    truth = depth_decoding.write(model, prompt).codes
    stale = (truth + 1) % CODEBOOK
    nothing = np.zeros(CODES, dtype=np.bool_)
    assert torch.equal(depth_decoding.rewrite(model, prompt, stale, nothing).codes, stale)
    assert torch.equal(depth_decoding.verify(model, prompt, stale, nothing).codes, truth)


def test_a_local_change_is_seen_where_it_is() -> None:
    rng = np.random.default_rng(0)
    before = rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    now = before.copy()
    now[40:50, 70:90] = 0
    assert np.flatnonzero(changed_cells(now, before, CODES)).tolist() == [5]
    assert runs(changed_cells(now, before, CODES)) == [(0, 5, False), (5, 6, True), (6, 9, False)]


def test_a_map_that_is_not_square_has_no_published_test() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="square"):
        changed_cells(image, image, 10)


def test_a_map_that_never_closes_is_an_error() -> None:
    model, prompter = loaded("think")
    prompt = batch([sampled(prompter, 5, depth=True)], pad=256)
    tokens = model.config.tokens
    with torch.no_grad():
        model.lm_head.weight[tokens.depth_end] = 0
        model.lm_head.weight[0] = 0
    for write in (depth_decoding.write, depth_decoding.write_freely):
        with pytest.raises(ModelError, match="depth map: got no end token"):
            write(model, prompt)
    with pytest.raises(ModelError, match="depth map: got no end token"):
        depth_decoding.verify(model, prompt, torch.zeros(1, CODES, dtype=torch.long))


def test_a_model_without_depth_refuses_to_write_it() -> None:
    model, prompter = loaded("base")
    with pytest.raises(ConfigError, match="depth reasoning"):
        depth_decoding.write(model, batch([sampled(prompter, 1)], pad=256))


def test_a_draft_of_another_size_is_refused(thinker: tuple[MolmoAct2, Prompt]) -> None:
    model, prompt = thinker
    with pytest.raises(InputError, match="depth draft"):
        depth_decoding.verify(model, prompt, torch.zeros(1, 4, dtype=torch.long))


def test_the_pace_learns_what_passes_cost_and_what_drafts_are_worth() -> None:
    pace = depth_decoding.Pace()
    for n in (1, 10, 50, 100):
        pace.timed(n, 0.5 + 0.01 * n)
    assert pace.fixed == pytest.approx(0.5)
    assert pace.each == pytest.approx(0.01)
    sure = [False] * 100
    assert pace.block(sure) > 40
    pace.fixed, pace.each = 1e-6, 1.0
    assert pace.block([True] * 100) == 1
    for _ in range(200):
        pace.verified([True] * 5, 5)
    assert pace.agreed[True] > 0.9
