"""Files that are whole or not there: whoever reads one never sees half of it."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forearm.errors import InputError


@contextmanager
def whole(path: Path) -> Generator[Path]:
    """Where to write what becomes `path` once the block is done; nothing is left of it when that fails.

    Folders are made as needed. The name ends as the path's does: some writers go by it.

    Raises:
        OSError: when it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """The whole text in UTF-8, or the file as it was.

    Raises:
        OSError: when it cannot be written.
    """
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, *, indent: int | None = 1) -> None:
    """The whole value as JSON, or the file as it was.

    Raises:
        OSError: when it cannot be written.
    """
    write_text(path, json.dumps(value, indent=indent) + "\n")


def claim(folder: Path, name: str, plan: Mapping[str, Any], *, what: str) -> None:
    """Says in `folder`, in a file called `name`, what it is being made into: only the same work goes on there.

    What an older version did not know of, and nobody asks for now, is no other work.

    Args:
        folder: made as needed.
        name: of the file, JSON.
        plan: everything that decides what comes of the work.
        what: the work, as an error calls it.

    Raises:
        InputError: when the file says something else already.
        OSError: when it cannot be written.
    """
    path, wanted = folder / name, json.loads(json.dumps(plan))
    if path.is_file() and not _same(_read(path), wanted):
        raise InputError(f"{what} {folder}: got another plan than {path} holds; name a new folder or repeat that plan")
    write_json(path, wanted)


def _same(known: Any, wanted: Any) -> bool:
    """Whether both ask for the same: what is empty may be left out of what is known."""
    if not isinstance(known, dict) or not isinstance(wanted, dict):
        return bool(known == wanted)
    new = wanted.keys() - known.keys()
    return known.keys() <= wanted.keys() and all(
        not value if name in new else _same(known[name], value) for name, value in wanted.items()
    )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # nothing that was ever planned
        return None
