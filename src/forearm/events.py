"""What happened, as typed records with a schema number: the one vocabulary of log, report and console."""

from __future__ import annotations

from collections.abc import Callable
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


Event = SessionStarted | SelfTested | Observed | Decided | Judged | Commanded | ModeChanged | SessionEnded
Emit = Callable[[Event], None]
