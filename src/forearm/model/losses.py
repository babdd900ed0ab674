"""What training minimises: the flow loss, the token loss, and both from one pass of the decoder.

The released objective: flow, cross-entropy of the tokens that the decoder should write, and `Z_LOSS` of their squared
log-partition, summed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from forearm.model.action_expert import Context
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


def token_errors(
    hidden: Float[Tensor, "n d"], head: Float[Tensor, "V d"], wanted: Int[Tensor, " n"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Cross-entropy and squared log-partition of every token, in fp32.

    Args:
        hidden: after the final norm, at the position before each token.
        head: rows of the output head.
        wanted: ids that should be written; none are no error.
    """
    logits = functional.linear(hidden, head).float()
    partition = logits.logsumexp(-1)
    return partition - logits.gather(-1, wanted[:, None])[:, 0], partition.square()


def root_weights(labels: Int[Tensor, "B S"]) -> Float[Tensor, "B S"]:
    """What each label counts for in the released recipe: 2/√n, of an example that has n of them; 0 where none is."""
    learned = labels != IGNORED
    return learned * 2.0 / learned.sum(1, keepdim=True).clamp(min=1).sqrt()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """What a batch of prompts should have led to.

    Attributes:
        actions: (B, H, D) normalised chunks, padded to the model's width.
        noise: (B, K, H, D) where each of K flow paths starts.
        t: (B, K) flow times.
        rows: (B, H) False at rows beyond the end of an episode; None where there are none.
        channels: (B, D) False at channels the robot does not have; None where it has all.
        labels: (B, S) token ids to write, `IGNORED` elsewhere; position s predicts label s + 1. None learns no tokens.
        weights: (B, S) what each label counts for, summed over and not divided by anything; None takes their mean.
    """

    actions: Float[Tensor, "B H D"]
    noise: Float[Tensor, "B K H D"]
    t: Float[Tensor, "B K"]
    rows: Bool[Tensor, "B H"] | None = None
    channels: Bool[Tensor, "B D"] | None = None
    labels: Int[Tensor, "B S"] | None = None
    weights: Float[Tensor, "B S"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Losses:
    """The parts of one batch's loss; absent parts are None.

    Attributes:
        flow: of the action expert.
        tokens: cross-entropy of what the decoder should write.
        depth: the part of `tokens` that depth codes and the marks around them are.
        z: squared log-partition, not yet weighed.
        velocity: (B, K, H, D) behind the flow loss.
    """

    flow: Float[Tensor, ""]
    tokens: Float[Tensor, ""] | None
    depth: Float[Tensor, ""] | None
    z: Float[Tensor, ""] | None
    velocity: Float[Tensor, "B K H D"]

    @property
    def total(self) -> Float[Tensor, ""]:
        """What is minimised: flow, tokens and `Z_LOSS` of the squared log-partition, summed."""
        if self.tokens is None or self.z is None:
            return self.flow
        return self.flow + self.tokens + Z_LOSS * self.z

    @property
    def figures(self) -> dict[str, Float[Tensor, ""]]:
        """The total and every part that there is, by name."""
        parts = {"flow": self.flow, "tokens": self.tokens, "depth": self.depth, "z": self.z}
        return {"total": self.total} | {name: each for name, each in parts.items() if each is not None}


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
    flow, velocity = _flow(model, model.context(prompt.ids, prompt.valid, pairs), lesson)
    if lesson.labels is None:
        return Losses(flow=flow, tokens=None, depth=None, z=None, velocity=velocity)

    following = functional.pad(lesson.labels, (0, 1), value=IGNORED)[:, 1:]
    learned = following != IGNORED
    wanted = following[learned]
    errors, squares = token_errors(hidden[learned], model.lm_head.weight, wanted)
    if lesson.weights is None:
        weights = torch.full_like(errors, 1.0 / max(len(wanted), 1))
    else:
        weights = functional.pad(lesson.weights, (0, 1))[:, 1:][learned]
    return Losses(
        flow=flow,
        tokens=torch.dot(errors, weights),
        depth=None if model.config.depth is None else torch.dot(errors, weights * model.depth_related(wanted)),
        z=torch.dot(squares, weights),
        velocity=velocity,
    )


def _flow(model: MolmoAct2, context: Context, lesson: Lesson) -> tuple[Float[Tensor, ""], Float[Tensor, "B K H D"]]:
    """The flow loss and the velocities behind it."""
    actions, noise = lesson.actions, lesson.noise
    if lesson.channels is not None and model.config.mask_padding:
        actions = actions * lesson.channels[:, None, :]
        noise = noise * lesson.channels[:, None, None, :]
    count = noise.shape[1]
    x, wanted = path(actions[:, None].expand_as(noise), noise, lesson.t)
    rows = None if lesson.rows is None else lesson.rows.repeat_interleave(count, 0)
    velocity = model.expert.velocity(x.flatten(0, 1), lesson.t.flatten(), context, rows).unflatten(0, (-1, count))
    channels = lesson.channels if model.config.mask_padding else None
    return released_flow_loss(velocity, wanted, lesson.rows, channels), velocity
