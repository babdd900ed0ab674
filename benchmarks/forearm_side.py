"""Our side of the latency benchmark, as `molmoact2_peer.py` is the other: cases by name, one process, one thread.

python benchmarks/forearm_side.py FOLDER fp32|bf16
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import timing_model
from forearm.model import depth_decoding, generate
from forearm.model.depth import changed_cells
from forearm.model.inputs import Prompter, batch, read_crops
from forearm.model.packing import pack
from forearm.model.released import MolmoAct2, Prompt
from forearm.model.statistics import choose, read_tags
from forearm.model.tokenizer import read_tokenizer
from forearm.model.weights import load
from molmoact2_peer import answer


class Forearm:
    """A loaded checkpoint, the maps it wrote, and how fast it verifies drafts of them."""

    def __init__(self, folder: Path, dtype: str | None = None) -> None:
        self.model: MolmoAct2 = load(folder, dtype=torch.bfloat16 if dtype == "bf16" else None).model
        pack(self.model)
        config = self.model.config
        crops, marks = read_crops(folder, config)
        tag = choose(read_tags(folder / "norm_stats.json"), None)
        tokenizer = read_tokenizer(folder, config)
        self._prompter = Prompter(config=config, tokenizer=tokenizer, tag=tag, crops=crops, marks=marks)
        self._pace = depth_decoding.Pace()
        self._maps = dict[str, torch.Tensor]()

    def prompt(self, images: list, *, depth: bool) -> Prompt:
        """From camera images to what the model reads."""
        sample = self._prompter.sample(images, timing_model.INSTRUCTION, timing_model.state(), depth=depth)
        return batch([sample], self.model.config.tokens.pad)

    def no_depth(self) -> dict:
        """Act at once."""
        return self._acted(generate.read(self.model, self.prompt(timing_model.scene(), depth=False), room=0))

    def full_depth(self) -> dict:
        """Every code greedily, then act."""
        depth = depth_decoding.write(self.model, self.prompt(timing_model.scene(), depth=True))
        self._maps["unchanged"] = depth.codes
        return self._deep(depth)

    def unchanged(self) -> dict:
        """The same map again, with the one before as a draft."""
        prompt = self.prompt(timing_model.scene(), depth=True)
        return self._deep(depth_decoding.verify(self.model, prompt, self._maps["unchanged"], pace=self._pace))

    def changed_map(self) -> dict:
        """The map of the changed scene, which `changed16` needs to know; not timed."""
        prompt = self.prompt(timing_model.changed_scene(), depth=True)
        self._maps["changed"] = depth_decoding.write(self.model, prompt).codes
        return {}

    def changed16(self) -> dict:
        """A draft that is wrong in the changed cells alone: which codes a random model gives elsewhere means nothing."""
        images, cells = timing_model.changed_scene(), timing_model.changed_cells()
        draft = self._maps["changed"].clone()
        draft[:, cells] = (draft[:, cells] + 1) % timing_model.CODEBOOK
        hints = changed_cells(images[0], timing_model.scene()[0], timing_model.CODES)
        depth = depth_decoding.verify(self.model, self.prompt(images, depth=True), draft, hints, self._pace)
        return self._deep(depth, exact=torch.equal(depth.codes, self._maps["changed"]))

    def _deep(self, depth: depth_decoding.Depth, **more: Any) -> dict:
        return self._acted(depth.stream, codes=depth.codes[0].tolist(), passes=depth.passes, **more)

    def _acted(self, stream: generate.Stream, **more: Any) -> dict:
        noise = torch.randn((1, timing_model.HORIZON, 32), generator=torch.Generator().manual_seed(0))
        chunk = generate.act(stream, noise.to(self.model.lm_head.weight.dtype), timing_model.CHANNELS)
        action = self._prompter.tag.action
        assert action is not None
        return {
            "actions": action.unnormalise(chunk[..., : timing_model.CHANNELS].float().numpy()).reshape(-1).tolist(),
            **more,
        }


def main() -> None:
    """The cases of the latency benchmark; nothing is loaded before "load"."""
    torch.set_num_threads(1)
    loaded: list[Forearm] = []

    def begin() -> dict:
        loaded.append(Forearm(Path(sys.argv[1]), sys.argv[2]))
        return {}

    def case(work: Callable[[Forearm], dict]) -> Callable[[], dict]:
        return lambda: work(loaded[0])

    answer(
        {
            "start": dict,
            "load": begin,
            "prepare": case(Forearm.changed_map),
            "no_depth": case(Forearm.no_depth),
            "full_depth": case(Forearm.full_depth),
            "unchanged": case(Forearm.unchanged),
            "changed16": case(Forearm.changed16),
        }
    )


if __name__ == "__main__":
    main()
