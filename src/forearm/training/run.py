"""From nothing to a checkpoint that can be shipped: record, learn, measure, report. Every part resumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from forearm.data.dataset import load_all
from forearm.files import write_json
from forearm.training.batch import Lessons
from forearm.training.feed import split
from forearm.training.learners import learner_named
from forearm.training.loop import train
from forearm.training.metrics import rows_in
from forearm.training.recipe import Recipe
from forearm.training.recording import record_dataset, recorded_as
from forearm.training.report import write_report

HELD_OUT_TICKS = 1024  # measured open loop, spread evenly over the held-out episodes


def run(recipe: Recipe, *, data: Sequence[Path], out: Path, provenance: Mapping[str, Any]) -> Mapping[str, float]:
    """Runs a recipe to its end: the first of `data` gets the demonstrations, if it has none yet.

    `out` gets the checkpoint, its metrics and `training.html`.

    Answers the held-out figures; none where the dataset is too small to hold an episode out.

    Raises:
        InputError: when `data` holds another recording, or `out` another run.
        DatasetError: when demonstrations fail too often, or a file is damaged.
        ForearmError: when a training process died; what it had saved is used by the next run.
    """
    if not (data[0] / "meta/info.json").is_file():
        record_dataset(data[0], recipe.recording, workers=recipe.processes)
    recipe = replace(recipe, recording=recorded_as(data[0]) or recipe.recording)
    train(data, out, recipe, provenance=provenance)
    lessons = Lessons.of(load_all(data), horizon=recipe.sizes.horizon, asking=recipe.asking, turns=recipe.turns)
    _, held_out = split(lessons.dataset)
    ticks = held_out[:: max(1, len(held_out) // HELD_OUT_TICKS)]
    measured = learner_named(recipe.learner).measure(out, lessons, ticks) if len(ticks) else {}
    write_json(out / "held_out.json", dict(measured))
    write_report(out, rows_in(out), asdict(recipe), measured)
    return measured
