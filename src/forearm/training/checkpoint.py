"""What training resumes from: written whole or not at all, and only by the run that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from forearm.errors import InputError
from forearm.files import claim, whole
from forearm.model import checkpoint

STATE, PLAN = "state.pt", "training.json"


def claim_run(out: Path, plan: Mapping[str, Any]) -> None:
    """Says in `out` which run it belongs to.

    Raises:
        InputError: when it is another's, or holds a checkpoint of none.
    """
    if not (out / PLAN).is_file() and (out / checkpoint.WEIGHTS).is_file():
        raise InputError(f"training: got {out}, which holds another checkpoint, allowed is a new folder; name one")
    claim(out, PLAN, plan, what="training")


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """What training needs to go on from here: weights, averages, optimiser, step."""
    with whole(folder / STATE) as partial:
        torch.save(dict(state), partial)


def load_state(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """What `save_state` wrote, on `device`, or None where nothing was."""
    path = folder / STATE
    return torch.load(path, weights_only=True, map_location=device) if path.is_file() else None
