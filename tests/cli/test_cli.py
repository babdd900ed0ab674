import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from in_process import refused, told

from forearm.cli import main
from forearm.model.checkpoint import read
from forearm.model.description import CONFIG, MODELS, SHIPPED
from forearm.model.words import Words
from forearm.telemetry.log import read_run

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def forearm(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "forearm", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=300)


def begin(folder: Path) -> "subprocess.Popen[str]":
    """A run that is under way: its log has its first images."""
    command = [sys.executable, "-m", "forearm", "run", "put the red block in the box", "--policy", "hold"]
    process = subprocess.Popen(
        [*command, "--out", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    log = folder / "run.mcap"
    until = time.monotonic() + 200.0
    while time.monotonic() < until and process.poll() is None:
        if log.is_file() and log.stat().st_size > 300_000:
            return process
        time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate()[1])


def test_help_teaches_with_examples_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, forearm.cli\n"
        "try: forearm.cli.main(['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "print([name for name in ('torch', 'mujoco', 'numpy', 'av', 'pyarrow') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 'forearm run "put the red block in the box"' in shown
    assert shown.strip().endswith("[]")


@pytest.mark.parametrize("command", ["run", "eval", "calibrate", "card", "report", "record", "data", "train", "model"])
def test_every_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert not end.value.code
    assert f"forearm {command}" in capsys.readouterr().out


@pytest.mark.slow
def test_an_unknown_instruction_is_refused_before_anything_starts(tmp_path: Path) -> None:
    ended = forearm("run", "put the pink block in the box", "--out", str(tmp_path / "run"))
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "lift the tray with both arms" in ended.stderr
    assert "did you mean" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "run").exists()


def test_a_task_that_the_model_was_not_taught_is_refused_with_what_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("run", "stack the red block on the blue block", "--policy", "nano")
    said = refused(capsys, *asked, "--out", str(tmp_path / "run"))
    assert "'lift the tray with both arms'" in said
    assert "stack the {" not in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_that_names_no_policy_says_which_model_answered_with_its_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence, digest = "lift the tray with both arms", read(MODELS["nano"]).digest
    code, _, err = told(capsys, "run", sentence, "--seed", "3", "--out", str(tmp_path / "run"))
    assert code == 0, err
    assert f"{sentence} · policy nano {digest[:12]}" in err
    assert f"policy  nano {digest[:12]}" in err
    header = read_run(tmp_path / "run" / "run.mcap").header
    assert (header.policy, header.model_digest) == ("nano", digest)
    assert json.loads(header.recipe)["policy"] == "nano"
    assert digest in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.slow
def test_an_evaluation_that_names_no_policy_says_which_model_was_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, digest = tmp_path / "out.json", read(MODELS["nano"]).digest
    code, _, err = told(capsys, "eval", "--task", "lift", "--seeds", "5:6", "--workers", "1", "--json", str(file))
    assert code == 0, err
    assert f"policy   nano {digest[:12]}" in err
    document = json.loads(file.read_text())
    assert (document["policy"], document["model_digest"]) == ("nano", digest)


def test_words_that_a_model_was_not_taught_are_refused_with_those_that_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = Words.taught_by(("lift the tray with both arms",), ("reach",))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / CONFIG).write_text(json.dumps({"words": asdict(words)}))
    where = ("--policy", str(tmp_path / "model"), "--out", str(tmp_path / "run"))
    said = refused(capsys, "run", "please lift the tray with both arms", *where)
    assert "allowed are 'lift the tray with both arms'" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_leaves_a_log_and_a_report_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    said = "Please lift the tray with both arms!"
    ended = forearm("run", said, "--policy", "demonstrator", "--out", str(folder))
    assert ended.returncode == 0, ended.stderr
    assert said in ended.stderr
    assert ended.stdout.strip() == str(folder)
    assert {path.name for path in folder.iterdir()} == {"run.mcap", "report.html"}
    log = read_run(folder / "run.mcap")
    assert log.complete
    assert log.end is not None
    assert log.end.outcome == "done"
    assert log.header.instruction == said
    assert log.header.commit
    assert said in (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    assert told(capsys, "report", str(folder))[:2] == (0, f"{folder / 'report.html'}\n")
    again = refused(capsys, "run", "lift the tray with both arms", "--policy", "demonstrator", "--out", str(folder))
    assert "choose another folder" in again


@pytest.mark.slow
def test_a_log_that_cannot_be_written_to_its_end_is_said_and_is_no_success(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "forearm", "run", "lift the tray with both arms", "--policy", "demonstrator"]
    limited = ["sh", "-c", 'ulimit -f 600; exec "$@"', "sh", *command, "--out", str(tmp_path / "run")]
    ended = subprocess.run(limited, capture_output=True, text=True, env=ENVIRONMENT, timeout=300, check=False)
    assert ended.returncode == 70
    assert "the log is not whole" in ended.stderr
    assert "File too large" in ended.stderr


@pytest.mark.slow
def test_a_reader_who_leaves_does_not_end_the_run(tmp_path: Path) -> None:
    command = (
        f"{sys.executable} -m forearm run 'lift the tray with both arms' --policy demonstrator --out {tmp_path / 'run'}"
    )
    pipe = f"({command}; echo $? > {tmp_path / 'code'}) 2>&1 | head -2"
    subprocess.run(["sh", "-c", pipe], capture_output=True, env=ENVIRONMENT, timeout=300, check=True)
    assert (tmp_path / "code").read_text().strip() == "0"
    log = read_run(tmp_path / "run" / "run.mcap")
    assert log.end is not None
    assert log.end.outcome == "done"
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.slow
def test_weights_that_cannot_be_read_leave_no_folder_of_a_live_run(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    where = ("--policy", str(tmp_path / "model"), "--out", str(tmp_path / "run"))
    ended = forearm("run", "lift the tray with both arms", "--real-time", *where)
    assert ended.returncode == 2
    assert not (tmp_path / "run").exists()


def test_a_report_of_no_run_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "report", str(tmp_path))
    assert said.startswith("forearm: run log: got")
    assert said.count("\n") == 1


def test_a_runs_report_goes_nowhere_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "leave out --html" in refused(capsys, "report", str(tmp_path), "--html", str(tmp_path / "page.html"))


@pytest.mark.slow
def test_sigterm_in_the_middle_ends_safely_with_a_complete_log(tmp_path: Path) -> None:
    process = begin(tmp_path / "run")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=200)
    assert process.returncode == 128 + signal.SIGTERM
    log = read_run(tmp_path / "run" / "run.mcap")
    assert log.complete
    assert log.end is not None
    assert (log.end.outcome, log.mode_changes[-1].after) == ("stopped", "protective_stop")
    assert "SIGTERM" in log.end.reason


@pytest.mark.slow
def test_a_killed_run_leaves_a_log_that_opens_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = begin(tmp_path / "run")
    process.kill()
    process.communicate()
    log = read_run(tmp_path / "run" / "run.mcap")
    assert log.end is None
    assert not log.complete
    assert len(log.stamps_ns) > 10
    assert told(capsys, "report", str(tmp_path / "run"))[0] == 0


@pytest.mark.slow
def test_an_evaluation_writes_its_counts_and_exits_zero_however_the_trials_went(tmp_path: Path) -> None:
    file = tmp_path / "results" / "out.json"
    arguments = ("--policy", "demonstrator", "--workers", "1", "--json", str(file))
    ended = forearm("eval", "--task", "lift", "--task", "put-in-box", "--seeds", "5:6", *arguments)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    document = json.loads(file.read_text())
    assert list(document["tasks"]) == ["lift", "put-in-box"]
    lift = document["tasks"]["lift"]
    assert (lift["trials"], lift["successes"], lift["errors"], lift["rate"]) == (1, 1, 0, 1.0)
    assert lift["ci95"][0] < 1.0
    assert document["seeds"] == [5, 6]
    assert document["commit"]
    assert [path.name for path in file.parent.iterdir()] == ["out.json"]


@pytest.mark.slow
def test_a_perturbed_evaluation_compares_with_clean_scenes_and_one_trial_of_it_is_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = tmp_path / "out.json", tmp_path / "run"
    arguments = ("--suite", "perturbed", "--variation", "mass:mild", "--policy", "demonstrator", "--workers", "1")
    code, _, err = told(capsys, "eval", "--task", "lift", "--seeds", "5:6", *arguments, "--json", str(file))
    assert code == 0, err
    document = json.loads(file.read_text())
    assert document["tasks"]["lift"]["trials"] == 1
    assert [trial["variation"] for trial in document["trials"]] == ["", "mass:mild"]
    (mass,) = document["variations"]
    assert (mass["variation"], mass["pairs"], mass["successes"]) == ("mass:mild", 1, [1, 1])
    code, out, err = told(capsys, "eval", "--rerun", str(file), "--trial", "1", "--out", str(folder))
    assert (code, out) == (0, f"{folder}\n"), err
    assert (folder / "report.html").is_file()
    code, _, err = told(capsys, "eval", "--compare", str(file), str(file))
    assert code == 0, err
    assert "+0%" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--task", "lift", "--suite", "perturbed", "--variation", "glair"), "did you mean 'glare'"),
        (("--task", "lift", "--variation", "glare"), "name another suite"),
        (("--compare", "no.json", "none.json"), "result file no.json"),
        (("--rerun", "no.json", "--trial", "2"), "result file no.json"),
        (("--rerun", "no.json", "--html", "no.html"), "name that with --out"),
        (("--task", "lift", "--seeds", "5"), "FIRST:END"),
        (("--task", "lfit", "--seeds", "5:6"), "did you mean 'lift'"),
        (
            ("--task", "lift", "--task", "stack", "--seeds", "5:6", "--policy", "nano"),
            "allowed are put-in-box, hand-over or lift",
        ),
        (("--task", "lift", "--seeds", "5:6", "--policy", "modle"), "did you mean 'model'"),
        (("--task", "lift", "--seeds", "5:6", "--words", "swap"), "two objects"),
        (("--suite", "perturbd"), "did you mean 'perturbed'"),
        (("--suite", "long-horizon", "--policy", "hold", "--task", "lift"), "tasks of many parts; leave it out"),
        (("--task", "lift", "--on", "rayy"), "did you mean 'ray'"),
        (("--task", "lift", "--seeds", "5:6", "--policy", "hold", "--workers", "0"), "workers: got 0"),
    ],
)
def test_bad_input_to_an_evaluation_is_one_clear_line(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "eval", *arguments, "--json", str(tmp_path / "out.json"))
    assert complaint in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_where_it_was_and_ends_as_one_that_was_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, whole = tmp_path / "out.json", tmp_path / "whole.json"
    arguments = ("eval", "--task", "lift", "--seeds", "5:8", "--policy", "demonstrator", "--workers", "1", "--json")
    process = subprocess.Popen([sys.executable, "-m", "forearm", *arguments, str(file)], env=ENVIRONMENT)
    unfinished, until = tmp_path / "out.unfinished.jsonl", time.monotonic() + 300.0
    while process.poll() is None and time.monotonic() < until:
        if unfinished.is_file() and unfinished.read_text().count("\n") >= 2:
            break
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not file.exists()
    code, _, err = told(capsys, *arguments, str(file), "--words", "asked", "--suite", "latency")
    assert code == 2
    assert "suite was 'clean', is 'latency'" in err
    code, _, err = told(capsys, *arguments, str(file))
    assert code == 0, err
    assert "evaluation episodes per minute: 2 in" in err
    assert told(capsys, *arguments, str(whole))[0] == 0
    assert trials_of(file) == trials_of(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "whole.json"]
    assert json.loads(whole.read_text())["speed"]["episodes"] == 3


@pytest.mark.slow
def test_an_evaluation_leaves_a_page_with_replays_that_a_report_of_its_file_keeps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, page = tmp_path / "out.json", tmp_path / "page" / "report.html"
    arguments = ("--task", "lift", "--seeds", "5:7", "--policy", "hold", "--workers", "2", "--json", str(file))
    code, out, err = told(capsys, "eval", *arguments, "--html", str(page.parent))
    assert (code, out) == (0, f"{page}\n"), err
    replays = page.parent / "report-replays"
    assert sorted(path.name for path in replays.iterdir()) == ["trial-0000", "trial-0001"]
    text = page.read_text()
    assert "report-replays/trial-0001/report.html" in text
    assert "not as the trial" not in text
    log = replays / "trial-0000" / "run.mcap"
    written = log.stat().st_mtime_ns
    again = told(capsys, "report", str(file), "--html", str(page), "--replays", "1")
    assert again[:2] == (0, f"{page}\n")
    assert log.stat().st_mtime_ns == written
    assert page.read_text().count("report-replays/") == 1


def trials_of(file: Path) -> list[dict[str, object]]:
    """Every trial of a result file, without what it cost to run it."""
    return [{**trial, "wall_s": 0.0} for trial in json.loads(file.read_text())["trials"]]


def test_a_selftest_lists_every_check_of_both_gates_and_that_it_is_proven(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["selftest"])
    assert end.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert lines[-1] == f"{len(lines) - 1} of {len(lines) - 1} proven"
    assert any("guard" in line and "clearance: arms" in line and "wrists 4 mm apart" in line for line in lines)
