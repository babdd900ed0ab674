"""Writes a run's events into one MCAP file that opens up to its last flush, whenever the process died.

Topics: `/events/{kind}` holds every event exactly, as JSON described by JSON schema; `/camera/{name}/image` and
`/camera/{name}/depth` hold each capture once, and an observation names its captures by their stamps; the rest are views
for Foxglove. The bytes depend on the events alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

from google.protobuf.message import Message
from mcap.well_known import MessageEncoding, SchemaEncoding
from mcap.writer import CompressionType, Writer
from mcap_protobuf.schema import register_schema

from forearm.errors import LogError
from forearm.events import SCHEMA, Event, Observed
from forearm.messages import DepthImage, Image, Observation
from forearm.telemetry import encoding
from forearm.telemetry.images import colour_message, depth_message
from forearm.telemetry.views import views

Capture = TypeVar("Capture", Image, DepthImage)

FILE_NAME = "run.mcap"
PROFILE = f"forearm.v{SCHEMA}"  # names the schema of the events in the file's header and in their schema names
CHUNK_BYTES = 256 * 1024  # uncompressed; 3–4 chunks a second with three small cameras at 10 Hz
FLUSH_NS = 250_000_000  # ns of event time after which a chunk is written out even if it is not full
FLUSH_KINDS = frozenset(  # never lost once appended
    {
        "session_started",
        "mode_changed",
        "stopped_motion",
        "recovery_began",
        "recovery_ended",
        "operator_acted",
        "limits_stated",
        "alarmed",
        "session_ended",
    }
)


def event_record(event: Event) -> dict[str, Any]:
    """`event` as a JSON object; an observation's captures are their stamps by camera name."""
    if not isinstance(event, Observed):
        return encoding.plain(event)
    seen = event.observation
    record = encoding.plain(replace(event, observation=replace(seen, images={}, depths={})))
    record["observation"]["images"] = {camera: image.stamp_ns for camera, image in seen.images.items()}
    record["observation"]["depths"] = {camera: depth.stamp_ns for camera, depth in seen.depths.items()}
    return record


def event_schema(kind: type) -> dict[str, Any]:
    """The JSON schema of `event_record` for one kind of event."""
    described = encoding.schema(kind)
    if kind is Observed:
        stamps: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "integer"}}
        described["properties"]["observation"]["properties"] |= {"images": stamps, "depths": stamps}
    return described


class LogWriter:
    """Appends events to an MCAP stream. Used from one thread at a time. A context manager that closes.

    Args:
        stream: seekable, opened for binary writing; closed by `close`.

    Raises:
        OSError: from any method, when the stream cannot be written. What was flushed before stays readable.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._mcap = Writer(stream, chunk_size=CHUNK_BYTES, compression=CompressionType.ZSTD)
        self._mcap.start(profile=PROFILE, library="forearm")
        self._channels: dict[str, int] = {}
        self._schemas: dict[type[Message], int] = {}
        self._captured: dict[str, int] = {}  # topic → stamp of the newest capture written
        self._flushed_ns: int | None = None

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new log at `path`, whose folder exists.

        Raises:
            LogError: when there is a file already; a log is never overwritten.
            OSError: when the file cannot be made.
        """
        try:
            return cls(path.open("xb"))
        except FileExistsError as error:
            raise LogError(f"run log: got {path}, which exists, a new file is needed; choose another folder") from error

    def append(self, event: Event) -> None:
        """Writes `event`, its new captures before it and its views behind it; 0.1 ms, or 5 ms with three new captures.

        Raises:
            LogError: when the event holds what no message may hold; the log stays as it was.
        """
        topic = f"/events/{event.kind}"
        data = json.dumps(event_record(event), separators=(",", ":"), allow_nan=False).encode()
        captures = self._captures(event.observation) if isinstance(event, Observed) else []
        shown = list(views(event))  # everything is encoded before anything is written: an event is logged or it is not
        for camera_topic, stamp_ns, message in captures:
            self._add(camera_topic, message, event.stamp_ns, stamp_ns)
            self._captured[camera_topic] = stamp_ns
        self._mcap.add_message(self._event_channel(topic, type(event)), event.stamp_ns, data, event.stamp_ns)
        for view_topic, message in shown:
            self._add(view_topic, message, event.stamp_ns, event.stamp_ns)
        if self._flushed_ns is None:
            self._flushed_ns = event.stamp_ns
        if event.kind in FLUSH_KINDS or event.stamp_ns - self._flushed_ns >= FLUSH_NS:
            self._flushed_ns = event.stamp_ns
            self.flush()

    def flush(self) -> None:
        """Hands everything appended to the operating system: a killed process does not lose it, a power cut may."""
        self._mcap.flush()

    def close(self) -> None:
        """Writes the index that lets Foxglove seek, and closes the stream. Not more than once."""
        try:
            self._mcap.finish()
            self._stream.flush()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Closes the stream without the index and without a complaint; for a stream that cannot be written any more."""
        with suppress(OSError):
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _captures(self, seen: Observation) -> list[tuple[str, int, Message]]:
        """Topic, stamp and message of every capture that is not in the log yet."""
        fresh: list[tuple[str, int, Message]] = []
        for camera, image in self._new(seen.images, "image"):
            fresh.append((f"/camera/{camera}/image", image.stamp_ns, colour_message(camera, image)))
        for camera, depth in self._new(seen.depths, "depth"):
            fresh.append((f"/camera/{camera}/depth", depth.stamp_ns, depth_message(camera, depth)))
        return fresh

    def _new(self, captures: Mapping[str, Capture], what: str) -> list[tuple[str, Capture]]:
        return [
            (camera, capture)
            for camera, capture in captures.items()
            if self._captured.get(f"/camera/{camera}/{what}") != capture.stamp_ns
        ]

    def _event_channel(self, topic: str, kind: type) -> int:
        if topic not in self._channels:
            schema = json.dumps(event_schema(kind), separators=(",", ":")).encode()
            schema_id = self._mcap.register_schema(f"{PROFILE}.{kind.__name__}", SchemaEncoding.JSONSchema, schema)
            self._channels[topic] = self._mcap.register_channel(topic, MessageEncoding.JSON, schema_id)
        return self._channels[topic]

    def _add(self, topic: str, message: Message, log_ns: int, publish_ns: int) -> None:
        if topic not in self._channels:
            kind = type(message)
            if kind not in self._schemas:
                self._schemas[kind] = register_schema(self._mcap, kind)
            self._channels[topic] = self._mcap.register_channel(topic, MessageEncoding.Protobuf, self._schemas[kind])
        self._mcap.add_message(self._channels[topic], log_ns, message.SerializeToString(deterministic=True), publish_ns)
