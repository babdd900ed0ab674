"""Checkpoints of the small reasoner: what is shipped, and what training resumes from. Written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from forearm.model.reasoner import ReasonerConfig
from forearm.model.sight import Scales
from forearm.model.words import Words

WEIGHTS, CONFIG, RECIPE, STATE = "model.safetensors", "config.json", "recipe.json", "state.pt"
FORMAT = "forearm.reasoner.v1"


def save(
    folder: Path,
    weights: Mapping[str, Tensor],
    config: ReasonerConfig,
    words: Words,
    scales: Scales,
    recipe: Mapping[str, Any],
) -> str:
    """Writes weights, config and recipe; each file replaces the old one only when it is whole. Returns the weights' SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / (WEIGHTS + ".partial")
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, partial, metadata={"format": "pt"})
    digest = hashlib.sha256(partial.read_bytes()).hexdigest()
    partial.replace(folder / WEIGHTS)
    described = {
        "format": FORMAT,
        "model": asdict(config),
        "words": asdict(words),
        "scales": scales.to_json(),
        "sha256": digest,
    }
    _write(folder / CONFIG, described)
    _write(folder / RECIPE, dict(recipe))
    return digest


def _write(path: Path, value: Mapping[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1))
    partial.replace(path)


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """What training needs to go on from here: weights, averages, optimiser, step."""
    partial = folder / (STATE + ".partial")
    torch.save(dict(state), partial)
    partial.replace(folder / STATE)


def load_state(folder: Path) -> dict[str, Any] | None:
    """What `save_state` wrote, or None where nothing was."""
    path = folder / STATE
    return torch.load(path, weights_only=True) if path.is_file() else None
