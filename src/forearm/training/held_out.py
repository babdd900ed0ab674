"""How well a checkpoint reasons about episodes it never learned from, open loop: depth, points, trace, chunk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from forearm.model.checkpoint import Checkpoint
from forearm.model.depth_codes import code_metres
from forearm.model.flow import sample
from forearm.model.reasoner import Reasoner
from forearm.training.batch import Lessons
from forearm.training.objective import cells_of

BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoop:
    """Errors over held-out ticks.

    Attributes:
        ticks: how many.
        depth_mm: median error of the predicted depth map against the measured depth, mm.
        point_cells: share of points in the right cell (or rightly none).
        point_px: median distance of a point that exists, px of the main image.
        trace_mm: mean distance of a waypoint, mm.
        chunk_rad: mean error of a joint target, rad.
    """

    ticks: int
    depth_mm: float
    point_cells: float
    point_px: float
    trace_mm: float
    chunk_rad: float


@torch.inference_mode()
def open_loop(
    checkpoint: Checkpoint[Reasoner], lessons: Lessons, ticks: NDArray[np.int64], *, seed: int = 0
) -> OpenLoop:
    """Decides at each tick as a policy would, and compares with the demonstration."""
    model, scales, side = checkpoint.model, checkpoint.scales, checkpoint.model.point_head.cells_side
    metres = torch.from_numpy(code_metres())
    rng = np.random.default_rng(seed)
    depth, cells, pixels, trace, chunk = [], [], [], [], []
    for first in range(0, len(ticks), BATCH):
        batch = lessons.batch(ticks[first : first + BATCH], rng)
        cache = model.new_cache()
        reading = model.read(batch.sight, cache)
        codes, chosen = reading.depth.argmax(-1), model.point_head.choose(reading.points)
        points = model.points(reading, chosen)
        traces = model.plan(codes, points, batch.tools, cache)
        model.commit(traces, batch.tools, cache)
        expert = model.config.expert
        noise = torch.from_numpy(rng.standard_normal((len(codes), expert.horizon, expert.action_dim), dtype=np.float32))
        actions = sample(model.expert, model.context(cache), noise, model.config.flow.steps)
        depth.append((metres[codes] - batch.depth).abs()[batch.codes >= 0])
        cells.append((chosen == cells_of(batch.asked, side)).float().flatten())
        apart = ((points - batch.asked) * model.config.top_side).norm(dim=-1)
        pixels.append(apart[apart.isfinite()])
        trace.append((traces - batch.traces)[..., :3].norm(dim=-1).flatten())
        chunk.append(((actions - batch.actions) * torch.from_numpy(scales.chunk_std)).abs().flatten())
    return OpenLoop(
        ticks=len(ticks),
        depth_mm=float(torch.cat(depth).median()) * 1e3,
        point_cells=float(torch.cat(cells).mean()),
        point_px=float(torch.cat(pixels).median()),
        trace_mm=float(torch.cat(trace).mean()) * 1e3,
        chunk_rad=float(torch.cat(chunk).mean()),
    )
