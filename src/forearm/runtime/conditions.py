"""What can go wrong with a task, each told by a pure function of the last seconds, with the evidence for it.

Invariant: a condition is only what was measured. Nothing in here guesses, remembers or acts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from math import isnan, nan

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.messages import Finding, Floats, Outcome, Verdict
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.grasp import Felt, Grasp
from forearm.safety.stops import Faulty, faulty_arm

HISTORY_S = 5.0  # s that are looked back at the most; no stretch of a task goes without a gripper event for longer
CONFIRM_S = 0.15  # s that a grasp must be felt before it is believed
TOGETHER_S = 2.0  # s back in which two arms held at once, so that one thing went from hand to hand
STALE_S = 0.4  # s; images come every 0.1 s, and the guard holds at 0.5 s
OFF_RAD = (
    0.08  # rad between set-point and measurement: five times what a standing arm sags, a fifth of the guard's limit
)
OFF_FOR_S = 0.4  # s of that without moving: a step of 0.1 s is followed within 0.2
NOT_MOVING_RAD = 0.02  # rad
PUSHING_NM = 3.0  # N m; 0.08 rad off, a wrist pushes with 3 and a shoulder with 32, a joint without its motor with 0
REFUSED = 3  # decisions in a row
HELD = 2  # times in a history: the first time, the pair does what the table of stops says, and goes on
LOW_M = 0.06  # m above the table: what lies there is lower, and hands on a way back pass over it
STANDING_RAD = 0.15  # rad; about 4 cm of a tool: hovering is no progress either
LOOKS = 20  # moments of the history that are compared, to see whether anything moved

_ARMS = BIMANUAL_YAM.arms
_JOINTS = [joint.name for joint in BIMANUAL_YAM.joints]


class Condition(Enum):
    """What went wrong, in the words of events and reports."""

    FAILED_GRASP = "failed grasp"
    DROPPED_OBJECT = "dropped object"
    SLIPPED_HAND_OVER = "slipped hand-over"
    INTERRUPTED = "interrupted"
    BLOCKED_PATH = "blocked path"
    STALE_PERCEPTION = "stale perception"
    MISPERCEPTION = "misperception"
    NO_PROGRESS = "no progress"


GRASPS = frozenset({Condition.FAILED_GRASP, Condition.DROPPED_OBJECT, Condition.SLIPPED_HAND_OVER})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moment:
    """One tick as the conditions look at it.

    Attributes:
        stamp_ns: when it was.
        commanded: (J,) the set-points last sent.
        measured: (J,) the positions.
        efforts: (J,) N m and N.
        grasps: (A,) what each gripper has.
        oldest_image_ns: stamp of the oldest of the newest images.
        guarded: the guard's verdict.
        vetted: vetting's verdict, where one came in this tick.
        rises_m: how high the world rises, m, where the plan refused in this tick saw it wrong; NaN if none was.
    """

    stamp_ns: int
    commanded: Floats
    measured: Floats
    efforts: Floats
    grasps: tuple[Felt, ...]
    oldest_image_ns: int
    guarded: Verdict
    vetted: Verdict | None
    rises_m: float = nan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detected:
    """A condition that holds now: of which arm (empty for none in particular), what was measured, and in words.

    `may_move` is false where something that the policy does not see may stand in the arms' way.
    """

    condition: Condition
    arm: str
    evidence: Mapping[str, float]
    text: str
    may_move: bool = True


History = Sequence[Moment]


def detect(history: History, stale_s: float = STALE_S) -> Detected | None:
    """The first condition that holds at the history's end, its causes before its consequences. At most about 0.2 ms.

    Images that are older than `stale_s` are stale.
    """
    if (stale := stale_perception(history, stale_s)) is not None:
        return stale
    for look in DETECTORS:
        if (found := look(history)) is not None:
            return found
    return None


def stale_perception(history: History, stale_s: float = STALE_S) -> Detected | None:
    """A camera's newest image is older than images get."""
    now = history[-1]
    age_s = (now.stamp_ns - now.oldest_image_ns) / NANOSECONDS
    if age_s <= stale_s:
        return None
    return Detected(
        condition=Condition.STALE_PERCEPTION,
        arm="",
        evidence={"age_s": age_s, "limit_s": stale_s},
        text=f"A camera's newest image is {age_s * 1e3:.0f} ms old; {stale_s * 1e3:.0f} ms is usual at the most.",
    )


def blocked_path(history: History) -> Detected | None:
    """An arm pushes and does not get there, is held for it again, or every way on is refused for want of clearance."""
    now = history[-1]
    joint = _stuck_joint(history)
    if joint is not None and abs(now.efforts[joint]) >= PUSHING_NM:
        return _stuck(Condition.BLOCKED_PATH, now, joint, "it pushes in vain")
    if (near := _clearance(now.guarded)) is not None:
        return _too_near(near)
    if (again := _held_again(history)) is not None and not _limp(now, again[0]):
        return _for_the_same(Condition.BLOCKED_PATH, *again)
    if now.vetted is None:
        return None
    answers = [moment.vetted for moment in history if moment.vetted is not None][-REFUSED:]
    refusals = [_clearance(answer) for answer in answers if answer.vetted is None]
    near = refusals[-1] if len(refusals) == REFUSED and None not in refusals else None
    return None if near is None else _too_near(near)


def interrupted(history: History) -> Detected | None:
    """An arm stays where it is, or is held again for not following, without pushing: something else has its motors."""
    now, joint = history[-1], _stuck_joint(history)
    if joint is not None and abs(now.efforts[joint]) < PUSHING_NM:
        return _stuck(Condition.INTERRUPTED, now, joint, "something else holds it")
    if (again := _held_again(history)) is not None and _limp(now, again[0]):
        return _for_the_same(Condition.INTERRUPTED, *again)
    return None


def slipped_hand_over(history: History) -> Detected | None:
    """An arm has nothing any more that it shared with the other one until that let go."""
    now = history[-1]
    for index, arm in enumerate(_ARMS):
        if not _confirmed(history, index, Grasp.LOST):
            continue
        givers = [other for other in range(len(_ARMS)) if other != index and now.grasps[other].grasp is Grasp.OPEN]
        since_ns = now.stamp_ns - TOGETHER_S * NANOSECONDS
        for giver in givers:
            if any(
                moment.stamp_ns >= since_ns
                and {moment.grasps[each].grasp for each in (index, giver)} == {Grasp.HOLDING}
                for moment in history
            ):
                text = f"The {arm.name} gripper is shut on nothing after the {_ARMS[giver].name} one let go."
                return _about_grip(Condition.SLIPPED_HAND_OVER, now, index, text)
    return None


def dropped_object(history: History) -> Detected | None:
    """A gripper that held something is shut on nothing, and was not told to open."""
    now = history[-1]
    for index, arm in enumerate(_ARMS):
        if _confirmed(history, index, Grasp.LOST):
            text = f"The {arm.name} gripper held something and has nothing now; it was not told to open."
            return _about_grip(Condition.DROPPED_OBJECT, now, index, text)
    return None


def failed_grasp(history: History) -> Detected | None:
    """A gripper closed and met nothing. One that was shut all along has not failed."""
    now = history[-1]
    for index, arm in enumerate(_ARMS):
        was_open = any(moment.grasps[index].grasp is not Grasp.CLOSED_EMPTY for moment in history)
        if was_open and _confirmed(history, index, Grasp.CLOSED_EMPTY):
            text = f"The {arm.name} gripper closed and met nothing."
            return _about_grip(Condition.FAILED_GRASP, now, index, text)
    return None


def misperception(history: History) -> Detected | None:
    """The world is not as the policy says it sees it, decision after decision."""
    now = history[-1]
    if now.vetted is None:
        return None
    answers = [moment.vetted for moment in history if moment.vetted is not None][-REFUSED:]
    wrong = [_seen_wrong(answer) for answer in answers]
    newest = wrong[-1]
    if len(wrong) < REFUSED or None in wrong or newest is None or isnan(now.rises_m):
        return None
    return Detected(
        condition=Condition.MISPERCEPTION,
        arm="",
        evidence={"wrong_share": newest.measured, "limit_share": newest.limit, "rises_m": now.rises_m},
        text=newest.text,
        may_move=now.rises_m <= LOW_M,
    )


def no_progress(history: History) -> Detected | None:
    """Nothing has moved for a whole history, though the way was free."""
    now = history[-1]
    if (now.stamp_ns - history[0].stamp_ns) / NANOSECONDS < HISTORY_S - 0.1:
        return None
    if any(moment.grasps != now.grasps for moment in history if moment.grasps is not now.grasps):
        return None
    looks = np.array([history[at].measured for at in range(0, len(history), max(1, len(history) // LOOKS))])
    moved = float(np.delete(np.ptp(looks, axis=0), BIMANUAL_YAM.grippers).max())
    if moved > STANDING_RAD:
        return None
    return Detected(
        condition=Condition.NO_PROGRESS,
        arm="",
        evidence={"moved_rad": moved, "over_s": HISTORY_S},
        text=f"No joint has moved by more than {moved:.2f} rad for {HISTORY_S:g} s.",
    )


# Causes first: an old image, looked for before all of these, or a jammed arm makes everything after it fail too.
DETECTORS = (
    blocked_path,
    interrupted,
    slipped_hand_over,
    dropped_object,
    failed_grasp,
    misperception,
    no_progress,
)


def _confirmed(history: History, arm: int, grasp: Grasp) -> bool:
    """Whether the gripper has been felt to have this for `CONFIRM_S` without a break."""
    now_ns = history[-1].stamp_ns
    for moment in reversed(history):
        if moment.grasps[arm].grasp is not grasp:
            return False
        if now_ns - moment.stamp_ns >= CONFIRM_S * NANOSECONDS:
            return True
    return False


def _about_grip(condition: Condition, now: Moment, index: int, text: str) -> Detected:
    gripper = _ARMS[index].gripper
    evidence = {
        "opening": float(now.measured[gripper]),
        "set_point": float(now.commanded[gripper]),
        "effort_n": float(now.efforts[gripper]),
        "between_m": now.grasps[index].between_m,
    }
    return Detected(condition=condition, arm=_ARMS[index].name, evidence=evidence, text=text)


def _stuck_joint(history: History) -> int | None:
    """The joint that is off its set-point without moving, None if each follows or stands where it was told to."""
    now = history[-1]
    off = np.abs(now.commanded - now.measured) > OFF_RAD
    if not np.delete(off, BIMANUAL_YAM.grippers).any():
        return None
    recent = [moment for moment in history if now.stamp_ns - moment.stamp_ns <= OFF_FOR_S * NANOSECONDS]
    if (now.stamp_ns - recent[0].stamp_ns) < 0.9 * OFF_FOR_S * NANOSECONDS:
        return None
    for moment in recent:
        off = off & (np.abs(moment.commanded - moment.measured) > OFF_RAD)
    off = off & (np.ptp(np.array([moment.measured for moment in recent]), axis=0) < NOT_MOVING_RAD)
    off[BIMANUAL_YAM.grippers] = False  # a gripper that holds something is off its set-point on purpose
    return int(np.flatnonzero(off)[0]) if off.any() else None


def _stuck(condition: Condition, now: Moment, joint: int, why: str) -> Detected:
    off, effort = abs(float((now.commanded - now.measured)[joint])), abs(float(now.efforts[joint]))
    name = _JOINTS[joint]
    text = f"{name} stays {off:.2f} rad off its set-point with {effort:.1f} N m: {why}."
    arm = next(arm.name for arm in _ARMS if arm.joints.start <= joint < arm.joints.stop)
    return Detected(condition=condition, arm=arm, evidence={"off_rad": off, "effort_nm": effort}, text=text)


def _clearance(verdict: Verdict) -> Finding | None:
    """The objection that something is too near, where that held."""
    holds = [each for each in verdict.findings if each.outcome is Outcome.HOLD]
    return next((each for each in holds if each.check.startswith("clearance")), None)


def _seen_wrong(verdict: Verdict) -> Finding | None:
    """The objection that the stated map is not what is measured, where that held; not that nothing was measured."""
    holds = [each for each in verdict.findings if each.check == "depth" and each.outcome is Outcome.HOLD]
    return next((each for each in holds if not isnan(each.measured)), None)


def _held_again(history: History) -> tuple[Finding, int] | None:
    """What the guard holds for, a contact, a joint left behind or a hasty approach, and how often, if `HELD` times."""
    for now in history[-1].guarded.findings:
        if now.outcome is not Outcome.HOLD or now.check not in ("effort", "tracking", "stopping"):
            continue
        held = [
            any((each.check, each.subject) == (now.check, now.subject) for each in moment.guarded.findings)
            for moment in history
        ]
        times = sum(here and not before for before, here in pairwise([False, *held]))
        if times >= HELD:
            return now, times
    return None


def _limp(now: Moment, held: Finding) -> bool:
    """Whether the guard holds for a joint that is off its set-point and does not push to get there."""
    return held.check == "tracking" and abs(now.efforts[_JOINTS.index(held.subject)]) < PUSHING_NM


def _for_the_same(condition: Condition, held: Finding, times: int) -> Detected:
    arm, unit = faulty_arm((held,)), held.unit.replace(" ", "").lower()
    return Detected(
        condition=condition,
        arm="" if arm is Faulty.BOTH else arm.value,
        evidence={f"{held.check}_{unit}": held.measured, f"limit_{unit}": held.limit, "times": times},
        text=f"The guard has held {times} times for the same: {held.text}",
    )


def _too_near(near: Finding) -> Detected:
    evidence = {"clearance_m": near.measured, "limit_m": near.limit}
    return Detected(condition=Condition.BLOCKED_PATH, arm="", evidence=evidence, text=near.text)
