"""A person at a real terminal, and a script in their place."""

import os
import pty
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

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
