"""Reads a run's MCAP file back into typed values, also one that ends in the middle of a record.

Whatever was flushed is read; the first record that is not whole and sound ends the log, and `complete` says so.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, get_args

import numpy as np
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.RawImage_pb2 import RawImage
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader
from mcap.writer import MCAP0_MAGIC

from forearm.clock import NANOSECONDS
from forearm.errors import LogError
from forearm.events import (
    Alarmed,
    CameraRegistered,
    Commanded,
    Decided,
    Event,
    Judged,
    LimitsStated,
    ModeChanged,
    Observed,
    OperatorActed,
    RecoveryBegan,
    RecoveryEnded,
    SessionEnded,
    SessionStarted,
    Stopped,
)
from forearm.messages import DepthImage, Floats
from forearm.telemetry import encoding
from forearm.telemetry.images import LoggedImage, depth_image, logged_image
from forearm.telemetry.writer import PROFILE

_KINDS: dict[str, type] = {kind.__name__: kind for kind in get_args(Event)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunLog:
    """A whole run as its log tells it. N observations, M commands, J joints in embodiment order.

    Attributes:
        path: the file.
        header: how the run was started.
        stamps_ns: (N,) when the robot was read, session clock.
        positions: (N, J) rad and gripper opening, as measured.
        velocities: (N, J) rad/s and 1/s.
        efforts: (N, J) N m and N.
        command_stamps_ns: (M,) when set-points were sent.
        commands: (M, J) the set-points.
        decisions: what the policy answered.
        verdicts: what vetting answered, and the guard where it did not just allow.
        mode_changes: every change of mode.
        stops: what was measured of every stop.
        recoveries: every beginning and end of a recovery, in order.
        operator_acts: everything a person did.
        limits: what was known of the model's limits; None in a log that does not say.
        alarms: every decision that was not what success looks like.
        images: each colour camera's captures, oldest first, still encoded.
        depths: each depth camera's captures, oldest first.
        end: how the run ended; None when it did not get to say so.
        complete: the file was closed, so nothing that was recorded is missing at its end.
        damage: where and why reading stopped, in words; empty for a complete log.
    """

    path: Path
    header: SessionStarted
    stamps_ns: np.ndarray[Any, np.dtype[np.int64]]
    positions: Floats
    velocities: Floats
    efforts: Floats
    command_stamps_ns: np.ndarray[Any, np.dtype[np.int64]]
    commands: Floats
    decisions: tuple[Decided, ...]
    verdicts: tuple[Judged, ...]
    mode_changes: tuple[ModeChanged, ...]
    stops: tuple[Stopped, ...]
    recoveries: tuple[RecoveryBegan | RecoveryEnded, ...]
    operator_acts: tuple[OperatorActed, ...]
    limits: LimitsStated | None
    camera: CameraRegistered | None
    alarms: tuple[Alarmed, ...]
    images: Mapping[str, tuple[LoggedImage, ...]]
    depths: Mapping[str, tuple[DepthImage, ...]]
    end: SessionEnded | None
    complete: bool
    damage: str

    def seconds(self, stamp_ns: int) -> float:
        """Time since the run began."""
        return (stamp_ns - self.header.stamp_ns) / NANOSECONDS

    @property
    def duration_s(self) -> float:
        """From the start to the newest event."""
        events = (*self.decisions, *self.verdicts, *self.mode_changes, *self.stops, *((self.end,) if self.end else ()))
        newest = [self.header.stamp_ns, *(event.stamp_ns for event in events)]
        newest += [int(stamps[-1]) for stamps in (self.stamps_ns, self.command_stamps_ns) if len(stamps)]
        return self.seconds(max(newest))


class _Tail:
    """Where reading stopped: empty `damage` when that was the end of a closed file."""

    damage = ""


def _messages(stream: BinaryIO, size: int, tail: _Tail) -> Iterator[tuple[Channel, Schema, Message]]:
    """Every message up to the end or to the first record that is not whole and sound."""
    channels: dict[int, Channel] = {}
    schemas: dict[int, Schema] = {}
    reader = StreamReader(stream, validate_crcs=True, record_size_limit=size)
    records = reader.records
    while True:
        try:
            record = next(records)
        except StopIteration:
            return
        except Exception as error:  # broken bytes break the parser in any way it has: struct, zstd, CRC, UTF-8, magic
            tail.damage = (
                f"the log ends at byte {stream.tell()} of {size} in an unfinished record ({type(error).__name__})"
            )
            return
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel):
            channels[record.id] = record
        elif isinstance(record, Message):
            channel = channels[record.channel_id]
            yield channel, schemas[channel.schema_id], record


def _event(schema: Schema, message: Message) -> tuple[Event, dict[str, Any]]:
    """The event, an observation still without its captures, and the record it came from."""
    version, _, name = schema.name.rpartition(".")
    if version != PROFILE or name not in _KINDS:
        raise LogError(f"run log: got an event {schema.name}, allowed are {PROFILE} ones; read it with its own forearm")
    record: dict[str, Any] = json.loads(message.data)
    bare: dict[str, Any] = record
    if name == Observed.__name__:
        bare = {**record, "observation": {**record["observation"], "images": {}, "depths": {}}}
    return encoding.typed(_KINDS[name], bare), record


@dataclass(frozen=True, slots=True)
class _Entry:
    """One message of the log that a reader cares for, of a camera or an event."""

    value: Event | LoggedImage | DepthImage
    camera: str
    record: Mapping[str, Any]


def _entries(path: Path, tail: _Tail) -> Iterator[_Entry]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise LogError(f"run log: got {path}: {error.strerror}, a file is needed; name the folder of a run") from error
    with stream:
        if stream.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
            raise LogError(f"run log: got {path}, which is not an MCAP file, a run.mcap is needed; name a run's folder")
        stream.seek(0)
        for channel, schema, message in _messages(stream, path.stat().st_size, tail):
            parts = [*channel.topic.split("/", 3), "", "", ""]  # the topics of others may have fewer
            room, rest = parts[1], parts[2:]
            if room == "events":
                event, record = _event(schema, message)
                yield _Entry(event, "", record)
            elif room == "camera" and rest[1] == "image":
                yield _Entry(logged_image(CompressedImage.FromString(message.data)), rest[0], {})
            elif room == "camera" and rest[1] == "depth":
                yield _Entry(depth_image(RawImage.FromString(message.data)), rest[0], {})


def read_events(path: Path) -> Iterator[Event]:
    """Every event of the log as it was emitted, observations with their captures; stops where the log is damaged.

    Small images come back exactly, ones above `images.LOSSLESS_PIXELS` as JPEG left them.

    Raises:
        LogError: when the file cannot be opened, is no run log, or is of another schema.
    """
    images: dict[str, Any] = {}
    depths: dict[str, DepthImage] = {}
    for entry in _entries(path, _Tail()):
        if isinstance(entry.value, LoggedImage):
            images[entry.camera] = entry.value.decode()
        elif isinstance(entry.value, DepthImage):
            depths[entry.camera] = entry.value
        elif isinstance(entry.value, Observed):
            named = entry.record["observation"]
            seen = replace(
                entry.value.observation,
                images={camera: _capture(images, camera, stamp) for camera, stamp in named["images"].items()},
                depths={camera: _capture(depths, camera, stamp) for camera, stamp in named["depths"].items()},
            )
            yield replace(entry.value, observation=seen)
        else:
            yield entry.value


def _capture(newest: Mapping[str, Any], camera: str, stamp_ns: int) -> Any:
    if camera not in newest or newest[camera].stamp_ns != stamp_ns:
        raise LogError(
            f"run log: got no capture of {camera} at {stamp_ns} ns, an observation needs it; record it again"
        )
    return newest[camera]


def read_run(path: Path) -> RunLog:
    """The run in the log at `path`; about 0.1 s per second of run.

    Raises:
        LogError: when the file cannot be opened, is no run log, is of another schema, or was cut off before its header.
    """
    tail = _Tail()
    events: dict[type, list[Any]] = defaultdict(list)
    images: dict[str, list[LoggedImage]] = defaultdict(list)
    depths: dict[str, list[DepthImage]] = defaultdict(list)
    for entry in _entries(path, tail):
        if isinstance(entry.value, LoggedImage):
            images[entry.camera].append(entry.value)
        elif isinstance(entry.value, DepthImage):
            depths[entry.camera].append(entry.value)
        else:
            events[type(entry.value)].append(entry.value)
    if not events[SessionStarted]:
        raise LogError(f"run log: got {path} without the start of a session, one is needed; record the run again")
    seen = [event.observation for event in events[Observed]]
    return RunLog(
        path=path,
        header=events[SessionStarted][0],
        stamps_ns=np.array([each.stamp_ns for each in seen], dtype=np.int64),
        positions=_table([each.positions for each in seen]),
        velocities=_table([each.velocities for each in seen]),
        efforts=_table([each.efforts for each in seen]),
        command_stamps_ns=np.array([event.stamp_ns for event in events[Commanded]], dtype=np.int64),
        commands=_table([np.array(event.positions) for event in events[Commanded]]),
        decisions=tuple(events[Decided]),
        verdicts=tuple(events[Judged]),
        mode_changes=tuple(events[ModeChanged]),
        stops=tuple(events[Stopped]),
        recoveries=tuple(
            sorted(events[RecoveryBegan] + events[RecoveryEnded], key=lambda event: (event.stamp_ns, event.attempt))
        ),
        operator_acts=tuple(events[OperatorActed]),
        limits=events[LimitsStated][0] if events[LimitsStated] else None,
        camera=events[CameraRegistered][0] if events[CameraRegistered] else None,
        alarms=tuple(events[Alarmed]),
        images={camera: tuple(captures) for camera, captures in images.items()},
        depths={camera: tuple(captures) for camera, captures in depths.items()},
        end=events[SessionEnded][-1] if events[SessionEnded] else None,
        complete=not tail.damage,
        damage=tail.damage,
    )


def _table(rows: list[Floats]) -> Floats:
    return np.stack(rows) if rows else np.empty((0, 0))
