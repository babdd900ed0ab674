"""The gates of one session, made together: whatever a motion passes is in here, and so is what has to prove itself.

Invariant: all of them keep the same limits, in the same workspace, at the same ages, and reckon with the latency that
the guard measures; but what no policy made may last longer than a policy's chunk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, Self

from forearm.messages import Command, Decision, Observation, Verdict
from forearm.safety.freshness import AGES, Ages
from forearm.safety.guard import Guard
from forearm.safety.limits import Limits
from forearm.safety.vetting import Vetting
from forearm.safety.workspace import Workspace

TABLE_ALONE = Workspace()


class Vets(Protocol):
    """What judges a whole decision before its first step; `forearm.safety.vetting.Vetting` is one."""

    def vet(self, decision: Decision, observation: Observation, now_ns: int) -> Verdict:
        """The verdict, with the vetted chunk where it lets one through. Never raises."""
        ...


class Guards(Protocol):
    """What judges commands and can forget them; `forearm.safety.guard.Guard` is one."""

    def reset(self, observation: Observation) -> None:
        """Forgets what was sent."""
        ...

    def review(self, command: Command, observation: Observation, now_ns: int) -> Verdict:
        """The verdict, with a safe command where something may be sent. Never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gates:
    """Every gate of a session.

    Attributes:
        limits: that they keep, and that set-points are made within.
        vetting: judges the policy's decisions.
        helm_vetting: judges what comes from no model and says so: what a recovery or a person asks for, a way back.
        guard: judges every command.
        workspace: that they keep the arms clear of.
        ages: how old what is acted on may be.
        model_digest: of the weights whose decisions `vetting` takes; empty for a policy without any.
    """

    limits: Limits
    vetting: Vets
    helm_vetting: Vets
    guard: Guards
    workspace: Workspace = TABLE_ALONE
    ages: Ages = AGES
    model_digest: str = ""

    @classmethod
    def of(
        cls, limits: Limits, *, workspace: Workspace = TABLE_ALONE, ages: Ages = AGES, model_digest: str = ""
    ) -> Self:
        """Gates that keep these limits.

        Args:
            limits: what is allowed.
            workspace: what the arms are kept clear of; the table alone by default.
            ages: how old what is acted on may be.
            model_digest: of the weights that the session begins with.
        """
        guard = Guard(limits, workspace=workspace, ages=ages)
        late_s, longer = guard.latency_s, replace(limits, longest_chunk_s=limits.longest_motion_s)
        return cls(
            limits=limits,
            vetting=Vetting(limits, workspace=workspace, ages=ages, model_digest=model_digest, latency_s=late_s),
            helm_vetting=Vetting(longer, workspace=workspace, ages=ages, latency_s=late_s),
            guard=guard,
            workspace=workspace,
            ages=ages,
            model_digest=model_digest,
        )
