"""A checkpoint by path or, where the hub can be reached or has been before, by its published name."""

from __future__ import annotations

import re
from pathlib import Path

from forearm.errors import CheckpointError

_PUBLISHED = re.compile(r"[\w.-]+/[\w.-]+")  # owner/name
_DATA = ("*.json", "*.safetensors", "*.txt")  # never the program code that released folders also hold


def find(checkpoint: str | Path, *, hub: str | None = None, cache: Path | None = None) -> Path:
    """The folder of a checkpoint: `checkpoint` itself, or the hub's copy of that name, downloaded if need be.

    Blocks while it downloads, tens of gigabytes for a released model; what is there already is not fetched again.

    Args:
        checkpoint: a path, or `owner/name`.
        hub: address of a mirror; None is the public one, or what HF_ENDPOINT says.
        cache: where downloads are kept; None is the hub client's own place.

    Raises:
        CheckpointError: when there is no such folder and the hub has none of that name, or cannot be reached.
    """
    folder = Path(checkpoint)
    if folder.exists() or not _PUBLISHED.fullmatch(str(checkpoint)):
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(str(checkpoint), allow_patterns=list(_DATA), endpoint=hub, cache_dir=cache, max_workers=1)
        )
    except Exception as error:  # the client's own, its transport's and the disk's
        raise CheckpointError(
            f"checkpoint: got {str(checkpoint)!r}, allowed is a folder here or a name on a hub that can be reached "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no answer'}); check the path"
        ) from error
