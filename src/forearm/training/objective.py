"""What the small reasoner is taught, stage by stage.

Each stage learns from its own label, with no gradient into the stage before it. What a stage is given is half the
truth, blurred, and half what the model itself decided, so that it can work from either; a decision that contradicts the
demonstration is never given, because that would teach the next stage to distrust its plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from forearm.model.act import ACT
from forearm.model.action_expert import Context
from forearm.model.flow import path, sample_times
from forearm.model.layers import bf16_is_emulated
from forearm.model.reactive import Reactive
from forearm.model.reasoner import LENGTH_M, Reading, Reasoner
from forearm.training.batch import Batch

POINT_BLUR = 0.008  # share of the image, standard deviation: about 7 mm on the table
POINT_TRUST = 0.05  # share of the image: a decided point further off than this contradicts the demonstration
TRACE_BLUR_M = (0.007, 0.003)  # m, standard deviation for a whole arm, and for each waypoint
TRACE_TRUST_M = 0.04  # m, likewise for a decided waypoint
OPENING_BLUR = 0.03
STYLE_WEIGHT = 10.0  # of the divergence of an ACT's styles: Zhao et al. 2023 (arXiv 2304.13705), table III


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much each loss counts; `noises` chunks of noise share one reading of a sample."""

    depth: float = 0.1
    point: float = 0.3
    offset: float = 0.3
    subtask: float = 0.05
    name: float = 0.1
    trace: float = 2.0
    flow: float = 1.0
    noises: int = 2


def cells_of(points: Float[Tensor, "B arms 2"], side: int) -> Int[Tensor, "B arms"]:
    """The grid cell of each point (fractions of the image), `side * side` for none."""
    column, row = (points.nan_to_num().clamp(0, 1 - 1e-6) * side).long().unbind(-1)
    return torch.where(points.isnan().any(-1), side * side, row * side + column)


def _either(first: Tensor, second: Tensor, choose_first: Tensor) -> Tensor:
    """`first` for the samples (B, ...) where `choose_first` (B, arms) holds, else `second`."""
    return torch.where(choose_first.view(*choose_first.shape, *[1] * (first.ndim - choose_first.ndim)), first, second)


def losses(model: Reasoner, batch: Batch, weights: Weights, generator: torch.Generator) -> dict[str, Tensor]:
    """Every loss by name, unweighted, and their weighted sum as "total"; "chunk" etc. are figures for people."""
    with _precision(batch):
        return _losses(model, batch, weights, generator)


def _precision(batch: Batch) -> torch.autocast:
    """bf16 where a CPU multiplies it: there it saves time; an accelerator waits for the next kernel in any case."""
    on_cpu = batch.actions.device.type == "cpu"
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=on_cpu and not bf16_is_emulated())


def _losses(model: Reasoner, batch: Batch, weights: Weights, generator: torch.Generator) -> dict[str, Tensor]:
    cache = model.new_cache()
    reading = model.read(batch.sight, cache, batch.names)
    found = _reading_losses(model, reading, batch)
    points, codes = _given_points(model, reading, batch, generator), _given_codes(reading, batch, generator)
    traces = model.plan(codes, points, batch.tools, cache)
    error = traces - batch.traces
    found["trace"] = F.smooth_l1_loss(
        error[..., :3] / LENGTH_M, torch.zeros_like(error[..., :3]), beta=0.02
    ) + 0.25 * F.smooth_l1_loss(error[..., 3], torch.zeros_like(error[..., 3]), beta=0.05)
    model.commit(_given_traces(traces.detach(), batch, generator), batch.tools, cache)
    errors = _flow_errors(model, model.context(cache), batch.actions, weights.noises, generator)
    found["flow"] = errors.mean()
    found["total"] = sum((getattr(weights, name) * value for name, value in found.items()), batch.actions.new_zeros(()))
    with torch.no_grad():
        found["trace_mm"] = error[..., :3].norm(dim=-1).mean() * 1e3
    return found


def reactive_losses(model: Reactive, batch: Batch, weights: Weights, generator: torch.Generator) -> dict[str, Tensor]:
    """The flow's loss alone, which is also the "total": there is no reasoning to teach.

    A sample with another sentence than its demonstration's does not count: nothing was demonstrated for it.
    """
    with _precision(batch):
        own = (batch.subtask >= 0).repeat_interleave(weights.noises)
        context = model.context(batch.sight)
        apart = _flow_errors(model, context, batch.actions, weights.noises, generator).mean((1, 2))
        flow = (apart * own).sum() / own.sum().clamp(min=1)
    return {"flow": flow, "total": flow}


def act_losses(model: ACT, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
    """The mean absolute error of the chunks, the divergence of their styles in nats, and the "total" of the two.

    As for the model without reasoning, a sample with another sentence than its demonstration's does not count.
    """
    with _precision(batch):
        own = batch.subtask >= 0
        share = own / own.sum().clamp(min=1)
        style = model.style(batch.sight.state, batch.actions)
        noise = torch.randn(style.mean.shape, generator=generator, device=style.mean.device)
        chunks = model.chunk(batch.sight, style.mean + (0.5 * style.log_variance).exp() * noise)
        l1 = ((chunks.float() - batch.actions).abs().mean((1, 2)) * share).sum()
        divergence = (style.divergence() * share).sum()
    return {"l1": l1, "divergence": divergence, "total": l1 + STYLE_WEIGHT * divergence}


def _reading_losses(model: Reasoner, reading: Reading, batch: Batch) -> dict[str, Tensor]:
    side = model.point_head.cells_side
    truth = cells_of(batch.asked, side)
    depth = _mean_known(reading.depth.float().flatten(0, 1), batch.codes.flatten())
    point = F.cross_entropy(reading.points.float().flatten(0, 1), truth.flatten())
    exists = truth < side * side
    # The offset is learned from the cell that would be chosen when that is the right one or its neighbour.
    asked = _chosen_if_near(reading.points[..., :-1], truth, side)
    offset = _mean_apart(model.point_head.place(reading.questions, reading.keys, asked), batch.asked, side)
    if model.closer is not None and reading.part_keys is not None:
        side = model.closer.parts_side
        part = cells_of(batch.asked, side)
        scores = model.closer.scores(reading.questions, reading.part_keys, asked)
        point = point + _mean_known(scores.flatten(0, 1), torch.where(exists, part, -1).flatten())
        asked = _chosen_if_near(scores, part, side)
        closer = model.point_head.place(reading.questions, reading.part_keys, asked)
        offset = offset + _mean_apart(closer, batch.asked, side)
    subtask = _mean_known(reading.subtask.float(), batch.subtask)
    found = {"depth": depth, "point": point, "offset": offset, "subtask": subtask}
    if reading.names is not None:
        found["name"] = _mean_known(reading.names.float().flatten(0, 1), batch.names.flatten())
    return found


def _chosen_if_near(
    scores: Float[Tensor, "B arms cells"], truth: Int[Tensor, "B arms"], side: int
) -> Int[Tensor, "B arms"]:
    """The likeliest cells of a grid where they are the right ones or next to them, else the right ones."""
    chosen = scores.argmax(-1)
    rows, columns = chosen // side - truth // side, chosen % side - truth % side
    return torch.where(torch.maximum(rows.abs(), columns.abs()) <= 1, chosen, truth)


def _mean_apart(places: Float[Tensor, "B arms 2"], asked: Float[Tensor, "B arms 2"], side: int) -> Float[Tensor, ""]:
    """How far the places are from those asked for, where there are any, in cells of a grid."""
    exists = ~asked.isnan().any(-1)
    apart = ((places - asked.nan_to_num()) * side).abs().sum(-1)
    return (apart * exists).sum() / exists.sum().clamp(min=1)


def _mean_known(logits: Float[Tensor, "N C"], labels: Int[Tensor, " N"]) -> Float[Tensor, ""]:
    """Mean cross-entropy over the labels that are not -1; zero, not NaN, where there are none."""
    return F.cross_entropy(logits, labels, ignore_index=-1, reduction="sum") / (labels >= 0).sum().clamp(min=1)


@torch.no_grad()
def _given_points(model: Reasoner, reading: Reading, batch: Batch, generator: torch.Generator) -> Tensor:
    truth = batch.points + POINT_BLUR * torch.randn(batch.points.shape, generator=generator, device=batch.points.device)
    decided = model.points(reading, reading.points.argmax(-1))
    apart = (decided - batch.points).abs().amax(-1)
    agrees = torch.where(batch.points.isnan().any(-1), decided.isnan().any(-1), apart < POINT_TRUST)
    use = agrees & (torch.rand(len(truth), 1, generator=generator, device=truth.device) < 0.5)
    return _either(decided, truth, use)


@torch.no_grad()
def _given_codes(reading: Reading, batch: Batch, generator: torch.Generator) -> Tensor:
    decided = reading.depth.argmax(-1)
    use_truth = (torch.rand(len(decided), 1, generator=generator, device=decided.device) < 0.5) & (batch.codes >= 0)
    return torch.where(use_truth, batch.codes, decided)


@torch.no_grad()
def _given_traces(decided: Tensor, batch: Batch, generator: torch.Generator) -> Tensor:
    shift = batch.followed - batch.traces
    for_arm, for_waypoint = TRACE_BLUR_M
    shape, device = batch.followed.shape, batch.followed.device
    blur = torch.randn(shape, generator=generator, device=device) * for_waypoint
    blur[..., :3] += torch.randn((*shape[:2], 1, 3), generator=generator, device=device) * for_arm
    blur[..., 3] *= OPENING_BLUR / for_waypoint
    apart = (decided - batch.traces)[..., :3].norm(dim=-1).amax(-1)
    use = (apart < TRACE_TRUST_M) & (torch.rand(shape[0], 1, generator=generator, device=device) < 0.5)
    return _either(decided + shift, batch.followed + blur, use)


def _flow_errors(
    model: Reasoner | Reactive, context: Context, actions: Tensor, noises: int, generator: torch.Generator
) -> Float[Tensor, "N H J"]:
    """Squared errors of the velocities at `noises` points for each sample."""
    actions = actions.repeat_interleave(noises, 0)
    noise = torch.randn(actions.shape, generator=generator, device=actions.device)
    times = sample_times((len(actions),), model.config.flow, generator, actions.device)
    x, velocity = path(actions, noise, times)
    return F.mse_loss(model.expert.velocity(x, times, context).float(), velocity, reduction="none")
