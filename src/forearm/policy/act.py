"""An Action Chunking Transformer as a policy: no plan, only a chunk, the middle of the prior for its style."""

from __future__ import annotations

import time

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from forearm.messages import Decision, Request
from forearm.model.act import ACT, LATENT
from forearm.model.checkpoint import Checkpoint
from forearm.policy.acting import chunk_of
from forearm.policy.seeing import see


class ACTPolicy:
    """A checkpoint that acts; what its authors' averaging adds is `ensembling.Ensembling`. One thread at a time."""

    def __init__(self, checkpoint: Checkpoint[ACT]) -> None:
        self._checkpoint = checkpoint
        self._seed = 0

    @property
    def name(self) -> str:
        return f"{self._checkpoint.recipe.get('recipe', {}).get('name', 'act')}"

    @property
    def model_digest(self) -> str:
        return self._checkpoint.digest

    def reset(self, *, seed: int) -> None:
        self._seed = seed

    @torch.inference_mode()
    def decide(self, request: Request) -> Decision:
        observation, scales = request.observation, self._checkpoint.scales
        started = time.perf_counter()
        sight, positions, _ = see(observation, self._checkpoint.words, scales)
        actions = self._checkpoint.model.chunk(sight, style_for(request, self._seed))
        return Decision(
            sequence=observation.sequence,
            epoch=observation.epoch,
            plan=None,
            chunk=chunk_of(scales.decode(actions.numpy(), positions)[0], observation),
            latency_s=time.perf_counter() - started,
            model_digest=self.model_digest,
        )


def style_for(request: Request, seed: int) -> Float[Tensor, "1 latent"]:
    """Zeros, as published; where that answer was refused another draw of the prior, or it would be given for ever."""
    if request.attempt == 0:
        return torch.zeros(1, LATENT)
    rng = np.random.default_rng((seed, request.observation.sequence, request.attempt))
    return torch.from_numpy(rng.standard_normal((1, LATENT), dtype=np.float32))
