"""Decisions whose shapes never change: the same few stages over the same memory, so that they can be recorded once.

A stage is a function without arguments that reads and writes tensors which stay where they are, and that never waits
for the device. Exact depth takes two of them. The first reads the prompt and a drafted map behind it; the second reads
the map again. Both say how many codes are those that greedy decoding writes, put the model's own code at the first
that is not, and may trust the model more than the draft behind it. A pass costs a GPU about as much over a hundred
tokens as over one, and every pass settles one code at least: the map is read as a whole until all of it is settled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from forearm.errors import InputError
from forearm.model import depth_decoding, generate
from forearm.model.attention import StaticCache, causal_mask
from forearm.model.depth_decoding import Layout
from forearm.model.fused_flow import FusedFlow
from forearm.model.released import MolmoAct2, Prompt

Stage = Callable[[], object]


def as_it_is(stage: Stage) -> Stage:
    """No recording."""
    return stage


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decided:
    """What was decided.

    Attributes:
        chunk: (1, H, D) normalised actions.
        codes: (1, N) of the depth map, row-major; None where the prompt does not ask for one.
        passes: how often the decoder ran.
    """

    chunk: Float[Tensor, "1 H D"]
    codes: Int[Tensor, "1 N"] | None
    passes: int


class FixedDecision:
    """Decides prompts that are as long as a first one and show as many images.

    Args:
        model: in the type and on the device it is to run.
        prompt: of the shapes that are to be decided; with depth where it asks for depth.
        action_dim: channels that mean something, from the first on.
        record: makes of each stage what is called in its place.

    Raises:
        InputError: for more than one prompt at a time, or a prompt that is longer than the model reads.
    """

    @torch.no_grad()
    def __init__(
        self, model: MolmoAct2, prompt: Prompt, action_dim: int, record: Callable[[Stage], Stage] = as_it_is
    ) -> None:
        config, device, tokens = model.config, model.device, model.config.tokens
        self._model, self._expert = model, model.expert
        self._action_dim = action_dim
        asked = tokens.depth_output is not None and bool((prompt.ids == tokens.depth_output).any())
        self._map: Layout | None = depth_decoding.layout_of(model) if asked else None
        self._read_first = prompt.ids.shape[1]
        length = self._read_first + (0 if self._map is None else self._map.count + 2)
        if prompt.ids.shape[0] != 1 or length > config.text.max_positions:
            raise InputError(
                f"prompt: got {prompt.ids.shape[0]} of {length} tokens, allowed is one of ≤ "
                f"{config.text.max_positions}; decide one after the other"
            )
        size = (config.text.layers, 1, length, config.text.kv_heads, config.text.head_dim)
        self._cache = StaticCache(*size, dtype=model.lm_head.weight.dtype, device=device)
        self._prompt = Prompt(
            ids=torch.zeros((1, length), dtype=torch.long, device=device),
            valid=None,
            patches=torch.zeros_like(prompt.patches, device=device),
            windows=torch.zeros_like(prompt.windows, device=device),
        )
        self._visible = torch.ones((1, length), dtype=torch.bool, device=device)
        self._doubted = torch.ones(0 if self._map is None else self._map.count, dtype=torch.bool, device=device)
        self._judged = torch.zeros(2, dtype=torch.long, device=device)
        rows, channels = self._expert.config.horizon, self._expert.config.action_dim
        self._noise = torch.zeros((1, rows, channels), device=device)
        self._chunk = torch.zeros_like(self._noise)
        meant = torch.arange(channels, device=device) < (action_dim if config.mask_padding else channels)
        self._keep = meant.float()[None, None]
        self._flow = FusedFlow(self._expert, config.flow.steps, rows)
        self._load(prompt, None if self._map is None else torch.zeros((1, self._map.count), dtype=torch.long))
        self.stages = {"read": record(self._read)}
        if self._map is not None:
            self.stages["read map"] = record(self._read_map)
        self.stages["act"] = record(self._act)

    @torch.no_grad()
    def decide(
        self,
        prompt: Prompt,
        noise: Float[Tensor, "1 H D"],
        draft: Int[Tensor, "1 N"] | None = None,
        doubted: Bool[Tensor, " N"] | None = None,
    ) -> Decided:
        """Actions, and before them the depth map that greedy decoding writes where the prompt asks for one.

        Args:
            prompt: of the shapes that this was made for; best on the host, where it is checked.
            noise: that becomes the chunk.
            draft: codes that are likely, those of the previous frame; needed with depth.
            doubted: True where the draft is likely wrong, as the image changed there: behind a code that was wrong the
                model's own is tried next in these cells, and the draft in the others. None doubts all. It changes how
                many passes are needed, never the answer.

        Raises:
            InputError: for a prompt of other shapes, or a draft that is missing or of another shape.
            ModelError: when the map is not closed in time.
        """
        self._load(prompt, draft)
        self._noise.copy_(noise)
        if self._map is None:
            self.stages["read"]()
            self.stages["act"]()
            return Decided(chunk=self._chunk.clone(), codes=None, passes=1)
        self._doubted.copy_(torch.ones_like(self._doubted) if doubted is None else doubted)
        passes, stage = 0, "read"
        while (judged := self._judged_by(stage))[0] < self._map.count and passes < self._map.count:
            passes, stage = passes + 1, "read map"
        codes = self._codes(self._map)
        if judged != [self._map.count, 1]:
            return self._decide_on(prompt, noise, codes, passes + 1)
        self.stages["act"]()
        return Decided(chunk=self._chunk.clone(), codes=codes, passes=passes + 1)

    def _judged_by(self, stage: str) -> list[int]:
        """How many codes a pass settles, and whether the map closes behind them: its one wait for the device."""
        self.stages[stage]()
        return cast(list[int], self._judged.tolist())  # pyright: ignore[reportUnknownMemberType]

    def _decide_on(self, prompt: Prompt, noise: Tensor, codes: Tensor, passes: int) -> Decided:
        """For a map that does not close where it should: what comes next has no fixed shape."""
        device = self._model.device
        moved = Prompt(
            ids=prompt.ids.to(device),
            valid=None,
            patches=prompt.patches.to(device),
            windows=prompt.windows.to(device),
        )
        depth = depth_decoding.verify(self._model, moved, codes)
        chunk = generate.act(depth.stream, noise.to(device), self._action_dim)
        return Decided(chunk=chunk, codes=depth.codes, passes=passes + depth.passes)

    def _load(self, prompt: Prompt, draft: Tensor | None) -> None:
        """Checks a prompt and moves it to where the stages read it."""
        fixed, ids = self._prompt, prompt.ids.cpu()
        wanted = {
            "prompt tokens": (tuple(ids.shape), (1, self._read_first)),
            "patches": (tuple(prompt.patches.shape), tuple(fixed.patches.shape)),
            "windows": (tuple(prompt.windows.shape), tuple(fixed.windows.shape)),
            "image tokens": (int((ids == self._model.config.tokens.image_patch).sum()), fixed.windows.shape[0]),
            "padding": (None if prompt.valid is None else "some", None),
            "depth draft": (
                None if draft is None else tuple(draft.shape),
                None if self._map is None else (1, self._map.count),
            ),
        }
        for what, (got, allowed) in wanted.items():
            if got != allowed:
                raise InputError(f"{what}: got {got}, allowed is {allowed}; make a decision of these shapes for it")
        if self._map is not None and draft is not None:
            start, end = (torch.full((1, 1), each) for each in (self._map.start, self._map.end))
            ids = torch.cat([ids, start, draft.cpu() + self._map.first, end], dim=1)
        self._visible.copy_(self._model.visible(ids, None))
        fixed.ids.copy_(ids)
        fixed.patches.copy_(prompt.patches)
        fixed.windows.copy_(prompt.windows)

    def _read(self) -> None:
        """Reads everything: the prompt and, with depth, the start of the map, its draft and the closing token."""
        self._cache.truncate(0)
        behind = 0 if self._map is None else self._map.count + 2
        hidden = self._model.read(self._prompt, self._cache, behind)
        if self._map is not None:
            self._judge(self._map, hidden)

    def _read_map(self) -> None:
        """Reads the map again, as it was left by `_judge`."""
        assert self._map is not None
        self._cache.truncate(self._read_first)
        ids = self._prompt.ids[:, self._read_first :]
        mask = causal_mask(ids.shape[1], self._read_first, ids.device)
        transformer = self._model.transformer
        self._judge(self._map, transformer(transformer.embed(ids), None, mask, self._cache))

    def _judge(self, layout: Layout, hidden: Float[Tensor, "1 n d"]) -> None:
        """Counts settled codes, and writes the map that is to be read next: the same where all are settled."""
        count = layout.count
        codes = self._codes(layout)
        own = depth_decoding.code_logits(self._model, hidden[:, :count]).argmax(-1)
        settled = (own == codes).long().cumprod(1).sum(1)
        closed = self._model.lm_head(hidden[:, count]).argmax(-1) == layout.end
        self._judged.copy_(torch.cat([settled, closed.long()]))
        places = torch.arange(count, device=codes.device)
        following = torch.where((places <= settled) | self._doubted, own, codes)
        self._prompt.ids[:, self._read_first + 1 :][:, :count].copy_(following + layout.first)

    def _codes(self, layout: Layout) -> Int[Tensor, "1 N"]:
        return self._prompt.ids[:, self._read_first + 1 :][:, : layout.count] - layout.first

    def _act(self) -> None:
        """The chunk, from everything that was read."""
        pairs = self._model.gated(self._prompt.ids, self._visible, self._cache.pairs())
        context = self._expert.context(pairs, self._visible)
        self._chunk.copy_(self._flow.sample(context, self._noise, self._keep))
