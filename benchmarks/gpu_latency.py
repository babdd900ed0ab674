"""How long a GPU takes for one decision of the released configuration: 5.4 billion bf16 weights, two cameras, 10 rows.

    PYTHONPATH=src python benchmarks/gpu_latency.py --json gpu.json

Medians, from patches on the host to actions on the GPU, with the work of the device waited for. Weights are random but
for one chain of depth codes: each code is clearly followed by the next one of the chain, so that what is written does
not hang on rounding. Beside each figure is what no implementation on this GPU is quicker than: every part's weights
read once in each pass at the rate of a copy, or its products at the rate of large bf16 products, whichever is longer.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import floor
from forearm.model import depth_decoding, generate
from forearm.model.config import DepthConfig, ModelConfig
from forearm.model.fixed_decision import FixedDecision, Stage, as_it_is
from forearm.model.graphs import Graphs, attention_kernels
from forearm.model.images import CropConfig
from forearm.model.inputs import Prompter, batch
from forearm.model.released import MolmoAct2, Prompt
from forearm.model.statistics import Tag
from forearm.model.tokens import ImageMarks
from forearm.model.weights import build

CAMERAS, ROWS, CHANNELS, STATE = 2, 10, 7, 8  # of the released LIBERO checkpoints, which the published figures are of
CHANGED = 16  # cells of the map that differ from the draft
STRIDE = 37  # from one code to the next of the chain: odd, so that it meets all 128
LOUD = 4.0  # rms of the chain's embeddings: twice what 36 random layers add to them
DEPTH_IDS = {"depth_output": 153_982, "depth_start": 153_983, "depth_end": 153_984, "depth_first": 153_985}  # inferred
PUBLISHED_MS = {"no depth": 179, "adaptive depth": 787}  # H100; arXiv 2605.02881


def thinking() -> ModelConfig:
    """The released configuration with depth reasoning, a gate in each layer, and chunks of 10 rows."""
    config = acting()
    return replace(config, tokens=replace(config.tokens, **DEPTH_IDS), depth=DepthConfig(gate="layer"))


def acting() -> ModelConfig:
    """The released configuration with chunks of 10 rows."""
    config = ModelConfig.of("molmoact2")
    assert config.expert is not None
    return replace(config, expert=replace(config.expert, horizon=ROWS))


@torch.no_grad()
def random_model(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> MolmoAct2:
    """A model with depth, made where it is to run."""
    model = build(config).to(dtype).to_empty(device=device).eval().requires_grad_(False)
    generator = torch.Generator(device).manual_seed(0)
    for name, each in model.named_parameters():
        norm = each.ndim == 1 and name.endswith(("norm.weight", "ln_f.weight"))
        each.normal_(0.0, each.shape[-1] ** -0.5 if each.ndim > 1 else 0.1 if norm else 0.02, generator=generator)
        if norm:
            each.add_(1.0)
    layout = depth_decoding.layout_of(model)
    embedding, head = model.transformer.wte.embedding, model.lm_head.weight
    loud = embedding[layout.start : layout.first + layout.codebook]
    loud.mul_(LOUD / loud.float().square().mean().sqrt())
    codes = chain(layout)
    for before, after in zip([layout.start - layout.first, *codes], codes, strict=False):
        head[layout.first + after] = embedding[layout.first + before] * (loud.shape[1] ** -0.5 / LOUD)
    head[layout.end] = embedding[layout.first + codes[-1]] * (3 * loud.shape[1] ** -0.5 / LOUD)
    return model


def chain(layout: depth_decoding.Layout) -> list[int]:
    """The map that a random model writes."""
    return [STRIDE * i % layout.codebook for i in range(layout.count)]


def without_depth(model: MolmoAct2, config: ModelConfig) -> MolmoAct2:
    """The same weights, wired as a checkpoint that was not taught depth."""
    plain = build(config).eval().requires_grad_(False)
    state = {name: each for name, each in model.state_dict().items() if "depth_gate" not in name}
    plain.load_state_dict(state, assign=True)
    return plain.requires_grad_(False)


class Words:
    """A tokenizer with as many tokens as there are words, signs and special tokens, about what a learned one makes."""

    def __init__(self, config: ModelConfig) -> None:
        ids = config.tokens
        self._words = ids.pad  # ids below are text
        self._special = {
            "<|im_end|>": ids.eos, "<|endoftext|>": ids.pad, "<im_start>": ids.image_start, "<im_end>": ids.image_end,
            "<im_patch>": ids.image_patch, "<action_output>": ids.action_output, "<depth_output>": ids.depth_output,
            "<state_start>": ids.state_start, "<state_end>": ids.state_end,
            **{f"<state_{i}>": (ids.state_first or 0) + i for i in range(ids.state_count)},
        }  # fmt: skip

    def encode(self, text: str) -> list[int]:
        """Ids of `text`."""
        found = re.findall(r"<[^<>\s]+>|\w+|[^\w ]", text)
        return [self._special.get(each) or zlib.crc32(each.encode()) % self._words for each in found]

    def token_id(self, token: str) -> int | None:
        """The id of a special token."""
        return self._special.get(token)


def make_prompt(config: ModelConfig, *, depth: bool) -> Prompt:
    """Two cameras, a state and an instruction, on the host."""
    rng = np.random.default_rng(0)
    tag = Tag(
        name="libero", setup="single franka robotic arm in libero", control="delta end-effector pose", cameras=(),
        alternatives=(), horizon=ROWS, steps=ROWS, state=None, action=None,
    )  # fmt: skip
    prompter = Prompter(
        config=config, tokenizer=Words(config), tag=tag, crops=CropConfig.whole(config.vision), marks=ImageMarks()
    )
    images = [rng.integers(0, 256, (256, 256, 3), dtype=np.uint8) for _ in range(CAMERAS)]
    state = rng.uniform(-1, 1, STATE).astype(np.float32)
    words = "put the white mug on the left plate and put the yellow and white mug on the right plate"
    return batch([prompter.sample(images, words, state, depth=depth)], config.tokens.pad)


def moved(prompt: Prompt, device: torch.device) -> Prompt:
    """`prompt` on the device."""
    return Prompt(
        ids=prompt.ids.to(device), valid=None, patches=prompt.patches.to(device), windows=prompt.windows.to(device)
    )


@dataclass
class Bench:
    """One model, its prompts, and what was found so far; `parts` run in order, each using what earlier ones left."""

    config: ModelConfig
    plain: ModelConfig
    device: torch.device
    dtype: torch.dtype
    repeats: int
    wait: Callable[[], object]
    record: Callable[[Stage], Stage] = as_it_is
    side: int = 8192  # of the square matrices that the rate of products is measured with
    copied: int = 1 << 30  # numbers that the rate of copies is measured with

    def build(self) -> dict[str, Any]:
        """Weights and prompts."""
        began = time.perf_counter()
        self.thinker = random_model(self.config, self.device, self.dtype)
        self.actor = without_depth(self.thinker, self.plain)
        self.wait()
        self.deep, self.shallow = (make_prompt(self.config, depth=depth) for depth in (True, False))
        expert = self.actor.expert.config
        generator = torch.Generator().manual_seed(1)
        self.noise = torch.randn((1, expert.horizon, expert.action_dim), generator=generator).to(self.device)
        return {
            "parameters": sum(each.numel() for each in self.actor.parameters()),
            "prompt tokens": self.shallow.ids.shape[1],
            "prompt tokens with depth": self.deep.ids.shape[1],
            "built in s": time.perf_counter() - began,
        }

    def graphs_no_depth(self) -> dict[str, Any]:
        """Recorded, beside the same eagerly."""
        began = time.perf_counter()
        self.quick = FixedDecision(self.actor, self.shallow, CHANNELS, self.record)
        made = time.perf_counter() - began
        found = self.timed(lambda: self.quick.decide(self.shallow, self.noise))
        here = moved(self.shallow, self.device)
        eager = generate.act(generate.read(self.actor, here, room=0), self.noise, CHANNELS)
        chunk = self.quick.decide(self.shallow, self.noise).chunk
        return found | {"recorded in s": made} | differences(chunk, eager)

    def graphs_parts(self) -> dict[str, Any]:
        """The stages of the above by themselves, and vision beside what it is with attention in bf16."""
        here = moved(self.shallow, self.device)
        found = {name: self.timed(stage)["ms"] for name, stage in self.quick.stages.items()}
        vision = self.actor.vision_backbone
        found["vision"] = self.timed(self.record(lambda: vision(here.patches, here.windows)))["ms"]
        narrow = [each for each in vision.image_vit.modules() if getattr(each, "_fp32", False)]
        for each in narrow:
            each._fp32 = False
        try:
            found["vision, attention in bf16"] = self.timed(self.record(lambda: vision(here.patches, here.windows)))[
                "ms"
            ]
        finally:
            for each in narrow:
                each._fp32 = True
        return {"ms": found}

    def full_depth(self) -> dict[str, Any]:
        """Every code greedily, eagerly: what the others must write."""
        here = moved(self.deep, self.device)
        depth = depth_decoding.write(self.thinker, here)
        self.codes = depth.codes.cpu()
        self.expected = generate.act(depth.stream, self.noise, CHANNELS)
        as_meant = self.codes[0].tolist() == chain(depth_decoding.layout_of(self.thinker))
        found = self.timed(
            lambda: generate.act(depth_decoding.write(self.thinker, here).stream, self.noise, CHANNELS),
            min(3, self.repeats),
        )
        return found | {"passes": depth.passes, "codes are the chain": as_meant}

    def graphs_depth(self) -> dict[str, Any]:
        """Exact depth with a draft that is right."""
        began = time.perf_counter()
        self.deeply = FixedDecision(self.thinker, self.deep, CHANNELS, self.record)
        made = time.perf_counter() - began
        return self.exactly(self.codes, None) | {"recorded in s": made}

    def graphs_depth_changed(self) -> dict[str, Any]:
        """A draft with 16 wrong codes, and the image says where."""
        return self.exactly(self.wrong(), self.changed())

    def graphs_depth_unhinted(self) -> dict[str, Any]:
        """The same without a hint: behind a wrong code the model is trusted everywhere."""
        return self.exactly(self.wrong(), None)

    def graphs_depth_misled(self) -> dict[str, Any]:
        """The same with a hint that nothing changed: one pass for each wrong code."""
        return self.exactly(self.wrong(), torch.zeros_like(self.changed()))

    def graphs_depth_parts(self) -> dict[str, Any]:
        """The stages by themselves."""
        return {"ms": {name: self.timed(stage)["ms"] for name, stage in self.deeply.stages.items()}}

    def eager_no_depth(self) -> dict[str, Any]:
        """Ordinary generation."""
        here = moved(self.shallow, self.device)
        return self.timed(lambda: generate.act(generate.read(self.actor, here, room=0), self.noise, CHANNELS))

    def eager_parts(self) -> dict[str, Any]:
        """Ordinary generation, taken apart."""
        here = moved(self.shallow, self.device)
        stream = generate.read(self.actor, here, room=0)
        work = {
            "vision": lambda: self.actor.vision_backbone(here.patches, here.windows),
            "read": lambda: generate.read(self.actor, here, room=0),
            "act": lambda: generate.act(stream, self.noise, CHANNELS),
        }
        with torch.no_grad():
            return {"ms": {name: self.timed(each)["ms"] for name, each in work.items()}}

    def eager_exact(self) -> dict[str, Any]:
        """Exact depth, eagerly, with a draft that is right."""
        here, draft, pace = moved(self.deep, self.device), self.codes.to(self.device), depth_decoding.Pace(1e-2, 1e-5)
        depth = depth_decoding.verify(self.thinker, here, draft, pace=pace)
        same = torch.equal(depth.codes.cpu(), self.codes)

        def work() -> torch.Tensor:
            stream = depth_decoding.verify(self.thinker, here, draft, pace=pace).stream
            return generate.act(stream, self.noise, CHANNELS)

        return self.timed(work) | {"passes": depth.passes, "codes identical": same}

    def eager_adaptive(self) -> dict[str, Any]:
        """The published mode with 16 changed cells."""
        here, draft, changed = moved(self.deep, self.device), self.wrong().to(self.device), self.changed().numpy()
        passes = depth_decoding.rewrite(self.thinker, here, draft, changed).passes

        def work() -> torch.Tensor:
            stream = depth_decoding.rewrite(self.thinker, here, draft, changed).stream
            return generate.act(stream, self.noise, CHANNELS)

        return self.timed(work, min(10, self.repeats)) | {"passes": passes}

    def floors(self) -> dict[str, Any]:
        """What no implementation on this GPU is quicker than, ms, and the rates that it follows from."""
        a, b = (torch.randn((self.side, self.side), device=self.device, dtype=self.dtype) for _ in range(2))
        flops = 2 * self.side**3 / (1e-3 * self.timed(lambda: a @ b)["ms"])
        source = torch.zeros(self.copied, dtype=torch.bfloat16, device=self.device)
        target = torch.empty_like(source)
        copied = 2 * source.nbytes / (1e-3 * self.timed(lambda: target.copy_(source))["ms"])
        least = {
            "no depth": self._least(self.shallow.ids, flops, copied, 0),
            "exact depth, one pass": self._least(self._written(), flops, copied, self.codes.shape[1] + 1),
        }
        return {"ms": least, "teraflop/s": flops / 1e12, "terabyte/s": copied / 1e12}

    def _least(self, ids: torch.Tensor, flops: float, copied: float, decoded: int) -> dict[str, float]:
        seen = self.actor.prompt_mask(Prompt(ids=ids, valid=None, patches=self.deep.patches, windows=self.deep.windows))
        counted = floor.gigaflop(
            self.plain, images=CAMERAS, tokens=ids.shape[1], pairs=int(seen.sum()), decoded=decoded
        )
        products = {
            "vision": counted["vision"] + counted["adapter"],
            "read": counted["decoder"],
            "act": counted["context"] + counted["flow"],
        }
        once = sum(p.numel() for n, p in self.actor.expert.named_parameters() if ".modulation" in n or "context" in n)
        expert = sum(each.numel() for each in self.actor.expert.parameters())
        steps = self.plain.flow.steps
        weights = {
            "vision": sum(each.numel() for each in self.actor.vision_backbone.parameters()),
            "read": sum(each.numel() for each in self.actor.transformer.blocks.parameters())
            + (self.actor.lm_head.weight.numel() if decoded else 0),
            "act": once + steps * (expert - once),
        }
        size = self.dtype.itemsize
        parts = {name: 1e3 * max(1e9 * products[name] / flops, size * weights[name] / copied) for name in products}
        return parts | {"whole": sum(parts.values())}

    def _written(self) -> torch.Tensor:
        layout = depth_decoding.layout_of(self.thinker)
        marks = [torch.full((1, 1), each) for each in (layout.start, layout.end)]
        return torch.cat([self.deep.ids, marks[0], self.codes + layout.first, marks[1]], dim=1)

    def changed(self) -> torch.Tensor:
        """(N,) every sixth cell from the third on."""
        return (torch.arange(self.codes.shape[1]) % 6 == 2) & (torch.arange(self.codes.shape[1]) < 6 * CHANGED)

    def wrong(self) -> torch.Tensor:
        """The draft with other codes in these cells."""
        return torch.where(
            self.changed(), (self.codes + 5) % depth_decoding.layout_of(self.thinker).codebook, self.codes
        )

    def exactly(self, draft: torch.Tensor, doubted: torch.Tensor | None) -> dict[str, Any]:
        """Time and correctness of exact depth from a draft."""
        decided = self.deeply.decide(self.deep, self.noise, draft, doubted)
        same = torch.equal(decided.codes.cpu(), self.codes)
        found = self.timed(lambda: self.deeply.decide(self.deep, self.noise, draft, doubted))
        return found | {"passes": decided.passes, "codes identical": same} | differences(decided.chunk, self.expected)

    def timed(self, work: Callable[[], object], repeats: int | None = None) -> dict[str, float]:
        """Median and 95th percentile, ms, after two runs that do not count."""
        for _ in range(2):
            work()
        self.wait()
        spent = []
        for _ in range(repeats or self.repeats):
            began = time.perf_counter()
            work()
            self.wait()
            spent.append(1e3 * (time.perf_counter() - began))
        return {"ms": statistics.median(spent), "p95 ms": sorted(spent)[math.ceil(0.95 * len(spent)) - 1]}

    def parts(self) -> dict[str, Callable[[], dict[str, Any]]]:
        """Everything, in order."""
        return {
            "build": self.build,
            "graphs, no depth": self.graphs_no_depth,
            "full greedy depth, eager": self.full_depth,
            "graphs, exact depth, 0 changed": self.graphs_depth,
            f"graphs, exact depth, {CHANGED} changed": self.graphs_depth_changed,
            f"graphs, exact depth, {CHANGED} changed, no hint": self.graphs_depth_unhinted,
            f"graphs, exact depth, {CHANGED} changed, wrong hint": self.graphs_depth_misled,
            "graphs, no depth, parts": self.graphs_parts,
            "graphs, exact depth, parts": self.graphs_depth_parts,
            "floor": self.floors,
            "eager, no depth": self.eager_no_depth,
            "eager, no depth, parts": self.eager_parts,
            "eager, exact depth, 0 changed": self.eager_exact,
            f"eager, adaptive depth, {CHANGED} changed": self.eager_adaptive,
        }


def differences(ours: torch.Tensor, theirs: torch.Tensor) -> dict[str, float]:
    """How far two chunks are apart, beside how large they are."""
    finite = bool(torch.isfinite(ours).all() and torch.isfinite(theirs).all())
    apart = (ours - theirs).float()
    return {
        "actions finite": finite,
        "largest action difference": float(apart.abs().max()),
        "rms action difference": float(apart.square().mean().sqrt()),
        "rms action": float(theirs.float().square().mean().sqrt()),
    }


def run(bench: Bench, keep: Callable[[dict[str, Any]], object]) -> tuple[dict[str, Any], int]:
    """All parts, and how many failed: each prints what it found, and a failure stops none of the others."""
    results, failed = dict[str, Any](), 0
    for name, part in bench.parts().items():
        began = time.perf_counter()
        try:
            results[name] = part()
        except Exception:  # whatever it is, the other figures are wanted
            failed += 1
            results[name] = {"failed": traceback.format_exc()}
            print(results[name]["failed"], flush=True)
        spent = time.perf_counter() - began
        print(f"{name:<46} {json.dumps(rounded(results[name]))}  ({spent:.1f} s)", flush=True)
        keep(results)
    return results, failed


def rounded(found: Any) -> Any:
    """For a person."""
    if isinstance(found, dict):
        return {name: rounded(each) for name, each in found.items() if name != "failed"}
    return float(f"{found:.4g}") if isinstance(found, float) else found


def main() -> None:
    """Everything on this machine's GPU; exit code 1 when a part failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument("--quick", action="store_true", help="5 repetitions instead of 25")
    given = parser.parse_args()
    device = torch.device("cuda", 0)
    graphs = Graphs(device)
    bench = Bench(
        thinking(), acting(), device, torch.bfloat16, 5 if given.quick else 25, torch.cuda.synchronize, graphs.record
    )
    about = {"device": torch.cuda.get_device_name(device), "torch": torch.__version__, "published ms": PUBLISHED_MS}
    print(about, flush=True)

    def keep(results: dict[str, Any]) -> None:
        peak = torch.cuda.max_memory_allocated(device) / 1e9
        if given.json:
            given.json.write_text(json.dumps(about | {"peak memory GB": peak} | results, indent=1))

    with torch.no_grad(), attention_kernels():
        _, failed = run(bench, keep)
    print(f"peak memory {torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
