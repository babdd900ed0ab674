"""`forearm train`: from demonstrations to weights, or from weights to better ones."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import tyro


def train(
    data: Path,
    out: Path,
    recipe: str = "nano",
    start: Annotated[str | None, tyro.conf.arg(name="from")] = None,
    tune: Literal["full", "lora", "expert"] = "full",
    steps: int = 1000,
) -> int:
    """Runs a recipe: records what `data` lacks, trains, measures, writes a training report.

    Or, `--from` a checkpoint, goes on learning. A run that was interrupted goes on where it stopped.

      forearm train --data data/nano --out runs/nano
      forearm train --data data/nano --out runs/reactive --recipe reactive
      forearm train --from model --data data/mine --out runs/mine --steps 500
      forearm train --from runs/nano --data data/mine --out runs/mine --tune lora

    Args:
        data: the dataset's folder; recorded first where there is none and nothing to go on from.
        out: gets the checkpoint, its metrics and training.html.
        recipe: nano, the shipped model; station, a larger one for more tasks in a cell that varies; or to compare with
            nano, reactive, the same without reasoning, or act, an Action Chunking Transformer of its size.
        start: a checkpoint to go on from, instead of a recipe: its folder, or model, the weights that came with the
            package. Words of the new sentences that it does not know are appended to those it does.
        tune: what of that checkpoint is trained: full, all of it; lora, low-rank additions to what sees and reasons,
            and the action expert; expert, the action expert alone.
        steps: from that checkpoint on.
    """
    from forearm.cli.terminal import say
    from forearm.provenance import code_version

    provenance = {"commit": code_version(), "command": sys.argv[1:]}
    if start is not None:
        _finetune(start, data, out, tune, steps, provenance)
    else:
        from forearm.training.recipe import recipe_named
        from forearm.training.run import run

        run(recipe_named(recipe), data=data, out=out, provenance=provenance)
    say(str(out))
    return 0


def _finetune(start: str, data: Path, out: Path, tune: str, steps: int, provenance: Mapping[str, object]) -> None:
    from forearm.cli.terminal import PEOPLE
    from forearm.model.description import SHIPPED
    from forearm.training.finetune import finetune, recipe_for, tuning_named

    tuning = tuning_named(tune)
    parent = SHIPPED if start == "model" else Path(start)
    made = finetune(parent, data, out, tuning, recipe_for(tuning, steps=steps), provenance=provenance)
    if made.new_words:
        PEOPLE.print(f"words it learned anew: {', '.join(made.new_words)}; what it knew keeps its place")
    if not made.after:
        PEOPLE.print("no episode was held out: the dataset is too small to measure on what was not learned from")
