"""The values that cross threads, files and wires: what was seen, what is meant, what is sent, what a check answered.

Every message is frozen and its arrays are read-only, so threads share them without locks. Stamps are monotonic
nanoseconds of the session's clock; `epoch` numbers the session, so that a reply of an earlier one is recognised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Point = tuple[float, float, float]


def _freeze(value: Any) -> Any:
    """Read-only views of arrays and mappings, at any depth a message has."""
    if isinstance(value, np.ndarray):
        view = cast("NDArray[Any]", value).view()  # quoted: a type made at each call took longer than the view
        view.flags.writeable = False
        return view
    if isinstance(value, dict):
        return MappingProxyType({key: _freeze(item) for key, item in cast(dict[Any, Any], value).items()})
    return value


class _Message:
    """Makes a dataclass's arrays and mappings read-only once it is built."""

    __slots__: tuple[str, ...] = ()  # of a subclass: the names of its fields

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, (np.ndarray, dict)):
                object.__setattr__(self, name, _freeze(value))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as a call of its class, so that it is as read-only in another process."""
        values = {name: getattr(self, name) for name in self.__slots__}
        thawed = {name: dict(value) if isinstance(value, MappingProxyType) else value for name, value in values.items()}
        return _rebuilt, (type(self), thawed)


def _rebuilt(kind: type[_Message], values: dict[str, Any]) -> _Message:
    return kind(**values)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Image(_Message):
    """What a colour camera captured: `pixels` (H, W, 3) uint8 RGB at `stamp_ns`."""

    stamp_ns: int
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DepthImage(_Message):
    """What a depth camera measured: `metres` (H, W) float32 along the optical axis, NaN where it saw nothing."""

    stamp_ns: int
    metres: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(_Message):
    """A box in which what an arm's gripper holds lies: `centre` and half sizes m in its tool frame."""

    name: str
    arm: str
    centre: Point
    half: Point


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observation(_Message):
    """Everything a robot knows of itself and the world at one tick.

    `positions`, `velocities`, `efforts` are (J,) in embodiment order: rad, rad/s, N m; grippers as opening 0..1,
    1/s, N. `images` and `depths` are the newest captures by camera name, each with its own, older stamp. `held` is
    what the grippers were felt to hold; the control loop adds it, a robot says nothing of it.
    """

    stamp_ns: int
    sequence: int
    epoch: int
    positions: Floats
    velocities: Floats
    efforts: Floats
    images: Mapping[str, Image]
    depths: Mapping[str, DepthImage]
    instruction: str
    held: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan(_Message):
    """The reasoning made before acting. People can read it; it has no motor authority.

    A arms in embodiment order, T waypoints ahead.

    Attributes:
        subtask: what is being done now, in words.
        depth_tokens: (N,) codes of the predicted depth map of the main camera, row-major over its grid.
        depth_map: (h, w) m, what those codes say, NaN where they say nothing.
        points: (A, 2) where in the main image each gripper will next open or close, as fractions of its width and
            height from the top left; NaN for an arm that will do neither.
        trace: (A, T, 3) m, where each tool will be, in the cell frame.
        trace_grippers: (A, T) opening 0..1 at those waypoints.
        trace_times_s: (T,) s after the observation.
        confidence: 0..1, the mean probability of the codes and points chosen.
        names: of each arm, by which word what its gripper holds, or takes next, goes, empty for none; of a policy that
            says it.
    """

    subtask: str
    depth_tokens: NDArray[np.int64]
    depth_map: Floats
    points: Floats
    trace: Floats
    trace_grippers: Floats
    trace_times_s: Floats
    confidence: float
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActionChunk(_Message):
    """H future joint targets: row k of `positions` (H, J) is to be reached `period_s * (k + 1)` after `stamp_ns`.

    `stamp_ns` is that of the observation which the chunk answers. Order and units are `Observation.positions`'s.
    """

    stamp_ns: int
    period_s: float
    positions: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decision(_Message):
    """A policy's whole answer to one observation: what it reasons and what it wants done.

    `features` (F,) are what its network made of the observation, in its own units, for telling whether it has seen the
    like before; empty for a policy that does not say.
    """

    sequence: int
    epoch: int
    plan: Plan | None
    chunk: ActionChunk
    latency_s: float
    model_digest: str
    timings_s: Mapping[str, float] = field(default_factory=dict[str, float])
    features: Floats = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Command(_Message):
    """What the loop wants the joints to be now: `positions` (J,). Not yet allowed."""

    stamp_ns: int
    sequence: int
    epoch: int
    positions: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SafeCommand(_Message):
    """A command that the guard let through. Only `forearm.safety.guard` makes one, and robots accept nothing else."""

    stamp_ns: int
    sequence: int
    epoch: int
    positions: Floats


class Outcome(IntEnum):
    """How a check answers, the worst one deciding."""

    ALLOW = 0
    LIMIT = 1
    HOLD = 2
    STOP = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finding(_Message):
    """One check's objection: `subject` (a joint, a pair of bodies, a camera) measured against a limit.

    `text` is the whole objection in one sentence, the same in log, console and report.
    """

    check: str
    outcome: Outcome
    subject: str
    measured: float
    limit: float
    unit: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VettedChunk(_Message):
    """A chunk that vetting let through, perhaps slowed or shortened. Only `forearm.safety.vetting` makes one."""

    chunk: ActionChunk
    sequence: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request(_Message):
    """What a policy is asked: what to do about `observation`, given what the arms are doing until the answer is there.

    Attributes:
        observation: the newest there was.
        following: what the arms follow at this moment, None where they stand or come to rest.
        delay_s: s expected from the observation until the answer is followed; rows of `following` up to then will have
            been carried out.
        refusals: why the answers before this one were refused, the newest one's findings; empty after an accepted one.
        attempt: how many answers in a row were refused before this request.
    """

    observation: Observation
    following: VettedChunk | None = None
    delay_s: float = 0.0
    refusals: tuple[Finding, ...] = ()
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict(_Message):
    """The answer of vetting (about a chunk) or of the guard (about a command), with every objection behind it."""

    outcome: Outcome
    findings: tuple[Finding, ...]
    command: SafeCommand | None = None
    vetted: VettedChunk | None = None
    cost_s: float = 0.0
