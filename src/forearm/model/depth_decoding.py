"""Four ways to write the depth map before acting.

Full greedy decoding defines the answer. *Exact* decoding gives the same answer from fewer passes: the previous
frame's codes are a draft, and one pass over many drafted codes tells how many of them greedy decoding would have
written. The published *adaptive* mode instead trusts old codes wherever the image did not change between two frames,
and *free* decoding is unconstrained.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from forearm.errors import ConfigError, InputError, ModelError
from forearm.model.depth import runs
from forearm.model.generate import LEAST_CLOSING, WRITTEN_PER_ROW, Stream, read, write_until
from forearm.model.released import MolmoAct2, Prompt
from forearm.model.tokens import codes_between


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Depth:
    """A written depth map.

    Attributes:
        stream: everything read and written, ready for the action expert.
        codes: (B, N) codes, row-major over the grid.
        tokens: (B, n) written ids with the start and closing ones; rows that closed earlier end in padding.
        logits: (B, m, codebook) of the cells that were decided by the model in this call, in order; empty for free
            decoding.
        passes: how often the decoder ran, the prompt's pass included.
    """

    stream: Stream
    codes: Int[Tensor, "B N"]
    tokens: Int[Tensor, "B n"]
    logits: Float[Tensor, "B m codebook"]
    passes: int


def write(model: MolmoAct2, prompt: Prompt) -> Depth:
    """Every code greedily, one after the other."""
    count = layout_of(model).count
    nothing = torch.zeros((prompt.ids.shape[0], count), dtype=torch.long)
    return rewrite(model, prompt, nothing, np.ones(count, dtype=np.bool_))


@torch.no_grad()
def rewrite(model: MolmoAct2, prompt: Prompt, before: Int[Tensor, "B N"], changed: NDArray[np.bool_]) -> Depth:
    """The published adaptive mode: changed cells are written anew, the others copied, one pass per run.

    `changed` is (N,) for all rows or (B, N); a cell that changed in one row of a batch is decided for that row only.

    Raises:
        ConfigError: for a checkpoint without depth tokens.
        ModelError: when the map is not closed in time.
    """
    layout = layout_of(model)
    rows, device = prompt.ids.shape[0], prompt.ids.device
    anywhere = changed.reshape(-1, layout.count).any(0)
    changed = np.broadcast_to(changed, (rows, layout.count))
    codes = before.to(device).clone()
    stream = _begin(model, prompt, None)
    passes, logits = 1, list[Tensor]()
    mask = torch.tensor(changed, device=device)
    for start, end, anew in runs(np.asarray(anywhere)):
        for cells in [slice(i, i + 1) for i in range(start, end)] if anew else [slice(start, end)]:
            if anew:
                scores = code_logits(stream.model, stream.hidden)[:, -1:]
                codes[:, cells] = torch.where(mask[:, cells], scores.argmax(-1), codes[:, cells])
                logits.append(scores)
            stream.feed(codes[:, cells] + layout.first)
            passes += 1
    closing = write_until(stream, layout.end, _closing_limit(model), "depth map")
    return _depth(stream, prompt, codes, logits, passes + max(map(len, closing)))


@torch.no_grad()
def write_freely(model: MolmoAct2, prompt: Prompt) -> Depth:
    """Unconstrained greedy text from the end of the prompt until the map closes; its codes are what stands in between.

    Raises:
        ConfigError: for a checkpoint without depth tokens.
        ModelError: when the map does not close, or has not as many codes as it should.
    """
    layout = layout_of(model)
    limit = max(layout.count + 8, WRITTEN_PER_ROW * _horizon(model), 1)
    stream = read(model, prompt, room=limit, tail=1)
    written = write_until(stream, layout.end, limit, "depth map")
    codes = [codes_between(row, layout.start, layout.end, layout.first, layout.codebook) for row in written]
    if any(len(row) != layout.count for row in codes):
        raise ModelError(
            f"depth map: got {[len(row) for row in codes]} codes, allowed are {layout.count}; discard the plan"
        )
    return _depth(stream, prompt, torch.tensor(codes, device=prompt.ids.device), [], 1 + max(map(len, written)))


@dataclass(slots=True)
class Pace:
    """How many drafted codes to verify at once: the number that gains most codes per second.

    A pass over n tokens costs `fixed + each * n` seconds, fitted to the passes that were seen: on a GPU `fixed`
    dominates and long blocks are nearly free, on a CPU they are not. Neither number nor block length changes what is
    written, only how fast.

    Attributes:
        fixed, each: s, the fit.
        agreed: chance that a drafted code survives, where the image changed (True) and where it did not (False).
    """

    fixed: float = 1.0
    each: float = 0.02
    agreed: dict[bool, float] = field(default_factory=lambda: {True: 0.5, False: 0.97})
    _seen: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])

    def block(self, changed: Sequence[bool]) -> int:
        """How many tokens to feed when the first is certain and the next are drafted, cell by cell changed or not."""
        best, length = 1.0 / (self.fixed + self.each), 1
        chance, gain = 1.0, 1.0
        for n, cell in enumerate(changed, start=2):
            chance *= self.agreed[cell]
            gain += chance
            if gain / (self.fixed + self.each * n) > best:
                best, length = gain / (self.fixed + self.each * n), n
        return length

    def timed(self, tokens: int, seconds: float) -> None:
        """Learns from a pass over `tokens` tokens."""
        self._seen = [*self._seen[-63:], (tokens, seconds)]
        n, s = np.array(self._seen, dtype=np.float64).T
        if np.ptp(n) > 0:
            centred = n - n.mean()
            self.each = max(float((centred * s).sum() / (centred**2).sum()), 1e-6)
            self.fixed = max(float(s.mean() - self.each * n.mean()), 1e-6)

    def verified(self, changed: Sequence[bool], agreed: int) -> None:
        """Learns from a draft whose first `agreed` cells survived while the next one, if any, did not."""
        for i, cell in enumerate(changed[: agreed + 1]):
            self.agreed[cell] += 0.02 * (float(i < agreed) - self.agreed[cell])


@torch.no_grad()
def verify(
    model: MolmoAct2,
    prompt: Prompt,
    draft: Int[Tensor, "B N"],
    changed: NDArray[np.bool_] | None = None,
    pace: Pace | None = None,
) -> Depth:
    """What `write` writes, from about one pass when the draft is right.

    The first pass reads the prompt and the draft behind it together, with the closing token last: a map that did not
    change costs no pass of its own. Where a code differs, the model's own is taken and the rest of the draft verified
    from there.

    Args:
        model: with depth tokens.
        prompt: that asks for depth.
        draft: codes that are likely, those of the previous frame.
        changed: (N,) where the image changed since the draft; a hint that only sets the block lengths.
        pace: kept between frames, so that block lengths follow measured cost and agreement.

    Raises:
        ConfigError: for a checkpoint without depth tokens.
        InputError: for a draft of another shape.
        ModelError: when the map is not closed in time.
    """
    layout = layout_of(model)
    count, first = layout.count, layout.first
    pace = Pace() if pace is None else pace
    hints = [False] * (count + 1) if changed is None else [*changed.tolist(), False]
    likely = _likely(prompt, draft, layout)
    block = likely[:, : pace.block(hints) - 1]
    stream = _begin(model, prompt, block)
    start, done, passes, logits = prompt.ids.shape[1] + 1, 0, 1, list[Tensor]()
    while True:
        # `block` was fed behind the `done` tokens that are settled; `hidden` starts one position earlier.
        own, scores = _decide(stream, done, count, first)
        agreed = int((own[:, : block.shape[1]] == block).long().cumprod(1).sum(1).min()) if block.shape[1] else 0
        pace.verified(hints[done : done + block.shape[1]], agreed)
        logits.append(scores[:, : agreed + 1])
        done += agreed
        if done == count + 1:
            break
        stream.truncate(start + done)
        certain = own[:, agreed : agreed + 1]
        if done >= count:  # the map is full but does not close as drafted: on as plain greedy decoding does
            stream.hidden = stream.hidden[:, : agreed + 1]
            closing = write_until(stream, layout.end, _closing_limit(model), "depth map")
            passes += max(map(len, closing))
            break
        length = pace.block(hints[done + 1 :])
        fed = torch.cat([certain, likely[:, done + 1 : done + length]], dim=1)
        _feed_timed(stream, fed, pace)
        passes += 1
        done, block = done + 1, fed[:, 1:]
    codes = stream.ids[:, start : start + count] - first
    return _depth(stream, prompt, codes, logits, passes)


def _likely(prompt: Prompt, draft: Int[Tensor, "B N"], layout: Layout) -> Int[Tensor, "B N+1"]:
    """The draft as the tokens that would be written, the closing one behind it."""
    rows, device = prompt.ids.shape[0], prompt.ids.device
    wanted = (rows, layout.count)
    if draft.shape != wanted:
        raise InputError(f"depth draft: got {tuple(draft.shape)}, allowed is {wanted}; start with a full decode")
    return torch.cat([draft.to(device) + layout.first, torch.full((rows, 1), layout.end, device=device)], dim=1)


def _feed_timed(stream: Stream, fed: Int[Tensor, "B n"], pace: Pace) -> None:
    """Feeds tokens and tells the pace what that cost."""
    began = time.perf_counter()
    stream.feed(fed)
    float(stream.hidden[0, -1, 0])  # waits for the device, so that the pace is true
    pace.timed(fed.shape[1], time.perf_counter() - began)


def _decide(
    stream: Stream, done: int, count: int, first: int
) -> tuple[Int[Tensor, "B n"], Float[Tensor, "B m codebook"]]:
    """The token greedy decoding writes behind each position in `hidden`, the first of which precedes token `done`."""
    cells = max(0, min(stream.hidden.shape[1], count - done))
    scores = code_logits(stream.model, stream.hidden)[:, :cells]
    own = scores.argmax(-1) + first
    if cells < stream.hidden.shape[1]:
        own = torch.cat([own, stream.model.lm_head(stream.hidden[:, cells:]).argmax(-1)], dim=1)
    return own, scores


def _begin(model: MolmoAct2, prompt: Prompt, then: Tensor | None) -> Stream:
    """Reads prompt, start of the map and what is drafted behind it; `hidden` begins at the start token."""
    layout = layout_of(model)
    start = torch.full((prompt.ids.shape[0], 1), layout.start, device=prompt.ids.device)
    behind = start if then is None else torch.cat([start, then], dim=1)
    room = layout.count + 2 + _closing_limit(model)
    return read(model, prompt, room=room, then=behind, tail=behind.shape[1])


def _depth(stream: Stream, prompt: Prompt, codes: Tensor, logits: list[Tensor], passes: int) -> Depth:
    tokens = stream.ids[:, prompt.ids.shape[1] :]
    scores = torch.cat(logits, dim=1) if logits else stream.hidden[:, :0, :0]
    return Depth(stream=stream, codes=codes, tokens=tokens, logits=scores, passes=passes)


def code_logits(model: MolmoAct2, hidden: Float[Tensor, "B n d"]) -> Float[Tensor, "B n codebook"]:
    """Of the code behind each position, in fp32 whatever the weights' type: rounded to bf16 the best two often tie."""
    layout = layout_of(model)
    rows = model.lm_head.weight[layout.first : layout.first + layout.codebook]
    return functional.linear(hidden.float(), rows.float())


@dataclass(frozen=True, slots=True)
class Layout:
    """How a model writes a map: `count` codes of `codebook` values from id `first` on, between `start` and `end`."""

    count: int
    codebook: int
    first: int
    start: int
    end: int


def layout_of(model: MolmoAct2) -> Layout:
    """How `model` writes a map.

    Raises:
        ConfigError: for a checkpoint without depth tokens.
    """
    depth, tokens = model.config.depth, model.config.tokens
    first, start, end = tokens.depth_first, tokens.depth_start, tokens.depth_end
    if depth is None or not depth.reasoning or first is None or start is None or end is None:
        raise ConfigError("depth reasoning: got a checkpoint without it, allowed is one with; act without depth")
    return Layout(depth.codes, depth.codebook, first, start, end)


def _horizon(model: MolmoAct2) -> int:
    return 1 if model.config.expert is None else model.config.expert.horizon


def _closing_limit(model: MolmoAct2) -> int:
    return max(LEAST_CLOSING, _horizon(model))
