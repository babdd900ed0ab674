"""Which code this is: written into every log, result and checkpoint, so that each can be traced back."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from forearm import __version__

SOURCE = Path(__file__).resolve().parents[2]  # the checkout's root, where there is one


@cache
def code_version(source: Path = SOURCE) -> str:
    """The commit of the source checkout, with "+dirty" when tracked files differ from it; else the package's version.

    Blocks for about 20 ms the first time.
    """
    if not (source / ".git").exists():
        return __version__
    commit = _git(source, "rev-parse", "HEAD")
    changed = _git(source, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changed is None:
        return __version__
    return f"{commit}+dirty" if changed else commit


def _git(source: Path, *arguments: str) -> str | None:
    """What git answers; None where there is no git, or it does not answer."""
    try:
        answer = subprocess.run(["git", *arguments], cwd=source, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
