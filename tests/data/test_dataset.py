import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from forearm.data import dataset
from forearm.data.dataset import Dataset, load, load_all
from forearm.data.dataset_writer import data_file, finalize, video_file, write_shard
from forearm.data.episode import Episode, as_visited
from forearm.errors import DatasetError

CAMERAS = {"top": (120, 120), "left": (72, 72), "right": (72, 72)}


def episode(length: int, seed: int, instruction: str = "lift the tray with both arms") -> Episode:
    rng = np.random.default_rng(seed)

    def video(height: int, width: int) -> np.ndarray:
        ramp = np.linspace(0, 200, width)[None, :, None] + np.arange(3) * 15 + rng.integers(0, 10)
        return np.broadcast_to(ramp, (length, height, width, 3)).astype(np.uint8)

    depth = rng.uniform(0.6, 1.3, (length, 10, 10)).astype(np.float32)
    depth[0, 0, 0] = np.nan
    return Episode(
        instruction=instruction,
        images={name: video(*size) for name, size in CAMERAS.items()},
        depth_cells=depth,
        positions=rng.normal(size=(length, 14)).astype(np.float32),
        actions=rng.normal(size=(length, 14)).astype(np.float32),
        subtasks=tuple(f"part {tick % 3}" for tick in range(length)),
        seed=seed,
    )


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, list[Episode]]:
    episodes = [episode(12, 0), episode(7, 1, "put the red block in the box"), episode(9, 2)]
    write_shard(tmp_path, 0, episodes[:2], 0)
    write_shard(tmp_path, 1, episodes[2:], 2)
    finalize(tmp_path, 2, CAMERAS)
    return tmp_path, episodes


def test_what_is_written_is_read_back(recorded: tuple[Path, list[Episode]]) -> None:
    root, episodes = recorded
    data = load(root)
    assert data.starts.tolist() == [0, 12, 19, 28]
    assert data.instructions == tuple(each.instruction for each in episodes)
    np.testing.assert_array_equal(data.positions, np.concatenate([each.positions for each in episodes]))
    np.testing.assert_array_equal(data.actions, np.concatenate([each.actions for each in episodes]))
    np.testing.assert_array_equal(data.depth_cells, np.concatenate([each.depth_cells for each in episodes]))
    assert data.subtasks.tolist() == [phrase for each in episodes for phrase in each.subtasks]
    for camera in CAMERAS:
        written = np.concatenate([each.images[camera] for each in episodes]).astype(int)
        assert np.abs(data.images[camera].astype(int) - written).mean() < 3  # of 255: the video is lossy


def test_several_datasets_are_read_as_one(recorded: tuple[Path, list[Episode]], tmp_path: Path) -> None:
    root, episodes = recorded
    later = replace(episode(5, 7), seed=as_visited(7))
    write_shard(tmp_path / "later", 0, [later], 0)
    finalize(tmp_path / "later", 1, CAMERAS)
    one, both = load(root), load_all([root, tmp_path / "later"])
    assert load_all([root]).digest() == one.digest()
    assert both.starts.tolist() == [0, 12, 19, 28, 33]
    assert both.instructions == (*one.instructions, later.instruction)
    assert both.seeds.tolist() == [0, 1, 2, -9]
    assert as_visited(as_visited(7)) == 7
    assert both.subtasks.tolist() == [phrase for each in (*episodes, later) for phrase in each.subtasks]
    for name in ("positions", "actions", "depth_cells"):
        np.testing.assert_array_equal(getattr(both, name)[:28], getattr(one, name))
        np.testing.assert_array_equal(getattr(both, name)[28:], getattr(later, name))
    for camera in CAMERAS:
        np.testing.assert_array_equal(both.images[camera][:28], one.images[camera])
        assert len(both.images[camera]) == 33


def test_datasets_of_other_pictures_are_not_read_as_one(recorded: tuple[Path, list[Episode]], tmp_path: Path) -> None:
    small = episode(5, 1)
    small = replace(small, images={name: frames[:, ::2, ::2] for name, frames in small.images.items()})
    write_shard(tmp_path / "small", 0, [small], 0)
    finalize(tmp_path / "small", 1, {name: (height // 2, width // 2) for name, (height, width) in CAMERAS.items()})
    with pytest.raises(DatasetError, match=r"small: got sizes .*60, 60.*allowed are .*120, 120"):
        load_all([recorded[0], tmp_path / "small"])


def test_pictures_that_do_not_fit_into_memory_lie_on_the_disk_or_are_refused_before_one_is_read(
    recorded: tuple[Path, list[Episode]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, room = tmp_path / "meminfo", tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr(dataset, "MEMORY", memory)
    monkeypatch.setattr(tempfile, "tempdir", str(room))
    needed = 28 * 3 * (120 * 120 + 2 * 72 * 72)  # bytes

    def where() -> tuple[Dataset, bool]:
        read = load(recorded[0])
        bases = [images.base for images in read.images.values()]
        return read, all(isinstance(base, np.memmap) for base in bases)

    memory.write_text(f"MemAvailable:   {needed // 1024 + 1} kB\n")
    held, on_disk = where()
    assert not on_disk
    memory.write_text(f"MemTotal: 9999999 kB\nMemAvailable:   {needed // 1024} kB\n")
    spilled, on_disk = where()
    assert on_disk
    for name, images in held.images.items():
        np.testing.assert_array_equal(spilled.images[name], images)
    assert not [*room.iterdir()]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 1))
    refusal = rf"got 28 ticks, whose pictures take 0\.0 GB, .* 0\.0 GB of memory and 0\.0 GB in {room}; .*TMPDIR"
    with pytest.raises(DatasetError, match=refusal):
        load(recorded[0])
    memory.unlink()  # a machine that does not say how much it has
    assert len(load(recorded[0])) == 28


def test_meta_says_where_every_episode_lies(recorded: tuple[Path, list[Episode]]) -> None:
    root, _ = recorded
    info = json.loads((root / "meta/info.json").read_text())
    assert (info["codebase_version"], info["total_episodes"], info["total_frames"]) == ("v3.0", 3, 28)
    rows = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [(row["dataset_from_index"], row["dataset_to_index"]) for row in rows] == [(0, 12), (12, 19), (19, 28)]
    assert rows[1]["videos/observation.images.top/from_timestamp"] == pytest.approx(1.2)
    assert rows[2]["videos/observation.images.top/from_timestamp"] == 0.0
    tasks = pq.read_table(root / "meta/tasks.parquet").to_pydict()
    assert tasks["task"] == ["lift the tray with both arms", "put the red block in the box"]
    index = np.concatenate([pq.read_table(data_file(root, shard))["index"].to_numpy() for shard in range(2)])
    np.testing.assert_array_equal(index, np.arange(28))


def test_an_unfinished_dataset_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, [episode(5, 0)], 0)
    with pytest.raises(DatasetError, match="finish the recording"):
        load(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, [episode(5, 0)], 0)
    with pytest.raises(DatasetError, match="shard 1 of 2 is missing"):
        finalize(tmp_path, 2, CAMERAS)


def test_a_truncated_video_is_named(recorded: tuple[Path, list[Episode]]) -> None:
    root, _ = recorded
    path = video_file(root, "left", 1)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"left.*file-001\.mp4"):
        load(root)


def test_episodes_of_unequal_lengths_are_refused() -> None:
    whole = episode(5, 0)
    with pytest.raises(DatasetError, match="all must be one length"):
        Episode(
            instruction=whole.instruction,
            images=whole.images,
            depth_cells=whole.depth_cells,
            positions=whole.positions[:4],
            actions=whole.actions,
            subtasks=whole.subtasks,
            seed=0,
        )
