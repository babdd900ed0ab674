"""`forearm record`: demonstrations of the scripted solver."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from forearm.cli.asked import at_least, folder_at


def record(
    out: Path, episodes: int | None = None, seed: int | None = None, workers: int = 2, recipe: str = "nano"
) -> int:
    """Records demonstrations as a LeRobot v3 dataset; an interrupted recording goes on where it stopped.

      forearm record --out data/nano
      forearm record --out data/small --episodes 30 --workers 4
      forearm record --out data/station --recipe station

    Args:
        out: the dataset's folder.
        episodes: of each task; by default as many as the recipe has.
        seed: draws the scenes; the recipe's own by default.
        workers: processes.
        recipe: whose demonstrations: nano, or station with more tasks in a cell that varies.
    """
    from forearm.cli.terminal import say
    from forearm.training.recipe import recipe_named
    from forearm.training.recording import record_dataset

    at_least(1, episodes=episodes, workers=workers)
    at_least(0, seed=seed)
    recording = recipe_named(recipe).recording
    folder_at(out)
    if episodes is not None:
        recording = replace(recording, counts=dict.fromkeys(recording.counts, episodes))
    if seed is not None:
        recording = replace(recording, seed=seed)
    record_dataset(out, recording, workers=workers)
    say(str(out))
    return 0
