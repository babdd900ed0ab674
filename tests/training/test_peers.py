"""The benchmark that sets models side by side, with weights that learned nothing."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

import peers
from forearm.cell.tasks import task_named
from forearm.evaluation.trial import Trial, TrialResult
from forearm.model import checkpoint
from forearm.model.act import ACT
from forearm.model.reactive import Reactive
from forearm.model.sizes import NANO
from forearm.model.words import Words
from forearm.training.batch import Lessons
from forearm.training.metrics import METRICS

RECIPE = {"step": 7, "device": "a chip", "recipe": {"name": "untaught"}}


@pytest.fixture(scope="module")
def folders(lessons: Lessons, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A flow policy and an Action Chunking Transformer that can be asked to lift."""
    words = Words.taught_by(task_named("lift").instructions(), ("lift it",))
    config = NANO.config(vocabulary=len(words.vocabulary), places=words.places, subtasks=1)
    folders = tmp_path_factory.mktemp("flow"), tmp_path_factory.mktemp("act")
    for kind, folder in zip((Reactive, ACT), folders, strict=True):
        torch.manual_seed(0)
        model = kind(config)
        model.initialise(torch.Generator().manual_seed(0))
        checkpoint.write(folder, model.state_dict(), config, words, lessons.scales, RECIPE, kind=kind)
    (folders[1] / METRICS).write_text('{"step": 3, "seconds": 60.0}\n{"step": 7, "seconds": 120.0}\n')
    return folders


@pytest.mark.slow
def test_each_model_is_described_and_its_decision_counted_and_timed(folders: tuple[Path, Path]) -> None:
    entries = peers.contestants("model", *(str(folder) for folder in folders))
    flow, act = peers.facts(entries[1]), peers.facts(entries[2])
    assert flow["training"] == {"steps": 7, "seconds": None, "device": "a chip"}
    assert act["training"]["seconds"] == 120.0
    model = checkpoint.read_act(folders[1]).model
    assert act["parameters"] == sum(each.numel() for each in model.parameters())
    spent = peers.costs(entries[:3], ["lift"], [5000])
    assert list(spent) == ["reasoner", "flow", "ACT"]
    assert spent["reasoner"]["mflop"] > spent["flow"]["mflop"] > 50  # it does the same, and reasons
    assert all(0.0 < each["ms_p50"] <= each["ms_p99"] for each in spent.values())


def done(successes: Sequence[bool], *, outcome: str = "") -> list[TrialResult]:
    return [
        TrialResult(
            task="lift", seed=seed, words="asked", outcome=outcome or ("done" if each else "time"), success=each
        )
        for seed, each in enumerate(successes)
    ]


def test_rates_have_intervals_and_are_compared_seed_by_seed() -> None:
    found = {"reasoner": done([True] * 10), "ACT": done([True] * 6 + [False] * 4)}
    about = [
        {
            "name": name,
            "parameters": 3_000_000,
            "training": {"steps": 11_000, "seconds": 600.0, "device": "a chip"},
            "cost": {"mflop": 100.0, "ms_p50": 1.0, "ms_p99": 2.0},
        }
        for name in found
    ]
    lines = peers.table(about, found).splitlines()
    assert "10 min" in lines[1]
    assert [lines[-2].split()[2:5], lines[-1].split()[2:5]] == [["10/10", "72", "to"], ["6/10", "31", "to"]]
    assert "-40%" in lines[-1]
    written = peers.record(about, found, "0:10")["contestants"][1]
    assert written["against_first"][0]["difference"]["difference"] == pytest.approx(-0.4)
    assert written["tasks"]["lift"]["successes"] == 6
    assert len(written["trials"]) == 10


def test_what_raises_is_an_error_and_no_failure(folders: tuple[Path, Path]) -> None:
    entry = peers.contestants("model", None, str(folders[1]))[1]
    result = peers.tried(entry, Trial(task="juggle", seed=1))
    assert result.is_error
    assert "InputError" in result.reason


@pytest.mark.slow
def test_the_whole_of_it_runs_and_writes_what_it_found(folders: tuple[Path, Path], tmp_path: Path) -> None:
    file = tmp_path / "peers.json"
    peers.main(json_file=file, act=str(folders[1]), tasks=("lift",), seeds="1000:1001", workers=1)
    written = json.loads(file.read_text())
    names = [each["name"] for each in written["contestants"]]
    assert names == ["reasoner", "ACT", "ACT, asked rarely", "ACT, newest chunk"]
    assert [each["tasks"]["lift"]["errors"] for each in written["contestants"]] == [0] * 4
    assert written["contestants"][0]["tasks"]["lift"]["successes"] == 1
    trials = [each["trials"][0] for each in written["contestants"]]
    paces = [each["decisions"] / each["duration_s"] for each in trials]
    assert paces[1] > 4 * paces[2]
    assert list(tmp_path.iterdir()) == [file]
