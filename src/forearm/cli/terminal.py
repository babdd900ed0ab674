"""The two streams of a command: people read stderr, scripts read stdout. Neither ends a run when nobody reads on."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from rich.console import Console


class People(Console):
    """What people read; it falls silent once they have gone."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        _let_go(sys.stderr)


PEOPLE = People(stderr=True)


def say(line: str) -> None:
    """Writes one line for scripts."""
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go(sys.stdout)


def with_digest(policy: str, model_digest: str) -> str:
    """The policy's name and the first twelve digits of its weights' SHA-256, where it has any, for people to read."""
    return f"{policy} {model_digest[:12]}".rstrip()


def settle() -> None:
    """Writes what is left; streams that take nothing any more, of a closed terminal, do not change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _let_go(stream)


def _let_go(stream: TextIO) -> None:
    """What is written from here on goes nowhere: the interpreter's last flush would fail once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
