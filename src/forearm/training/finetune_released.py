"""A released MolmoAct2 checkpoint goes on learning from a dataset; what comes out is a released folder again.

The flow loss alone is learned, through all that the action expert reads: neither action tokens nor depth codes are
needed, and what the decoder writes stays what it was taught. One process does it, or as many as torchrun started.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from forearm.data.lerobot import Source
from forearm.data.mapping import FeatureMapping
from forearm.errors import InputError, unknown
from forearm.files import write_json
from forearm.model import weights
from forearm.model.adaptation import LowRank, Rates, adapt, train_everything, train_expert_only
from forearm.model.published import read_config
from forearm.model.released import MolmoAct2
from forearm.training.checkpoint import claim_run
from forearm.training.examples import Examples, prompter_for, statistics_with
from forearm.training.processes import Processes, joined
from forearm.training.released_trainer import ReleasedRecipe, ReleasedTrainer, saved
from forearm.training.report import write_report

METRICS = "metrics.jsonl"
RECIPE = "recipe.json"
SAVE_EVERY = 250  # steps between resumable states


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedTuning:
    """One way to go on learning: its learning rates, and what marks a model's parameters so."""

    name: Literal["full", "lora", "expert"]
    rates: Rates
    choose: Callable[[MolmoAct2], object]


def _low_rank(model: MolmoAct2) -> None:
    adapt(model, LowRank())


# Rates of the released recipes; low-rank additions are trained at one rate.
RELEASED_TUNINGS = (
    ReleasedTuning(name="full", rates=Rates(), choose=train_everything),
    ReleasedTuning(name="lora", rates=Rates(language=5e-5, vision=5e-5, connector=5e-5, expert=5e-5), choose=_low_rank),
    ReleasedTuning(name="expert", rates=Rates(), choose=train_expert_only),
)


def released_tuning_named(name: str) -> ReleasedTuning:
    """The way of that name.

    Raises:
        InputError: for a name that is none of theirs.
    """
    for tuning in RELEASED_TUNINGS:
        if tuning.name == name:
            return tuning
    raise InputError(unknown("tune", name, [tuning.name for tuning in RELEASED_TUNINGS]))


def digest(folder: Path) -> str:
    """SHA-256 over the SHA-256 of each of a folder's weight files, by name. Reads them all."""
    whole = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            whole.update(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n".encode())
    return whole.hexdigest()


def finetune_released(
    parent: Path,
    data: Path,
    mapping: FeatureMapping,
    out: Path,
    tuning: ReleasedTuning,
    recipe: ReleasedRecipe,
    *,
    provenance: Mapping[str, Any],
) -> None:
    """Goes on learning where `parent` ended; writes a released folder with its metrics and training.html to `out`.

    Run again to resume, by as many processes as before or another number.

    Args:
        parent: a released checkpoint; it stays as it is.
        data: any LeRobot v3.0 dataset.
        mapping: what of it is what, its cameras in the order in which the model is shown them.
        out: another folder.
        tuning: what is trained.
        recipe: for how long, and how; its rates are the tuning's.
        provenance: written into recipe.json: commit, command and the like.

    Raises:
        CheckpointError, DatasetError: when the parent or the dataset is damaged.
        InputError: when `out` is the parent or being made into something else; when the mapping's robot or cameras are
            not the checkpoint's.
    """
    if out.resolve() == parent.resolve():
        raise InputError(f"fine-tuning: got {out} as parent and result, allowed are two folders; name another --out")
    source = Source(data)
    recipe = replace(recipe, rates=tuning.rates)
    with joined() as processes:
        made = {**provenance, "tune": tuning.name, "data": str(data)}
        statistics = out / read_config(parent).norm_stats_file
        if processes.first:
            made["parent"] = digest(parent)
            claim_run(
                out, {"parent": made["parent"], "tune": tuning.name, "data": str(data.resolve()), **asdict(recipe)}
            )
            write_json(statistics, statistics_with(parent, source, mapping))
        processes.wait()
        prompter = prompter_for(parent, statistics, mapping)
        loaded = weights.load(parent, dtype=torch.float32, device=processes.device)
        torch.manual_seed(recipe.seed)  # low-rank additions draw their weights: the same in every process
        tuning.choose(loaded.model)
        config = loaded.model.config
        examples = Examples(source, mapping, prompter, loaded.model.expert.config, config.observations)
        trainer = ReleasedTrainer(loaded.model, examples, recipe, processes)
        _run(trainer, out, processes)
        tensors = trainer.weights()
        if processes.first:
            _write(parent, out, tensors, statistics.read_bytes())
            write_json(out / RECIPE, {**made, "recipe": asdict(recipe), "step": trainer.step})
            write_report(out, out / METRICS, {**made, **asdict(recipe)}, {})
        processes.wait()


def _run(trainer: ReleasedTrainer, out: Path, processes: Processes) -> None:
    """Every step that is left."""
    state = saved(out)
    if state is not None:
        trainer.restore(state)
    started, first = time.monotonic(), trainer.step
    while trainer.step < trainer.recipe.steps:
        figures = trainer.advance()
        if processes.first:
            seconds = (time.monotonic() - started) / (trainer.step - first) * trainer.step
            with (out / METRICS).open("a") as file:
                file.write(json.dumps({"step": trainer.step, "seconds": seconds, **figures}) + "\n")
        if trainer.step % SAVE_EVERY == 0 or trainer.step == trainer.recipe.steps:
            trainer.save(out)


def _write(parent: Path, out: Path, tensors: Mapping[str, torch.Tensor], statistics: bytes) -> None:
    """The weights under their published names, beside the parent's small files and the robot's statistics."""
    loaded = weights.load(parent)
    model = weights.build(loaded.model.config)
    model.load_state_dict(dict(tensors), assign=True)
    weights.save(weights.Checkpoint(model, loaded.extra, loaded.metadata), out, source=parent)
    (out / loaded.model.config.norm_stats_file).write_bytes(statistics)
