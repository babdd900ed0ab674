"""The model without reasoning as a policy: no plan, only a chunk. What reasoning is compared with."""

from __future__ import annotations

import time

import numpy as np
import torch

from forearm.messages import Decision, Request
from forearm.model.checkpoint import Checkpoint
from forearm.model.flow import sample
from forearm.model.reactive import Reactive
from forearm.policy.acting import PERIOD_S, chunk_of
from forearm.policy.continuation import continuation
from forearm.policy.noise import noise_for
from forearm.policy.seeing import see


class ReactivePolicy:
    """A checkpoint that acts. Not for several threads at once."""

    def __init__(self, checkpoint: Checkpoint[Reactive]) -> None:
        self._checkpoint = checkpoint
        self._seed = 0

    @property
    def name(self) -> str:
        return f"{self._checkpoint.recipe.get('recipe', {}).get('name', 'reactive')}"

    @property
    def model_digest(self) -> str:
        return self._checkpoint.digest

    def reset(self, *, seed: int) -> None:
        self._seed = seed

    @torch.inference_mode()
    def decide(self, request: Request) -> Decision:
        observation, model, scales = request.observation, self._checkpoint.model, self._checkpoint.scales
        started = time.perf_counter()
        sight, positions, _ = see(observation, self._checkpoint.words, scales)
        noise = noise_for(request, self._seed, model.config.expert)
        before = continuation(request, period_s=PERIOD_S, rows=model.config.expert.horizon)
        known = before.known_rows(scales.encode(before.rows[None].astype(np.float32), positions))
        actions = sample(model.expert, model.context(sight), noise, model.config.flow.steps, known=known)
        return Decision(
            sequence=observation.sequence,
            epoch=observation.epoch,
            plan=None,
            chunk=before.after_standing(chunk_of(scales.decode(actions.numpy(), positions)[0], observation)),
            latency_s=time.perf_counter() - started,
            model_digest=self.model_digest,
        )
