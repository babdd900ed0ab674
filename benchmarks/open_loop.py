"""How right a model's reasoning is about episodes that it never learned from: depth, points, trace, chunk; open loop.

    forearm record --out data/nano
    python benchmarks/open_loop.py --data data/nano --json open_loop.json

Every fortieth episode of a recording is held out from learning. Depth is compared with what the cell's camera
measured, traces and chunks with what the demonstrator went on to do.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import tyro

from forearm.data.dataset import load
from forearm.files import write_json
from forearm.model import checkpoint
from forearm.provenance import code_version
from forearm.training.batch import Lessons
from forearm.training.feed import split
from forearm.training.held_out import open_loop


def main(
    data: Path,
    policy: Path = checkpoint.SHIPPED,
    json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Measures, prints, and writes what was measured.

    Args:
        data: a recording.
        policy: a checkpoint's folder; the shipped weights by default.
        json_file: gets the figures.
    """
    made = checkpoint.read(policy)
    lessons = Lessons.of(load(data), horizon=made.model.config.expert.horizon, known=made.words)
    _, ticks = split(lessons.dataset)
    measured = {"commit": code_version(), "model_digest": made.digest, **asdict(open_loop(made, lessons, ticks))}
    print(json.dumps(measured, indent=1))
    if json_file is not None:
        write_json(json_file, measured)


if __name__ == "__main__":
    tyro.cli(main)
