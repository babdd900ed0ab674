"""What training resumes from: written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

STATE = "state.pt"


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """What training needs to go on from here: weights, averages, optimiser, step."""
    partial = folder / (STATE + ".partial")
    torch.save(dict(state), partial)
    partial.replace(folder / STATE)


def load_state(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """What `save_state` wrote, on `device`, or None where nothing was."""
    path = folder / STATE
    return torch.load(path, weights_only=True, map_location=device) if path.is_file() else None
