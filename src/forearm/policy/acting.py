"""What a model's actions come to: a chunk of joint targets in the robot's units, or an error."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from forearm.errors import ModelError
from forearm.messages import ActionChunk, Observation

PERIOD_S = 0.1  # s, between rows of a small model's chunk: what the demonstrations were recorded at


def chunk_of(rows: NDArray[np.float32], observation: Observation, period_s: float = PERIOD_S) -> ActionChunk:
    """The chunk that answers the observation.

    Args:
        rows: (H, J) joint targets.
        observation: what they answer.
        period_s: s, between them.

    Raises:
        ModelError: when they are not finite.
    """
    if not np.isfinite(rows).all():
        raise ModelError("action chunk: got values that are not finite; the weights are damaged, install them again")
    return ActionChunk(stamp_ns=observation.stamp_ns, period_s=period_s, positions=rows.astype(np.float64))


@contextmanager
def timed(timings_s: dict[str, float], part: str) -> Generator[None]:
    """Notes how long a part of a decision takes."""
    started = time.perf_counter()
    yield
    timings_s[part] = time.perf_counter() - started
