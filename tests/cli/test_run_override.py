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

import numpy as np
import pytest

from forearm.cli import main
from forearm.robot.kinematics import tool_poses
from forearm.telemetry.log import read_run

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "LOGNAME": "ada"}
COMMAND = [sys.executable, "-m", "forearm", "run", "lift the tray with both arms"]


def scripted(folder: Path, script: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "--override", "script", "--out", str(folder), *more]
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
def test_a_terminal_that_closes_ends_the_run_safely_with_its_log_and_report(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    folder = tmp_path / "run"
    begin = "import os, sys; os.open(sys.argv[1], os.O_RDWR); os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
    command = [*COMMAND[1:], "--policy", "hold", "--override", "keys", "--out", str(folder)]
    process = subprocess.Popen(  # a session leader that opens a terminal has it as its own, and is told when it closes
        [sys.executable, "-c", begin, os.ttyname(theirs), *command],
        stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=ENVIRONMENT, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        read_until(ours, "engaged")
        os.close(ours)
        told, _ = process.communicate(timeout=240)
    finally:
        process.kill()
    # Whichever is heard first: the hang-up, or that no key can come.
    assert process.returncode in (128 + signal.SIGHUP, 3)
    log = read_run(folder / "run.mcap")
    assert log.complete
    assert log.end is not None
    assert log.end.outcome == "stopped"
    assert "SIGHUP" in log.end.reason or "keyboard" in log.end.reason
    assert (folder / "report.html").is_file()
    assert told.decode() in ("", f"{folder}\n")


@pytest.mark.slow
def test_keys_that_end_without_a_hangup_stop_the_run_and_say_so(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    folder = tmp_path / "run"
    command = [*COMMAND, "--policy", "hold", "--override", "keys", "--out", str(folder)]
    process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    os.close(theirs)
    assert process.stderr is not None
    try:
        read_until(process.stderr.fileno(), "engaged")
        os.close(ours)
        _, told = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 3
    assert "it has to be there while it is used" in " ".join(told.decode().split())
    assert acts(folder) == []


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


def test_a_gamepad_that_is_not_there_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device, run = tmp_path / "js0", tmp_path / "run"
    with pytest.raises(SystemExit) as end:
        main([*COMMAND[3:], "--override", "gamepad", "--gamepad", str(device), "--out", str(run)])
    assert end.value.code == 2
    assert f"No such file or directory for {device}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_script_acts_at_its_times_of_the_session_and_the_task_is_done(tmp_path: Path) -> None:
    ended = scripted(tmp_path / "run", "0.5 hold  # look\n\n1.5 step\n4 resume\n")
    assert ended.returncode == 0, ended.stderr
    assert acts(tmp_path / "run") == [("ada", "Hold", True), ("ada", "StepOnce", True), ("ada", "Resume", True)]
    log = read_run(tmp_path / "run" / "run.mcap")
    assert [round(log.seconds(act.stamp_ns), 1) for act in log.operator_acts] == [0.5, 1.5, 4.0]


@pytest.mark.slow
def test_a_stop_file_stops_the_arms_and_the_folder_that_is_to_hold_it_must_be_there(tmp_path: Path) -> None:
    stop, folder = tmp_path / "stop", tmp_path / "run"
    command = [*COMMAND, "--policy", "hold", "--stop-file"]
    refused = subprocess.run(
        [*command, str(tmp_path / "cell" / "stop"), "--out", str(folder)],
        capture_output=True, text=True, env=ENVIRONMENT, timeout=300,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "stop file: got No such file or directory" in refused.stderr
    assert not folder.exists()
    process = subprocess.Popen([*command, str(stop), "--out", str(folder)], stderr=subprocess.PIPE, env=ENVIRONMENT)
    assert process.stderr is not None
    try:
        read_until(process.stderr.fileno(), "engaged")
        stop.touch()
        process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 3
    end = read_run(folder / "run.mcap").end
    assert end is not None
    assert end.reason == f"External stop: {stop} is there."


@pytest.mark.slow
def test_a_script_shifts_the_path_of_the_next_decision_and_where_there_is_none_it_is_told(tmp_path: Path) -> None:
    traces: list[np.ndarray] = []
    for name, edit in (("plain", ""), ("edited", "0.6 edit left 0 0 0.04\n")):
        ended = scripted(tmp_path / name, f"0.3 hold\n{edit}0.8 step\n3 resume\n")
        log = read_run(tmp_path / name / "run.mcap")
        assert log.end is not None, ended.stderr
        stepped_ns = log.operator_acts[-2].stamp_ns
        plan = next(each.decision.plan for each in log.decisions if each.stamp_ns > stepped_ns)
        assert plan is not None
        traces.append(plan.trace)
    assert acts(tmp_path / "edited")[1] == ("ada", "EditTrace", True)
    assert traces[1][0] - traces[0][0] == pytest.approx(np.tile([0.0, 0.0, 0.04], (len(traces[0][0]), 1)), abs=1e-6)
    assert traces[1][1] == pytest.approx(traces[0][1], abs=1e-6)
    told = scripted(tmp_path / "demonstrated", "0.5 edit left 0 0 0.04\n", "--policy", "demonstrator")
    assert told.returncode == 0
    assert acts(tmp_path / "demonstrated") == [("ada", "EditTrace", False)]
    assert "no trace can be edited" in " ".join(told.stderr.split())


@pytest.mark.slow
def test_keys_without_a_terminal_are_refused_before_anything_starts(tmp_path: Path) -> None:
    command = [*COMMAND, "--override", "keys", "--out", str(tmp_path / "run")]
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=ENVIRONMENT, timeout=300
    )
    assert ended.returncode == 2
    assert "no terminal" in ended.stderr
    assert "--override script" in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_script_with_a_line_that_means_nothing_is_refused_before_anything_starts(tmp_path: Path) -> None:
    ended = scripted(tmp_path / "run", "1 hold\n2 dance\n")
    assert ended.returncode == 2
    assert "script line 2: got '2 dance'" in ended.stderr
    assert not (tmp_path / "run").exists()
