"""What the command line was asked for, refused before any work where it can come to nothing."""

from __future__ import annotations

import os
from pathlib import Path

from forearm.errors import InputError


def at_least(least: int, **values: int | None) -> None:
    """Refuses a number below `least`; one that was not given is the command's own business.

    Raises:
        InputError: that names it.
    """
    for name, value in values.items():
        if value is not None and value < least:
            raise InputError(f"{name}: got {value}, allowed is ≥ {least}; leave it out for the usual one")


def folder_at(path: Path) -> Path:
    """The folder that results go into, made as needed.

    Raises:
        InputError: when it cannot be one, or nothing can be written there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"folder: got {path} ({error.strerror}), one is needed; name another") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"folder: got {path}, one that can be written to is needed; name another")
    return path


def file_at(path: Path) -> Path:
    """The file that a result goes into; its folder is made as needed.

    Raises:
        InputError: when it is a folder, or cannot be in one.
    """
    if path.is_dir():
        raise InputError(f"file: got the folder {path}, a file is needed; name one in it")
    folder_at(path.parent)
    return path
