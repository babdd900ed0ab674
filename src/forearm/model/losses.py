"""What training minimises: the flow loss, the token loss, and both from one pass of the decoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from forearm.errors import InputError
from forearm.model.attention import GrowingCache
from forearm.model.flow import path
from forearm.model.released import MolmoAct2, Prompt

IGNORED = -100  # label of a position that nothing is learned from
Z_LOSS = 1e-4  # weight of the squared log-partition; released training recipe


def released_flow_loss(
    velocity: Float[Tensor, "B K H D"],
    wanted: Float[Tensor, "B K H D"],
    rows: Bool[Tensor, "B H"] | None,
    channels: Bool[Tensor, "B D"] | None,
) -> Float[Tensor, ""]:
    """Mean squared error as the released training counts it.

    Padded rows (`rows` False) are zeroed but still counted, so that short chunks weigh less; padded channels are not
    counted.
    """
    error = (velocity - wanted).square()
    if rows is not None:
        error = error * rows[:, None, :, None]
    if channels is None:
        return error.mean()
    real = channels[:, None, None, :].to(error.dtype)
    return ((error * real).sum(-1) / real.sum(-1).clamp(min=1.0)).mean()


def flow_loss(
    velocity: Float[Tensor, "B K H D"],
    wanted: Float[Tensor, "B K H D"],
    rows: Bool[Tensor, "B H"] | None,
    channels: Bool[Tensor, "B D"] | None,
) -> Float[Tensor, ""]:
    """Mean squared error over real rows and channels alone."""
    real = torch.ones_like(velocity)
    if rows is not None:
        real = real * rows[:, None, :, None]
    if channels is not None:
        real = real * channels[:, None, None, :]
    return ((velocity - wanted).square() * real).sum() / real.sum().clamp(min=1.0)


def token_loss(
    hidden: Float[Tensor, "B S d"], head: Float[Tensor, "V d"], labels: Int[Tensor, "B S"], *, by_root: bool = False
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Next-token cross-entropy and mean squared log-partition (to be weighed by `Z_LOSS`), in fp32.

    Args:
        hidden: after the final norm.
        head: rows of the output head.
        labels: the sequence's own ids where they are to be learned, `IGNORED` elsewhere; position s predicts label s
            + 1.
        by_root: weigh each token of an example by 2/sqrt(number of its learned tokens) instead of equally.

    Raises:
        InputError: when no position is to be learned.
    """
    following = functional.pad(labels, (0, 1), value=IGNORED)[:, 1:]
    learned = following != IGNORED
    if not bool(learned.any()):
        raise InputError("labels: got none to learn, allowed is one or more; mark the tokens the model should write")
    logits = functional.linear(hidden[learned], head).float()
    partition = logits.logsumexp(-1)
    error = partition - logits.gather(-1, following[learned][:, None])[:, 0]
    counts = learned.sum(1, keepdim=True).float()
    weights = torch.where(learned, 2.0 / counts.clamp(min=1.0).sqrt() if by_root else 1.0, 0.0)[learned]
    total = weights.sum().clamp(min=1.0)
    return torch.dot(error, weights) / total, torch.dot(partition.square(), weights) / total


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """What a batch of prompts should have led to.

    Attributes:
        actions: (B, H, D) normalised chunks, padded to the model's width.
        noise: (B, K, H, D) where each of K flow paths starts.
        t: (B, K) flow times.
        rows: (B, H) False at rows beyond the end of an episode; None where there are none.
        channels: (B, D) False at channels the robot does not have; None where it has all.
        labels: (B, S) token ids to learn, `IGNORED` elsewhere; None learns no tokens.
    """

    actions: Float[Tensor, "B H D"]
    noise: Float[Tensor, "B K H D"]
    t: Float[Tensor, "B K"]
    rows: Bool[Tensor, "B H"] | None = None
    channels: Bool[Tensor, "B D"] | None = None
    labels: Int[Tensor, "B S"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Losses:
    """The parts of one batch's loss, and the velocities (B, K, H, D) behind the first; absent parts are None."""

    flow: Float[Tensor, ""]
    tokens: Float[Tensor, ""] | None
    z: Float[Tensor, ""] | None
    velocity: Float[Tensor, "B K H D"]

    @property
    def total(self) -> Float[Tensor, ""]:
        """Flow, tokens and `Z_LOSS` of the log-partition, summed."""
        total = self.flow
        for part, weight in ((self.tokens, 1.0), (self.z, Z_LOSS)):
            total = total if part is None else total + weight * part
        return total


def learn(model: MolmoAct2, prompt: Prompt, lesson: Lesson, *, insulated: bool = False) -> Losses:
    """Losses of a batch from one pass of the decoder, which K noisy chunks per sample share.

    Args:
        model: being trained.
        prompt: what was seen and told, and what should have been written.
        lesson: what should have come of it.
        insulated: the flow loss does not reach the decoder (knowledge insulation, arXiv 2505.23705).
    """
    cache = GrowingCache(model.config.text.layers)
    hidden = model.read(prompt, cache)
    pairs = [(k.detach(), v.detach()) for k, v in cache.pairs()] if insulated else cache.pairs()
    context = model.context(prompt.ids, prompt.valid, pairs)

    actions, noise = lesson.actions, lesson.noise
    if lesson.channels is not None and model.config.mask_padding:
        actions = actions * lesson.channels[:, None, :]
        noise = noise * lesson.channels[:, None, None, :]
    count = noise.shape[1]
    x, wanted = path(actions[:, None].expand_as(noise), noise, lesson.t)
    rows = None if lesson.rows is None else lesson.rows.repeat_interleave(count, 0)
    velocity = model.expert.velocity(x.flatten(0, 1), lesson.t.flatten(), context, rows).unflatten(0, (-1, count))
    channels = lesson.channels if model.config.mask_padding else None
    flow = released_flow_loss(velocity, wanted, lesson.rows, channels)
    if lesson.labels is None:
        return Losses(flow=flow, tokens=None, z=None, velocity=velocity)
    tokens, z = token_loss(hidden, model.lm_head.weight, lesson.labels)
    return Losses(flow=flow, tokens=tokens, z=z, velocity=velocity)
