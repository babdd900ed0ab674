"""A pad's bytes, as the kernel writes them, become acts; and nothing moves that nobody holds the button for."""

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forearm.errors import InputError
from forearm.runtime.gamepad import Gamepad, find_gamepad, open_gamepad
from forearm.runtime.operator import Act, HandBack, Hold, JogJoint, JogTool, Resume, StepOnce, TakeOver

ME = "Ada"
TICK_NS = 10_000_000
A, B, X, Y, LEFT, RIGHT, BACK, START, GUIDE = range(9)
MARK = Resume(who=ME)


def button(number: int, pressed: bool, kind: int = 0x01) -> bytes:
    return struct.pack("=IhBB", 1234, int(pressed), kind, number)


def axis(number: int, value: int) -> bytes:
    return struct.pack("=IhBB", 1234, value, 0x02, number)


class Wired:
    """A pad at the end of a pipe."""

    def __init__(self) -> None:
        ours, self._theirs = os.pipe()
        self.stream = os.fdopen(ours, "rb")
        self.pad = Gamepad(self.stream, ME)

    def send(self, *events: bytes) -> list[Act]:
        """What the pad makes of these and of presses that mark their end, without the marks."""
        os.write(self._theirs, b"".join(events) + button(B, True))
        acts: list[Act] = []
        until_s = time.monotonic() + 60.0
        while time.monotonic() < until_s:
            act = self.pad.poll(0)
            if act == MARK:
                return acts
            acts += [] if act is None else [act]
        raise TimeoutError

    def write(self, heard: bytes) -> None:
        os.write(self._theirs, heard)

    def unplug(self) -> None:
        os.close(self._theirs)
        self._theirs = -1

    def listen(self) -> None:
        for tick in range(1000):
            self.pad.poll(tick * TICK_NS)
            time.sleep(0.01)

    def end(self) -> None:
        if self._theirs >= 0:
            self.unplug()
        self.stream.close()


@pytest.fixture
def wired() -> Iterator[Wired]:
    made = Wired()
    yield made
    made.end()


def test_the_buttons_hold_resume_step_take_over_and_hand_back(wired: Wired) -> None:
    pressed = [event for number in (A, GUIDE, START, BACK) for event in (button(number, True), button(number, False))]
    assert wired.send(*pressed) == [Hold(who=ME), StepOnce(who=ME), TakeOver(who=ME), HandBack(who=ME)]


@pytest.mark.parametrize(("held", "arm"), [(LEFT, "left"), (RIGHT, "right")])
@pytest.mark.parametrize(
    ("number", "value", "by_m"),
    [
        (1, -32767, (0.016, 0.0, 0.0)),
        (0, 32767, (0.0, -0.016, 0.0)),
        (4, -32767, (0.0, 0.0, 0.016)),
        (4, 19660, (0.0, 0.0, -0.008)),  # half of the way beyond the middle in which sticks rest
    ],
)
def test_a_stick_moves_the_arm_whose_button_is_held_where_it_points(
    held: int, arm: str, number: int, value: int, by_m: tuple[float, float, float], wired: Wired
) -> None:
    wired.send(button(START, True), button(held, True), axis(number, value))
    act = wired.pad.poll(0)
    assert isinstance(act, JogTool)
    assert (act.who, act.arm) == (ME, arm)
    assert act.by_m == pytest.approx(by_m, abs=1e-6)


def test_however_the_sticks_are_pushed_a_tool_goes_no_faster(wired: Wired) -> None:
    wired.send(button(START, True), button(LEFT, True), axis(0, 32767), axis(1, -32767), axis(4, 32767))
    act = wired.pad.poll(0)
    assert isinstance(act, JogTool)
    assert sum(by * by for by in act.by_m) ** 0.5 == pytest.approx(0.016)


def test_while_the_stick_is_held_the_next_stretch_comes_every_tenth_of_a_second(wired: Wired) -> None:
    wired.send(button(START, True), button(LEFT, True), axis(1, -32767))
    acts = [wired.pad.poll(tick * TICK_NS) for tick in range(35)]
    assert [tick for tick, act in enumerate(acts) if act is not None] == [0, 10, 20, 30]


@pytest.mark.parametrize(
    "events",
    [
        [button(START, True), axis(1, -32767)],
        [button(START, True), axis(1, -32767), button(LEFT, True), button(RIGHT, True)],
        [button(START, True), axis(1, -6000), button(LEFT, True)],
        [button(START, True), axis(1, -32767), button(LEFT, True, 0x81)],
        [button(START, True), button(BACK, True), axis(1, -32767), button(LEFT, True)],
        [axis(1, -32767), button(LEFT, True)],
        [button(START, True), button(X, True), button(Y, True)],
    ],
    ids=[
        "no button",
        "both buttons",
        "a stick at rest",
        "a button held before",
        "handed back",
        "not taken over",
        "grip",
    ],
)
def test_nothing_moves(events: list[bytes], wired: Wired) -> None:
    acts = wired.send(*events) + [wired.pad.poll(tick * TICK_NS) for tick in range(50)]
    assert not [act for act in acts if isinstance(act, (JogTool, JogJoint))]


@pytest.mark.parametrize(
    "let_go",
    [
        button(LEFT, False),
        button(LEFT, False, 0x81),  # told again, after events were lost
        button(RIGHT, True),
        axis(1, 0),
    ],
)
def test_the_arm_stands_at_once_when_the_button_or_the_stick_is_let_go(let_go: bytes, wired: Wired) -> None:
    wired.send(button(START, True), button(LEFT, True), axis(1, -32767))
    assert wired.pad.poll(0) is not None
    stands = JogTool(who=ME, arm="left", by_m=(0.0, 0.0, 0.0))
    acts = [*wired.send(let_go), *(wired.pad.poll(tick * TICK_NS) for tick in range(50))]
    assert [act for act in acts if act is not None] == [stands]


def test_a_gripper_closes_and_opens_with_the_button_held_and_stands_without(wired: Wired) -> None:
    acts = wired.send(button(START, True), button(RIGHT, True), button(X, True), button(X, False), button(Y, True))
    assert acts[1:] == [
        JogJoint(who=ME, joint="right_gripper", by=-1.0),
        JogJoint(who=ME, joint="right_gripper", by=1.0),
    ]
    assert wired.send(button(RIGHT, False)) == [JogTool(who=ME, arm="right", by_m=(0.0, 0.0, 0.0))]


def test_handing_back_in_mid_motion_stands_first(wired: Wired) -> None:
    wired.send(button(START, True), button(LEFT, True), axis(1, -32767))
    assert wired.pad.poll(0) is not None
    stands = JogTool(who=ME, arm="left", by_m=(0.0, 0.0, 0.0))
    assert wired.send(button(X, True), button(BACK, True)) == [stands, HandBack(who=ME)]


@pytest.mark.parametrize("rest", [b"", b"\x00\x01\x02"])
def test_a_pad_that_is_gone_ends_the_session(rest: bytes, wired: Wired) -> None:
    wired.send(button(START, True), button(LEFT, True), axis(1, -32767))
    wired.write(rest)
    wired.unplug()
    with pytest.raises(InputError, match="connect it again"):
        wired.listen()


def test_events_of_another_kind_of_device_are_refused(wired: Wired) -> None:
    wired.write(struct.pack("=IhBB", 1234, 1, 0x03, 0))
    with pytest.raises(InputError, match="type 0x3"):
        wired.listen()


def test_the_first_device_is_taken_and_where_there_is_none_it_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"got no {tmp_path}/js\*.*--gamepad"):
        find_gamepad(tmp_path)
    for name in ("js1", "js0", "event0"):
        (tmp_path / name).touch()
    assert find_gamepad(tmp_path) == tmp_path / "js0"


def test_a_device_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"No such file or directory for {tmp_path}/js7.*group input"):
        open_gamepad(tmp_path / "js7")
