"""What happened, as typed records with a schema number: the one vocabulary of log, report and console."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from forearm.messages import Decision, Finding, Observation, Outcome

SCHEMA = 1  # raised when a field below changes meaning or goes away


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SessionStarted:
    """The run began: what was asked, by which code, model and seed. `recipe` is JSON text."""

    kind: Literal["session_started"] = "session_started"
    stamp_ns: int
    epoch: int
    instruction: str
    robot: str
    policy: str
    model_digest: str
    seed: int
    commit: str
    recipe: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SelfTested:
    """Both gates were shown what is known to be bad: the checks that refused it, and those that did not."""

    kind: Literal["self_tested"] = "self_tested"
    stamp_ns: int
    proven: tuple[str, ...]
    failed: tuple[str, ...]
    cost_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """The robot was read. Images are logged when they are new."""

    kind: Literal["observed"] = "observed"
    stamp_ns: int
    observation: Observation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decided:
    """The policy answered."""

    kind: Literal["decided"] = "decided"
    stamp_ns: int
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Vetting (`gate` "vetting") judged a decision, or the guard a command other than by allowing it untouched."""

    kind: Literal["judged"] = "judged"
    stamp_ns: int
    gate: Literal["vetting", "guard"]
    sequence: int
    outcome: Outcome
    findings: tuple[Finding, ...]
    cost_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Commanded:
    """A set-point (J,) was sent to the joints."""

    kind: Literal["commanded"] = "commanded"
    stamp_ns: int
    sequence: int
    positions: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModeChanged:
    """The session's mode changed, and why in words."""

    kind: Literal["mode_changed"] = "mode_changed"
    stamp_ns: int
    before: str
    after: str
    trigger: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecoveryBegan:
    """Something went wrong and rung number `attempt` (from 1) for it is tried.

    `evidence` is what was measured, each value's unit in its name; `reason` says it in words.
    """

    kind: Literal["recovery_began"] = "recovery_began"
    stamp_ns: int
    condition: str
    arm: str
    rung: str
    attempt: int
    evidence: Mapping[str, float]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecoveryEnded:
    """What became of it: `recovered` only where it was measured that the condition is gone; `proof` says how."""

    kind: Literal["recovery_ended"] = "recovery_ended"
    stamp_ns: int
    condition: str
    rung: str
    attempt: int
    recovered: bool
    proof: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OperatorActed:
    """A person did something: who, what, and the details in words; `accepted` is False where it was not the time."""

    kind: Literal["operator_acted"] = "operator_acted"
    stamp_ns: int
    who: str
    act: str
    details: str
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SessionEnded:
    """The run ended: `outcome` done, failed, refused, stopped or error; `progress` 0..1 of the task."""

    kind: Literal["session_ended"] = "session_ended"
    stamp_ns: int
    outcome: Literal["done", "failed", "refused", "stopped", "error"]
    reason: str
    progress: float
    ticks: int
    late_p50_s: float
    late_p99_s: float
    dropped: int


Event = (
    SessionStarted
    | SelfTested
    | Observed
    | Decided
    | Judged
    | Commanded
    | ModeChanged
    | RecoveryBegan
    | RecoveryEnded
    | OperatorActed
    | SessionEnded
)
Emit = Callable[[Event], None]
