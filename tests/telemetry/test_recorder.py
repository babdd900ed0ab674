from __future__ import annotations

import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from test_log import a_run, ended, observed, started

from forearm.events import Commanded, Decided, Event, Judged, ModeChanged
from forearm.messages import ActionChunk, Decision, Outcome
from forearm.telemetry.log import read_run
from forearm.telemetry.recorder import LosslessRecorder, Recorder
from forearm.telemetry.writer import LogWriter

HERE = Path(__file__).parent


class GatedLog:
    """A disk that takes nothing until its gate opens."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.events: list[Event] = []

    def append(self, event: Event) -> None:
        self.entered.set()
        self.gate.wait(10)
        self.events.append(event)

    def flush(self) -> None: ...
    def close(self) -> None: ...
    def abandon(self) -> None: ...


def judged(stamp_ns: int) -> Judged:
    return Judged(stamp_ns=stamp_ns, gate="guard", sequence=0, outcome=Outcome.STOP, findings=(), cost_s=0.0)


def decided(stamp_ns: int) -> Decided:
    positions = observed(0, 0).observation.positions[None]
    chunk = ActionChunk(stamp_ns=stamp_ns, period_s=0.1, positions=positions)
    decision = Decision(sequence=0, epoch=1, plan=None, chunk=chunk, latency_s=0.02, model_digest="")
    return Decided(stamp_ns=stamp_ns, decision=decision)


def kinds(log: GatedLog) -> list[str]:
    return [event.kind for event in log.events]


def test_everything_emitted_is_in_the_log_in_order(tmp_path: Path) -> None:
    with Recorder(LogWriter.create(tmp_path / "run.mcap")) as recorder:
        for event in a_run(50):
            recorder.emit(event)
    recorded = recorder.close()
    log = read_run(tmp_path / "run.mcap")
    assert (recorded.written, recorded.lost, recorded.dropped, recorded.failure) == (52, 0, {}, "")
    assert log.complete
    assert list(log.stamps_ns) == sorted(log.stamps_ns)
    assert len(log.stamps_ns) == 50


def test_emitting_to_a_disk_that_hangs_never_blocks_and_every_drop_is_counted() -> None:
    log = GatedLog()
    recorder = Recorder(log, capacity=100)
    longest = 0.0
    for tick in range(1000):
        begun = time.thread_time()  # its own CPU time: what other processes take from this thread is not the recorder's
        recorder.emit(observed(tick, tick))
        longest = max(longest, time.thread_time() - begun)
    assert longest < 0.05
    dropped = recorder.dropped
    log.gate.set()
    recorded = recorder.close()
    assert recorded.written + recorded.dropped["observed"] == 1000
    assert dropped == sum(recorded.dropped.values())
    assert recorded.lost == 0


def test_images_are_dropped_first_and_verdicts_last() -> None:
    log = GatedLog()
    recorder = Recorder(log, capacity=100)
    recorder.emit(started())
    assert log.entered.wait(10)  # the writer holds the start; the queue is empty
    for stamp in range(120):
        recorder.emit(observed(stamp, stamp))
    for stamp in range(120):
        recorder.emit(decided(stamp))
    for stamp in range(10):
        recorder.emit(judged(stamp))
    recorder.emit(ModeChanged(stamp_ns=0, before="ENGAGED", after="PROTECTIVE_STOP", trigger="stop", reason="x"))
    recorder.emit(ended(1))
    log.gate.set()
    recorded = recorder.close()
    seen = [event.observation for event in log.events if event.kind == "observed"]
    with_images = [bool(observation.images) for observation in seen]
    assert with_images == [True] * 30 + [False] * 30
    assert kinds(log).count("decided") == 20
    assert kinds(log)[-12:] == ["judged"] * 10 + ["mode_changed", "session_ended"]
    assert recorded.dropped == {"images": 30, "observed": 60, "decided": 100}


def test_a_lossless_recorder_waits_for_a_slow_disk_and_drops_nothing() -> None:
    log = GatedLog()
    recorder = LosslessRecorder(log, capacity=4)
    opened = threading.Timer(0.05, log.gate.set)
    opened.start()
    for stamp in range(100):
        recorder.emit(Commanded(stamp_ns=stamp, sequence=stamp, positions=(0.0,)))
    recorded = recorder.close()
    assert [event.stamp_ns for event in log.events] == list(range(100))
    assert (recorded.written, recorder.dropped) == (100, 0)
    opened.join()


def test_a_lossless_recorder_that_is_closed_neither_waits_nor_forgets() -> None:
    recorder = LosslessRecorder(GatedLog(), capacity=1)
    recorder.close()
    for stamp in range(3):
        recorder.emit(judged(stamp))
    assert recorder.close().lost == 3


def test_a_lossless_recording_has_the_same_bytes_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with LosslessRecorder(LogWriter.create(tmp_path / name), capacity=3) as recorder:
            for event in a_run(60):
                recorder.emit(event)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_closed_under_the_recorder_is_reported_and_not_raised(tmp_path: Path) -> None:
    stream = (tmp_path / "run.mcap").open("xb")
    recorder = Recorder(LogWriter(stream))
    stream.close()
    for event in a_run(30):
        recorder.emit(event)
    recorded = recorder.close()
    assert "closed file" in recorded.failure
    assert recorded.lost > 0


def test_an_event_that_cannot_be_encoded_costs_only_itself(tmp_path: Path) -> None:
    recorder = Recorder(LogWriter.create(tmp_path / "run.mcap"))
    recorder.emit(started())
    recorder.emit(Commanded(stamp_ns=1, sequence=0, positions=(object(),)))  # type: ignore[arg-type]
    recorder.emit(ended(2))
    recorded = recorder.close()
    assert (recorded.written, recorded.lost) == (2, 1)
    assert recorded.failure.startswith("commanded at 1 ns: log value: got a object")
    assert read_run(tmp_path / "run.mcap").complete


def test_closing_twice_is_harmless_and_what_comes_after_is_dropped(tmp_path: Path) -> None:
    recorder = Recorder(LogWriter.create(tmp_path / "run.mcap"))
    recorder.emit(started())
    recorder.close()
    recorder.emit(judged(3))
    assert recorder.close().dropped == {"judged": 1}


FULL_DISK = """
import sys
from pathlib import Path
import pytest
from test_log import a_run
from forearm.telemetry.recorder import Recorder
from forearm.telemetry.writer import LogWriter
recorder = Recorder(LogWriter.create(Path(sys.argv[1])))
for event in a_run(1000):
    recorder.emit(event)
recorded = recorder.close()
print(recorded.lost, recorded.failure)
"""


@pytest.mark.slow
def test_a_full_disk_is_counted_and_reported_and_the_log_reads_up_to_it(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "run.mcap")],
        cwd=HERE,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
    )
    said, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert int(said.split()[0]) > 100
    assert b"File too large" in said
    log = read_run(tmp_path / "run.mcap")
    assert not log.complete
    assert len(log.positions) > 10


ENDLESS = """
import sys, time
from pathlib import Path
from test_log import observed, started
from forearm.telemetry.recorder import Recorder
from forearm.telemetry.writer import LogWriter
recorder = Recorder(LogWriter.create(Path(sys.argv[1])))
recorder.emit(started())
tick = 0
while True:
    recorder.emit(observed(tick * 10_000_000, tick // 10))
    tick += 1
    time.sleep(0.001)
    if tick == 200:
        print("two seconds recorded", flush=True)
"""


@pytest.mark.slow
def test_a_recording_process_killed_at_any_moment_leaves_a_log_that_opens(tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    child = subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)], cwd=HERE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    log = read_run(path)
    assert not log.complete
    assert log.end is None
    assert log.duration_s > 1.0
    assert "unfinished record" in log.damage


def test_a_loop_that_stalls_has_its_last_events_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    recorder = Recorder(LogWriter.create(path))
    recorder.emit(started())
    recorder.emit(judged(7))
    deadline = time.monotonic() + 60
    while not read_run(path).verdicts if path.stat().st_size else True:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    recorder.close()
