"""A person at a terminal or gamepad, or a script in their place, who may hold, step, jog, hand back during a run.

Invariant: whoever acts is named, and is there before anything moves; a terminal that is still there is left as it was
found.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from forearm.errors import InputError

if TYPE_CHECKING:
    from forearm.runtime.operator import Operator

By = Literal["keys", "gamepad", "script"]


@contextmanager
def operator_by(by: By | None, stream: TextIO = sys.stdin, device: Path | None = None) -> Generator[Operator | None]:
    """Who acts, from standard input or a gamepad's device, the first one by default; None where nobody does.

    Raises:
        InputError: for keys where there is no terminal, a gamepad that is not there, or a script with a line that means
            nothing.
    """
    from forearm.runtime.operator import script

    if by is None:
        yield None
    elif by == "script":
        yield script(stream, _who())
    elif by == "gamepad":
        with _gamepad(device) as gamepad:
            yield gamepad
    elif not stream.isatty():
        raise InputError(
            "override: got keys where standard input is no terminal, a terminal is needed; start it in one, or write "
            "a script and send it with --override script"
        )
    else:
        with _keyboard(stream) as keyboard:
            yield keyboard


@contextmanager
def _gamepad(device: Path | None) -> Generator[Operator]:
    """The pad's acts; what its buttons do is shown first."""
    from forearm.runtime.gamepad import PAD_IN_WORDS, Gamepad, find_gamepad, open_gamepad

    device = device or find_gamepad()
    stream = open_gamepad(device)  # not closed again: its reader waits in it
    _show(str(device), PAD_IN_WORDS)
    yield Gamepad(stream, _who())


@contextmanager
def _keyboard(stream: TextIO) -> Generator[Operator]:
    """Keys one by one as they are pressed, unseen; what they do is shown first."""
    import termios  # not there on every system that may ask for help
    import tty

    from forearm.runtime.operator import KEYS_IN_WORDS, Keyboard, keys

    before = termios.tcgetattr(stream)
    tty.setcbreak(stream)  # Ctrl-C still interrupts
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="replace")  # what is no character is no key, and loses none beside it
    try:
        _show("keys", KEYS_IN_WORDS)
        yield Keyboard(stream, keys(_who()))
    finally:
        with suppress(termios.error):  # a terminal that closed cannot be left as it was found
            termios.tcsetattr(stream, termios.TCSADRAIN, before)


def _show(what: str, lines: Iterable[str]) -> None:
    from forearm.cli.terminal import PEOPLE

    for line in lines:
        PEOPLE.print(f"[bold magenta]{what}[/]  {line}", highlight=False, soft_wrap=True)


def _who() -> str:
    """The name that a person's acts carry."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user that has no name on this machine
        return "operator"
