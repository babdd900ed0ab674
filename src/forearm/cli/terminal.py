"""The two streams of a command: people read stderr, scripts read stdout."""

from __future__ import annotations

import sys

from rich.console import Console

PEOPLE = Console(stderr=True)


def say(line: str) -> None:
    """Writes one line for scripts."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
