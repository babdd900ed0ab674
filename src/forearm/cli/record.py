"""`forearm record`: demonstrations of the scripted solver."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro

from forearm.cli.asked import at_least, folder_at


def record(
    out: Path,
    episodes: int | None = None,
    seed: int | None = None,
    workers: int = 2,
    recipe: str = "nano",
    visits: str = "",
    variation: Annotated[str, tyro.conf.arg(metavar="NAME[:LEVEL]")] = "",
    task: tyro.conf.UseAppendAction[tuple[Annotated[str, tyro.conf.arg(metavar="TASK")], ...]] = (),
) -> int:
    """Records demonstrations as a LeRobot v3 dataset; an interrupted recording goes on where it stopped.

      forearm record --out data/nano
      forearm record --out data/small --episodes 30 --workers 4
      forearm record --out data/station --recipe station
      forearm record --out data/small --recipe station --task hand-over --variation size:worst --episodes 60 --seed 4
      forearm record --out data/round --recipe station --visits station --task stack --episodes 100 --seed 3

    Args:
        out: the dataset's folder.
        episodes: of each task; by default as many as the recipe has.
        seed: draws the scenes; the recipe's own by default.
        workers: processes.
        recipe: whose demonstrations: nano, or station with more tasks in a cell that varies.
        visits: a model, by name or folder: a corrective round. Each demonstration goes on from where that model has got
            to when it is interrupted; `forearm train --data` takes the first recording and such rounds together.
        variation: what differs in every scene, besides what the recipe varies: of those of `forearm eval --suite
            perturbed`, at that level or at any that is not held out.
        task: of the recipe's, only this one; may be given several times.
    """
    from forearm.cell.perturbations import levels_to_teach
    from forearm.cli.terminal import say
    from forearm.errors import InputError, unknown
    from forearm.policy.choice import policy_named
    from forearm.training.recipe import recipe_named
    from forearm.training.recording import record_dataset

    at_least(1, episodes=episodes, workers=workers)
    at_least(0, seed=seed)
    recording = recipe_named(recipe).recording
    for name in task:
        if name not in recording.counts:
            raise InputError(unknown("task", name, tuple(recording.counts)))
    if visits:
        policy_named(visits)  # refuses what is no policy before any folder is made
    if variation:
        levels_to_teach(variation)
    folder_at(out)
    kept = {name: count for name, count in recording.counts.items() if not task or name in task}
    recording = replace(recording, counts=kept, variation=variation, visits=visits)
    if episodes is not None:
        recording = replace(recording, counts=dict.fromkeys(recording.counts, episodes))
    if seed is not None:
        recording = replace(recording, seed=seed)
    record_dataset(out, recording, workers=workers)
    say(str(out))
    return 0
