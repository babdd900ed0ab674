"""What happened, as typed records with a schema number: the one vocabulary of log, report and console."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from forearm.clock import NANOSECONDS
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
class CameraRegistered:
    """Where a fixed camera was found by the arms that it sees, and what was made of that.

    Attributes:
        verdict: as drawn; put right, from here on its pictures are as from where it is drawn; unknown, nothing could be
            told and they stay as they are; refused, nothing moves.
        shift_m: (3,) m, from the optical frame where it is drawn.
        turn_rad: (3,) rad, its rotation vector in that frame.
        focal: its focal length over the drawn one's.
        table_m: m, how much higher the table stands than drawn.
        arms_fit: 0..1, the share of the arms' pixels that measure what they would from there.
        text: all that as a person reads it.
    """

    kind: Literal["camera_registered"] = "camera_registered"
    stamp_ns: int
    camera: str
    verdict: Literal["as drawn", "put right", "unknown", "refused"]
    shift_m: tuple[float, ...]
    turn_rad: tuple[float, ...]
    focal: float
    table_m: float
    arms_fit: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """The robot was read. Images are logged when they are new, those of a camera that was moved put right."""

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
class Stopped:
    """The arms were told to stop, and what was measured of it until `stamp_ns`. A arms in embodiment order.

    Attributes:
        cause: why, in words.
        how: the graded kind of stop, the harder of the two arms'.
        commanded_ns: when it was commanded.
        standing_ns: since when the arms were measured standing; None where they were not.
        joints_rad: (A,) rad, way of the joint that moved most after the command.
        tools_m: (A,) m, way of the tool after the command.
        verdict: standing; moving, when they were last seen; unknown, where they could not be seen. Unknown is not
            stopped.
    """

    kind: Literal["stopped_motion"] = "stopped_motion"
    stamp_ns: int
    cause: str
    how: Literal["slow", "hold", "retreat", "protective"]
    commanded_ns: int
    standing_ns: int | None
    joints_rad: tuple[float, ...]
    tools_m: tuple[float, ...]
    verdict: Literal["standing", "moving", "unknown"]

    @property
    def text(self) -> str:
        """As a person reads it: `stopped (hold), standing after 0.21 s and 34 mm`."""
        way = f"{max(self.tools_m, default=0.0) * 1e3:.0f} mm"
        if self.standing_ns is None:
            seconds = (self.stamp_ns - self.commanded_ns) / NANOSECONDS
            return f"told to stop ({self.how}), {self.verdict} after {seconds:.2f} s and {way}"
        seconds = (self.standing_ns - self.commanded_ns) / NANOSECONDS
        return f"stopped ({self.how}), standing after {seconds:.2f} s and {way}"


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
class LimitsStated:
    """What is known of this model's limits: whether its monitors are calibrated, whether it has a card; in words."""

    kind: Literal["limits_stated"] = "limits_stated"
    stamp_ns: int
    calibrated: bool
    monitors: str
    carded: bool
    card: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alarmed:
    """A decision is not what success looks like: `monitor` measured `value`, and up to `threshold` is usual.

    `sequence` is of the observation decided on, `in_a_row` how many decisions up to this one raised an alarm.
    """

    kind: Literal["alarmed"] = "alarmed"
    stamp_ns: int
    sequence: int
    monitor: str
    value: float
    threshold: float
    in_a_row: int
    text: str


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
    | CameraRegistered
    | Observed
    | Decided
    | Judged
    | Commanded
    | ModeChanged
    | Stopped
    | RecoveryBegan
    | RecoveryEnded
    | OperatorActed
    | LimitsStated
    | Alarmed
    | SessionEnded
)
Emit = Callable[[Event], None]
