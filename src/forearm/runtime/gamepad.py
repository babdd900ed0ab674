"""A gamepad as an operator: Linux joystick events as acts, with a button that must be held while anything moves.

Invariant: an arm is jogged only while its own shoulder button is held down, and stands as soon as it is let go; a pad
that can no longer be heard ends the session.

Events are the kernel's `struct js_event` (Documentation/input/joydev/joystick-api.rst); axes and buttons are numbered
as its xpad driver numbers an Xbox pad's.
"""

from __future__ import annotations

import queue
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.errors import InputError
from forearm.messages import Floats
from forearm.runtime.operator import Act, HandBack, Hold, JogJoint, JogTool, Resume, Side, StepOnce, TakeOver
from forearm.runtime.override import JOG_M_S

DEVICES = Path("/dev/input")
EVENT = struct.Struct("=IhBB")  # ms, value, type, number
BUTTON, AXIS, INITIAL = 0x01, 0x02, 0x80  # types; the last is added to what was so when the device was opened
FULL = 32767  # an axis' value at its end
DEAD = 0.2  # of an axis; sticks that are let go rest within it
EVERY_S = 0.1  # s, between two jogs while a stick is held
AHEAD_S = 0.2  # s of motion in each: the next one comes before it ends

_STICKS = ((1, -1.0), (0, -1.0), (4, -1.0))  # axis and sign of forward, left and up: sticks count right and down
_HELD: Mapping[int, Side] = MappingProxyType({4: "left", 5: "right"})  # shoulder buttons
_GRIPPER = MappingProxyType({2: -1.0, 3: 1.0})  # X closes, Y opens
_PRESSED: Mapping[int, Callable[[str], Act]] = MappingProxyType(
    {
        0: lambda who: Hold(who=who),
        1: lambda who: Resume(who=who),
        6: lambda who: HandBack(who=who),
        7: lambda who: TakeOver(who=who),
        8: lambda who: StepOnce(who=who),
    }
)

PAD_IN_WORDS = (
    "A hold · B resume · guide one step · start take over · back hand back",
    "once taken over, with an arm's shoulder button held: left stick forward, back, left, right · right stick up, down",
    f"X close, Y open its gripper · at most {JOG_M_S * 1e3:.0f} mm/s · with both shoulder buttons, or none, it stands",
)
"""What a person needs to know about the pad, line by line."""


def find_gamepad(folder: Path = DEVICES) -> Path:
    """The first joystick device there.

    Raises:
        InputError: when there is none.
    """
    found = sorted(folder.glob("js*"))
    if not found:
        raise InputError(
            f"gamepad: got no {folder}/js*, a Linux joystick device is needed; plug a pad in, load the kernel's joydev "
            "module, or name the device with --gamepad"
        )
    return found[0]


def open_gamepad(device: Path) -> BinaryIO:
    """Its stream of events.

    Raises:
        InputError: when it cannot be opened.
    """
    try:
        return device.open("rb")
    except OSError as error:
        raise InputError(
            f"gamepad: got {error.strerror} for {device}, a readable joystick device is needed; check its name, and "
            "that you may read it (group input)"
        ) from error


class Gamepad:
    """One pad's acts. Its bytes are read on a thread of its own; everything else is the caller's thread.

    Args:
        stream: of `EVENT`s, as the kernel writes them.
        who: acts.
    """

    def __init__(self, stream: BinaryIO, who: str) -> None:
        self._stream, self._who = stream, who
        self._heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._acts: deque[Act] = deque()
        self._axes: dict[int, float] = {}
        self._held: set[Side] = set()
        self._taken_over = False
        self._moved: Side | None = None  # the arm that a jog may still be moving
        self._gliding = False  # whether a stick moves it
        self._jogged_ns = 0
        threading.Thread(target=self._read, name="gamepad", daemon=True).start()

    def poll(self, now_ns: int) -> Act | None:
        """The next act that is due, if there is one. Never blocks.

        Raises:
            InputError: when the pad can no longer be heard, or what is heard are no joystick events.
        """
        while not self._heard.empty():
            self._note(self._heard.get_nowait())
        arm = self._may_move()
        if self._moved not in (None, arm):
            self._acts = deque(act for act in self._acts if not isinstance(act, JogJoint))
            return self._stand(self._moved)
        if self._acts:
            act = self._acts.popleft()
            self._moved = arm if isinstance(act, JogJoint) else self._moved
            return act
        by_m = JOG_M_S * AHEAD_S * self._stick()
        if arm is not None and by_m.any():
            return self._glide(arm, by_m, now_ns)
        return self._stand(self._moved) if self._gliding else None

    def _may_move(self) -> Side | None:
        """The arm whose button alone is held, once a person has taken over."""
        return next(iter(self._held)) if self._taken_over and len(self._held) == 1 else None

    def _stick(self) -> Floats:
        """(3,) where the sticks point, forward, left and up, at most 1 long; zeros where they rest."""
        raw = np.array([sign * self._axes.get(axis, 0.0) for axis, sign in _STICKS])
        beyond = np.sign(raw) * np.maximum(0.0, np.abs(raw) - DEAD) / (1.0 - DEAD)
        return beyond / max(1.0, float(np.linalg.norm(beyond)))

    def _glide(self, arm: Side, by_m: Floats, now_ns: int) -> Act | None:
        """The next stretch of the way, once it is time for it."""
        if self._gliding and now_ns - self._jogged_ns < EVERY_S * NANOSECONDS:
            return None
        self._moved, self._gliding, self._jogged_ns = arm, True, now_ns
        x, y, z = (float(each) for each in by_m)
        return JogTool(who=self._who, arm=arm, by_m=(x, y, z))

    def _stand(self, arm: Side | None) -> Act | None:
        """Nowhere from where it is: what is left of the last jog is not gone any more."""
        self._moved, self._gliding = None, False
        return None if arm is None else JogTool(who=self._who, arm=arm, by_m=(0.0, 0.0, 0.0))

    def _note(self, heard: bytes) -> None:
        """Takes one event."""
        if len(heard) < EVENT.size:
            raise InputError("gamepad: got no more from it, it has to be there while it is used; connect it again")
        _, value, kind, number = EVENT.unpack(heard)
        if kind & ~INITIAL == AXIS:
            self._axes[number] = value / FULL
        elif kind & ~INITIAL == BUTTON:
            # What was pressed before anybody listened is no act; what is not pressed any more is let go.
            if not value or kind == BUTTON:
                self._button(number, bool(value))
        else:
            raise InputError(
                f"gamepad: got an event of type {kind:#x}, joystick events are needed, as /dev/input/js* gives them; "
                "name another device"
            )

    def _button(self, number: int, pressed: bool) -> None:
        if number in _HELD:
            (self._held.add if pressed else self._held.discard)(_HELD[number])
        elif pressed and number in _GRIPPER and (arm := self._may_move()) is not None:
            self._acts.append(JogJoint(who=self._who, joint=f"{arm}_gripper", by=_GRIPPER[number]))
        elif pressed and number in _PRESSED:
            act = _PRESSED[number](self._who)
            if isinstance(act, (TakeOver, HandBack)):
                self._taken_over = isinstance(act, TakeOver)
            self._acts.append(act)

    def _read(self) -> None:
        """Until the pad is gone: then what is heard is less than an event."""
        heard = bytes(EVENT.size)
        while len(heard) == EVENT.size:
            try:
                heard = self._stream.read(EVENT.size)
            except (OSError, ValueError):  # unplugged, or closed by whoever opened it
                heard = b""
            self._heard.put(heard)
