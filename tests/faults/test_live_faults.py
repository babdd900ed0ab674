"""Real processes, really killed and stopped in the middle of a motion."""

import os
import resource
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from punctuality import HeldError, Pauses, with_time

from forearm.runtime.live.board import Part
from forearm.runtime.live.diary import read_diary
from forearm.runtime.live.parts import TERMINAL
from forearm.runtime.live.watchdog import HOLD_S
from forearm.telemetry.log import read_run

SCRIPT = Path(__file__).parent / "live_run.py"
MARK = "FOREARM_TEST_RUN"  # in the environment of every process of a run, and so how the last of them is found
PATIENCE_S = 240.0  # s, for whatever takes as long as the machine is busy

WRITTEN_BYTES = 50_000  # of a log that has its first images

pytestmark = pytest.mark.slow


def processes_of(mark: str) -> list[int]:
    """The processes of a run that are still there."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:  # it ended while we looked, or is not ours
                continue
    return found


def blocked(pid: int) -> set[int]:
    """The signals that a process does not hear."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = int(next(line.split()[1] for line in status if line.startswith("SigBlk:")), 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


class Run:
    """A live run under way."""

    def __init__(self, folder: Path, stretch: float, pauses: Pauses) -> None:
        self.folder, self.stretch, self.pauses, self.mark = folder, stretch, pauses, uuid.uuid4().hex
        folder.mkdir()
        environment = {**os.environ, MARK: self.mark, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(SCRIPT), str(folder), str(self.stretch)]
        self.process = subprocess.Popen(  # a job of its own, as a shell makes it
            command, stdout=subprocess.PIPE, env=environment, text=True, process_group=0
        )
        self.pids: dict[str, int] = {}

    def begin(self) -> None:
        """Waits until the arms move.

        Raises:
            HeldError: they were held before.
        """
        assert self.process.stdout is not None
        if (said := self.process.stdout.readline()) != "moving\n":
            raise HeldError(said, self.station())
        self.until(lambda: bool(self.watchdog()) and (self.folder / "run.mcap").stat().st_size > WRITTEN_BYTES)
        self.pids = self.watchdog()[0]["pids"]
        if self.station():
            raise HeldError("moving", self.station())

    def watchdog(self) -> list[dict[str, Any]]:
        return read_diary(self.folder / "watchdog.jsonl")

    def station(self) -> list[dict[str, Any]]:
        return read_diary(self.folder / "station.jsonl")

    def until(self, condition: Callable[[], bool]) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < until_s, (self.watchdog(), self.station())
            time.sleep(0.01)

    def has(self, kind: str) -> Callable[[], bool]:
        return lambda: kind in [line["kind"] for line in self.station()]

    def left(self) -> list[int]:
        return processes_of(self.mark)

    def end(self) -> str:
        """Waits until nothing of the run is left, and returns what it said last."""
        said, _ = self.process.communicate(timeout=PATIENCE_S)
        self.until(lambda: not self.left())
        return said

    def assert_held_in_time(self, signalled_ns: int) -> None:
        """Within what is promised, and twice the machine's worst pause about then: the watchdog's and the station's."""
        held = next(line for line in self.station() if line["kind"] == "held")
        standing = next(line for line in self.station() if line["kind"] == "standing")
        after_ms = (held["stamp_ns"] - signalled_ns) / 1e6
        stood_ms = (standing["stamp_ns"] - signalled_ns) / 1e6
        allowed_ms, pause_ms = HOLD_S * self.stretch * 1e3, self.pauses.worst_ms(signalled_ns, held["stamp_ns"])
        sys.stdout.write(
            f"\nheld {after_ms:.0f} ms after the signal, {allowed_ms:.0f} ms promised, worst pause {pause_ms:.0f} ms; "
            f"standing after {stood_ms:.0f} ms: {held['reason']}\n"
        )
        assert standing["stamp_ns"] >= held["stamp_ns"]
        assert 0 < after_ms <= allowed_ms + 2.0 * pause_ms


@contextmanager
def begun(folder: Path, factor: float, pauses: Pauses) -> Iterator[Run]:
    """A run of which nothing is left behind."""
    made = Run(folder, factor, pauses)
    try:
        yield made
    finally:
        for pid in made.left():
            os.kill(pid, signal.SIGKILL)
        made.process.communicate()


Live = Callable[[Callable[[Run], None]], None]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """Has a live run, whose arms move, go through what it is given."""
    shared = set(Path("/dev/shm").iterdir())

    def through(check: Callable[[Run], None]) -> None:
        def tried(number: int, factor: float, pauses: Pauses) -> None:
            with begun(tmp_path / f"run{number}", factor, pauses) as run:
                run.begin()
                check(run)

        with_time(tried)

    yield through
    until_s = time.monotonic() + 60.0  # other tests beside this one have pools of their own there, for a while
    while not set(Path("/dev/shm").iterdir()) <= shared and time.monotonic() < until_s:
        time.sleep(0.2)
    assert set(Path("/dev/shm").iterdir()) <= shared


def ended_after(act: Callable[[Run], None], live: Live) -> tuple[Run, str]:
    """The run to which that was done once it moved, which ends without a trip, and its last words."""
    ended = list[tuple[Run, str]]()

    def ends(run: Run) -> None:
        act(run)
        ended.append((run, run.end()))
        assert [line["kind"] for line in run.watchdog()] == ["watching", "ended"], run.watchdog()

    live(ends)
    return ended[-1]


SIGNALS = [signal.SIGKILL, signal.SIGSTOP]


@pytest.mark.parametrize("sent", SIGNALS)
@pytest.mark.parametrize("part", [Part.INFERENCE, Part.RECORDER, Part.WATCHDOG])
def test_a_part_that_is_killed_or_stopped_has_the_arms_held_in_time_and_a_log_says_why(
    part: Part, sent: signal.Signals, live: Live
) -> None:
    def without(run: Run) -> None:
        signalled_ns = time.monotonic_ns()
        os.kill(run.pids[str(part)], sent)
        assert run.end().startswith(f"stopped: The {part} ")
        run.assert_held_in_time(signalled_ns)
        assert str(part) in run.station()[0]["reason"]
        if part is not Part.WATCHDOG:
            kinds = [line["kind"] for line in run.watchdog()]
            assert kinds == ["watching", "tripped", "held", "standing", "ended"]
            assert run.watchdog()[1]["part"] == str(part)
        log = read_run(run.folder / "run.mcap")
        assert len(log.positions) > 0
        if part is not Part.RECORDER:
            assert log.end is not None
            assert str(part) in log.end.reason

    live(without)


@pytest.mark.parametrize("sent", SIGNALS)
def test_a_loop_that_is_killed_or_stopped_leaves_arms_that_stand_and_a_log_that_opens(
    sent: signal.Signals, live: Live
) -> None:
    def without_loop(run: Run) -> None:
        signalled_ns = time.monotonic_ns()
        os.kill(run.pids["loop"], sent)
        run.until(run.has("standing"))
        run.assert_held_in_time(signalled_ns)
        assert "loop" in run.station()[0]["reason"]
        os.kill(run.pids["loop"], signal.SIGKILL)  # the one that was stopped cannot end, and nobody ends before it
        run.end()
        kinds = [line["kind"] for line in run.watchdog()]
        assert kinds == ["watching", "tripped", "held", "standing", "ended"]
        log = read_run(run.folder / "run.mcap")
        assert log.complete  # its writer outlived the loop
        assert log.end is None
        assert len(log.positions) > 0

    live(without_loop)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGQUIT, signal.SIGTSTP])
def test_a_signal_to_the_whole_job_takes_the_loop_alone_and_the_others_hold_the_arms_and_finish_the_log(
    sent: signal.Signals, live: Live
) -> None:
    def signalled(run: Run) -> None:
        job = os.getpgid(run.pids["loop"])
        others = {part: os.getsid(pid) for part, pid in run.pids.items() if part != "loop"}
        assert len({os.getsid(job), *others.values()}) == len(Part)
        assert all(blocked(run.pids[part]) >= TERMINAL for part in others)  # since before they had their sessions
        resource.prlimit(run.pids["loop"], resource.RLIMIT_CORE, (0, 0))
        signalled_ns = time.monotonic_ns()
        os.killpg(job, sent)
        run.until(run.has("standing"))
        run.assert_held_in_time(signalled_ns)
        assert "loop" in run.station()[0]["reason"]
        if sent is signal.SIGTSTP:
            assert set(run.pids.values()) <= set(run.left())  # it may come back, and is told then that it was held
            os.killpg(job, signal.SIGKILL)
        run.end()
        assert [line["kind"] for line in run.watchdog()] == ["watching", "tripped", "held", "standing", "ended"]
        log = read_run(run.folder / "run.mcap")
        assert log.complete
        assert log.end is None

    live(signalled)


def test_a_loop_that_was_stopped_and_goes_on_is_told_that_the_arms_were_held(live: Live) -> None:
    def back_again(run: Run) -> None:
        os.killpg(run.pids["loop"], signal.SIGTSTP)
        run.until(run.has("standing"))
        os.killpg(run.pids["loop"], signal.SIGCONT)
        assert run.end().startswith("stopped: ")
        log = read_run(run.folder / "run.mcap")
        assert log.complete
        assert log.end is not None

    live(back_again)


def test_thinking_that_was_stopped_does_not_outlive_the_loop(live: Live) -> None:
    def without_either(run: Run) -> None:
        os.kill(run.pids["inference"], signal.SIGSTOP)
        os.kill(run.pids["loop"], signal.SIGKILL)
        run.end()
        assert run.has("standing")()

    live(without_either)


def test_a_terminal_that_hangs_up_ends_the_run_without_a_trip(live: Live) -> None:
    run, said = ended_after(lambda run: os.killpg(run.pids["loop"], signal.SIGHUP), live)
    assert "SIGHUP" in said
    log = read_run(run.folder / "run.mcap")
    assert log.complete
    assert log.end is not None


def test_the_main_camera_is_looked_for_before_the_arms_move(live: Live) -> None:
    run, _ = ended_after(lambda run: os.killpg(run.pids["loop"], signal.SIGHUP), live)
    log = read_run(run.folder / "run.mcap")
    assert log.camera is not None
    assert log.camera.verdict == "as drawn"
    assert log.camera.stamp_ns < log.command_stamps_ns[0]


@pytest.mark.parametrize("lost", [False, True])
def test_a_stop_input_that_wants_it_or_is_lost_stops_the_arms_without_a_trip(lost: bool, live: Live) -> None:
    def lose(run: Run) -> None:
        run.folder = run.folder.rename(run.folder.with_name(f"{run.folder.name}-away"))

    run, said = ended_after(lose if lost else lambda run: (run.folder / "stop").touch(), live)
    assert said.startswith("stopped: The external stop input failed: " if lost else "stopped: External stop: ")
    log = read_run(run.folder / "run.mcap")
    assert log.end is not None
    assert abs(log.header.epoch * 1000 - time.time_ns()) < 600e9  # of the hour at which it began, and of no other run


@pytest.mark.parametrize("sent", SIGNALS)
def test_a_station_that_is_killed_or_stopped_is_unknown_and_never_standing(sent: signal.Signals, live: Live) -> None:
    def without_station(run: Run) -> None:
        os.kill(run.pids["station"], sent)
        assert "station" in run.end()
        kinds = [line["kind"] for line in run.watchdog()]
        assert kinds == ["watching", "tripped", "unknown", "ended"]
        assert run.watchdog()[1]["part"] == "station"
        assert not run.station()

    live(without_station)


def test_a_disk_that_is_full_has_the_arms_held_and_the_watchdog_say_so(live: Live) -> None:
    def full(run: Run) -> None:
        size = (run.folder / "run.mcap").stat().st_size
        resource.prlimit(
            run.pids["recorder"], resource.RLIMIT_FSIZE, (size, size)
        )  # the next write fails, as when full
        assert run.end().startswith("stopped: The recorder failed: ")
        tripped = next(line for line in run.watchdog() if line["kind"] == "tripped")
        assert tripped["part"] == "recorder"
        assert "File too large" in tripped["reason"]
        assert run.station()[0]["reason"] == tripped["reason"]
        run.assert_held_in_time(tripped["stamp_ns"])  # a disk is found full at the next flush, not when it becomes so
        assert not read_run(run.folder / "run.mcap").complete

    live(full)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_end_does_so_without_a_trip(sent: signal.Signals, live: Live) -> None:
    def ask(run: Run) -> None:
        for pid in run.left() if sent is signal.SIGINT else [run.process.pid]:  # a terminal asks every process
            os.kill(pid, sent)

    run, said = ended_after(ask, live)
    assert sent.name in said
    log = read_run(run.folder / "run.mcap")
    assert log.complete
    assert log.end is not None


def test_a_run_in_which_nothing_fails_ends_without_a_trip(tmp_path: Path) -> None:
    def ends(number: int, factor: float, pauses: Pauses) -> None:
        with begun(tmp_path / f"run{number}", factor, pauses) as run:
            said = run.end()
            assert [line["kind"] for line in run.watchdog()] == ["watching", "ended"], run.watchdog()
            assert not run.station()
            assert "The task" in said
            assert read_run(run.folder / "run.mcap").complete

    with_time(ends)


def test_forearm_run_in_real_time_leaves_a_log_a_report_and_the_diaries(tmp_path: Path) -> None:
    folder, mark = tmp_path / "run", uuid.uuid4().hex
    sentence = "lift the tray with both arms"
    command = [sys.executable, "-m", "forearm", "run", sentence, "--real-time", "--policy", "demonstrator"]
    environment = {**os.environ, MARK: mark, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [*command, "--out", str(folder)], capture_output=True, text=True, env=environment, timeout=PATIENCE_S
    )
    assert ended.stdout.strip() == str(folder), ended.stderr
    assert sentence in ended.stderr
    kinds = [line["kind"] for line in read_diary(folder / "watchdog.jsonl")]
    log = read_run(folder / "run.mcap")
    assert log.complete
    assert log.end is not None
    # A machine that pauses must have had it stopped; one that keeps time has not.
    assert (ended.returncode, log.end.outcome) in [(0, "done"), (1, "failed"), (3, "stopped")]
    assert kinds[-1] == "ended"
    assert ("held" in kinds) == ("held" in [line["kind"] for line in read_diary(folder / "station.jsonl")])
    assert (folder / "report.html").is_file()
    assert not processes_of(mark)


def test_a_folder_that_has_a_log_is_refused_in_real_time_too(tmp_path: Path) -> None:
    (tmp_path / "run.mcap").touch()
    command = [
        sys.executable,
        "-m",
        "forearm",
        "run",
        "lift the tray with both arms",
        "--real-time",
        "--policy",
        "hold",
    ]
    ended = subprocess.run(
        [*command, "--out", str(tmp_path)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert ended.returncode == 2
    assert "choose another folder" in ended.stderr
    assert "Traceback" not in ended.stderr
