"""The action reasoning model as a policy: it says what it sees and will do, and gives the chunk that does it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from forearm.data.labels import TRACE_TICKS
from forearm.messages import Decision, Observation, Plan, Request
from forearm.model import checkpoint
from forearm.model.attention import Cache
from forearm.model.checkpoint import Checkpoint
from forearm.model.depth_codes import code_metres
from forearm.model.flow import sample
from forearm.model.layout import POINT_QUERY, TOP
from forearm.model.reasoner import Reading, Reasoner
from forearm.policy.acting import PERIOD_S, chunk_of, timed
from forearm.policy.continuation import continuation
from forearm.policy.noise import noise_for
from forearm.policy.seeing import see

Floats = NDArray[np.float64]
Edit = Callable[[Observation, Floats], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervention:
    """Changes to the plan between reasoning and acting: to test that it causes the action, or to let a person edit it.

    Attributes:
        point: new points (A, 2) from the decided ones, before the trace is planned.
        trace: new waypoints (A, W, 4) in m and opening from the planned ones, before the arms follow them.
        stated_point: new points (A, 2) after the trace is planned: the arms cannot know of them.
        erase_plan: the action expert sees no trace at all.
    """

    point: Edit | None = None
    trace: Edit | None = None
    stated_point: Edit | None = None
    erase_plan: bool = False


class ReasoningPolicy:
    """A checkpoint that decides. Not for several threads at once."""

    def __init__(
        self,
        checkpoint: Checkpoint[Reasoner],
        *,
        intervention: Intervention | None = None,
        flow_steps: int | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._intervention = intervention or Intervention()
        self._steps = flow_steps or checkpoint.model.config.flow.steps
        self._seed = 0

    @classmethod
    def load(cls, folder: Path | None = None, *, intervention: Intervention | None = None) -> ReasoningPolicy:
        """From a checkpoint folder, or the weights that come with the package.

        Raises:
            CheckpointError: when the checkpoint is missing or corrupt.
        """
        return cls(checkpoint.read(folder or checkpoint.SHIPPED), intervention=intervention)

    @property
    def name(self) -> str:
        return f"{self._checkpoint.recipe.get('recipe', {}).get('name', 'reasoner')}"

    @property
    def model_digest(self) -> str:
        return self._checkpoint.digest

    @property
    def recipe(self) -> dict[str, object]:
        """What made the weights."""
        return dict(self._checkpoint.recipe)

    @property
    def instructions(self) -> tuple[str, ...]:
        """Every sentence it was taught."""
        return self._checkpoint.words.instructions

    def reset(self, *, seed: int) -> None:
        self._seed = seed

    @torch.inference_mode()
    def decide(self, request: Request) -> Decision:
        observation = request.observation
        model, scales, edit = self._checkpoint.model, self._checkpoint.scales, self._intervention
        timings: dict[str, float] = {}
        started = time.perf_counter()
        with timed(timings, "inputs"):
            sight, positions, tools = see(observation, self._checkpoint.words, scales)
            before = continuation(request, period_s=PERIOD_S, rows=model.config.expert.horizon)
        cache = model.new_cache()
        with timed(timings, "read"):
            reading = model.read(sight, cache)
            features = seen_as(model, cache)
            codes, cells = reading.depth.argmax(-1), model.point_head.choose(reading.points)
            points = model.points(reading, cells)
            if edit.point is not None:
                points = _edited(edit.point, observation, points)
        with timed(timings, "plan"):
            traces = before.led(model.plan(codes, points, tools, cache), TRACE_TICKS)
            if edit.trace is not None:
                traces = _edited(edit.trace, observation, traces)
            if edit.stated_point is not None:
                points = _edited(edit.stated_point, observation, points)
        with timed(timings, "commit"):
            model.commit(traces, tools, cache, erased=edit.erase_plan)
            context = model.context(cache)
        with timed(timings, "flow"):
            noise = noise_for(request, self._seed, model.config.expert)
            known = before.known_rows(scales.encode(before.rows[None].astype(np.float32), positions))
            actions = sample(model.expert, context, noise, self._steps, known=known)
        return Decision(
            sequence=observation.sequence,
            epoch=observation.epoch,
            plan=self._plan(reading, codes, points, traces, before.times_s(TRACE_TICKS, PERIOD_S)),
            chunk=before.after_standing(chunk_of(scales.decode(actions.numpy(), positions)[0], observation)),
            latency_s=time.perf_counter() - started,
            model_digest=self.model_digest,
            timings_s=timings,
            features=features,
        )

    def _plan(
        self, reading: Reading, codes: torch.Tensor, points: torch.Tensor, traces: torch.Tensor, times_s: Floats
    ) -> Plan:
        chances = torch.cat([reading.depth.softmax(-1).amax(-1)[0], reading.points.softmax(-1).amax(-1)[0]])
        side = self._checkpoint.model.point_head.cells_side
        waypoints = traces[0].double().numpy()
        return Plan(
            subtask=self._checkpoint.words.subtasks[int(reading.subtask[0].argmax())],
            depth_tokens=codes[0].numpy(),
            depth_map=code_metres()[codes[0].numpy()].reshape(side, side),
            points=points[0].double().numpy(),
            trace=waypoints[..., :3],
            trace_grippers=np.clip(waypoints[..., 3], 0.0, 1.0),
            trace_times_s=times_s,
            confidence=float(chances.mean()),
            names=self._names(reading),
        )

    def _names(self, reading: Reading) -> tuple[str, ...]:
        if reading.names is None:
            return ()
        words = ("", *self._checkpoint.words.vocabulary)
        return tuple(words[said] for said in reading.names[0].argmax(-1).tolist())


def seen_as(model: Reasoner, cache: Cache) -> Floats:
    """(F,) what the model has made of the observation once it was read: keys of the decoder's last layer.

    The mean over the image's tokens beside the mean over the point queries: what is there, and what is asked of it.
    """
    keys, _ = cache.pairs()[-1]
    pooled = [keys[0, model.layout.span(group)].mean(0) for group in (TOP, POINT_QUERY)]
    return torch.cat(pooled).double().numpy()


def _edited(edit: Edit, observation: Observation, values: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(edit(observation, values[0].double().numpy()))[None].to(values.dtype)
