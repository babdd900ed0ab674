from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from event_strategies import events, same
from foxglove_schemas_protobuf.Log_pb2 import Log
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_subset import conforms
from mcap.reader import make_reader
from mcap.writer import Writer
from mcap_protobuf.decoder import DecoderFactory

from forearm.errors import LogError
from forearm.events import (
    CameraRegistered,
    Decided,
    Event,
    ModeChanged,
    Observed,
    SessionEnded,
    SessionStarted,
    Stopped,
)
from forearm.messages import ActionChunk, Decision, DepthImage, Image, Observation, Plan
from forearm.telemetry.log import read_events, read_run
from forearm.telemetry.views import views
from forearm.telemetry.writer import LogWriter, event_record, event_schema

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def started(stamp_ns: int = 0) -> SessionStarted:
    return SessionStarted(
        stamp_ns=stamp_ns,
        epoch=1,
        instruction="put the red block in the box",
        robot="bimanual_yam",
        policy="reasoning",
        model_digest="abc",
        seed=7,
        commit="0000000",
        recipe="{}",
    )


def ended(stamp_ns: int) -> SessionEnded:
    return SessionEnded(
        stamp_ns=stamp_ns,
        outcome="done",
        reason="the block is in the box",
        progress=1.0,
        ticks=10,
        late_p50_s=0.0,
        late_p99_s=0.0,
        dropped=0,
    )


def observed(stamp_ns: int, captured_ns: int) -> Observed:
    generator = np.random.default_rng(captured_ns)
    seen = Observation(
        stamp_ns=stamp_ns,
        sequence=stamp_ns,
        epoch=1,
        positions=np.arange(14.0) + stamp_ns * 1e-9,
        velocities=np.zeros(14),
        efforts=np.full(14, np.nan),
        images={"top": Image(stamp_ns=captured_ns, pixels=generator.integers(0, 256, (12, 16, 3), dtype=np.uint8))},
        depths={"top": DepthImage(stamp_ns=captured_ns, metres=generator.random((12, 16)).astype(np.float32))},
        instruction="put the red block in the box",
    )
    return Observed(stamp_ns=stamp_ns, observation=seen)


def a_run(ticks: int = 100) -> list[Event]:
    """A second of a 100 Hz loop with a camera at 10 Hz."""
    tick_ns = 10_000_000
    seen = [observed(tick * tick_ns, tick // 10 * 10 * tick_ns) for tick in range(ticks)]
    return [started(), *seen, ended(ticks * tick_ns)]


def write(path: Path, run: list[Event]) -> Path:
    with LogWriter.create(path) as log:
        for event in run:
            log.append(event)
    return path


def assert_comes_back(run: list[Event]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        back = list(read_events(write(Path(folder) / "run.mcap", run)))
    assert same(tuple(back), tuple(run))


@given(st.lists(events, min_size=1, max_size=4))
@settings(quick, max_examples=15)
def test_events_come_back_from_the_log_bit_for_bit(run: list[Event]) -> None:
    assert_comes_back(run)


@pytest.mark.slow
@given(st.lists(events, min_size=1, max_size=4))
@quick
def test_every_event_comes_back_from_the_log_bit_for_bit(run: list[Event]) -> None:
    assert_comes_back(run)


@given(events)
@quick
def test_every_record_conforms_to_the_schema_in_its_channel(event: Event) -> None:
    record = json.loads(json.dumps(event_record(event), allow_nan=False))
    assert conforms(record, event_schema(type(event)))


@pytest.mark.slow
def test_every_kind_of_event_is_covered_by_the_strategy() -> None:
    seen: set[type] = set()

    @given(events)
    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    def collect(event: Event) -> None:
        seen.add(type(event))

    collect()
    assert seen == set(get_args(Event))


def test_the_same_events_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", a_run()), write(tmp_path / "b", a_run())
    assert first.read_bytes() == second.read_bytes()


def test_an_image_is_written_once_however_often_it_is_observed(tmp_path: Path) -> None:
    log = read_run(write(tmp_path / "run.mcap", a_run(100)))
    assert len(log.positions) == 100
    assert len(log.images["top"]) == len(log.depths["top"]) == 10
    assert [image.stamp_ns for image in log.images["top"]] == [100_000_000 * index for index in range(10)]


def test_a_large_image_is_a_jpeg_that_looks_the_same(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 640, dtype=np.uint8)
    pixels = np.broadcast_to(ramp[None, :, None], (360, 640, 3))
    event = observed(0, 0)
    seen = Observation(
        **{name: getattr(event.observation, name) for name in ("stamp_ns", "sequence", "epoch", "instruction")},
        **{name: getattr(event.observation, name) for name in ("positions", "velocities", "efforts")},
        images={"outside": Image(stamp_ns=3, pixels=pixels)},
        depths={},
    )
    log = read_run(write(tmp_path / "run.mcap", [started(), Observed(stamp_ns=0, observation=seen)]))
    (image,) = log.images["outside"]
    assert (image.format, image.stamp_ns) == ("jpeg", 3)
    assert np.abs(image.decode().pixels.astype(int) - pixels).mean() < 2


def test_a_closed_log_is_complete_and_indexed(tmp_path: Path) -> None:
    path = write(tmp_path / "run.mcap", a_run())
    log = read_run(path)
    assert log.complete
    assert log.damage == ""
    assert log.end is not None
    assert log.duration_s == 1.0
    with path.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.message_count > 200
    names = {schema.name for schema in summary.schemas.values()}
    assert {"foxglove.CompressedImage", "foxglove.RawImage", "foxglove.JointStates", "forearm.v1.Observed"} <= names


def test_other_readers_decode_what_is_there_to_be_shown(tmp_path: Path) -> None:
    plan = Plan(
        subtask="reach",
        depth_tokens=np.zeros(4, dtype=np.int64),
        depth_map=np.ones((2, 2)),
        points=np.full((2, 2), np.nan),
        trace=np.arange(12.0).reshape(2, 2, 3),
        trace_grippers=np.ones((2, 2)),
        trace_times_s=np.array([0.3, 0.6]),
        confidence=0.9,
    )
    chunk = ActionChunk(stamp_ns=0, period_s=0.1, positions=np.zeros((2, 14)))
    decision = Decision(sequence=0, epoch=1, plan=plan, chunk=chunk, latency_s=0.02, model_digest="")
    path = write(tmp_path / "run.mcap", [*a_run(3)[:-1], Decided(stamp_ns=40_000_000, decision=decision), ended(5)])
    with path.open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        topics = ["/camera/top/image", "/camera/top/depth", "/joints/measured", "/plan/trace", "/log"]
        shown = {each.channel.topic: each.decoded_message for each in reader.iter_decoded_messages(topics=topics)}
    assert (shown["/camera/top/image"].format, shown["/camera/top/image"].frame_id) == ("png", "top")
    assert (shown["/camera/top/depth"].encoding, shown["/camera/top/depth"].width) == ("32FC1", 16)
    assert [joint.name for joint in shown["/joints/measured"].joints][6::7] == ["left_gripper", "right_gripper"]
    assert shown["/joints/measured"].joints[3].position == 3.02
    assert [point.z for point in shown["/plan/trace"].entities[1].lines[0].points] == [8.0, 11.0]
    assert shown["/log"].message == "done: the block is in the box"


@pytest.mark.slow
@given(st.data())
@quick
def test_a_log_cut_at_any_byte_reads_as_a_prefix_or_says_why_not(data: st.DataObject) -> None:
    run = a_run(60)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "run.mcap", run)
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole) - 1))
        path.write_bytes(whole[:cut])
        try:
            log = read_run(path)
        except LogError:
            assert cut < 8000  # only where the session's first flush is not whole
            return
        back = list(read_events(path))
    assert not log.complete
    assert f"of {cut}" in log.damage
    assert same(tuple(back), tuple(run[: len(back)]))


def test_what_was_flushed_can_be_read_while_the_log_is_still_open(tmp_path: Path) -> None:
    log = LogWriter.create(tmp_path / "run.mcap")
    for event in a_run()[:-1]:
        log.append(event)
    half = read_run(tmp_path / "run.mcap")
    assert not half.complete
    assert half.duration_s >= 0.7
    log.close()


@pytest.mark.parametrize("event", [started(), ended(5)], ids=["start", "end"])
def test_an_event_that_matters_is_on_disk_at_once(event: Event, tmp_path: Path) -> None:
    log = LogWriter.create(tmp_path / "run.mcap")
    log.append(started())
    log.append(event)
    assert same(tuple(read_events(tmp_path / "run.mcap"))[-1], event)
    log.close()


def test_a_flipped_bit_ends_the_log_there(tmp_path: Path) -> None:
    path = write(tmp_path / "run.mcap", a_run())
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0x10
    path.write_bytes(damaged)
    log = read_run(path)
    assert not log.complete
    assert 0 < len(log.positions) < 100


def test_a_log_without_a_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="without the start of a session"):
        read_run(write(tmp_path / "run.mcap", [ended(0)]))


@pytest.mark.parametrize("content", [b"", b"not a log at all"], ids=["empty", "text"])
def test_a_file_that_is_no_log_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    path.write_bytes(content)
    with pytest.raises(LogError, match="not an MCAP file"):
        read_run(path)


@pytest.mark.parametrize("topic", ["imu", "/", "", "/camera/top", "/camera", "/events"])
def test_a_log_of_another_program_is_refused(topic: str, tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("theirs", "jsonschema", b"{}")
        channel = writer.register_channel(topic, "json", schema)
        writer.add_message(channel, log_time=0, publish_time=0, data=b"{}")
        writer.finish()
    with pytest.raises(LogError):
        read_run(path)


def test_a_missing_log_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"nowhere\.mcap.*No such file"):
        read_run(tmp_path / "nowhere.mcap")


def test_a_log_is_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "run.mcap", a_run(3))
    with pytest.raises(LogError, match="choose another folder"):
        LogWriter.create(tmp_path / "run.mcap")


def test_a_log_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    with path.open("wb") as stream:
        mcap = Writer(stream)
        mcap.start()
        schema = mcap.register_schema("forearm.v999.SessionStarted", "jsonschema", b"{}")
        mcap.add_message(mcap.register_channel("/events/session_started", "json", schema), 0, b"{}", 0)
        mcap.finish()
    with pytest.raises(LogError, match="read it with its own forearm"):
        read_run(path)


def test_modes_and_verdicts_keep_their_order(tmp_path: Path) -> None:
    changes = [
        ModeChanged(stamp_ns=index, before=before, after=after, trigger="t", reason="r")
        for index, (before, after) in enumerate(pairwise(["IDLE", "ENGAGED", "HOLDING", "ENGAGED"]))
    ]
    log = read_run(write(tmp_path / "run.mcap", [started(), *changes]))
    assert [change.after for change in log.mode_changes] == ["ENGAGED", "HOLDING", "ENGAGED"]


def test_every_stop_is_in_the_log_with_what_was_measured_of_it(tmp_path: Path) -> None:
    stood = Stopped(
        stamp_ns=9_300_000_000, cause="The top camera is frozen.", how="hold", commanded_ns=9_000_000_000,
        standing_ns=9_250_000_000, joints_rad=(0.1, 0.0), tools_m=(0.034, 0.001), verdict="standing",
    )  # fmt: skip
    lost = replace(stood, standing_ns=None, verdict="unknown", how="protective")
    log = read_run(write(tmp_path / "run.mcap", [started(), stood, lost]))
    assert [stopped.standing_ns for stopped in log.stops] == [9_250_000_000, None]
    assert log.stops[0].text == "stopped (hold), standing after 0.25 s and 34 mm"
    assert log.stops[1].text == "told to stop (protective), unknown after 0.30 s and 34 mm"
    assert [message.level for _, message in (*views(stood), *views(lost))] == [Log.Level.INFO, Log.Level.FATAL]


def test_where_the_main_camera_was_found_is_in_the_log_and_as_loud_as_what_came_of_it(tmp_path: Path) -> None:
    found = CameraRegistered(
        stamp_ns=9_000_000_000, camera="top", verdict="as drawn", shift_m=(0.0, 0.0, 0.0), turn_rad=(0.0, 0.0, 0.0),
        focal=1.0, table_m=0.0, arms_fit=1.0, text="top camera: that is as drawn.",
    )  # fmt: skip
    moved, gone = replace(found, verdict="put right"), replace(found, verdict="refused")
    log = read_run(write(tmp_path / "run.mcap", [started(), moved]))
    assert log.camera is not None
    assert log.camera.verdict == "put right"
    levels = [message.level for each in (found, moved, gone) for _, message in views(each)]
    assert levels == [Log.Level.INFO, Log.Level.WARNING, Log.Level.FATAL]
