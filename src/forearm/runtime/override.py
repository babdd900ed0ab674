"""A person's acts during a run: carried out where it is the time for them, and always written down.

Invariant: whatever a person does goes through vetting and the guard; and whenever the policy takes over again, the
set-point goes on from where it stands and the policy is asked anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from enum import Enum

import numpy as np

from forearm.errors import InputError
from forearm.events import Emit, OperatorActed
from forearm.messages import Floats, Outcome
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses, with_tool_at
from forearm.runtime.chunks import ChunkBuffer
from forearm.runtime.helm import Helm, Motion
from forearm.runtime.loop import Tick
from forearm.runtime.operator import (
    Act,
    EditTrace,
    HandBack,
    Hold,
    JogJoint,
    JogTool,
    Operator,
    Resume,
    StepOnce,
    TakeOver,
    TraceDesk,
)
from forearm.runtime.patience import Concern
from forearm.runtime.recovery import Order, patient_again
from forearm.safety.mode import Mode, Trigger

PERIOD_S = 0.1  # s, between rows
JOG_M_S = 0.08  # m/s, of a tool that a person moves
JOG_RAD_S = 0.5  # rad/s, of a joint that a person moves
JOG_GRIPPER_S = 2.0  # 1/s
MOST_ROWS = 64  # of one chunk: a longer way is gone in several jogs
_BRAKING = (Trigger.HOLD, Trigger.TAKE_OVER)  # what begins with arms that were told to brake


class _Stance(Enum):
    FREE = "the policy steers"
    HELD = "the operator holds"
    STEPPING = "the operator lets one decision through"
    STEERING = "the operator steers"


class Override:
    """Polls one operator each tick. Used by the control thread alone.

    Args:
        operator: who.
        helm: taken over while the person holds or steers.
        chunks: told to brake then.
        emit: takes the events.
        desk: where edits of the trace go; None where the policy has no trace, and edits are not accepted.
        question: what the operator is to be asked, for which the arms hold; empty while there is nothing.
    """

    def __init__(
        self,
        *,
        operator: Operator,
        helm: Helm,
        chunks: ChunkBuffer,
        emit: Emit,
        desk: TraceDesk | None = None,
        question: Callable[[], str] = str,
    ) -> None:
        self._operator, self._helm, self._chunks, self._emit, self._desk = operator, helm, chunks, emit, desk
        self._question = question
        self._stance = _Stance.FREE
        self._told: Floats | None = None
        self._handed_back_ns: int | None = None

    def judge(self, tick: Tick, concern: Concern, mode: Mode) -> Order | None:
        """What this tick comes to while a person overrides; None while the policy is free."""
        if tick.verdict.command is not None:
            self._told = tick.verdict.command.positions
        if self._edit_refused(tick, concern):
            return self._hold_for_edit(tick)
        act = self._operator.poll(tick.stamp_ns)
        trigger = None if act is None else self._do(act, tick, mode)
        why = "" if act is None else f"{act.who}: {type(act).__name__}"
        if self._stance is _Stance.STEPPING and trigger is None:
            trigger = self._step(tick)
        if self._stance is _Stance.FREE and mode is Mode.ENGAGED and not concern.final and (asked := self._question()):
            trigger = self._take(_Stance.HELD, Trigger.HOLD)
            concern = Concern(outcome=Outcome.HOLD, reason=asked)
            return Order(concern=concern, trigger=trigger, reason=asked, brakes=True)
        if self._stance is _Stance.FREE or concern.final:
            return self._freed(tick, concern, trigger, why)
        waits = self._stance is _Stance.STEPPING and tick.dry  # the decision is being made
        outcome = Outcome.HOLD if waits or self._stance is _Stance.HELD else Outcome.ALLOW
        concern, brakes = Concern(outcome=outcome, reason=self._stance.value), trigger in _BRAKING
        return Order(concern=concern, trigger=trigger, reason=why or self._stance.value, brakes=brakes)

    def _freed(self, tick: Tick, concern: Concern, trigger: Trigger | None, why: str) -> Order | None:
        if self._handed_back_ns is not None:
            concern = patient_again(concern, self._handed_back_ns, tick)
            if not tick.dry or concern.outcome is Outcome.STOP:
                self._handed_back_ns = None
            return Order(concern=concern, trigger=trigger, reason=why)
        return None if trigger is None else Order(concern=concern, trigger=trigger, reason=why)

    def _do(self, act: Act, tick: Tick, mode: Mode) -> Trigger | None:
        """Carries it out where it is the time for it, says so, and gives the change of mode it means."""
        stance, trigger, refused = self._stance, None, ""
        match act:
            case Hold() if mode is not Mode.PROTECTIVE_STOP:  # who steers goes on steering, from a stand
                trigger = self._take(stance if stance is _Stance.STEERING else _Stance.HELD, Trigger.HOLD)
            case TakeOver() if stance is not _Stance.STEERING and mode is not Mode.PROTECTIVE_STOP:
                trigger = self._take(_Stance.STEERING, Trigger.TAKE_OVER)
            case Resume() if stance in (_Stance.HELD, _Stance.STEPPING):
                self._give(_Stance.FREE, tick)
            case StepOnce() if stance is _Stance.HELD:
                self._give(_Stance.STEPPING, tick)
            case HandBack() if stance is _Stance.STEERING:
                self._give(_Stance.FREE, tick)
                trigger = Trigger.HAND_BACK
            case JogTool() | JogJoint() if stance is _Stance.STEERING and self._told is not None:
                self._helm.steer(_motion(act, self._told))
            case EditTrace():
                refused = self._edit(act)
            case _:
                refused = f"Not now: {stance.value}."
        details = ", ".join(f"{name} {value}" for name, value in asdict(act).items() if name != "who")
        details = f"{refused} {details}".strip()
        name = type(act).__name__
        self._emit(OperatorActed(stamp_ns=tick.stamp_ns, who=act.who, act=name, details=details, accepted=not refused))
        return trigger

    def _edit_refused(self, tick: Tick, concern: Concern) -> bool:
        """Whether the decision that was made with an edit came to nothing; one that nobody takes has its edit kept."""
        desk, answer = self._desk, tick.answer
        if desk is None or desk.made_ns is None:
            return False
        if answer is not None and (answer.decision is None or answer.decision.chunk.stamp_ns == desk.made_ns):
            desk.settle()
            return answer.verdict.vetted is None and not concern.final
        if self._helm.drops:
            desk.restore()
        return False

    def _hold_for_edit(self, tick: Tick) -> Order:
        """The person whose edit was refused is told, and the arms hold: the next decision would be made without it."""
        assert self._desk is not None  # it had the edit
        why = "The decision that was made with the edit was refused; the arms hold until the operator goes on."
        said = OperatorActed(stamp_ns=tick.stamp_ns, who=self._desk.who, act="EditTrace", details=why, accepted=False)
        self._emit(said)
        trigger = self._take(_Stance.HELD, Trigger.HOLD)
        return Order(concern=Concern(outcome=Outcome.HOLD, reason=why), trigger=trigger, reason=why, brakes=True)

    def _edit(self, edit: EditTrace) -> str:
        """Has the next decision's trace shifted; why not, in words, where it cannot be."""
        if self._desk is None:
            return "Not here: no trace can be edited, a model that plans one in simulated time is needed."
        try:
            self._desk.put(edit)
        except InputError as error:
            return f"Not that far: {error}."
        return ""

    def _take(self, stance: _Stance, trigger: Trigger) -> Trigger:
        self._stance = stance
        self._chunks.hold()
        self._helm.take_over()
        return trigger

    def _give(self, stance: _Stance, tick: Tick) -> None:
        self._stance, self._handed_back_ns = stance, tick.stamp_ns
        self._chunks.hold()
        self._helm.hand_back(tick.stamp_ns)

    def _step(self, tick: Tick) -> Trigger | None:
        """Lets nothing more through once a decision is followed, and holds when that is spent."""
        if not self._helm.taken:
            if tick.answer is not None and tick.answer.verdict.vetted is not None:
                self._helm.take_over()
            return None
        return self._take(_Stance.HELD, Trigger.HOLD) if tick.dry else None


def _motion(act: JogTool | JogJoint, told: Floats) -> Motion:
    """From the set-point to where the person wants it, in rows of even speed."""
    if isinstance(act, JogTool):
        arm = [arm.name for arm in BIMANUAL_YAM.arms].index(act.arm)
        target = with_tool_at(told, arm, tool_poses(told)[0][arm] + np.array(act.by_m))
        seconds = float(np.linalg.norm(act.by_m)) / JOG_M_S
    else:
        target, index = told.copy(), [joint.name for joint in BIMANUAL_YAM.joints].index(act.joint)
        target[index] = np.clip(told[index] + act.by, BIMANUAL_YAM.lower[index], BIMANUAL_YAM.upper[index])
        speed = JOG_GRIPPER_S if index in BIMANUAL_YAM.grippers else JOG_RAD_S
        seconds = abs(float(target[index] - told[index])) / speed
    count = max(2, int(np.ceil(seconds / PERIOD_S)))
    shares = np.arange(1, count + 1)[:, None] / count
    return Motion(rows=(told + shares * (target - told))[:MOST_ROWS], period_s=PERIOD_S)
