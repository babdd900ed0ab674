"""`forearm train`: from demonstrations to weights, or from weights to better ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from forearm.cli.asked import at_least, folder_at

if TYPE_CHECKING:
    from forearm.training.finetune_plan import FinetunePlan, Tune

Folders = tuple[Path, ...]
STEPS, BATCH = 1000, 48  # of a run that goes on from a checkpoint


def train(
    data: Folders,
    out: Path,
    recipe: str | None = None,
    start: Annotated[str | None, tyro.conf.arg(name="from")] = None,
    tune: Literal["full", "lora", "expert", "added"] = "full",
    steps: int | None = None,
    batch: int | None = None,
    mapping: Path | None = None,
    action_tokenizer: str | None = None,
    insulate: bool = False,
) -> int:
    """Runs a recipe: records what `data` lacks, trains, measures, writes a training report.

    Or, `--from` a checkpoint, goes on learning. A run that was interrupted goes on where it stopped.

      forearm train --data data/nano --out runs/nano
      forearm train --from nano --data data/mine --out runs/mine --steps 500 --tune lora
      forearm train --from station --recipe station --data data/station --out runs/station      all of it, from there
      forearm train --from checkpoints/MolmoAct2 --data data/theirs --mapping theirs.toml --out runs/theirs --tune lora
      forearm train --from allenai/MolmoAct2 … --action-tokenizer allenai/MolmoAct2-FAST-Tokenizer
      torchrun --nproc-per-node 8 -m forearm train --from …      the same, by eight processes, one a GPU

    Args:
        data: datasets' folders; the first is recorded where there is none and nothing to go on from.
        out: gets the checkpoint, its metrics and training.html.
        recipe: nano, by default; station, larger, for more tasks in a cell that varies; or to compare with nano,
            reactive, without reasoning, or act, an Action Chunking Transformer. With --from a model of ours goes on so.
        start: a checkpoint to go on from, instead of from nothing: its folder; nano or station, which came with the
            package; or a released MolmoAct2, its folder or its name on the hub. Ours learns new words with the new
            sentences, beside those it knows; a released one is shared out between the processes of torchrun.
        tune: what of that checkpoint is trained: full, all of it; lora, low-rank additions to what sees and reasons,
            and the action expert; expert, the action expert alone; added, what the recipe has and the checkpoint lacks.
        steps: how many; by default the recipe's own, or 1000 from a checkpoint on.
        batch: samples a step; by default the recipe's own, or 48.
        mapping: which feature of the dataset is which, for a released checkpoint; see forearm data --help. With a
            table [robot], the tag that the checkpoint knows it by, or a new tag and its setup in words; with
            depth_codes, the feature that holds the main camera's map as codes of the checkpoint's depth tokenizer.
        action_tokenizer: a released checkpoint's, by folder or name on the hub; without, no action tokens are learned.
        insulate: where a released checkpoint learns tokens, the flow loss teaches its action expert alone, as in the
            released post-training; by default it teaches the decoder too, as in the released fine-tuning.
    """
    from forearm.cli.terminal import say
    from forearm.provenance import code_version

    at_least(1, steps=steps, batch=batch)
    provenance = {"commit": code_version(), "command": sys.argv[1:]}
    if start is None:
        _refuse_for_ours(data, mapping, action_tokenizer, insulate)
        _from_scratch(recipe or "nano", data, out, steps, batch, provenance)
    elif _is_ours(start):
        _refuse_for_ours(data, mapping, action_tokenizer, insulate)
        _finetune(_plan(start, data, out, tune, provenance), recipe, steps, batch)
    else:
        _refuse_for_released(recipe, data)
        plan, how = _plan(start, data, out, tune, provenance), (steps or STEPS, batch or BATCH)
        _finetune_released(plan, *how, mapping, action_tokenizer, insulate)
    if os.environ.get("RANK", "0") == "0":  # of several processes one speaks
        say(str(out))
    return 0


def _from_scratch(
    recipe: str,
    data: Folders,
    out: Path,
    steps: int | None,
    batch: int | None,
    provenance: Mapping[str, object],
) -> None:
    from forearm.training.recipe import recipe_named
    from forearm.training.run import run

    made = recipe_named(recipe)
    made = replace(made, steps=steps or made.steps, batch=batch or made.batch)
    if not (data[0] / "meta/info.json").is_file():
        folder_at(data[0])
    folder_at(out)
    run(made, data=data, out=out, provenance=provenance)


def _refuse_for_ours(data: Folders, mapping: Path | None, action_tokenizer: str | None, insulate: bool) -> None:
    """Refuses what only a released checkpoint can be told, and to learn from nothing."""
    from forearm.errors import InputError

    if not data:
        raise InputError("data: got no folder, allowed are one or more; name the dataset's")
    if mapping is not None:
        raise InputError(
            f"mapping: got {mapping} for a model of ours, which learns from datasets in our units; "
            f"convert it first: forearm data import {data[0]} --mapping {mapping} --out DIR"
        )
    if action_tokenizer is not None or insulate:
        raise InputError(
            "action tokenizer, insulation: got one for a model of ours, which writes no action tokens, allowed are "
            "neither; leave --action-tokenizer and --insulate out"
        )


def _refuse_for_released(recipe: str | None, data: Folders) -> None:
    """Refuses what only a model of ours can be told."""
    from forearm.errors import InputError

    if recipe is not None:
        raise InputError(
            f"recipe: got {recipe} for a released checkpoint, allowed is none: recipes are of models of ours; "
            "leave --recipe out"
        )
    if len(data) != 1:
        raise InputError(f"data: got {len(data)} datasets for a released checkpoint, allowed is 1; name one")


def _is_ours(start: str) -> bool:
    from forearm.model import checkpoint
    from forearm.model.description import shipped
    from forearm.model.hub import find

    return checkpoint.kind_of(shipped(start) or find(start)) is not None


def _plan(start: str, data: Folders, out: Path, tune: Tune, provenance: Mapping[str, object]) -> FinetunePlan:
    from forearm.model.description import shipped
    from forearm.model.hub import find
    from forearm.training.finetune_plan import FinetunePlan

    parent = shipped(start) or find(start)
    folder_at(out)
    return FinetunePlan(parent=parent, data=data, out=out, tune=tune, provenance=provenance)


def _finetune(plan: FinetunePlan, recipe: str | None, steps: int | None, batch: int | None) -> None:
    from forearm.cli.terminal import PEOPLE
    from forearm.training.finetune import finetune, recipe_for, tuning_named
    from forearm.training.recipe import recipe_named

    how = recipe_for(tuning_named(plan.tune), steps=STEPS, batch=BATCH) if recipe is None else recipe_named(recipe)
    steps, batch = steps or how.steps, batch or how.batch
    made = finetune(plan, replace(how, steps=steps, batch=batch, warmup=min(how.warmup, max(1, steps // 10))))
    if made.new_words:
        PEOPLE.print(f"words it learned anew: {', '.join(made.new_words)}; what it knew keeps its place")
    if not made.after:
        PEOPLE.print("no episode was held out: the dataset is too small to measure on what was not learned from")


def _finetune_released(
    plan: FinetunePlan, steps: int, batch: int, mapping: Path | None, action_tokenizer: str | None, insulate: bool
) -> None:
    from forearm.cli.terminal import PEOPLE
    from forearm.data.mapping import of_recordings, read_mapping
    from forearm.model.hub import find
    from forearm.training.finetune_released import finetune_released, released_recipe_for, released_tuning_named

    recipe = released_recipe_for(released_tuning_named(plan.tune), steps=steps, batch=batch, insulated=insulate)
    finetune_released(
        plan,
        of_recordings() if mapping is None else read_mapping(mapping),
        recipe,
        tokenizer=None if action_tokenizer is None else find(action_tokenizer),
        tell=PEOPLE.print,
    )
