"""A person at a real terminal, and a script in their place."""

import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from forearm.robot.kinematics import tool_poses
from forearm.telemetry.log import read_run

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "LOGNAME": "ada"}
COMMAND = [sys.executable, "-m", "forearm", "run", "lift the tray with both arms"]


def scripted(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "--override", "script", "--out", str(folder)]
    return subprocess.run(command, input=script, capture_output=True, text=True, env=ENVIRONMENT, timeout=300)


def acts(folder: Path) -> list[tuple[str, str, bool]]:
    return [(act.who, act.act, act.accepted) for act in read_run(folder / "run.mcap").operator_acts]


def read_until(stream: int, words: str, seen: str = "", seconds: float = 240.0) -> str:
    until = time.monotonic() + seconds
    while words not in seen and time.monotonic() < until:
        more = os.read(stream, 4096)
        if not more:
            break
        seen += more.decode(errors="replace")
    assert words in seen
    return seen


@pytest.mark.slow
def test_keys_pressed_in_a_terminal_hold_take_over_jog_and_hand_back_and_the_terminal_is_left_as_it_was(
    tmp_path: Path,
) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    folder = tmp_path / "run"
    command = [*COMMAND, "--policy", "demonstrator", "--override", "keys", "--out", str(folder)]
    process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    assert process.stderr is not None
    try:
        shown = read_until(process.stderr.fileno(), "engaged")
        assert "space hold" in shown
        for key, told in ((b" ", "Hold"), (b"t", "TakeOver"), (b"E", "JogTool"), (b"b", "HandBack")):
            os.write(ours, key)
            read_until(process.stderr.fileno(), told)
        process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 0
    assert [(act, accepted) for _, act, accepted in acts(folder)] == [
        ("Hold", True),
        ("TakeOver", True),
        ("JogTool", True),
        ("HandBack", True),
    ]
    assert {who for who, _, _ in acts(folder)} == {"ada"}
    assert termios.tcgetattr(theirs) == before


@pytest.mark.slow
def test_a_gamepad_takes_over_jogs_the_tool_while_its_button_is_held_and_hands_back(tmp_path: Path) -> None:
    device, folder = tmp_path / "js0", tmp_path / "run"
    os.mkfifo(device)
    pad = os.open(device, os.O_RDWR)  # a device may be opened whether or not anybody writes to it
    left_shoulder, start, back, forward, up = 4, 7, 6, (1, -32767), (4, -32767)

    def press(number: int, value: int = 1) -> None:
        os.write(pad, struct.pack("=IhBB", 0, value, 1, number))

    def push(number: int, value: int) -> None:
        os.write(pad, struct.pack("=IhBB", 0, value, 2, number))

    for number in range(11):  # as the kernel begins
        os.write(pad, struct.pack("=IhBB", 0, 0, 0x81, number))
    command = [*COMMAND, "--policy", "hold", "--override", "gamepad", "--gamepad", str(device)]
    process = subprocess.Popen(
        [*command, "--out", str(folder)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT
    )
    assert process.stderr is not None
    try:
        shown = read_until(process.stderr.fileno(), "engaged")
        assert "shoulder button" in shown
        press(start)
        read_until(process.stderr.fileno(), "TakeOver")
        push(*up)
        press(left_shoulder)
        for _ in range(6):  # 0.1 s each
            read_until(process.stderr.fileno(), "0.016)")
        press(left_shoulder, 0)
        read_until(process.stderr.fileno(), "by_m (0.0, 0.0, 0.0)")
        push(*forward)  # which nobody holds the button for
        press(back)
        read_until(process.stderr.fileno(), "HandBack")
        process.send_signal(signal.SIGINT)  # a policy that holds is never done
        process.communicate(timeout=240)
    finally:
        process.kill()
        os.close(pad)
    assert process.returncode == 128 + signal.SIGINT
    done = acts(folder)
    assert [act for _, act, _ in done if act != "JogTool"] == ["TakeOver", "HandBack"]
    assert all(who == "ada" and accepted for who, _, accepted in done)
    log = read_run(folder / "run.mcap")
    jogs = [act for act in log.operator_acts if act.act == "JogTool"]
    steering = (log.stamps_ns >= jogs[0].stamp_ns) & (log.stamps_ns <= jogs[-1].stamp_ns)
    heights = tool_poses(log.positions[steering])[0][:, 0, 2]
    assert 0.015 < heights[-1] - heights[0] < 0.2


@pytest.mark.slow
def test_a_gamepad_that_is_unplugged_ends_the_run_in_a_stop(tmp_path: Path) -> None:
    device = tmp_path / "js0"
    os.mkfifo(device)
    pad = os.open(device, os.O_RDWR)
    command = [*COMMAND, "--policy", "demonstrator", "--override", "gamepad", "--gamepad", str(device)]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "run")], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT
    )
    assert process.stderr is not None
    try:
        read_until(process.stderr.fileno(), "engaged")
        os.close(pad)
        _, told = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 3
    assert b"connect it again" in told


def test_a_gamepad_that_is_not_there_is_refused_before_anything_starts(tmp_path: Path) -> None:
    command = [*COMMAND, "--override", "gamepad", "--gamepad", str(tmp_path / "js0"), "--out", str(tmp_path / "run")]
    ended = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=300)
    assert ended.returncode == 2
    assert f"No such file or directory for {tmp_path / 'js0'}" in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_script_acts_at_its_times_of_the_session_and_the_task_is_done(tmp_path: Path) -> None:
    ended = scripted(tmp_path / "run", "0.5 hold  # look\n\n1.5 step\n4 resume\n")
    assert ended.returncode == 0, ended.stderr
    assert acts(tmp_path / "run") == [("ada", "Hold", True), ("ada", "StepOnce", True), ("ada", "Resume", True)]
    log = read_run(tmp_path / "run" / "run.mcap")
    assert [round(log.seconds(act.stamp_ns), 1) for act in log.operator_acts] == [0.5, 1.5, 4.0]


def test_keys_without_a_terminal_are_refused_before_anything_starts(tmp_path: Path) -> None:
    command = [*COMMAND, "--override", "keys", "--out", str(tmp_path / "run")]
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=ENVIRONMENT, timeout=300
    )
    assert ended.returncode == 2
    assert "no terminal" in ended.stderr
    assert "--override script" in ended.stderr
    assert not (tmp_path / "run").exists()


def test_a_script_with_a_line_that_means_nothing_is_refused_before_anything_starts(tmp_path: Path) -> None:
    ended = scripted(tmp_path / "run", "1 hold\n2 dance\n")
    assert ended.returncode == 2
    assert "script line 2: got '2 dance'" in ended.stderr
    assert not (tmp_path / "run").exists()
