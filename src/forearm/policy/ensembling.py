"""Policies that are not told what the arms follow: each chunk is a new one, jumped to or averaged with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forearm.messages import ActionChunk, Decision, Request
from forearm.policy.continuation import row_times_ns, rows_at
from forearm.policy.interface import Policy

OLDEST_FIRST = 0.01  # weights exp(-0.01 i) from the oldest chunk on: Zhao et al. 2023 (arXiv 2304.13705), section IV.C


def ensemble(chunks: Sequence[ActionChunk]) -> ActionChunk:
    """The newest chunk, each row averaged with what the others, oldest first, say about the same instant."""
    newest = chunks[-1]
    times_ns = row_times_ns(newest.stamp_ns, newest.period_s, len(newest.positions))
    weights = np.stack([_covers(chunk, times_ns) for chunk in chunks]).astype(np.float64)
    # The oldest that still has a say about a row weighs 1 there.
    weights *= np.exp(-OLDEST_FIRST * (np.cumsum(weights, axis=0) - 1.0))
    rows = np.stack([rows_at(chunk, times_ns) for chunk in chunks])
    return replace(newest, positions=(rows * weights[..., None]).sum(0) / weights.sum(0)[:, None])


class Splicing:
    """A policy that is never told what is being followed: each chunk is a new one, and the arms jump over to it.

    It takes the arms to stand only where they do.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.name = policy.name
        self.model_digest = policy.model_digest

    def reset(self, *, seed: int) -> None:
        self._policy.reset(seed=seed)

    def decide(self, request: Request) -> Decision:
        told = request if request.following is None else replace(request, following=None, delay_s=0.0)
        return self._policy.decide(told)


class Ensembling:
    """A policy that is never told what is being followed, and averages its chunks where they overlap.

    A refused chunk is averaged with nothing: what comes after a refusal begins anew.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = Splicing(policy)
        self._chunks: list[ActionChunk] = []
        self.name = policy.name
        self.model_digest = policy.model_digest

    def reset(self, *, seed: int) -> None:
        self._chunks = []
        self._policy.reset(seed=seed)

    def decide(self, request: Request) -> Decision:
        decision = self._policy.decide(request)
        if request.following is None or request.attempt > 0:
            self._chunks = []
        self._chunks = [each for each in self._chunks if _end_ns(each) > decision.chunk.stamp_ns] + [decision.chunk]
        return replace(decision, chunk=ensemble(self._chunks))


def _end_ns(chunk: ActionChunk) -> int:
    return int(row_times_ns(chunk.stamp_ns, chunk.period_s, len(chunk.positions))[-1])


def _covers(chunk: ActionChunk, times_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (times_ns > chunk.stamp_ns) & (times_ns <= _end_ns(chunk))
