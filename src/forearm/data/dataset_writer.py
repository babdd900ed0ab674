"""Writes episodes as a LeRobot v3.0 dataset, shard by shard, so that recording can stop at any moment and go on.

A shard is one parquet file and one video per camera, written under temporary names and renamed when whole; a shard that
exists is therefore complete. `finalize` writes `meta/` from the shards alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from forearm.data.episode import FPS, Episode
from forearm.data.video import encode
from forearm.errors import DatasetError, InputError
from forearm.files import claim, whole, write_json
from forearm.robot.embodiment import BIMANUAL_YAM, Embodiment

DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
CHUNK_FILES = 1000  # files in a folder, LeRobot's default
MEASURED = ("observation.state", "action", "observation.depth_cells")  # columns with statistics
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}


def claim_dataset(root: Path, name: str, plan: Mapping[str, Any], *, what: str) -> None:
    """Says in `root`, as `files.claim` does, what is being made there; shards of anything else would count as its own.

    Raises:
        InputError: when it is being made into something else, or holds something already.
    """
    if root.exists() and not (root / name).is_file() and any(root.iterdir()):
        raise InputError(f"{what}: got {root}, which holds something else, allowed is a new folder; name one")
    claim(root, name, plan, what=what)


def data_file(root: Path, shard: int) -> Path:
    """Where the rows of a shard lie."""
    return root / DATA_PATH.format(chunk_index=shard // CHUNK_FILES, file_index=shard % CHUNK_FILES)


def video_file(root: Path, camera: str, shard: int) -> Path:
    """Where a shard's video of one camera lies."""
    key = f"observation.images.{camera}"
    return root / VIDEO_PATH.format(video_key=key, chunk_index=shard // CHUNK_FILES, file_index=shard % CHUNK_FILES)


def _vectors(rows: NDArray[np.float32]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])


def _table(episode: Episode, index: int, first_row: int) -> pa.Table:
    """One episode's rows, with the columns that `_features` declares."""
    ticks = np.arange(len(episode))
    return pa.table(
        {
            "observation.state": _vectors(episode.positions.astype(np.float32)),
            "action": _vectors(episode.actions.astype(np.float32)),
            "observation.depth_cells": _vectors(episode.depth_cells.reshape(len(episode), -1).astype(np.float32)),
            "subtask": pa.array(list(episode.subtasks)),
            "instruction": pa.array([episode.instruction] * len(episode)).dictionary_encode().cast(pa.string()),
            "seed": pa.array(np.full(len(episode), episode.seed, dtype=np.int64)),
            "timestamp": pa.array((ticks / FPS).astype(np.float32)),
            "frame_index": pa.array(ticks.astype(np.int64)),
            "episode_index": pa.array(np.full(len(episode), index, dtype=np.int64)),
            "index": pa.array((first_row + ticks).astype(np.int64)),
            "task_index": pa.array(np.zeros(len(episode), dtype=np.int64)),
        }
    )


def write_shard(root: Path, shard: int, episodes: Sequence[Episode], first_episode: int) -> None:
    """Writes one shard. Indices over the whole dataset (`index`, `task_index`) are filled in by `finalize`.

    Raises:
        DatasetError: when there is nothing to write or the cameras differ between episodes.
    """
    if not episodes or len({tuple(sorted(episode.images)) for episode in episodes}) != 1:
        raise DatasetError(f"shard {shard}: got {len(episodes)} episodes, needs ≥ 1, all with the same cameras")
    for camera in episodes[0].images:
        with whole(video_file(root, camera, shard)) as partial:
            encode(partial, np.concatenate([episode.images[camera] for episode in episodes]), FPS)
    # Last: its presence says that the shard is whole.
    _write_table(data_file(root, shard), [_table(each, first_episode + n, 0) for n, each in enumerate(episodes)])


def _write_table(path: Path, episodes: Sequence[pa.Table]) -> None:
    """One row group an episode."""
    with whole(path) as partial, pq.ParquetWriter(partial, episodes[0].schema, compression="snappy") as writer:
        for table in episodes:
            writer.write_table(table)


def statistics_of(values: NDArray[Any]) -> dict[str, list[float] | list[int]]:
    """LeRobot's statistics of (T, D) values, NaN ignored; a column of nothing else counts as zeros."""
    flat = values.astype(np.float64)
    flat[:, np.isnan(flat).all(axis=0)] = 0.0
    entries: dict[str, list[float] | list[int]] = {
        "min": np.nanmin(flat, axis=0).tolist(),
        "max": np.nanmax(flat, axis=0).tolist(),
        "mean": np.nanmean(flat, axis=0).tolist(),
        "std": np.nanstd(flat, axis=0).tolist(),
        "count": [len(flat)],
    }
    for name, quantile in QUANTILES.items():
        entries[name] = np.nanquantile(flat, quantile, axis=0).tolist()
    return entries


def _features(cameras: dict[str, tuple[int, int]], cells: int, embodiment: Embodiment) -> dict[str, Any]:
    joints = [joint.name for joint in embodiment.joints]
    vector = {"dtype": "float32", "shape": [len(joints)], "names": joints}
    scalars = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64"}
    features: dict[str, Any] = {
        "observation.state": vector,
        "action": vector,
        "observation.depth_cells": {"dtype": "float32", "shape": [cells], "names": None, "info": {"depth_unit": "m"}},
        "subtask": {"dtype": "string", "shape": [1], "names": None},
        "instruction": {"dtype": "string", "shape": [1], "names": None},
        "seed": {"dtype": "int64", "shape": [1], "names": None},
        **{name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in scalars.items()},
        "task_index": {"dtype": "int64", "shape": [1], "names": None},
    }
    for camera, (height, width) in cameras.items():
        features[f"observation.images.{camera}"] = {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": height,
                "video.width": width,
                "video.codec": "h264",
                "video.pix_fmt": "yuv420p",
                "video.fps": FPS,
                "video.channels": 3,
                "video.is_depth_map": False,
                "has_audio": False,
            },
        }
    return features


def _replace_column(table: pa.Table, name: str, values: NDArray[np.int64]) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))


def finalize(
    root: Path, shards: int, cameras: dict[str, tuple[int, int]], embodiment: Embodiment = BIMANUAL_YAM
) -> None:
    """Numbers the rows of `shards` shards through and writes `meta/`: info, tasks, episodes and statistics.

    Args:
        root: the dataset folder.
        shards: how many there are, all complete.
        cameras: name to (height, width) in px.
        embodiment: names the joints.

    Raises:
        DatasetError: when a shard is missing.
    """
    rows, entries, tasks = 0, list[dict[str, Any]](), dict[str, int]()
    vectors: dict[str, list[NDArray[Any]]] = {name: [] for name in MEASURED}
    for shard in range(shards):
        path = data_file(root, shard)
        if not path.is_file():
            raise DatasetError(
                f"dataset {root}: shard {shard} of {shards} is missing; run the recording again to resume"
            )
        tables, first = list[pa.Table](), rows
        for table in _episodes(pq.read_table(path)):
            task = tasks.setdefault(table["instruction"][0].as_py(), len(tasks))
            table = _replace_column(table, "index", np.arange(rows, rows + table.num_rows))
            tables.append(_replace_column(table, "task_index", np.full(table.num_rows, task)))
            entries.append(_entry(table, shard, rows, (rows - first) / FPS, tuple(cameras)))
            for name in MEASURED:
                vectors[name].append(np.stack(table[name].to_numpy()))
            rows += table.num_rows
        _write_table(path, tables)
    measured = {name: np.concatenate(parts) for name, parts in vectors.items()}
    _write_meta(root, entries, tasks, measured, cameras, embodiment)


def _episodes(whole: pa.Table) -> list[pa.Table]:
    """A shard's rows, one table an episode."""
    starts = np.flatnonzero(np.diff(whole["episode_index"].to_numpy(), prepend=-1))
    ends = [*starts[1:], whole.num_rows]
    return [whole.slice(int(start), int(end - start)) for start, end in zip(starts, ends, strict=True)]


def _entry(table: pa.Table, shard: int, first_row: int, first_s: float, cameras: tuple[str, ...]) -> dict[str, Any]:
    """An episode's row of `meta/episodes`: where it lies, and its statistics."""
    length = table.num_rows
    place = {"chunk_index": shard // CHUNK_FILES, "file_index": shard % CHUNK_FILES}
    entry: dict[str, Any] = {
        "episode_index": table["episode_index"][0].as_py(),
        "tasks": [table["instruction"][0].as_py()],
        "length": length,
        "dataset_from_index": first_row,
        "dataset_to_index": first_row + length,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
        **{f"data/{name}": value for name, value in place.items()},
    }
    for camera in cameras:
        prefix = f"videos/observation.images.{camera}"
        entry |= {f"{prefix}/{name}": value for name, value in place.items()}
        entry |= {f"{prefix}/from_timestamp": first_s, f"{prefix}/to_timestamp": first_s + length / FPS}
    for name in MEASURED:
        statistics = statistics_of(np.stack(table[name].to_numpy()))
        entry |= {f"stats/{name}/{key}": value for key, value in statistics.items()}
    return entry


def _write_meta(
    root: Path,
    episodes: list[dict[str, Any]],
    tasks: dict[str, int],
    vectors: dict[str, NDArray[Any]],
    cameras: dict[str, tuple[int, int]],
    embodiment: Embodiment,
) -> None:
    meta = root / "meta"
    (meta / "episodes/chunk-000").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(episodes), meta / "episodes/chunk-000/file-000.parquet")
    # pandas' own layout for a frame whose index is called "task", written without pandas.
    columns = [
        {
            "name": "task_index",
            "field_name": "task_index",
            "pandas_type": "int64",
            "numpy_type": "int64",
            "metadata": None,
        },
        {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": None},
    ]
    table = pa.table({"task_index": pa.array(list(tasks.values())), "task": pa.array(list(tasks))})
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.2.0"}
    pq.write_table(table.replace_schema_metadata({b"pandas": json.dumps(pandas).encode()}), meta / "tasks.parquet")
    statistics = {name: statistics_of(values) for name, values in vectors.items()}
    write_json(meta / "stats.json", statistics)
    cells = vectors["observation.depth_cells"].shape[1]
    info = {
        "codebase_version": "v3.0",
        "robot_type": embodiment.name,
        "fps": FPS,
        "total_episodes": len(episodes),
        "total_frames": len(vectors["action"]),
        "total_tasks": len(tasks),
        "chunks_size": CHUNK_FILES,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
        "splits": {"train": f"0:{len(episodes)}"},
        "features": _features(cameras, cells, embodiment),
    }
    write_json(meta / "info.json", info)  # last: its presence says that the dataset is whole
