"""What exit codes mean; scripts rely on them."""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType

from forearm.errors import CheckpointError, DatasetError, ForearmError, InputError, LogError, SafetyError


class Exit(IntEnum):
    """How a command ended. A process that was asked to end by signal n exits with 128 + n, as shells do."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    STOPPED = 3
    BROKEN = 70  # EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130  # 128 + SIGINT


def code_of(error: ForearmError) -> Exit:
    """What a command that raised it exits with: what was asked, what safety refused, or what broke."""
    if isinstance(error, SafetyError):
        return Exit.STOPPED
    return Exit.BAD_INPUT if isinstance(error, BAD) else Exit.BROKEN


BAD = (InputError, CheckpointError, DatasetError, LogError)  # what a person can put right before trying again
BY_OUTCOME = MappingProxyType(
    {
        "done": Exit.DONE,
        "failed": Exit.FAILED,
        "refused": Exit.BAD_INPUT,
        "stopped": Exit.STOPPED,
        "error": Exit.BROKEN,
    }
)
