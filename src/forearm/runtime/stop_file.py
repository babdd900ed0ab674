"""A file as the stop input of a cell: whatever can make a file can stop the arms. Not a safety function.

Invariant: that the arms may go on is seen anew each time: the file is not there, in the folder that was there at first.
Whatever else is found, or cannot be looked at, wants a stop.
"""

from __future__ import annotations

from pathlib import Path

from forearm.errors import InputError, RobotError


class StopFile:
    """An `external_stop` for a session: asks for a stop as soon as a file of that name exists, of any kind.

    It is polled by software on an ordinary computer, once a tick, in two system calls. A folder of another machine may
    keep it waiting, and the tick with it.

    Args:
        path: of the file, not there yet.

    Raises:
        InputError: when the file is there, or its folder cannot be looked at.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        try:
            self._folder = self._seen_folder()
            there = self()
        except OSError as error:
            raise InputError(
                f"stop file: got {error.strerror} for {path}, its folder has to be there and open to you; "
                "make it, or name another file"
            ) from error
        if there:
            raise InputError(f"stop file: got {path}, which is there, it must not be yet; remove it and start again")

    def __call__(self) -> str:
        """Why the arms must stop, in words; empty while they may move.

        Raises:
            OSError: when the folder cannot be looked at any more.
            RobotError: when another folder is in its place, as where a disk was unmounted.
        """
        try:
            self._path.lstat()
        except FileNotFoundError:
            if self._seen_folder() != self._folder:
                raise RobotError(
                    f"stop file: got another folder {self._path.parent}, the one of the start is needed; mount it again"
                ) from None
            return ""
        return f"{self._path} is there."

    def _seen_folder(self) -> tuple[int, int]:
        """Which folder it is: device and number."""
        seen = self._path.parent.stat()
        return seen.st_dev, seen.st_ino
