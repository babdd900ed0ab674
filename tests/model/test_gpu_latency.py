"""The GPU benchmark, as far as it runs without one: a tiny model through all of it, and the real one's shapes."""

from dataclasses import replace

import pytest
import torch
from released import REFERENCES

import gpu_latency
from forearm.model.config import ModelConfig
from forearm.model.fixed_decision import FixedDecision, Stage
from forearm.model.published import read_config
from forearm.model.tokens import TokenIds
from forearm.model.weights import build

CPU = torch.device("cpu")


def plain(config: ModelConfig) -> ModelConfig:
    none = dict.fromkeys(gpu_latency.DEPTH_IDS)
    return replace(config, depth=None, tokens=replace(config.tokens, **none))


def thinker() -> ModelConfig:
    """Whose codebook holds a chain as long as its maps."""
    config = read_config(REFERENCES / "think_gate_layer")
    assert config.depth is not None
    return replace(config, depth=replace(config.depth, codes=4))


@pytest.mark.slow
def test_every_part_runs_and_writes_the_same_codes() -> None:
    torch.set_num_threads(1)
    config = thinker()
    bench = gpu_latency.Bench(config, plain(config), CPU, torch.float32, 2, lambda: None, side=16, copied=64)
    kept = []
    with torch.no_grad():
        results, failed = gpu_latency.run(bench, kept.append)
    assert failed == 0
    assert list(results) == list(bench.parts())
    assert len(kept) == len(results)
    exact = [found for name, found in results.items() if "exact depth," in name and "parts" not in name]
    assert len(exact) == 5
    assert all(found["codes identical"] for found in exact)
    assert results["graphs, exact depth, 0 changed"]["passes"] == 1
    assert all(found.get("largest action difference", 0.0) < 1e-4 for found in results.values())
    assert all(found.get("actions finite", True) for found in results.values())


def test_a_part_that_fails_is_counted_and_the_others_still_run() -> None:
    config = read_config(REFERENCES / "base")  # without depth
    bench = gpu_latency.Bench(config, config, CPU, torch.float32, 1, lambda: None, side=16, copied=64)
    results, failed = gpu_latency.run(bench, lambda results: None)
    assert failed == len(results)
    assert "ConfigError" in results["build"]["failed"]


def test_the_random_model_writes_the_chain_that_it_was_given() -> None:
    config = thinker()
    model = gpu_latency.random_model(config, CPU, torch.float32)
    prompt = gpu_latency.make_prompt(config, depth=True)
    layout = gpu_latency.depth_decoding.layout_of(model)
    written = gpu_latency.depth_decoding.write(model, prompt)
    assert written.codes[0].tolist() == gpu_latency.chain(layout)
    assert written.passes == 1 + 4 + 1


def test_the_benchmark_is_of_the_published_configuration() -> None:
    acting = gpu_latency.acting()
    assert sum(each.numel() for each in build(acting).parameters()) == 5_442_196_208
    prompt = gpu_latency.make_prompt(acting, depth=False)
    assert 470 < prompt.ids.shape[1] < 530
    assert prompt.patches.shape == (2, 729, 588)
    assert int((prompt.ids == TokenIds().image_patch).sum()) == prompt.windows.shape[0] == 392


@pytest.mark.slow
def test_stages_of_the_published_widths_look_at_no_value() -> None:
    config = gpu_latency.thinking()
    assert config.expert is not None
    config = replace(  # fewer layers of the same shapes
        config,
        text=replace(config.text, layers=2),
        expert=replace(config.expert, layers=2),
        vision=replace(config.vision, layers=3, taps=(-1, -2)),
    )
    model = build(config).to(torch.bfloat16).eval()
    decision = FixedDecision(model, gpu_latency.make_prompt(config, depth=True), gpu_latency.CHANNELS, without_values)
    assert list(decision.stages) == ["read", "read map", "act"]


def without_values(stage: Stage) -> Stage:
    """On the meta device there are shapes and no values: a stage that waited for one would fail here."""
    stage()
    return stage
