"""What a small model's actions come to: a chunk of joint targets in the robot's units, or an error."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from forearm.errors import ModelError
from forearm.messages import ActionChunk, Observation
from forearm.model.sight import Scales

PERIOD_S = 0.1  # s, between rows of a chunk: what the demonstrations were recorded at


def chunk_of(
    actions: Float[torch.Tensor, "1 H J"], observation: Observation, positions: NDArray[np.float32], scales: Scales
) -> ActionChunk:
    """The chunk that answers the observation, from actions in network units.

    Args:
        actions: of the model.
        observation: what they answer.
        positions: (1, J) that they are relative to.
        scales: of the model.

    Raises:
        ModelError: when they are not finite.
    """
    rows = scales.decode(actions.numpy(), positions)[0].astype(np.float64)
    if not np.isfinite(rows).all():
        raise ModelError("action chunk: got values that are not finite; the weights are damaged, install them again")
    return ActionChunk(stamp_ns=observation.stamp_ns, period_s=PERIOD_S, positions=rows)
