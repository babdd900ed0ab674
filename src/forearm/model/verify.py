"""Compares this code with a reference: a checkpoint folder that also holds what went in and what came out of it.

Everything in inputs.npz, outputs.npz and train.npz is computed again from the raw camera images on and compared,
array by array.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from forearm.errors import CheckpointError, listing
from forearm.model.published import read_json
from forearm.model.reproduce import Frame, Reproduction
from forearm.model.weights import load

Arrays = Mapping[str, NDArray[Any]]

# Tolerances of the fixtures, by the beginning of an array's name; anything else is an activation.
_ABSOLUTE = {
    "logits": 1e-3,
    "depth_code_logits": 1e-3,
    "depth_margin_min": 1e-3,
    "decode_logit_targets": 1e-3,
    "last_hidden_check": 1e-3,
    "actions": 1e-5,
    "chunk_normalised": 1e-5,
    "flow_x": 1e-5,
    "velocity": 1e-5,
}
_RELATIVE = 1e-4  # of an element and of its array's root mean square: single elements may be near zero
# What is computed from, and so not compared.
_GIVEN = re.compile(r"(image\d+_raw|state_raw|noise)(_step2)?|task|velocity_t")
_GIVEN_TRAINING = ("action_target", "noise", "t", "step_is_pad", "grad_names")
# Of the largest gradient's norm, or of 1: below it one is rounding. A key's bias has none in exact arithmetic.
_LEAST_GRADIENT = 1e-6


@dataclass(frozen=True, slots=True)
class Row:
    """One array's comparison: `worst` is the largest error over its tolerance; agreeing is at most 1."""

    name: str
    agrees: bool
    worst: float
    rule: str


@dataclass(frozen=True, slots=True)
class Report:
    """All comparisons of one folder."""

    folder: Path
    rows: tuple[Row, ...]

    @property
    def agrees(self) -> bool:
        """Whether there was something to compare and all of it agrees."""
        return bool(self.rows) and all(row.agrees for row in self.rows)

    def text(self) -> str:
        """One line for each array, and the sum of it."""
        lines = [
            f"{'agrees ' if row.agrees else 'DIFFERS'}  {row.name:<48} {row.worst:>9.2g} of {row.rule}"
            for row in self.rows
        ]
        wrong = sum(not row.agrees for row in self.rows)
        end = "all agree" if self.agrees else f"{wrong} differ" if self.rows else "nothing to compare"
        return "\n".join([*lines, f"{self.folder}: {len(self.rows)} arrays, {end}"])


def verify(folder: Path) -> Report:
    """Loads the checkpoint in `folder` and compares everything that its inputs.npz and outputs.npz hold.

    An array that this code does not know how to compute counts as differing; images, state, task and noise are what
    everything is computed from.

    Raises:
        CheckpointError: when the folder is not such a checkpoint, or is damaged.
        ConfigError: when config.json says something this code cannot obey.
    """
    inputs, outputs = _read(folder / "inputs.npz"), _read(folder / "outputs.npz")
    missing = [name for name in ("task", "input_ids") if name not in inputs]
    if missing:
        raise CheckpointError(
            f"{folder}/inputs.npz: got no {listing(missing)}, allowed are all raw inputs; copy it again"
        )
    if not outputs:
        raise CheckpointError(f"{folder}/outputs.npz: got no arrays, allowed are a reference's; copy it again")
    meta = read_json(folder / "meta.json") if (folder / "meta.json").is_file() else {}
    model = load(folder).model
    reproduction = Reproduction(model, folder, inputs, meta, free="decode_logit_targets" in outputs)
    rows: list[Row] = []
    for suffix in ("", "_step2"):
        if f"input_ids{suffix}" in inputs:
            frame = reproduction.frame(suffix)
            rows += _compare_frame(frame, inputs, outputs, suffix)
    there = [f"inputs/{name}" for name in inputs if not _GIVEN.fullmatch(name)] + list(outputs)
    if (folder / "train.npz").is_file():
        training = _read(folder / "train.npz")
        rows += _compare_training(reproduction, training)
        there += [f"train/{name}" for name in training if name not in _GIVEN_TRAINING]
    known = {row.name for row in rows}
    rows += [Row(name, False, float("nan"), "not computed here") for name in there if name not in known]
    return Report(folder, tuple(rows))


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise CheckpointError(f"{path}: {error}; give a folder with reference inputs and outputs") from error
    except Exception as error:  # zipfile and zlib raise their own for a damaged archive
        raise CheckpointError(f"{path}: {error}; the file is damaged, copy it again") from error


def _compare_frame(frame: Frame, inputs: Arrays, outputs: Arrays, suffix: str) -> list[Row]:
    rows: list[Row] = []
    for computed, stored, where in ((frame.inputs, inputs, "inputs/"), (frame.outputs, outputs, "")):
        both = [name for name in computed if name + suffix in stored]
        rows += [compare(where + name + suffix, computed[name], stored[name + suffix]) for name in both]
    return rows


def compare(name: str, computed: Any, reference: NDArray[Any]) -> Row:
    """Exactly for text, ids, masks and bytes; within the fixtures' tolerances for numbers."""
    if isinstance(computed, torch.Tensor):  # numpy has no bf16
        computed = computed.float() if computed.dtype == torch.bfloat16 else computed
    ours = np.asarray(computed)
    if ours.shape != reference.shape:
        return Row(name, False, float("inf"), f"shape {reference.shape}, got {ours.shape}")
    if reference.dtype.kind not in "fc" or name.startswith("inputs/"):
        different = int(np.sum(ours != reference))
        return Row(name, different == 0, float(different), "0 differing elements")
    allowed, rule = _tolerance(name, reference)
    error = np.abs(ours.astype(np.float64) - reference)
    if not np.isfinite(ours).all():
        return Row(name, False, float("inf"), rule)
    worst = float(np.max(error / allowed, initial=0.0))
    return Row(name, worst <= 1.0, worst, rule)


def _tolerance(name: str, reference: NDArray[Any]) -> tuple[NDArray[np.float64] | float, str]:
    for start, absolute in _ABSOLUTE.items():
        if name.startswith(start):
            return absolute, f"{absolute:g} absolute"
    size = float(np.sqrt(np.mean(np.square(reference, dtype=np.float64)))) if reference.size else 0.0
    return _RELATIVE * (np.abs(reference) + size) + 1e-12, f"{_RELATIVE:g} relative"


def _compare_training(reproduction: Reproduction, stored: Arrays) -> list[Row]:
    rows: list[Row] = []
    kinds: tuple[Literal["flow", "joint", "ki"], ...] = ("flow", "joint", "ki")
    for kind in kinds:
        if f"loss_flow_{kind}" not in stored:
            continue
        losses, gradients = reproduction.training(stored, kind)
        norms = stored.get(f"grad_norms_{kind}")
        least = _LEAST_GRADIENT * (1.0 if norms is None else max(1.0, float(np.max(norms, initial=0.0))))
        made = {f"{name}_{kind}": (value, _LEAST_GRADIENT) for name, value in losses.items()}
        made |= {f"grad_{kind}/{name}": (value, least) for name, value in gradients.items()}
        both = [(name, *each) for name, each in made.items() if name in stored]
        rows += [_relative(f"train/{name}", value, stored[name], floor) for name, value, floor in both]
        names = [str(each) for each in stored.get("grad_names", ())]
        if norms is not None and set(names) <= set(gradients):
            ours = np.array([float(np.linalg.norm(gradients[each])) for each in names])
            rows.append(_relative(f"train/grad_norms_{kind}", ours, np.maximum(norms, 0.0), least, each=True))
    return rows


def _relative(name: str, computed: Any, reference: NDArray[Any], least: float, *, each: bool = False) -> Row:
    """Losses and gradients: relative to the array's largest element, or to each element where those are norms."""
    ours, size = np.asarray(computed, dtype=np.float64), np.abs(reference)
    if ours.shape != reference.shape:
        return Row(name, False, float("inf"), f"shape {reference.shape}, got {ours.shape}")
    allowed = _RELATIVE * (size if each else np.max(size, initial=0.0)) + least
    worst = float(np.max(np.abs(ours - reference) / allowed, initial=0.0))
    return Row(name, worst <= 1.0, worst, f"{_RELATIVE:g} relative")
