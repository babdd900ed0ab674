"""Whether the arms follow an edited trace: at every decision the same model also decides with a shifted one.

Only what it decides with its own trace is executed, so the comparison is made all along a real run and costs nothing of
it: same observation, same noise, and the difference of the two chunks' tool paths. Both are asked afresh, continuing no
earlier chunk: rows that were decided before an edit are not the edit's to change.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from forearm.cell.simulator import CellRobot
from forearm.data.labels import TRACE_TICKS
from forearm.errors import InputError
from forearm.messages import Decision, Floats, Observation, Plan, Request
from forearm.policy.choice import MakePolicy, checkpoint_named
from forearm.policy.interface import Policy
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses

if TYPE_CHECKING:
    from forearm.model.checkpoint import Checkpoint
    from forearm.model.reasoner import Reasoner

SHIFT_M = 0.04  # m, along x, y or up, drawn per decision
FREE_Z_M = 0.05  # m, an arm whose whole trace stays above this, with its gripper still, moves free of contact


class TraceProbe:
    """A reasoning policy that also measures how its chunks answer a shift of the trace.

    `responses` gains, at each decision and for each arm free of contact, how far the tool's path moved along the shift,
    in m, mean over the waypoints inside the chunk. Costs two more decisions each time.
    """

    def __init__(self, checkpoint: Checkpoint[Reasoner]) -> None:
        from forearm.policy.reasoning import Intervention, ReasoningPolicy  # torch: loaded by those who use it

        self._plain = ReasoningPolicy(checkpoint)
        self._shifted = ReasoningPolicy(checkpoint, intervention=Intervention(trace=self._shift))
        self._direction = np.zeros(3)
        self.responses: list[float] = []

    @property
    def name(self) -> str:
        return self._plain.name

    @property
    def model_digest(self) -> str:
        return self._plain.model_digest

    def reset(self, *, seed: int) -> None:
        self._plain.reset(seed=seed)
        self._shifted.reset(seed=seed)
        self._rng = np.random.default_rng((seed, 3))

    def decide(self, request: Request) -> Decision:
        axis = self._rng.integers(3)
        sign = 1.0 if axis == 2 else self._rng.choice([-1.0, 1.0])  # up, never into the table
        self._direction = np.eye(3)[axis] * sign
        afresh = replace(request, following=None)
        own, other = self._plain.decide(afresh), self._shifted.decide(afresh)
        assert own.plan is not None  # a reasoning policy always has one
        rows = [ticks - 1 for ticks in TRACE_TICKS if ticks <= len(own.chunk.positions)]
        before, _ = tool_poses(own.chunk.positions[rows])
        after, _ = tool_poses(other.chunk.positions[rows])
        moved = (after - before) @ self._direction
        self.responses += moved[:, free_arms(own.plan, len(rows))].mean(0).tolist()
        return self._plain.decide(request)

    def _shift(self, _: Observation, waypoints: Floats) -> Floats:
        shifted = waypoints.copy()
        shifted[..., :3] += self._direction * SHIFT_M
        return shifted


def free_arms(plan: Plan, waypoints: int) -> list[int]:
    """Arms whose planned tool stays clear of the table, and whose gripper stays as it is, for that many waypoints."""
    still = np.ptp(plan.trace_grippers[:, :waypoints], axis=1) < 0.3
    clear = plan.trace[:, :waypoints, 2].min(axis=1) > FREE_Z_M
    return [arm for arm in range(len(BIMANUAL_YAM.arms)) if still[arm] and clear[arm]]


def probe_named(name: str) -> MakePolicy:
    """What makes the probe of the model called `name`: "model" or a checkpoint's folder.

    Raises:
        InputError: for a policy that does not reason.
        CheckpointError: when the weights are missing or corrupt.
    """
    if checkpoint_named(name) is None:
        raise InputError(f"intervention: got policy {name!r}, only a model has a plan to change; leave one of them out")
    return partial(_probe, name=name)


def _probe(_: CellRobot, *, name: str) -> Policy:
    checkpoint = checkpoint_named(name)
    assert checkpoint is not None  # `probe_named` asked
    return TraceProbe(checkpoint)


def path_shift_mm(policy: Policy) -> float | None:
    """What a probe measured in its run, mm; None for a policy that is no probe, or never moved free of contact."""
    if not isinstance(policy, TraceProbe) or not policy.responses:
        return None
    return float(np.mean(policy.responses)) * 1e3
