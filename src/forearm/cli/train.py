"""`forearm train`: from demonstrations to weights."""

from __future__ import annotations

import sys
from pathlib import Path


def train(data: Path, out: Path, recipe: str = "nano") -> int:
    """Runs a recipe: records what `data` lacks, trains, measures, writes a training report.

    A run that was interrupted goes on where it stopped.

      forearm train --data data/nano --out runs/nano
      forearm train --data data/nano --out runs/reactive --recipe reactive

    Args:
        data: the dataset's folder; recorded first where there is none.
        out: gets the checkpoint, its metrics and training.html.
        recipe: nano, the shipped model; station, a larger one for more tasks in a cell that varies; or to compare with
            nano, reactive, the same without reasoning, or act, an Action Chunking Transformer of its size.
    """
    from forearm.cli.terminal import say
    from forearm.provenance import code_version
    from forearm.training.recipe import recipe_named
    from forearm.training.run import run

    run(recipe_named(recipe), data=data, out=out, provenance={"commit": code_version(), "command": sys.argv[1:]})
    say(str(out))
    return 0
