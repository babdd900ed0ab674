"""Demonstrations recorded in parallel, resumable at any shard, the same bytes whichever worker made them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from forearm.data.dataset_writer import claim_dataset, data_file, finalize, write_shard
from forearm.data.episode import Episode, as_visited
from forearm.errors import DatasetError
from forearm.files import write_json
from forearm.processes import NoAnswer, in_processes
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.training.recipe import Recording

SHARD_EPISODES = 10  # episodes a file: about 15 s of work, which is what an interruption loses at the most
SHARD_SEEDS = 100  # seeds a shard may draw from; failed demonstrations are left out
PLAN = "recording.json"  # what a folder is being recorded as; a resumed run must match it


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file of the dataset: `episodes` successes of one task, drawn from seeds `first_seed` on."""

    number: int
    task: str
    episodes: int
    first_episode: int
    first_seed: int


def shards_of(recording: Recording) -> Iterator[Shard]:
    """The files a recording consists of. Seeds never overlap between shards, nor with recordings of another seed."""
    number, episode = 0, 0
    for task, count in recording.counts.items():
        for first in range(0, count, SHARD_EPISODES):
            episodes = min(SHARD_EPISODES, count - first)
            seed = recording.seed * 10_000_000 + 1_000_000 + number * SHARD_SEEDS
            yield Shard(number=number, task=task, episodes=episodes, first_episode=episode, first_seed=seed)
            number, episode = number + 1, episode + episodes


def record_shard(root: Path, recording: Recording, shard: Shard) -> None:
    """Records one shard and writes it; attempts that fail are left out.

    Raises:
        DatasetError: when the shard's seeds run out.
        CheckpointError: when the model whose states are visited is missing or damaged.
    """
    from forearm.cell.demonstrator import demonstrate, sample_demonstration
    from forearm.cell.perturbations import applies
    from forearm.policy.choice import policy_named
    from forearm.training.rounds import visited

    make_policy = policy_named(recording.visits) if recording.visits else None
    episodes = list[Episode]()
    for seed in range(shard.first_seed, shard.first_seed + SHARD_SEEDS):
        if recording.variation and not applies(recording.variation, sample_demonstration(shard.task, seed)):
            continue
        setup = sample_demonstration(shard.task, seed, recording.varied, recording.variation)
        if make_policy is not None:
            setup = visited(setup, make_policy)
        made = None if setup is None else demonstrate(setup, seed=seed)
        if made is None or not made.success:
            continue
        episodes.append(
            Episode(
                instruction=made.instruction,
                images=made.images,
                depth_cells=made.depth_cells,
                positions=made.positions,
                actions=made.actions,
                subtasks=made.subtasks,
                seed=as_visited(seed) if recording.visits else seed,
            )
        )
        if len(episodes) == shard.episodes:
            write_shard(root, shard.number, episodes, shard.first_episode)
            return
    raise DatasetError(f"shard {shard.number}: got {len(episodes)} successes of {SHARD_SEEDS}, needs {shard.episodes}")


def record_dataset(root: Path, recording: Recording, *, workers: int) -> None:
    """Records what is missing of a dataset, with a progress bar, and finishes it. Run again to resume.

    Args:
        root: the folder; made if need be.
        recording: which demonstrations.
        workers: processes; one a core.

    Raises:
        InputError: when the folder holds another recording, or something else.
        DatasetError: when demonstrations fail too often, or cannot be written.
    """
    claim_dataset(root, PLAN, asdict(recording), what="recording")
    shards = list(shards_of(recording))
    missing = [shard for shard in shards if not data_file(root, shard.number).is_file()]
    total = sum(shard.episodes for shard in shards)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("recording", total=total, completed=total - sum(shard.episodes for shard in missing))
        for shard, answer in in_processes(missing, partial(record_shard, root, recording), workers=workers):
            if isinstance(answer, NoAnswer):
                raise DatasetError(f"recording {root}: got {answer.reason}; put that right and record again to go on")
            progress.advance(bar, shard.episodes)
        progress.update(bar, description="numbering through")  # a minute for 3,000 episodes
        cameras = {camera.name: (camera.height, camera.width) for camera in BIMANUAL_YAM.cameras}
        finalize(root, len(shards), cameras)
    write_json(root / "failures.json", {"left_out": sum(_left_out(root, shard) for shard in shards), "episodes": total})


def _left_out(root: Path, shard: Shard) -> int:
    """How many of a shard's seeds were tried and failed: it takes the first that succeed."""
    seeds = pq.read_table(data_file(root, shard.number), columns=["seed"])["seed"].to_numpy()
    last = int(np.where(seeds < 0, as_visited(seeds), seeds).max())
    return last - shard.first_seed + 1 - shard.episodes


def recorded_as(root: Path) -> Recording | None:
    """The plan that a dataset was recorded by; None for one from elsewhere.

    Raises:
        DatasetError: when it cannot be read.
    """
    path = root / PLAN
    try:
        return Recording(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{path}: got {error}, a recording's plan is needed; record it into a new folder") from error
