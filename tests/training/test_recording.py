"""A recording that is interrupted ends there and then, and goes on from its last whole shard."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forearm.cell.setup import Setup
from forearm.errors import DatasetError, InputError
from forearm.training.recipe import Recording
from forearm.training.recording import PLAN, record_dataset, record_shard, recorded_as, shards_of


def test_a_recording_does_not_begin_in_a_folder_that_holds_a_dataset_of_somebody_else(tmp_path: Path) -> None:
    theirs = tmp_path / "data" / "chunk-000" / "file-000.parquet"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    with pytest.raises(InputError, match="holds something else"):
        record_dataset(tmp_path, Recording(counts={"lift": 1}), workers=1)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [theirs]


@pytest.mark.parametrize("content", ["{", "[]", '{"counted": 3}'])
def test_a_plan_of_a_recording_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / PLAN).write_text(content)
    with pytest.raises(DatasetError, match=PLAN):
        recorded_as(tmp_path)


def test_every_scene_of_a_recording_with_a_variation_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fails(setup: Setup, *, seed: int) -> None:
        asked.append(setup.variation)

    monkeypatch.setattr("forearm.cell.demonstrator.demonstrate", fails)
    monkeypatch.setattr("forearm.training.recording.SHARD_SEEDS", 5)
    recording = Recording(counts={"hand-over": 10}, variation="size:worst")
    with pytest.raises(DatasetError, match="got 0 successes of 5"):
        record_shard(tmp_path, recording, next(shards_of(recording)))
    assert asked == ["size:worst"] * 5


def test_scenes_without_what_is_to_be_varied_are_left_out(tmp_path: Path) -> None:
    recording = Recording(counts={"lift": 1}, variation="neighbour:worst")
    with pytest.raises(DatasetError, match="got 0 successes of 100"):
        record_shard(tmp_path, recording, next(shards_of(recording)))


@pytest.mark.slow
def test_an_interrupted_recording_ends_at_once_and_leaves_no_process_and_no_half_shard(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "forearm", "record", "--episodes", "40", "--workers", "1", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + 120.0
    while process.poll() is None and time.monotonic() < until and not (tmp_path / "recording.json").is_file():
        time.sleep(0.02)
    time.sleep(3.0)  # into its first shard, which takes about 15 s
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    _, said = process.communicate(timeout=60.0)  # to the end of stderr, which its workers have too
    assert process.returncode == 130
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["recording.json"]
