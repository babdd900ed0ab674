"""What is evaluated: the policy, what changes its plan, and everything that a result must say about both."""

from __future__ import annotations

from typing import Any, Literal

from forearm.evaluation.interventions import INTERVENTIONS
from forearm.evaluation.trace_response import probe_named
from forearm.policy.choice import MakePolicy, about_policy, policy_named
from forearm.provenance import code_version

SCHEMA = 1  # of the result file; raised when a field changes meaning or goes away
Intervene = Literal["point", "trace", "stated-point", "erase"]


def subject(policy: str, intervene: Intervene | None) -> tuple[MakePolicy, dict[str, Any]]:
    """What makes the policy, and what is to be known about it.

    Raises:
        InputError: for a policy that there is none of.
        CheckpointError: when its weights cannot be read.
    """
    if intervene == "trace":
        made = probe_named(policy)
    else:
        made = policy_named(policy, intervene=INTERVENTIONS[intervene] if intervene else None)
    about = {"schema": SCHEMA, "commit": code_version(), "policy": policy, "intervene": intervene}
    return made, about | about_policy(policy)
