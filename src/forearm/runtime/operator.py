"""What a person may do during a run, and where it comes from: a script, keys, a console.

Invariant: an act is a wish with a name on it, and cannot be made of what is no number or no part of the robot. It moves
nothing by itself, and asking for the next one never waits.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import hypot, isfinite, nan
from types import MappingProxyType
from typing import Literal, Protocol, TextIO

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.errors import InputError, unknown
from forearm.messages import Floats, Observation
from forearm.robot.embodiment import BIMANUAL_YAM

Vector = tuple[float, float, float]
Side = Literal["left", "right"]
ARMS = tuple(arm.name for arm in BIMANUAL_YAM.arms)
JOINTS = tuple(joint.name for joint in BIMANUAL_YAM.joints)
MOST_JOG_M = 1.0  # m in one act: from anywhere to anywhere within an arm's reach
MOST_EDIT_M = 0.1  # m that one arm's path is shifted for one decision: a correction, about a box's half width


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Stand; the policy is not followed until `Resume`."""

    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """The policy decides anew and is followed again."""

    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOnce:
    """Follow one decision of the policy to its end, then stand again."""

    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOver:
    """The person steers until `HandBack`."""

    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandBack:
    """The policy decides anew, from where the arms are."""

    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JogTool:
    """Move an arm's tool by `by_m` m in the cell frame, `MOST_JOG_M` at the most.

    Raises:
        InputError: for another way, or no arm.
    """

    who: str
    arm: Side
    by_m: Vector

    def __post_init__(self) -> None:
        _require_arm("jog", self.arm)
        _require_way("jog", self.by_m, MOST_JOG_M)


@dataclass(frozen=True, slots=True, kw_only=True)
class JogJoint:
    """Move the joint of that name by rad, a gripper by a fraction of its opening.

    Raises:
        InputError: for what is not finite, or no joint.
    """

    who: str
    joint: str
    by: float

    def __post_init__(self) -> None:
        if self.joint not in JOINTS:
            raise InputError(unknown("joint", self.joint, JOINTS))
        if not isfinite(self.by):
            raise InputError(f"move {self.joint}: got {self.by}, allowed is a finite number; correct it")


@dataclass(frozen=True, slots=True, kw_only=True)
class EditTrace:
    """Shift the planned tool path of the next decision by `by_m` m in the cell frame, before the arms follow it.

    Raises:
        InputError: for more than `MOST_EDIT_M`, what is not finite, or no arm.
    """

    who: str
    arm: Side
    by_m: Vector

    def __post_init__(self) -> None:
        _require_arm("edit", self.arm)
        _require_way("edit", self.by_m, MOST_EDIT_M)


def _require_arm(what: str, arm: str) -> None:
    if arm not in ARMS:
        raise InputError(unknown(f"{what}: arm", arm, ARMS))


def _require_way(what: str, by_m: Vector, most_m: float) -> None:
    # Rounded, so that ten steps of a tenth are not more than one whole.
    if not round(hypot(*by_m), 9) <= most_m:
        raise InputError(f"{what}: got {by_m} m, allowed are at most {most_m:g} m in all; ask for less")


Act = Hold | Resume | StepOnce | TakeOver | HandBack | JogTool | JogJoint | EditTrace


class Operator(Protocol):
    """A person, or what stands in for one."""

    def poll(self, now_ns: int) -> Act | None:
        """The next act that is due, if there is one. Never blocks."""
        ...


class Script:
    """Acts at set times: teleoperation that repeats itself.

    Args:
        acts: s after the first poll, and what is done then, in order.
    """

    def __init__(self, acts: Sequence[tuple[float, Act]]) -> None:
        self._acts = list(acts)
        self._begun_ns: int | None = None

    def poll(self, now_ns: int) -> Act | None:
        self._begun_ns = now_ns if self._begun_ns is None else self._begun_ns
        if not self._acts or now_ns - self._begun_ns < self._acts[0][0] * NANOSECONDS:
            return None
        return self._acts.pop(0)[1]


JOG_M = 0.01  # m per key, of a tool and of a planned path alike
_WAYS: Mapping[str, Vector] = MappingProxyType(
    {
        "w": (JOG_M, 0.0, 0.0), "x": (-JOG_M, 0.0, 0.0), "a": (0.0, JOG_M, 0.0), "d": (0.0, -JOG_M, 0.0),
        "e": (0.0, 0.0, JOG_M), "c": (0.0, 0.0, -JOG_M),
    }
)  # fmt: skip
_EDITS: Mapping[str, Vector] = MappingProxyType(dict(zip("ikjlun", _WAYS.values(), strict=True)))


def keys(who: str) -> Mapping[str, Act]:
    """What each key does: a small letter moves the left arm, a capital the right one."""
    acts: dict[str, Act] = {
        " ": Hold(who=who),
        "r": Resume(who=who),
        "s": StepOnce(who=who),
        "t": TakeOver(who=who),
        "b": HandBack(who=who),
    }
    sides: tuple[tuple[Side, Callable[[str], str]], ...] = (("left", str.lower), ("right", str.upper))
    for arm, letter in sides:
        acts[letter("o")] = JogJoint(who=who, joint=f"{arm}_gripper", by=1.0)
        acts[letter("p")] = JogJoint(who=who, joint=f"{arm}_gripper", by=-1.0)
        acts |= {letter(key): JogTool(who=who, arm=arm, by_m=by) for key, by in _WAYS.items()}
        acts |= {letter(key): EditTrace(who=who, arm=arm, by_m=by) for key, by in _EDITS.items()}
    return MappingProxyType(acts)


KEYS_IN_WORDS = (
    "space hold · r resume · s one step · t take over · b hand back",
    f"once taken over: w x forward, back · a d left, right · e c up, down, {JOG_M * 1e3:.0f} mm each",
    f"i k forward, back · j l left, right · u n up, down: shift the next planned path, {JOG_M * 1e3:.0f} mm each",
    "o p open, close the gripper · small letters move the left arm, capitals the right one",
)
"""What a person needs to know about `keys`, line by line."""

LINE = (
    "SECONDS hold|resume|step|take-over|hand-back, SECONDS jog ARM X Y Z (m), SECONDS move JOINT BY (rad or opening), "
    f"or SECONDS edit ARM X Y Z (m, {MOST_EDIT_M:g} at most)"
)


def script(lines: Iterable[str], who: str) -> Script:
    """The acts that lines of `LINE` mean; empty lines and what follows a # mean nothing.

    Raises:
        InputError: for a line that is none or asks for too much, or one that is earlier than the line before it.
    """
    acts: list[tuple[float, Act]] = []
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            at_s, act = float(words[0]), _act(who, words[1:])
        except InputError as error:
            raise InputError(f"script line {number}: {error}") from error
        except (ValueError, IndexError):
            at_s, act = nan, None
        if act is None or not at_s >= (acts[-1][0] if acts else 0.0):
            raise InputError(
                f"script line {number}: got {line.strip()!r}, allowed is {LINE}, no earlier than the line before; "
                "correct it"
            )
        acts.append((at_s, act))
    return Script(acts)


def _act(who: str, words: Sequence[str]) -> Act | None:
    """One act, None for words that are none.

    Raises:
        ValueError: for a number that is none.
        InputError: for an act that cannot be made of them.
    """
    plain: dict[str, Act] = {
        "hold": Hold(who=who),
        "resume": Resume(who=who),
        "step": StepOnce(who=who),
        "take-over": TakeOver(who=who),
        "hand-back": HandBack(who=who),
    }
    match words:
        case [word]:
            return plain.get(word)
        case ["jog", ("left" | "right") as arm, x, y, z]:
            return JogTool(who=who, arm=arm, by_m=(_finite(x), _finite(y), _finite(z)))
        case ["edit", ("left" | "right") as arm, x, y, z]:
            return EditTrace(who=who, arm=arm, by_m=(_finite(x), _finite(y), _finite(z)))
        case ["move", joint, by] if joint in JOINTS:
            return JogJoint(who=who, joint=joint, by=_finite(by))
        case _:
            return None


def _finite(word: str) -> float:
    value = float(word)
    if not isfinite(value):
        raise ValueError(word)
    return value


class Keyboard:
    """Keys as acts, read on a thread of its own; keys that mean nothing are left out.

    Args:
        stream: where the keys come from, one character each; a terminal has to be unbuffered by whoever opens it.
        acts: what each key does, `keys` for instance.
    """

    def __init__(self, stream: TextIO, acts: Mapping[str, Act]) -> None:
        self._stream, self._meaning = stream, acts
        self._acts: queue.SimpleQueue[Act | InputError] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="keyboard", daemon=True).start()

    def poll(self, now_ns: int) -> Act | None:
        """The next act that is due, if there is one. Never blocks.

        Raises:
            InputError: once the keyboard can no longer be heard, after what was pressed before.
        """
        try:
            heard = self._acts.get_nowait()
        except queue.Empty:
            return None
        if isinstance(heard, InputError):
            self._acts.put(heard)  # it stays so
            raise heard
        return heard

    def _read(self) -> None:
        """Until the keyboard is gone: its end, an error, or what cannot be read as characters."""
        why = "its end"
        try:
            while key := self._stream.read(1):
                if key in self._meaning:
                    self._acts.put(self._meaning[key])
        except (OSError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
        self._acts.put(
            InputError(f"keyboard: got {why}, it has to be there while it is used; start again in a terminal")
        )


class TraceDesk:
    """Where edits wait for the next decision; give it to the policy as its intervention on the trace.

    What a decision was made with is kept until it is settled whether that decision is followed: it is not lost with an
    answer that nobody took. Used by two threads: one puts and settles, the other decides.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = np.zeros((len(ARMS), 3))  # m
        self._made = np.zeros((len(ARMS), 3))  # m
        self.made_ns: int | None = None
        """The stamp of the observation whose decision was made with edits, until that is settled."""
        self.who = ""
        """Whose edit the newest is."""

    def put(self, edit: EditTrace) -> None:
        """The next decision's trace is to be shifted so, on top of what waits already.

        Raises:
            InputError: for more than `MOST_EDIT_M` with what waits; that stays as it was.
        """
        arm = ARMS.index(edit.arm)
        with self._lock:
            x, y, z = (float(each) for each in self._waiting[arm] + self._made[arm] + edit.by_m)
            _require_way("edit, with those that wait", (x, y, z), MOST_EDIT_M)
            self._waiting[arm] += edit.by_m
            self.who = edit.who

    def settle(self) -> None:
        """The decision that was made with edits has come; whether it is followed or not, they are done."""
        with self._lock:
            self._made, self.made_ns = np.zeros_like(self._made), None

    def restore(self) -> None:
        """The decision that was made with edits is not taken; they wait for the next one."""
        with self._lock:
            self._waiting, self._made, self.made_ns = self._waiting + self._made, np.zeros_like(self._made), None

    def __call__(self, observation: Observation, traces: Floats) -> Floats:
        """The waypoints (A, W, 4), m and opening, with every waiting edit made, once the ones before are settled."""
        edited: Floats = traces.copy()
        with self._lock:
            if self.made_ns is None and self._waiting.any():
                edited[:, :, :3] += self._waiting[:, None]
                self._made, self._waiting = self._waiting, np.zeros_like(self._waiting)
                self.made_ns = observation.stamp_ns
        return edited
