"""A LeRobot v3.0 dataset in memory: every tick of every episode in one set of arrays, images still uint8."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from forearm.data.dataset_writer import data_file, video_file
from forearm.data.video import decode
from forearm.errors import DatasetError, unknown
from forearm.robot.embodiment import BIMANUAL_YAM, Embodiment

VERSION = "v3.0"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """N ticks of E episodes, in order; episode e is rows `starts[e]` to `starts[e + 1]`.

    Attributes:
        images: camera name to (N, H, W, 3) uint8 RGB.
        depth_cells: (N, h, w) float32 m, NaN unknown.
        positions: (N, J) float32, measured.
        actions: (N, J) float32, the target of the next tick.
        subtasks: N phrases.
        starts: (E + 1,).
        instructions: E sentences.
        seeds: (E,) which draw the scenes again; negative where nothing does, as `Episode.seed` says.
    """

    images: Mapping[str, NDArray[np.uint8]]
    depth_cells: NDArray[np.float32]
    positions: NDArray[np.float32]
    actions: NDArray[np.float32]
    subtasks: NDArray[np.str_]
    starts: NDArray[np.int64]
    instructions: tuple[str, ...]
    seeds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    def digest(self) -> str:
        """SHA-256 of what was asked for and done, without the pictures."""
        digest = hashlib.sha256(json.dumps(self.instructions).encode())
        for array in (self.starts, self.seeds, self.positions, self.actions):
            digest.update(array.tobytes())
        return digest.hexdigest()


def _matrix(table: pa.Table, column: str) -> NDArray[np.float32]:
    if column not in table.column_names:
        raise DatasetError(unknown("dataset column", column, table.column_names))
    flat = table[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(table.num_rows, -1).astype(np.float32)


def load(root: Path, *, embodiment: Embodiment = BIMANUAL_YAM) -> Dataset:
    """Reads a whole dataset. Takes 75 kB of memory a tick and two core minutes for 100,000 ticks.

    Raises:
        DatasetError: when it is missing, unfinished, of another version, or its video and rows disagree.
    """
    info_path = root / "meta/info.json"
    if not info_path.is_file():
        raise DatasetError(f"dataset {root}: has no meta/info.json; finish the recording, or name another folder")
    info = json.loads(info_path.read_text())
    if info["codebase_version"] != VERSION:
        raise DatasetError(f"dataset {root}: got version {info['codebase_version']}, allowed is {VERSION}; convert it")
    shards = 0
    while data_file(root, shards).is_file():
        shards += 1
    tables = [pq.read_table(data_file(root, shard)) for shard in range(shards)]
    table = pa.concat_tables(tables)
    if table.num_rows != info["total_frames"]:
        raise DatasetError(f"dataset {root}: got {table.num_rows} rows, meta says {info['total_frames']}; record again")
    episode_of = table["episode_index"].to_numpy()
    starts = np.concatenate([np.flatnonzero(np.diff(episode_of, prepend=-1)), [len(episode_of)]]).astype(np.int64)
    instructions = table["instruction"].to_pylist()
    depth = _matrix(table, "observation.depth_cells")
    side = round(depth.shape[1] ** 0.5)
    return Dataset(
        images=_decode_all(root, info, [part.num_rows for part in tables], embodiment),
        depth_cells=depth.reshape(-1, side, side),
        positions=_matrix(table, "observation.state"),
        actions=_matrix(table, "action"),
        subtasks=np.array(table["subtask"].to_pylist()),
        starts=starts,
        instructions=tuple(instructions[start] for start in starts[:-1]),
        seeds=table["seed"].to_numpy()[starts[:-1]],
    )


def load_all(roots: Sequence[Path]) -> Dataset:
    """Reads several datasets as one, in their order, one camera's pictures at a time twice in memory.

    Raises:
        DatasetError: as `load`; when their pictures or depth maps have different sizes.
    """
    parts = [load(root) for root in roots]
    if len(parts) == 1:
        return parts[0]
    shapes = [
        {name: each.shape[1:] for name, each in {**part.images, "depth": part.depth_cells}.items()} for part in parts
    ]
    for root, shape in zip(roots, shapes, strict=True):
        if shape != shapes[0]:
            raise DatasetError(f"dataset {root}: got sizes {shape}, allowed are {shapes[0]}, those of {roots[0]}")
    pictures = [dict(part.images) for part in parts]
    parts = [replace(part, images={}) for part in parts]  # so that a camera's pictures go once they are joined
    images = {name: np.concatenate([each.pop(name) for each in pictures]) for name in tuple(pictures[0])}
    before = np.cumsum([0, *(len(part) for part in parts)])
    return Dataset(
        images=images,
        depth_cells=np.concatenate([part.depth_cells for part in parts]),
        positions=np.concatenate([part.positions for part in parts]),
        actions=np.concatenate([part.actions for part in parts]),
        subtasks=np.concatenate([part.subtasks for part in parts]),
        starts=np.concatenate([[0], *(part.starts[1:] + first for part, first in zip(parts, before, strict=False))]),
        instructions=tuple(each for part in parts for each in part.instructions),
        seeds=np.concatenate([part.seeds for part in parts]),
    )


def _decode_all(
    root: Path, info: dict[str, dict[str, dict[str, list[int]]]], rows: list[int], embodiment: Embodiment
) -> dict[str, NDArray[np.uint8]]:
    """Every camera's frames, decoded shard by shard into arrays made once."""
    firsts = np.cumsum([0, *rows])
    images = dict[str, NDArray[np.uint8]]()
    for camera in embodiment.cameras:
        shape = info["features"][f"observation.images.{camera.name}"]["shape"]
        images[camera.name] = np.empty((firsts[-1], *shape), dtype=np.uint8)

    def fill(job: tuple[str, int]) -> None:
        camera, shard = job
        target = images[camera][firsts[shard] : firsts[shard + 1]]
        count = 0
        for frame in decode(video_file(root, camera, shard)):
            if count < len(target):
                target[count] = frame
            count += 1
        if count != len(target):
            path = video_file(root, camera, shard)
            raise DatasetError(f"video {path}: got {count} frames, the rows say {len(target)}; record that shard again")

    jobs = [(camera.name, shard) for shard in range(len(rows)) for camera in embodiment.cameras]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(fill, jobs):
            pass
    return images
