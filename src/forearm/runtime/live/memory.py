"""Values in memory that processes share: each has one writer and any number of readers, and nobody waits for anybody.

Invariant: a reader gets a value that was written whole. A writer that is stopped or killed in the middle of one leaves
the value before it. The memory has no name, so that nothing of it is left when the last of its processes is gone.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from multiprocessing.reduction import DupFd
from typing import Any

from forearm.errors import RobotError

ALIGNMENT = 8  # bytes, so that a count is stored in one piece
CHECK = struct.Struct("=Q")  # CRC-32 of a copy, widened to keep the alignment
TRIES = 16  # a read is overtaken only if a whole value is written meanwhile; so often in a row it is not


class Slot:
    """One value of `size` bytes in two copies: the writer fills the one that is not being read, then counts up.

    The check sum catches what a machine with weakly ordered memory, or a second writer, might do to that.
    """

    def __init__(self, memory: memoryview, size: int) -> None:
        self._size = size
        self._count = memory[:ALIGNMENT].cast("q")
        reach = CHECK.size + _aligned(size)
        first = memory[ALIGNMENT : ALIGNMENT + reach]
        self._copies = (first, memory[ALIGNMENT + reach : ALIGNMENT + 2 * reach])

    @staticmethod
    def span(size: int) -> int:
        """Bytes of memory that a value of `size` bytes takes."""
        return ALIGNMENT + 2 * (CHECK.size + _aligned(size))

    @property
    def count(self) -> int:
        """How many values have been written."""
        return self._count[0]

    def write(self, value: bytes) -> None:
        """Replaces the value; one thread of one process only."""
        count = self._count[0] + 1
        copy = self._copies[count % 2]
        copy[CHECK.size : CHECK.size + self._size] = value
        copy[: CHECK.size] = CHECK.pack(zlib.crc32(value))
        self._count[0] = count

    def read(self) -> bytes:
        """The newest value, zeros before the first.

        Raises:
            RobotError: when no whole value could be read.
        """
        for _ in range(TRIES):
            count = self._count[0]
            if count == 0:
                return bytes(self._size)
            copy = self._copies[count % 2]
            check, value = bytes(copy[: CHECK.size]), bytes(copy[CHECK.size : CHECK.size + self._size])
            if self._count[0] == count and CHECK.unpack(check)[0] == zlib.crc32(value):
                return value
        raise RobotError(f"shared memory: got {TRIES} broken values in a row, a whole one is needed; start again")


class Memory:
    """Slots of the given sizes. Sent to a process that multiprocessing starts, it is the same memory there.

    Args:
        sizes: bytes of each slot's value.
        descriptor: the file of memory that is already there; a new one by default. Linux only.
    """

    def __init__(self, sizes: Sequence[int], descriptor: int | None = None) -> None:
        total = sum(Slot.span(size) for size in sizes)
        self._sizes = tuple(sizes)
        self.descriptor = os.memfd_create("forearm") if descriptor is None else descriptor
        """The file of memory, for a process that inherits it."""
        if descriptor is None:
            os.ftruncate(self.descriptor, total)
        whole = memoryview(mmap.mmap(self.descriptor, total))
        self.slots: list[Slot] = []
        """In the order of the sizes."""
        for size in sizes:
            self.slots.append(Slot(whole, size))
            whole = whole[Slot.span(size) :]

    def close(self) -> None:
        """Gives the descriptor back; what was mapped stays until nobody uses it. Safe to call twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __reduce__(self) -> tuple[Any, ...]:
        return _attached, (type(self), self._sizes, DupFd(self.descriptor))


def _attached(kind: type[Memory], sizes: tuple[int, ...], duplicate: Any) -> Memory:
    return kind(sizes, duplicate.detach())


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
