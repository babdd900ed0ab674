"""The released architecture, wired: every parameter sits where its published name says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from forearm.errors import InputError
from forearm.model.action_expert import ActionExpert, Context
from forearm.model.attention import Cache, image_block_mask
from forearm.model.config import ModelConfig
from forearm.model.depth import Pairs, apply_gate, new_gate
from forearm.model.language import LanguageModel
from forearm.model.layers import Linear
from forearm.model.tokens import hide_spans
from forearm.model.vision import VisionBackbone


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prompt:
    """A batch of prompts on the model's device.

    Shorter prompts are padded on the left, so that all end together and are continued together.

    Attributes:
        ids: (B, S) token ids.
        valid: (B, S) False at padding; None where there is none.
        patches: (N, P, pixels) RGB bytes of all crops of all images, sample after sample.
        windows: (T, w) patches pooled for each image token, one at least, counted over all crops; -1 where there is
            none.
    """

    ids: Int[Tensor, "B S"]
    valid: Bool[Tensor, "B S"] | None
    patches: UInt8[Tensor, "N P pixels"]
    windows: Int[Tensor, "T w"]


def one_of(ids: Int[Tensor, "*shape"], wanted: Sequence[int]) -> Bool[Tensor, "*shape"]:
    """Where `ids` is one of a few `wanted`, which need not be copied to its device for that."""
    return reduce(torch.logical_or, [ids == each for each in wanted], torch.zeros_like(ids, dtype=torch.bool))


def _hidden(x: Tensor) -> bool:
    """Whether `x` has no values yet: on the meta device, and while a CUDA graph is captured."""
    return x.is_meta or (x.is_cuda and torch.cuda.is_current_stream_capturing())


class MolmoAct2(nn.Module):
    """Vision backbone, decoder, action expert, depth gate and output head of one checkpoint."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = LanguageModel(config.text)
        self.vision_backbone = VisionBackbone(config.vision, config.adapter, config.text.width)
        self.action_expert = None if config.expert is None else ActionExpert(config.expert)
        depth = config.depth
        self.action_expert_depth_gate = (
            None if depth is None else new_gate(depth, config.text.layers, config.text.kv_width)
        )
        self.lm_head = Linear(config.text.width, config.text.vocabulary, bias=False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.lm_head.weight.device

    def embed(self, prompt: Prompt) -> Float[Tensor, "B S d"]:
        """Token vectors, with image features added (not put in their place) at the image patches.

        Raises:
            InputError: when there are not as many windows as patch tokens, where values can be looked at.
        """
        x = self.transformer.embed(prompt.ids)
        made = prompt.windows.shape[0]
        if made == 0:
            return x
        places = prompt.ids == self.config.tokens.image_patch
        if not _hidden(places) and int(places.sum()) != made:
            raise InputError(
                f"image tokens: got {int(places.sum())} in the prompt, allowed are as many as the images make, "
                f"{made}; expand every image placeholder with its own grid"
            )
        features = self.vision_backbone(prompt.patches, prompt.windows).to(x.dtype)
        # Every token looks up the feature that it would get: unlike a scatter, this needs no count from the device.
        nth = (places.flatten().cumsum(0) - 1).clamp(min=0).reshape(places.shape)
        return torch.where(places[..., None], x + features[nth], x)

    def prompt_mask(self, prompt: Prompt) -> Bool[Tensor, "B S S"]:
        """Which position may see which: causal, image tokens both ways, nothing sees padding."""
        mask = image_block_mask(one_of(prompt.ids, self.config.tokens.image_typed))
        return mask if prompt.valid is None else mask & prompt.valid[:, None, :]

    def positions(self, prompt: Prompt) -> Int[Tensor, "B S"] | None:
        """Positions that count from each prompt's own first token; None where nothing is padded."""
        return None if prompt.valid is None else (prompt.valid.cumsum(-1) - 1).clamp(min=0)

    def read(self, prompt: Prompt, cache: Cache, tail: int | None = None) -> Float[Tensor, "B tail d"]:
        """Feeds a prompt to the decoder; hidden states of its last `tail` positions (None: of all)."""
        return self.transformer(self.embed(prompt), self.positions(prompt), self.prompt_mask(prompt), cache, tail=tail)

    def visible(self, ids: Int[Tensor, "B T"], valid: Bool[Tensor, "B T"] | None) -> Bool[Tensor, "B T"]:
        """Where the expert may look: not at padding and, in mode "both", not at end-of-text or written actions."""
        shown = torch.ones_like(ids, dtype=torch.bool) if valid is None else valid.clone()
        tokens = self.config.tokens
        if self.config.action_mode != "both":
            return shown
        if self.config.hides_eos:
            shown &= ids != tokens.eos
        start, end = tokens.action_start, tokens.action_end
        if start is not None and end is not None and bool((ids == start).any()):
            rows = cast(list[list[int]], ids.tolist())  # pyright: ignore[reportUnknownMemberType]
            hidden = [hide_spans(row, start, end) for row in rows]
            shown &= ~torch.tensor(np.stack(hidden), device=ids.device)
        return shown

    def context(self, ids: Int[Tensor, "B T"], valid: Bool[Tensor, "B T"] | None, pairs: Pairs) -> Context:
        """What the expert attends to, from the keys and values of everything read so far.

        Raises:
            InputError: when the checkpoint has no action expert.
        """
        expert = self.expert
        visible = self.visible(ids, valid)
        return expert.context(self.gated(ids, visible, pairs), visible)

    def gated(self, ids: Int[Tensor, "B T"], visible: Bool[Tensor, "B T"], pairs: Pairs) -> Pairs:
        """`pairs` with those of depth tokens scaled by the depth gate, where the model has one."""
        gate = self.action_expert_depth_gate
        if gate is None:
            return pairs
        return apply_gate(gate, pairs, self.depth_related(ids), visible)

    def depth_related(self, ids: Int[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
        """Where depth codes and the marks around them stand; nowhere for a model without depth."""
        depth, tokens = self.config.depth, self.config.tokens
        related = one_of(ids, tokens.depth_marks)
        if depth is None or tokens.depth_first is None:
            return related
        return related | ((ids >= tokens.depth_first) & (ids < tokens.depth_first + depth.codebook))

    @property
    def expert(self) -> ActionExpert:
        """The action expert.

        Raises:
            InputError: when the checkpoint has none.
        """
        if self.action_expert is None:
            raise InputError(
                "action expert: got a checkpoint without one, allowed is one with; decode actions as tokens"
            )
        return self.action_expert
