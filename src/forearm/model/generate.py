"""A prompt becomes actions: read it once, perhaps write on, then let the action expert look at all of it.

Keys and values live in one static cache from the first prompt token to the last written one. Nothing is computed twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from forearm.errors import InputError, ModelError
from forearm.model import flow
from forearm.model.attention import StaticCache, causal_mask
from forearm.model.config import ModelConfig
from forearm.model.inpainting import Known
from forearm.model.released import MolmoAct2, Prompt
from forearm.model.statistics import Tag

WRITTEN_PER_ROW = 16  # most action tokens per chunk row; published limit
LEAST_CLOSING = 8  # tokens that a depth map may take to close, however short the horizon; published limit


@dataclass(slots=True, eq=False)
class Stream:
    """Everything one batch of prompts has read and written so far.

    Attributes:
        model: whose stream it is.
        cache: keys and values of all of it.
        ids: (B, T) token ids, prompts padded on the left.
        valid: (B, T) False at padding; None where there is none.
        hidden: (B, n, d) hidden states of the positions fed last, as many as were asked for.
    """

    model: MolmoAct2
    cache: StaticCache
    ids: Int[Tensor, "B T"]
    valid: Bool[Tensor, "B T"] | None
    hidden: Float[Tensor, "B n d"]

    @torch.no_grad()
    def feed(self, ids: Int[Tensor, "B n"], valid: Bool[Tensor, "B n"] | None = None) -> Float[Tensor, "B n d"]:
        """Reads n more tokens of every prompt in one pass; their hidden states, also kept in `hidden`.

        Raises:
            InputError: when that is more than the model reads.
        """
        past, new = self.ids.shape[1], ids.shape[1]
        _check_length(past + new, self.model.config.text.max_positions)
        if valid is not None or self.valid is not None:
            ones = torch.ones_like(self.ids, dtype=torch.bool) if self.valid is None else self.valid
            more = torch.ones_like(ids, dtype=torch.bool) if valid is None else valid
            self.valid = torch.cat([ones, more], dim=1)
        self.ids = torch.cat([self.ids, ids], dim=1)
        mask, positions = None, None
        if new > 1 or self.valid is not None:
            mask = causal_mask(new, past, ids.device)
        if mask is not None and self.valid is not None:
            mask = mask & self.valid[:, None, :]
            positions = (self.valid.cumsum(-1)[:, past:] - 1).clamp(min=0)
        x = self.model.transformer.embed(ids)
        self.hidden = self.model.transformer(x, positions, mask, self.cache)
        return self.hidden

    def truncate(self, length: int) -> None:
        """Forgets what was read from position `length` on."""
        self.cache.truncate(length)
        self.ids = self.ids[:, :length]
        self.valid = None if self.valid is None else self.valid[:, :length]


def _check_length(tokens: int, longest: int) -> None:
    if tokens > longest:
        raise InputError(f"sequence: got {tokens} tokens, allowed are {longest}; shorten the instruction")


@torch.no_grad()
def read(
    model: MolmoAct2, prompt: Prompt, *, room: int, then: Int[Tensor, "B n"] | None = None, tail: int = 0
) -> Stream:
    """Reads prompts, and the tokens `then` behind them, in one pass.

    Args:
        model: in the type and on the device it is to run.
        prompt: a batch.
        room: positions kept free for what is written later, `then` included, as far as the model reads at all.
        then: tokens that follow every prompt.
        tail: how many of the last positions' hidden states are wanted; 0 when only the expert will look.

    Raises:
        InputError: when prompt and `then` are longer than the model reads.
    """
    config, (batch, length) = model.config, prompt.ids.shape
    longest = config.text.max_positions
    _check_length(length + (0 if then is None else then.shape[1]), longest)
    cache = StaticCache(
        config.text.layers,
        batch,
        min(length + room, longest),
        config.text.kv_heads,
        config.text.head_dim,
        dtype=model.lm_head.weight.dtype,
        device=model.device,
    )
    if then is not None:
        valid = None if prompt.valid is None else functional.pad(prompt.valid, (0, then.shape[1]), value=True)
        prompt = replace(prompt, ids=torch.cat([prompt.ids, then], dim=1), valid=valid)
    hidden = model.read(prompt, cache, tail)
    return Stream(model, cache, prompt.ids, prompt.valid, hidden)


@torch.no_grad()
def act(
    stream: Stream,
    noise: Float[Tensor, "B H D"],
    action_dim: int,
    steps: int | None = None,
    known: Known | None = None,
) -> Float[Tensor, "B H D"]:
    """Normalised action chunks from what the stream has read: `noise` carried along the expert's velocity field.

    `known` rows draw a chunk towards them on its way; None leaves it free. Channels from `action_dim` on are kept at
    zero where the checkpoint was trained so; they mean nothing in any case.

    Raises:
        InputError: when the checkpoint was not trained to act this way.
    """
    model = stream.model
    if model.config.action_mode == "discrete":
        raise InputError(
            "action mode: got 'discrete', allowed are continuous or both for flow; decode actions as tokens"
        )
    context = model.context(stream.ids, stream.valid, stream.cache.pairs())
    channels = torch.arange(noise.shape[-1], device=noise.device)[None]
    valid = channels < action_dim if model.config.mask_padding and action_dim < noise.shape[-1] else None
    return flow.sample(model.expert, context, noise, model.config.flow.steps if steps is None else steps, valid, known)


def executed_rows(tag: Tag, config: ModelConfig, length: int) -> slice:
    """Which rows of a chunk of that length a robot is to execute.

    Raises:
        InputError: when the tag wants more rows than the chunk has.
    """
    longest = length if config.expert is None else config.expert.horizon
    rows = tag.horizon or longest
    if rows > longest or (tag.steps or 1) > rows:
        raise InputError(
            f"rows of {tag.name}: got action_horizon {tag.horizon} and n_action_steps {tag.steps}, allowed are "
            f"≤ {longest} and no more steps than rows; use the statistics of this checkpoint"
        )
    first = config.observations - 1
    end = first + (tag.steps or tag.horizon or length - first)
    if end > length:
        raise InputError(
            f"chunk: got {length} rows, allowed are ≥ {end} for {tag.name}; use the statistics of this checkpoint"
        )
    return slice(first, end)


def executed(chunk: Float[Tensor, "B H D"], tag: Tag, config: ModelConfig) -> NDArray[np.float32]:
    """(B, rows, J) the part of normalised chunks that a robot is to execute, in its own units.

    Raises:
        InputError: when the tag wants more rows or channels than the chunk has.
    """
    rows = executed_rows(tag, config, chunk.shape[1])
    size = chunk.shape[-1] if tag.action is None else tag.action.size
    if size > chunk.shape[2]:
        raise InputError(
            f"chunk: got {chunk.shape[2]} channels, allowed are ≥ {size} for {tag.name}; "
            "use the statistics of this checkpoint"
        )
    robot = chunk[:, rows, :size].float().cpu().numpy()
    return robot if tag.action is None else tag.action.unnormalise(robot)


@torch.no_grad()
def write_actions(stream: Stream, horizon: int) -> list[list[int]]:
    """What the decoder writes greedily until end-of-text, for every prompt of a stream with `hidden` states.

    Raises:
        InputError: when the checkpoint was not trained to act this way.
        ModelError: when a prompt is not finished after 16 tokens per chunk row.
    """
    if stream.model.config.action_mode == "continuous":
        raise InputError("action mode: got 'continuous', allowed are discrete or both to write actions; use the flow")
    limit = max(1, WRITTEN_PER_ROW * horizon)
    return write_until(stream, stream.model.config.tokens.eos, limit, "action tokens")


def write_until(stream: Stream, end: int, limit: int, what: str) -> list[list[int]]:
    """Greedy tokens of every prompt up to and with `end`; the last one is read too. Rows that have ended are padded.

    Raises:
        ModelError: when a row has not ended after `limit` tokens.
    """
    model, rows = stream.model, stream.ids.shape[0]
    written: list[list[int]] = [[] for _ in range(rows)]
    ended = torch.zeros(rows, dtype=torch.bool, device=stream.ids.device)
    for _ in range(limit):
        token = model.lm_head(stream.hidden[:, -1]).argmax(-1)
        token = torch.where(ended, model.config.tokens.pad, token)
        anyone_ended = any(row[-1:] == [end] for row in written)
        tokens = cast(list[int], token.tolist())  # pyright: ignore[reportUnknownMemberType]  # all that is waited for
        for row, each in zip(written, tokens, strict=True):
            if row[-1:] != [end]:
                row.append(each)
        before = stream.hidden[:, -1:]
        stream.feed(token[:, None], None if not anyone_ended and stream.valid is None else ~ended[:, None])
        stream.hidden = torch.where(ended[:, None, None], before, stream.hidden)  # what follows an end, not its padding
        ended = ended | (token == end)
        if all(row[-1] == end for row in written):
            return written
    raise ModelError(
        f"{what}: got no end token {end} within {limit} tokens, allowed is one; the plan is unfinished, discard it"
    )
