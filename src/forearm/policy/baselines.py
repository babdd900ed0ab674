"""Policies without a model: what the machinery is tried with, and what the model is compared to.

Invariant: none of them looks at an image, so whatever they achieve says nothing about seeing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from forearm.cell.setup import Setup
from forearm.cell.solver import TICK_S, Performance
from forearm.clock import NANOSECONDS
from forearm.errors import InputError, InstructionError
from forearm.messages import ActionChunk, Decision, Floats, Observation, Request

PERIOD_S = TICK_S  # s, between rows of a chunk, as the solver makes them
ROWS = 16  # of a chunk: 1.6 s, the model's horizon


class Hold:
    """Stays where it is: the floor of every comparison."""

    name = "hold"
    model_digest = ""

    def reset(self, *, seed: int) -> None:
        """Nothing to forget."""

    def decide(self, request: Request) -> Decision:
        return _decision(request.observation, np.tile(request.observation.positions, (ROWS, 1)))


class Demonstrator:
    """Does what the scripted solver did in a rehearsal of the same scene: the ceiling, blind to what really happens.

    Args:
        rows: (T, J) targets, row t to be reached `period_s * (t + 1)` after the first decision's observation; T ≥ 1.
    """

    name = "demonstrator"
    model_digest = ""

    def __init__(self, rows: Floats) -> None:
        self._rows = rows
        self._begun_ns: int | None = None

    @classmethod
    def rehearse(cls, setup: Setup) -> Demonstrator:
        """The policy for this very scene, rehearsed without noise in a cell of its own; about 0.3 s.

        Raises:
            InstructionError: when the setup's sentence is not its task's.
        """
        performance = Performance(setup, seed=setup.seed, speed=1.0, noise_amplitude=0.0)
        return cls(np.stack([tick.target for tick in performance.ticks()]))

    def reset(self, *, seed: int) -> None:
        """Begins again at the next decision."""
        self._begun_ns = None

    def decide(self, request: Request) -> Decision:
        observation = request.observation
        if self._begun_ns is None:
            self._begun_ns = observation.stamp_ns
        elapsed = (observation.stamp_ns - self._begun_ns) / NANOSECONDS / PERIOD_S
        wanted = np.minimum(elapsed + np.arange(ROWS), len(self._rows) - 1.0)
        before = np.floor(wanted).astype(np.int64)
        after = np.minimum(before + 1, len(self._rows) - 1)
        share = (wanted - before)[:, None]
        return _decision(observation, (1.0 - share) * self._rows[before] + share * self._rows[after])


class Refuse:
    """Answers nothing but why: the demonstrator where a scene does not have what it is asked for.

    Args:
        reason: in words.
    """

    name = "demonstrator"
    model_digest = ""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def reset(self, *, seed: int) -> None:
        """Nothing to forget."""

    def decide(self, request: Request) -> Decision:
        raise InstructionError(self._reason)


class Replay:
    """Answers with the decisions of an earlier run, one after the other, as if they had just been made.

    Args:
        decisions: in the order in which they were made, at least one; the last one stands when they run out.

    Raises:
        InputError: for no decision at all.
    """

    name = "replay"

    def __init__(self, decisions: Sequence[Decision]) -> None:
        if not decisions:
            raise InputError("replayed decisions: got none, at least one is needed; name a run that has some")
        self._decisions = decisions
        self._given = 0
        self.model_digest = decisions[0].model_digest

    def reset(self, *, seed: int) -> None:
        """Begins again with the first decision."""
        self._given = 0

    def decide(self, request: Request) -> Decision:
        observation = request.observation
        recorded = self._decisions[min(self._given, len(self._decisions) - 1)]
        self._given += 1
        chunk = replace(recorded.chunk, stamp_ns=observation.stamp_ns)
        return replace(recorded, sequence=observation.sequence, epoch=observation.epoch, chunk=chunk)


def _decision(observation: Observation, rows: Floats) -> Decision:
    return Decision(
        sequence=observation.sequence,
        epoch=observation.epoch,
        plan=None,
        chunk=ActionChunk(stamp_ns=observation.stamp_ns, period_s=PERIOD_S, positions=rows),
        latency_s=0.0,
        model_digest="",
    )
