import json
import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forearm.data.dataset import Dataset
from forearm.errors import InputError
from forearm.model import checkpoint
from forearm.training.batch import Lessons
from forearm.training.checkpoint import claim_run
from forearm.training.held_out import open_loop
from forearm.training.loop import Trainer, rate_at
from forearm.training.metrics import METRICS, add_row, resume_at, rows_in
from forearm.training.objective import Weights, cells_of, losses
from forearm.training.recipe import Recipe, Recording
from forearm.training.recording import record_dataset, shards_of
from forearm.training.report import write_report
from forearm.training.run import run

SHORT = Recipe(name="short", recording=Recording(counts={"lift": 1}), steps=6, batch=4, processes=1, warmup=1)


@pytest.mark.slow
def test_a_resumed_run_is_the_run_that_was_never_stopped(lessons: Lessons) -> None:
    straight = Trainer(lessons, SHORT, rank=0)
    for _ in range(4):
        straight.advance()
    stopped = Trainer(lessons, SHORT, rank=0)
    for _ in range(2):
        stopped.advance()
    resumed = Trainer(lessons, SHORT, rank=0)
    resumed.restore(stopped.state())
    for _ in range(2):
        resumed.advance()
    for name, tensor in straight.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], tensor, rtol=1e-5, atol=1e-6, msg=name)
        torch.testing.assert_close(resumed.average[name], straight.average[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.slow
def test_learning_lowers_every_loss_of_one_small_batch(lessons: Lessons) -> None:
    torch.manual_seed(0)
    trainer = Trainer(lessons, SHORT, rank=0)
    batch = lessons.batch(np.arange(4), np.random.default_rng(0))
    optimizer = torch.optim.AdamW(trainer.model.parameters(), 2e-3)
    figures = list[dict[str, float]]()
    for _ in range(25):
        found = losses(trainer.model, batch, Weights(), torch.Generator().manual_seed(0))
        found["total"].backward()
        optimizer.step()
        optimizer.zero_grad()
        figures.append({name: float(value.detach()) for name, value in found.items()})
    for name in ("depth", "point", "offset", "subtask", "trace", "flow"):
        assert figures[-1][name] <= figures[0][name] * 0.9 + 1e-6, name


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    recipe = Recipe(name="r", recording=SHORT.recording, steps=1000, warmup=100, decay=0.5, rate=1e-3)
    rates = [rate_at(recipe, step) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-5)
    assert rates[100] == rates[499] == 1e-3
    assert rates[750] == pytest.approx(5e-4)
    assert 0 < rates[999] < 3e-6


def test_points_fall_into_the_cells_of_the_grid() -> None:
    points = torch.tensor([[[0.05, 0.05], [0.95, 0.15]], [[torch.nan, torch.nan], [1.2, -0.1]]])
    assert cells_of(points, 10).tolist() == [[0, 19], [100, 9]]


def test_shards_never_share_a_seed() -> None:
    recording = Recording(counts={"lift": 25, "hand-over": 12})
    shards = list(shards_of(recording))
    assert [shard.episodes for shard in shards] == [10, 10, 5, 10, 2]
    assert [shard.first_episode for shard in shards] == [0, 10, 20, 25, 35]
    starts = [shard.first_seed for shard in shards]
    assert np.diff(starts).min() >= 100
    other = [shard.first_seed for shard in shards_of(Recording(counts={"lift": 25}, seed=1))]
    assert min(other) > max(starts) + 100


@pytest.mark.slow
def test_a_checkpoint_is_measured_and_reported(lessons: Lessons, tmp_path: Path) -> None:
    trainer = Trainer(lessons, SHORT, rank=0)
    rows = [{name: float(value) for name, value in trainer.advance().items()} for _ in range(2)]
    made = {"recipe": asdict(SHORT), "commit": "abc"}
    checkpoint.write(tmp_path, trainer.average, trainer.model.config, lessons.words, lessons.scales, made)
    measured = open_loop(checkpoint.read(tmp_path), lessons, np.arange(0, 100, 9))
    assert measured.ticks == 12
    assert 0 < measured.trace_mm < 2000
    shown = [{"step": number, "seconds": 1.0, **row} for number, row in enumerate(rows, 1)]
    page = write_report(tmp_path, shown, asdict(SHORT), asdict(measured)).read_text()
    assert page.count("<polyline") == 8
    assert "http" not in page


def test_each_step_has_one_row_also_of_a_run_that_was_killed_in_the_middle_of_one(tmp_path: Path) -> None:
    resume_at(0, tmp_path)
    for step in (10, 20, 30):
        add_row(tmp_path, {"step": step, "seconds": 1.0})
    whole = (tmp_path / METRICS).read_text()
    (tmp_path / METRICS).write_text(whole + '{"step": 4')
    assert [row["step"] for row in rows_in(tmp_path)] == [10, 20, 30]
    resume_at(20, tmp_path)
    add_row(tmp_path, {"step": 30, "seconds": 2.0})
    assert [(row["step"], row["seconds"]) for row in rows_in(tmp_path)] == [(10, 1.0), (20, 1.0), (30, 2.0)]


def test_a_folder_goes_on_with_its_own_run_alone(tmp_path: Path) -> None:
    data = {"episodes": 2, "digest": "a" * 64}
    for _ in range(2):
        claim_run(tmp_path / "new", {"recipe": asdict(SHORT), "data": data})
    for recipe, other in ((replace(SHORT, steps=5), data), (SHORT, {**data, "digest": "b" * 64})):
        with pytest.raises(InputError, match="another plan"):
            claim_run(tmp_path / "new", {"recipe": asdict(recipe), "data": other})
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(InputError, match="holds another checkpoint"):
        claim_run(tmp_path, {"recipe": asdict(SHORT), "data": data})


def test_what_was_done_makes_a_datasets_digest(lessons: Lessons) -> None:
    dataset = lessons.dataset
    assert isinstance(dataset, Dataset)
    other = dataset.actions.copy()
    other[3, 2] += 1e-3
    assert dataset.digest() == replace(dataset, images={}).digest()
    assert dataset.digest() != replace(dataset, actions=other).digest()
    assert dataset.digest() != replace(dataset, instructions=("lift the tray with both arms",) * 2).digest()


@pytest.mark.slow
def test_a_recipe_goes_on_only_with_its_data_and_says_what_those_were(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    recorded = Recording(counts={"lift": 2}, seed=77)
    record_dataset(data, recorded, workers=1)
    assert json.loads((data / "failures.json").read_text())["episodes"] == 2
    assert run(replace(SHORT, steps=2), data=[data], out=out, provenance={}) == {}  # too small to hold an episode out
    made = json.loads((out / "recipe.json").read_text())
    assert made["recipe"]["recording"] == asdict(recorded)
    assert made["data"]["episodes"] == 2
    assert (out / "training.html").is_file()
    with pytest.raises(InputError, match="another plan"):
        run(replace(SHORT, steps=3), data=[data], out=out, provenance={})


@pytest.mark.slow
def test_two_processes_make_a_checkpoint_in_a_folder_named_from_here(lessons: Lessons, tmp_path: Path) -> None:
    script = """
import pickle, sys
from pathlib import Path
from forearm.training.loop import on_cores
lessons, recipe = pickle.loads(Path("given").read_bytes())
on_cores(lessons, Path("made"), recipe, {"commit": "here"})
"""
    (tmp_path / "given").write_bytes(pickle.dumps((lessons, replace(SHORT, steps=2, processes=2))))
    (tmp_path / "made").mkdir()
    # Processes of its own: those that learn are forked, which autograd threads of other tests would not survive.
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=120)
    made = checkpoint.read(tmp_path / "made")
    assert (made.recipe["commit"], made.recipe["step"]) == ("here", 2)


@pytest.mark.slow
@pytest.mark.parametrize(("ended_by", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_processes_that_learn_end_with_the_one_that_began_them(
    ended_by: signal.Signals, code: int, lessons: Lessons, tmp_path: Path
) -> None:
    script = """
import pickle
from pathlib import Path
from forearm.training.loop import on_cores
lessons, recipe = pickle.loads(Path("given").read_bytes())
try: on_cores(lessons, Path("made"), recipe, {})
except KeyboardInterrupt: raise SystemExit(130)
"""
    (tmp_path / "given").write_bytes(pickle.dumps((lessons, replace(SHORT, steps=100_000, processes=2))))
    (tmp_path / "made").mkdir()
    command, metrics = [sys.executable, "-c", script], tmp_path / "made" / METRICS
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + 120.0
    while process.poll() is None and time.monotonic() < until and not metrics.is_file():
        time.sleep(0.02)
    if ended_by == signal.SIGINT:
        os.killpg(process.pid, ended_by)  # as Ctrl-C does
    else:
        process.send_signal(ended_by)
    try:
        _, said = process.communicate(timeout=20.0)  # to the end of stderr, which those that learn have too
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == code
    assert "Traceback" not in said
