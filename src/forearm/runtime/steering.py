"""What leads from thinking to commands: who may steer, and the set-points that come of it.

Invariant: whoever steers, their chunks go through one of the gates' vettings and into one buffer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from forearm.events import Emit
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.chunks import EXECUTION_HORIZON, ChunkBuffer
from forearm.runtime.helm import Helm
from forearm.runtime.inference import Inference
from forearm.runtime.operator import Operator, TraceDesk
from forearm.runtime.override import Override
from forearm.runtime.recovery import Budget, Recovery
from forearm.runtime.trail import Trail
from forearm.safety.gates import Gates

STALE = 0.8  # of the age that an image may have: the ladder waits for newer ones before the guard holds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Steering:
    """One session's. Used by the control thread alone.

    Attributes:
        helm: the policy's thinking, which can be taken over.
        chunks: turns vetted chunks into commands.
        recovery: what is tried when the task goes wrong; None for nothing.
        override: what a person does meanwhile; None where there is nobody.
        trail: knows the ways back; without one, an arm that is to retreat stands.
    """

    helm: Helm
    chunks: ChunkBuffer
    recovery: Recovery | None = None
    override: Override | None = None
    trail: Trail | None = None

    @classmethod
    def of(
        cls,
        thinking: Inference,
        gates: Gates,
        emit: Emit,
        *,
        horizon: int = EXECUTION_HORIZON,
        budget: Budget | None = None,
        operator: Operator | None = None,
        desk: TraceDesk | None = None,
        question: Callable[[], str] = str,
    ) -> Self:
        """Steering in these gates.

        Args:
            thinking: with the policy, judged by `gates.vetting`.
            gates: of the session.
            emit: takes the events.
            horizon: rows of a chunk after which the next one is wanted.
            budget: how much the ladder may try when the pair has stopped as its table says, which it does either way;
                None for nothing.
            operator: who may act, and is asked when the budget is spent; None for nobody.
            desk: where the operator's edits of the trace go; None where the policy has no trace.
            question: what the operator is to be asked, for which the arms hold; empty while there is nothing.
        """
        helm, chunks = Helm(thinking, gates.helm_vetting), ChunkBuffer(gates.limits, horizon=horizon)
        recovery = override = None
        if budget is not None:
            stale_s = STALE * min(gates.ages.images_s.values())
            attended = operator is not None
            recovery = Recovery(
                helm=helm,
                chunks=chunks,
                emit=emit,
                limits=gates.limits,
                budget=budget,
                attended=attended,
                stale_s=stale_s,
            )
        if operator is not None:
            override = Override(operator=operator, helm=helm, chunks=chunks, emit=emit, desk=desk, question=question)
        trail = Trail(gates.helm_vetting, BIMANUAL_YAM)
        return cls(helm=helm, chunks=chunks, recovery=recovery, override=override, trail=trail)
