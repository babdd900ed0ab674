"""What each gripper has between its fingers, told from how far it closes, how hard it presses and what its camera sees.

Invariant: HOLDING is felt, never assumed: fingers that were told to close stand still, apart, and press. What was felt
and is then shut without having been told to open was LOST; so was what the wrist camera's depth image, twice in a row,
sees through to what lies behind. A depth image that is missing, or says nothing there, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from math import isnan

from forearm.clock import NANOSECONDS
from forearm.messages import Floats, Observation
from forearm.robot.embodiment import BIMANUAL_YAM, GRIPPER_STROKE_M, Arm, Embodiment
from forearm.runtime.between_fingers import THROUGH_M, between_fingers
from forearm.safety.limits import TICK_S
from forearm.safety.workspace import Workspace

# Openings are fractions of twice 47 mm. Measured in the cell on what is carried: a tray's handle (22 mm) 0.21, a bar
# (32 mm) 0.31, a block (40 mm) 0.39; a gripper shut on nothing 0.00, for an instant -0.08.
SHUT = 0.10  # opening below which nothing handled fits between the fingers
ASKED = 0.05  # opening between measurement and set-point from which a gripper has been told to close
STILL_1_S = 0.4  # 1/s; fingers on a carried object move at up to 0.28 (99th percentile), closing ones at 5 and more
STILL_FOR_S = 0.08  # s of standing still before that is believed: fingers that start to close stand still too
THROUGH_IMAGES = 2  # in a row that see through fingers which stand still: one may be of the moment before
PRESSING_N = 3.0  # N; held with set-point 0: a handle 15 N, a bar 22 N, a block 27 N; free fingers at rest 0 N


class Grasp(Enum):
    """What a gripper has."""

    OPEN = "open"
    """Nothing; it stands open or is opening."""
    CLOSING = "closing"
    """It was told to close and its fingers are under way."""
    HOLDING = "holding"
    """Something: the fingers stand apart and press."""
    CLOSED_EMPTY = "closed empty"
    """Nothing: it closed and met nothing."""
    LOST = "lost"
    """Nothing any more: it held something and is shut now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grip:
    """One gripper in one tick: set-point and measured opening 0..1, its speed 1/s, effort N (closing is negative).

    `between_m` is how far behind the tool what its camera sees between the fingers lies, m, in the image of `seen_ns`,
    taken `age_s` s ago; NaN where that is not known.
    """

    commanded: float
    measured: float
    speed: float
    effort: float
    between_m: float = float("nan")
    seen_ns: int = -1
    age_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Felt:
    """What a gripper has, and for how long it has stood still and pressed, s. Two are equal that have the same.

    `between_m` is what its camera saw last between its fingers while they did, NaN for nothing known; `through` is in
    how many images in a row up to the one of `seen_ns` that was what lies behind.
    """

    grasp: Grasp = Grasp.OPEN
    still_s: float = field(default=0.0, compare=False)
    between_m: float = field(default=float("nan"), compare=False)
    through: int = field(default=0, compare=False)
    seen_ns: int = field(default=-1, compare=False)


def feel(before: Felt, grip: Grip, tick_s: float) -> Felt:
    """What the gripper has now, given what it had a tick of `tick_s` ago. A pure function."""
    had = before.grasp in (Grasp.HOLDING, Grasp.LOST)
    if grip.measured < SHUT and grip.commanded < SHUT:
        return Felt(grasp=Grasp.LOST if had else Grasp.CLOSED_EMPTY)
    if grip.commanded > grip.measured - ASKED:
        return Felt(grasp=Grasp.OPEN)
    pressing = abs(grip.speed) < STILL_1_S and grip.effort < -PRESSING_N
    felt = _looked(replace(before, still_s=before.still_s + tick_s if pressing else 0.0), grip)
    if felt.through >= THROUGH_IMAGES:
        return replace(felt, grasp=Grasp.LOST if had else Grasp.CLOSED_EMPTY)
    if before.grasp is Grasp.HOLDING:
        return felt  # until it is shut or told to open: what slides out closes the fingers
    return replace(felt, grasp=Grasp.HOLDING if felt.still_s >= STILL_FOR_S else Grasp.CLOSING)


def _looked(felt: Felt, grip: Grip) -> Felt:
    """With what a new image, taken since the fingers stand still, shows between them, if it shows anything."""
    if grip.seen_ns == felt.seen_ns or isnan(grip.between_m) or grip.age_s > felt.still_s:
        return felt
    through = felt.through + 1 if grip.between_m > THROUGH_M else 0
    return replace(felt, between_m=grip.between_m, through=through, seen_ns=grip.seen_ns)


def grips(observation: Observation, commanded: Floats, embodiment: Embodiment) -> tuple[Grip, ...]:
    """Every arm's gripper (A,) in this observation, given the set-points (J,) last sent."""
    return tuple(_grip(observation, float(commanded[arm.gripper]), arm) for arm in embodiment.arms)


def _grip(observation: Observation, commanded: float, arm: Arm) -> Grip:
    measured = float(observation.positions[arm.gripper])
    grip = Grip(
        commanded=commanded,
        measured=measured,
        speed=float(observation.velocities[arm.gripper]),
        effort=float(observation.efforts[arm.gripper]),
    )
    depth = observation.depths.get(arm.name)
    if depth is None or commanded > measured - ASKED:
        return grip  # nobody asks what is between open fingers
    age_s = (observation.stamp_ns - depth.stamp_ns) / NANOSECONDS
    return replace(grip, between_m=between_fingers(arm, measured, depth), seen_ns=depth.stamp_ns, age_s=age_s)


class Hands:
    """Feels both grippers tick by tick, and says in each observation what they hold. Used by the control thread alone.

    Args:
        workspace: what they may hold.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._felt = tuple(Felt() for _ in BIMANUAL_YAM.arms)

    def note(self, observation: Observation, commanded: Floats | None) -> Observation:
        """The observation with what is held, given the set-points (J,) sent last, None for none so far.

        20 µs; 45 more for each gripper that is told to close and has not shut, for its image.
        """
        felt = grips(observation, observation.positions if commanded is None else commanded, BIMANUAL_YAM)
        self._felt = tuple(feel(before, grip, TICK_S) for before, grip in zip(self._felt, felt, strict=True))
        held = (
            self._workspace.held_by(arm.name, 2.0 * GRIPPER_STROKE_M * grip.measured)
            for arm, grip, each in zip(BIMANUAL_YAM.arms, felt, self._felt, strict=True)
            if each.grasp is Grasp.HOLDING
        )
        return replace(observation, held=tuple(thing for things in held for thing in things))
