"""A small log of its own for a part that must say why, even when everything else has failed.

Invariant: writing never blocks the caller, and each line is on the disk as soon as the disk takes it. Room is set aside
when the diary is opened, so that a disk that fills up later does not silence it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

ROOM_BYTES = 64 * 1024  # set aside: a run writes a few kB
CLOSING_S = 2.0  # s that closing waits for the disk


class Diary:
    """JSON lines at `path`, each with `stamp_ns` and `kind`, written and synchronised by a thread of its own.

    Raises:
        OSError: when the file cannot be made, or there is no room for it.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("xb", buffering=0)
        os.posix_fallocate(self._stream.fileno(), 0, ROOM_BYTES)
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="diary", daemon=True)
        self._thread.start()

    def write(self, stamp_ns: int, kind: str, **more: Any) -> None:
        """Adds a line. Never blocks, never raises."""
        line = json.dumps({"stamp_ns": stamp_ns, "kind": kind, **more}, separators=(",", ":"))
        self._lines.put(line.encode() + b"\n")

    def close(self) -> None:
        """Writes what waits and cuts off the room that was not needed; gives up on a disk that takes nothing."""
        self._lines.put(None)
        self._thread.join(CLOSING_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        with self._stream:
            while (line := self._lines.get()) is not None:
                try:
                    self._stream.write(line)
                    os.fsync(self._stream.fileno())
                except OSError:  # the last one that can be told is whoever reads the terminal
                    sys.stderr.write(line.decode())
            self._stream.truncate()


def read_diary(path: Path) -> list[dict[str, Any]]:
    """The lines of a diary, one that was never closed included.

    Raises:
        OSError: when there is none.
    """
    lines = path.read_bytes().rstrip(b"\0").split(b"\n")
    return [json.loads(line) for line in lines[:-1]]
