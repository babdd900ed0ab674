"""`forearm train`: from demonstrations to weights, or from weights to better ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from forearm.cli.asked import at_least, folder_at

STEPS, BATCH = 1000, 48  # of a run that goes on from a checkpoint


def train(
    data: Path,
    out: Path,
    recipe: str = "nano",
    start: Annotated[str | None, tyro.conf.arg(name="from")] = None,
    tune: Literal["full", "lora", "expert"] = "full",
    steps: int | None = None,
    batch: int | None = None,
    mapping: Path | None = None,
) -> int:
    """Runs a recipe: records what `data` lacks, trains, measures, writes a training report.

    Or, `--from` a checkpoint, goes on learning. A run that was interrupted goes on where it stopped.

      forearm train --data data/nano --out runs/nano
      forearm train --data data/nano --out runs/reactive --recipe reactive
      forearm train --from model --data data/mine --out runs/mine --steps 500
      forearm train --from runs/nano --data data/mine --out runs/mine --tune lora
      forearm train --from checkpoints/MolmoAct2 --data data/theirs --mapping theirs.toml --out runs/theirs --tune lora
      torchrun --nproc-per-node 8 -m forearm train --from …      the same, by eight processes, one a GPU

    Args:
        data: the dataset's folder; recorded first where there is none and nothing to go on from.
        out: gets the checkpoint, its metrics and training.html.
        recipe: nano, the shipped model; station, a larger one for more tasks in a cell that varies; or to compare with
            nano, reactive, the same without reasoning, or act, an Action Chunking Transformer of its size.
        start: a checkpoint to go on from, instead of a recipe: its folder; model, the weights that came with the
            package; or a released MolmoAct2, its folder or its name on the hub. Our own learns new words with the new
            sentences, beside those it knows; a released one is shared out between the processes of torchrun.
        tune: what of that checkpoint is trained: full, all of it; lora, low-rank additions to what sees and reasons,
            and the action expert; expert, the action expert alone.
        steps: how many; by default the recipe's own, or 1000 from a checkpoint on.
        batch: samples a step; by default the recipe's own, or 48.
        mapping: which feature of the dataset is which, for a released checkpoint; see forearm data --help. With a
            table [robot], the tag that the checkpoint knows it by, or a new tag and its setup in words.
    """
    from forearm.cli.terminal import say
    from forearm.provenance import code_version

    at_least(1, steps=steps, batch=batch)
    folder_at(out)
    provenance = {"commit": code_version(), "command": sys.argv[1:]}
    if start is None:
        _from_scratch(recipe, data, out, steps, batch, mapping, provenance)
    elif _is_ours(start):
        _finetune(start, data, out, tune, steps or STEPS, batch or BATCH, mapping, provenance)
    else:
        _finetune_released(start, data, out, tune, steps or STEPS, batch or BATCH, mapping, provenance)
    if os.environ.get("RANK", "0") == "0":  # of several processes one speaks
        say(str(out))
    return 0


def _from_scratch(
    recipe: str,
    data: Path,
    out: Path,
    steps: int | None,
    batch: int | None,
    mapping: Path | None,
    provenance: Mapping[str, object],
) -> None:
    from forearm.training.recipe import recipe_named
    from forearm.training.run import run

    _refuse_mapping(mapping, data)
    made = recipe_named(recipe)
    made = replace(made, steps=steps or made.steps, batch=batch or made.batch)
    run(made, data=data, out=out, provenance=provenance)


def _refuse_mapping(mapping: Path | None, data: Path) -> None:
    from forearm.errors import InputError

    if mapping is not None:
        raise InputError(
            f"mapping: got {mapping} for a model of ours, which learns from datasets in our units; "
            f"convert it first: forearm data import {data} --mapping {mapping} --out DIR"
        )


def _is_ours(start: str) -> bool:
    from forearm.model import checkpoint
    from forearm.model.hub import find

    return start == "model" or checkpoint.kind_of(find(start)) is not None


def _finetune(
    start: str,
    data: Path,
    out: Path,
    tune: str,
    steps: int,
    batch: int,
    mapping: Path | None,
    provenance: Mapping[str, object],
) -> None:
    from forearm.cli.terminal import PEOPLE
    from forearm.model.description import SHIPPED
    from forearm.training.finetune import finetune, recipe_for, tuning_named

    _refuse_mapping(mapping, data)
    tuning = tuning_named(tune)
    parent = SHIPPED if start == "model" else Path(start)
    recipe = recipe_for(tuning, steps=steps, batch=batch)
    made = finetune(parent, data, out, tuning, recipe, provenance=provenance)
    if made.new_words:
        PEOPLE.print(f"words it learned anew: {', '.join(made.new_words)}; what it knew keeps its place")
    if not made.after:
        PEOPLE.print("no episode was held out: the dataset is too small to measure on what was not learned from")


def _finetune_released(
    start: str,
    data: Path,
    out: Path,
    tune: str,
    steps: int,
    batch: int,
    mapping: Path | None,
    provenance: Mapping[str, object],
) -> None:
    from forearm.data.mapping import of_recordings, read_mapping
    from forearm.model.hub import find
    from forearm.training.finetune_released import finetune_released, released_tuning_named
    from forearm.training.released_trainer import ReleasedRecipe

    said = of_recordings() if mapping is None else read_mapping(mapping)
    recipe = ReleasedRecipe(steps=steps, batch=batch)
    finetune_released(find(start), data, said, out, released_tuning_named(tune), recipe, provenance=provenance)
