"""What is evaluated: the policy, what changes its plan, and everything that a result must say about both."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Literal

from forearm.cell.simulator import CellRobot
from forearm.errors import CheckpointError
from forearm.evaluation.interventions import INTERVENTIONS
from forearm.evaluation.trace_response import probe_named
from forearm.policy.choice import MakePolicy, about_policy, policy_named, weights_folder
from forearm.policy.interface import Policy
from forearm.provenance import code_version
from forearm.runtime.monitors.calibration import Calibration
from forearm.runtime.monitors.calibration_file import FILE_NAME, read_calibration

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
    about |= about_policy(policy)
    if about["model_digest"]:
        made = partial(same_weights, make_policy=made, digest=str(about["model_digest"]))
    return made, about


def same_weights(robot: CellRobot, *, make_policy: MakePolicy, digest: str) -> Policy:
    """What `make_policy` makes, where it read the weights that the result speaks of.

    Raises:
        CheckpointError: when a training run wrote over them meanwhile, or another machine has others there.
    """
    policy = make_policy(robot)
    if policy.model_digest != digest:
        raise CheckpointError(
            f"weights: got {policy.model_digest} on {platform.node()}, needed are {digest}; copy the folder of weights "
            "there, and let nothing write to it during an evaluation"
        )
    return policy


def differences(before: Mapping[str, Any], after: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """What is not the same, in words, also inside: `policy was 'model', is 'hold'`."""
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from differences(was, now, f"{within}{name}.")
        elif was != now:
            yield f"{within}{name} was {was!r}, is {now!r}"


def calibration_of(policy: str) -> Calibration | None:
    """The calibration beside the weights of the policy called `policy`; None where there is none.

    Raises:
        CheckpointError: when the file there is none.
    """
    folder = weights_folder(policy)
    return None if folder is None else read_calibration(folder / FILE_NAME)
