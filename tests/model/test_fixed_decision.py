"""Decisions of fixed shapes are those of ordinary generation, and nothing in them needs a GPU but the graphs."""

from dataclasses import replace

import pytest
import torch
from released import loaded, sampled

from forearm.errors import InputError
from forearm.model import depth_decoding, flow, generate
from forearm.model.attention import attend, repeated
from forearm.model.fixed_decision import FixedDecision
from forearm.model.fused_flow import FusedFlow
from forearm.model.graphs import captured
from forearm.model.inputs import batch
from forearm.model.layers import Rotation, fused_rms, rms
from forearm.model.released import MolmoAct2, Prompt

CODES, CODEBOOK, CHANNELS = 9, 8, 6
THINKERS = ("think", "think_gate_layer", "think_gate_shared")
ACTORS = ("base", "base_continuous", "noqknorm_causal", "postnorm_olmo", "uncommon")


def prompts(name: str, *seeds: int, depth: bool) -> tuple[MolmoAct2, list[Prompt]]:
    """Prompts of one length: the same words, other images and states."""
    torch.set_num_threads(1)
    model, prompter = loaded(name)
    return model, [batch([sampled(prompter, seed, depth=depth)], pad=256) for seed in seeds]


@torch.no_grad()
def closing(model: MolmoAct2, prompt: Prompt) -> None:
    """Makes every map close: the closing row of the head wins wherever a code is not forced."""
    tokens = model.config.tokens
    then = torch.full((1, 12), tokens.depth_start)
    hidden = generate.read(model, prompt, room=12, then=then, tail=12).hidden.flatten(0, 1)
    model.lm_head.weight[tokens.depth_end] = 100 * hidden.mean(0)


def noise_for(model: MolmoAct2) -> torch.Tensor:
    config = model.expert.config
    return torch.randn((1, config.horizon, config.action_dim), generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("name", ACTORS)
def test_actions_are_those_of_ordinary_generation(name: str) -> None:
    model, (first, second) = prompts(name, 1, 2, depth=False)
    decision, noise = FixedDecision(model, first, CHANNELS), noise_for(model)
    for prompt in (second, first):
        decided = decision.decide(prompt, noise)
        expected = generate.act(generate.read(model, prompt, room=0), noise, CHANNELS)
        torch.testing.assert_close(decided.chunk, expected, rtol=1e-4, atol=1e-5)
        assert decided.codes is None
        assert decided.passes == 1


@pytest.mark.parametrize(
    "name", ["think_gate_shared", *(pytest.param(each, marks=pytest.mark.slow) for each in THINKERS[:2])]
)
def test_depth_and_the_actions_behind_it_are_those_of_greedy_decoding(name: str) -> None:
    model, (first, second) = prompts(name, 1, 2, depth=True)
    closing(model, first)
    decision, noise = FixedDecision(model, first, CHANNELS), noise_for(model)
    for prompt in (first, second):
        full = depth_decoding.write(model, prompt)
        for draft in (full.codes, torch.zeros_like(full.codes), (full.codes + 1) % CODEBOOK):
            decided = decision.decide(prompt, noise, draft)
            assert torch.equal(decided.codes, full.codes)
            torch.testing.assert_close(decided.chunk, generate.act(full.stream, noise, CHANNELS), rtol=1e-4, atol=1e-5)


def test_an_unchanged_map_takes_one_pass_and_a_wrong_one_at_most_one_more_than_it_has_codes() -> None:
    model, (prompt,) = prompts("think_gate_layer", 1, depth=True)
    closing(model, prompt)
    decision, noise = FixedDecision(model, prompt, CHANNELS), noise_for(model)
    codes = depth_decoding.write(model, prompt).codes
    assert decision.decide(prompt, noise, codes).passes == 1
    trusting = torch.zeros(CODES, dtype=torch.bool)
    wrong = (codes + 1) % CODEBOOK
    decided = decision.decide(prompt, noise, wrong, trusting)
    assert torch.equal(decided.codes, codes)
    assert 2 < decided.passes <= CODES + 1


def test_a_cell_that_is_doubted_is_settled_in_the_next_pass_when_the_model_has_it_right() -> None:
    model, (prompt,) = prompts("think_gate_layer", 1, depth=True)
    closing(model, prompt)
    decision, noise = FixedDecision(model, prompt, CHANNELS), noise_for(model)
    codes = depth_decoding.write(model, prompt).codes
    draft = codes.clone()
    draft[0, 3] = (draft[0, 3] + 1) % CODEBOOK
    doubted = torch.zeros(CODES, dtype=torch.bool)
    doubted[3] = True
    decided = decision.decide(prompt, noise, draft, doubted)
    assert torch.equal(decided.codes, codes)
    assert decided.passes == 2


def test_a_map_that_closes_late_is_decided_as_ordinary_generation_does() -> None:
    model, (prompt,) = prompts("think", 1, depth=True)
    closing(model, prompt)
    tokens = model.config.tokens
    full = depth_decoding.write(model, prompt)
    with torch.no_grad():  # token 0 wins behind the last code, and the closing one behind that
        then = torch.cat([full.tokens[:, :-1], torch.zeros((1, 1), dtype=torch.long)], dim=1)
        last, next_one = generate.read(model, prompt, room=CODES + 2, then=then, tail=2).hidden[0]
        model.lm_head.weight[0] = model.lm_head.weight[tokens.depth_end] + 1e3 * (last - next_one)
    late = depth_decoding.write(model, prompt)
    assert late.tokens.shape[1] > full.tokens.shape[1]
    noise = noise_for(model)
    decided = FixedDecision(model, prompt, CHANNELS).decide(prompt, noise, full.codes)
    assert torch.equal(decided.codes, late.codes)
    torch.testing.assert_close(decided.chunk, generate.act(late.stream, noise, CHANNELS), rtol=1e-4, atol=1e-5)


def test_stages_are_recorded_once_and_called_by_every_decision() -> None:
    model, (first, second) = prompts("think", 1, 2, depth=True)
    closing(model, first)
    recorded, called = list[str](), list[str]()

    def record(stage):
        recorded.append(stage.__name__)

        def run() -> None:
            called.append(stage.__name__)
            stage()

        stage()
        return run

    decision = FixedDecision(model, first, CHANNELS, record)
    assert recorded == ["_read", "_read_map", "_act"]
    draft = depth_decoding.write(model, second).codes
    assert decision.decide(second, noise_for(model), draft).passes == 1
    assert called == ["_read", "_act"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: replace(p, ids=p.ids[:, :-1]), "prompt tokens"),
        (lambda p: replace(p, patches=p.patches[:1]), "patches"),
        (lambda p: replace(p, windows=p.windows[1:]), "windows"),
        (lambda p: replace(p, ids=torch.zeros_like(p.ids)), "image tokens"),
        (lambda p: replace(p, valid=torch.ones_like(p.ids, dtype=torch.bool)), "padding"),
    ],
)
def test_a_prompt_of_other_shapes_is_refused(change, message: str) -> None:
    model, (prompt,) = prompts("base", 1, depth=False)
    decision = FixedDecision(model, prompt, CHANNELS)
    with pytest.raises(InputError, match=message):
        decision.decide(change(prompt), noise_for(model))


def test_depth_needs_a_draft_and_nothing_else_takes_one() -> None:
    model, (prompt,) = prompts("think", 1, depth=True)
    with pytest.raises(InputError, match="depth draft: got None"):
        FixedDecision(model, prompt, CHANNELS).decide(prompt, noise_for(model))
    model, (prompt,) = prompts("base", 1, depth=False)
    with pytest.raises(InputError, match="allowed is None"):
        FixedDecision(model, prompt, CHANNELS).decide(prompt, noise_for(model), torch.zeros((1, CODES)))


def test_several_prompts_at_once_are_refused() -> None:
    model, prompter = loaded("base")
    both = batch([sampled(prompter, 1), sampled(prompter, 2)], pad=256)
    with pytest.raises(InputError, match="one after the other"):
        FixedDecision(model, both, CHANNELS)


def test_graphs_are_refused_off_the_gpu() -> None:
    model, (prompt,) = prompts("base", 1, depth=False)
    with pytest.raises(InputError, match="CUDA graphs: got a model on cpu, allowed is cuda; move the model there"):
        captured(model, prompt, CHANNELS)


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("name", ACTORS)
def test_the_folded_flow_is_the_flow(name: str, steps: int) -> None:
    model, (prompt,) = prompts(name, 3, depth=False)
    expert, noise = model.expert, noise_for(model)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in expert.parameters():  # biases and modulations of some size
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    stream = generate.read(model, prompt, room=0)
    context = model.context(stream.ids, stream.valid, stream.cache.pairs())
    meant = torch.arange(noise.shape[-1])[None] < CHANNELS
    with torch.no_grad():
        expected = flow.sample(expert, context, noise, steps, meant)
    folded = FusedFlow(expert, steps, noise.shape[1]).sample(context, noise, meant.float())
    torch.testing.assert_close(folded, expected, rtol=1e-4, atol=1e-5)


def test_more_rows_than_the_expert_knows_are_refused() -> None:
    model, _ = prompts("base", 1, depth=False)
    with pytest.raises(InputError, match="chunk rows"):
        FusedFlow(model.expert, 2, model.expert.config.horizon + 1)


@pytest.mark.parametrize("weight", [None, torch.linspace(0.5, 2.0, 24)])
def test_the_norm_in_one_kernel_is_the_norm(weight: torch.Tensor | None) -> None:
    x = torch.randn((2, 5, 24), generator=torch.Generator().manual_seed(0))
    expected = rms(x) if weight is None else rms(x) * weight
    torch.testing.assert_close(fused_rms(x, weight), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_rotation_of_whole_heads_is_the_rotation_of_their_halves(dtype: torch.dtype) -> None:
    x = torch.randn((2, 7, 3, 16), generator=torch.Generator().manual_seed(0)).to(dtype)
    rotation = Rotation(torch.arange(4, 11), 16, 1e4)
    tolerance = 1e-6 if dtype == torch.float32 else 3e-2
    torch.testing.assert_close(rotation.apply_whole(x), rotation.apply(x), rtol=tolerance, atol=tolerance)


def test_keys_repeated_for_their_query_heads_give_what_shared_ones_give() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn((2, 5, heads, 8), generator=generator) for heads in (6, 2, 2))
    torch.testing.assert_close(attend(q, repeated(k, 6), repeated(v, 6)), attend(q, k, v), rtol=1e-5, atol=1e-6)
