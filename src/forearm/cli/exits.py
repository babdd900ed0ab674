"""What exit codes mean; scripts rely on them."""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType


class Exit(IntEnum):
    """How a command ended. A process that was asked to end by signal n exits with 128 + n, as shells do."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    STOPPED = 3
    BROKEN = 70  # EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130  # 128 + SIGINT


BY_OUTCOME = MappingProxyType(
    {
        "done": Exit.DONE,
        "failed": Exit.FAILED,
        "refused": Exit.BAD_INPUT,
        "stopped": Exit.STOPPED,
        "error": Exit.BROKEN,
    }
)
