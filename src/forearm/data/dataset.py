"""A LeRobot v3.0 dataset, read: every tick of every episode in one set of arrays, images still uint8."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
DEPTH = "observation.depth_cells"
MEMORY = Path("/proc/meminfo")  # where Linux says what it can still give


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """One dataset on disk, its pictures still encoded.

    Attributes:
        root: its folder.
        table: every tick.
        rows: how many of them each shard has.
        sizes: camera name to (H, W, 3), and "depth" to (h, w).
    """

    root: Path
    table: pa.Table
    rows: list[int]
    sizes: Mapping[str, tuple[int, ...]]

    @classmethod
    def at(cls, root: Path, embodiment: Embodiment) -> _Written:
        info_path = root / "meta/info.json"
        if not info_path.is_file():
            raise DatasetError(f"dataset {root}: has no meta/info.json; finish the recording, or name another folder")
        info = json.loads(info_path.read_text())
        if info["codebase_version"] != VERSION:
            raise DatasetError(
                f"dataset {root}: got version {info['codebase_version']}, allowed is {VERSION}; convert it"
            )
        shards = 0
        while data_file(root, shards).is_file():
            shards += 1
        tables = [pq.read_table(data_file(root, shard)) for shard in range(shards)]
        table = pa.concat_tables(tables)
        if table.num_rows != info["total_frames"]:
            raise DatasetError(
                f"dataset {root}: got {table.num_rows} rows, meta says {info['total_frames']}; record again"
            )
        features = info["features"]
        sizes = {each.name: tuple(features[f"observation.images.{each.name}"]["shape"]) for each in embodiment.cameras}
        side = round(_matrix(table[:1], DEPTH).shape[1] ** 0.5)
        return cls(
            root=root, table=table, rows=[part.num_rows for part in tables], sizes=sizes | {"depth": (side, side)}
        )


def load(root: Path, *, embodiment: Embodiment = BIMANUAL_YAM) -> Dataset:
    """Reads a whole dataset. Takes 75 kB a tick, of memory or else of the disk, and two core minutes for 100,000 ticks.

    Raises:
        DatasetError: when it is missing, unfinished, of another version, its video and rows disagree, or there is
            room for its pictures neither in memory nor on the disk.
    """
    return load_all([root], embodiment=embodiment)


def load_all(roots: Sequence[Path], *, embodiment: Embodiment = BIMANUAL_YAM) -> Dataset:
    """Reads several datasets as one, in their order.

    Raises:
        DatasetError: as `load`; when their pictures or depth maps have different sizes.
    """
    written = [_Written.at(root, embodiment) for root in roots]
    sizes = written[0].sizes
    for each in written:
        if each.sizes != sizes:
            raise DatasetError(
                f"dataset {each.root}: got sizes {dict(each.sizes)}, allowed are {dict(sizes)}, those of {roots[0]}"
            )
    table = pa.concat_tables([each.table for each in written])
    images = _room_for(table.num_rows, {camera.name: sizes[camera.name] for camera in embodiment.cameras})
    before = np.cumsum([0, *(each.table.num_rows for each in written)])
    for each, first, end in zip(written, before[:-1], before[1:], strict=True):
        _decode(each, {name: array[first:end] for name, array in images.items()})
    # Each dataset counts its episodes from 0; where one begins, the index is another or the dataset is.
    begins = [np.flatnonzero(np.diff(each.table["episode_index"].to_numpy(), prepend=-1)) for each in written]
    starts = np.concatenate([begin + first for begin, first in zip(begins, before, strict=False)] + [before[-1:]])
    instructions = table["instruction"].to_pylist()
    return Dataset(
        images=images,
        depth_cells=_matrix(table, DEPTH).reshape(-1, *sizes["depth"]),
        positions=_matrix(table, "observation.state"),
        actions=_matrix(table, "action"),
        subtasks=np.array(table["subtask"].to_pylist()),
        starts=starts.astype(np.int64),
        instructions=tuple(instructions[start] for start in starts[:-1]),
        seeds=table["seed"].to_numpy()[starts[:-1]],
    )


def _room_for(ticks: int, sizes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.uint8]]:
    """Arrays for every camera's pictures; where memory is short, in nameless files that go when the arrays do.

    Raises:
        DatasetError: when they fit neither into memory nor on the disk.
    """
    needed, available = ticks * sum(math.prod(size) for size in sizes.values()), _available()
    if needed <= available:
        return {name: np.empty((ticks, *size), dtype=np.uint8) for name, size in sizes.items()}
    folder = Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DatasetError(
            f"dataset: got {ticks} ticks, whose pictures take {needed / 1e9:.1f} GB, available are "
            f"{available / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB in {folder}; learn from fewer recordings at "
            "once, or let TMPDIR name a folder with more room"
        )
    return {name: _on_disk((ticks, *size)) for name, size in sizes.items()}


def _on_disk(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    with tempfile.TemporaryFile() as file:
        return np.asarray(np.memmap(file, dtype=np.uint8, mode="w+", shape=shape))


def _available() -> float:
    """Bytes of memory that this machine can still give; no limit where it does not say."""
    if not MEMORY.is_file():
        return math.inf
    fields = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines())
    return float(fields["MemAvailable"].removesuffix("kB")) * 1024.0


def _decode(written: _Written, into: Mapping[str, NDArray[np.uint8]]) -> None:
    """Fills arrays with every camera's frames, shard by shard."""
    firsts = np.cumsum([0, *written.rows])

    def fill(job: tuple[str, int]) -> None:
        camera, shard = job
        target = into[camera][firsts[shard] : firsts[shard + 1]]
        path, count = video_file(written.root, camera, shard), 0
        for frame in decode(path):
            if count < len(target):
                target[count] = frame
            count += 1
        if count != len(target):
            raise DatasetError(f"video {path}: got {count} frames, the rows say {len(target)}; record that shard again")

    jobs = [(camera, shard) for shard in range(len(written.rows)) for camera in into]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(fill, jobs):
            pass
