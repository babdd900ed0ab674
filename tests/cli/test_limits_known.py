"""What lies beside the weights counts: a calibration raises alarms, a card refuses, and what is missing is said."""

import json
import shutil
from pathlib import Path

import pytest
from in_process import refused, told

from forearm.model.checkpoint import read
from forearm.model.description import SHIPPED
from forearm.runtime.monitors.calibration import Calibration, Usual, cameras_digest
from forearm.runtime.monitors.calibration_file import read_calibration, write_calibration
from forearm.telemetry.log import read_run

DIGEST = read(SHIPPED).digest
SENTENCE = "lift the tray with both arms"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The shipped model with nothing known of it."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "recipe.json"):
        shutil.copy(SHIPPED / name, folder)
    return folder


def nervous(model_digest: str) -> Calibration:
    """One that calls every other chunk suspicious."""
    return Calibration(
        model_digest=model_digest, cameras=cameras_digest(), commit="", budget=0.05, episodes=40, tasks=("lift",),
        usual={"chunk": Usual(middle=0.0, spread=1e-6)}, threshold=1.0, familiar=None,
    )  # fmt: skip


def card(**tasks: str) -> str:
    """A card with these tasks, each with why it is refused."""
    listed = {
        name: {"instructions": [SENTENCE] if name == "lift" else [name], "refusal": refusal, "latency_s": None}
        for name, refusal in tasks.items()
    }
    return json.dumps(
        {"format": "forearm.card.v1", "model_digest": DIGEST, "rate": 0.8, "light": None, "tasks": listed}
    )


@pytest.mark.slow
def test_alarms_of_a_calibrated_model_are_told_logged_and_reported_and_change_nothing(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, watched = weights.parent / "plain", weights.parent / "watched"
    asked = ("run", SENTENCE, "--seed", "5", "--policy", str(weights), "--out")
    _, _, said = told(capsys, *asked, str(plain))
    assert "monitors not calibrated for this model" in said
    assert "card     none: nothing is known" in said
    write_calibration(weights / "calibration.json", nervous(DIGEST))
    _, _, said = told(capsys, *asked, str(watched))
    assert "monitors calibrated on 40 successful runs of lift" in said
    assert "monitor chunk: The new chunk is" in said
    before, after = (read_run(folder / "run.mcap") for folder in (plain, watched))
    assert before.alarms == ()
    assert after.alarms
    assert after.commands.tolist() == before.commands.tolist()
    assert after.alarms[0].text in (watched / "report.html").read_text()
    assert after.camera is not None
    assert after.camera.text in (watched / "report.html").read_text()
    assert "No alarm could be raised: not calibrated for this model." in (plain / "report.html").read_text()


@pytest.mark.slow
def test_the_calibration_of_another_model_is_said_and_raises_no_alarm(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_calibration(weights / "calibration.json", nervous("0" * 64))
    folder = weights.parent / "run"
    _, _, said = told(capsys, "run", SENTENCE, "--seed", "5", "--policy", str(weights), "--out", str(folder))
    assert "not calibrated for this model: the calibration is of model 000000000000" in said
    assert read_run(folder / "run.mcap").alarms == ()


@pytest.mark.slow
def test_what_the_card_does_not_allow_is_refused_before_anything_moves(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (weights / "limits.json").write_text(card(lift="the card has lift at 2 of 20"))
    out = ("--policy", str(weights), "--out", str(weights.parent / "run"))
    poor, unknown = (refused(capsys, "run", said, *out) for said in (SENTENCE, "put the red block in the box"))
    assert "the card has lift at 2 of 20" in poor
    assert "operating limits: got 'put the red block in the box'" in unknown
    assert not (weights.parent / "run").exists()


@pytest.mark.slow
def test_a_calibration_is_made_of_runs_that_went_well_and_found_beside_the_weights(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--policy", str(weights), "--task", "lift", "--budget", "0.5", "--workers", "2")
    code, _, said = told(capsys, "calibrate", *arguments, "--seeds", "5:7")
    assert code == 2
    assert "at least 4 for a budget of 0.5" in said
    code, out, said = told(capsys, "calibrate", *arguments, "--seeds", "5:11")
    assert (code, out) == (0, f"{weights / 'calibration.json'}\n"), said
    made = read_calibration(weights / "calibration.json")
    assert made is not None
    assert (made.model_digest, made.tasks) == (DIGEST, ("lift",))
    assert {"depth", "trace", "chunk", "progress", "features"} == set(made.usual)
    assert sorted(path.name for path in weights.iterdir()) == [
        "calibration.json", "config.json", "model.safetensors", "recipe.json",
    ]  # fmt: skip


def test_a_policy_without_weights_cannot_be_calibrated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "a model is needed" in refused(
        capsys, "calibrate", "--policy", "hold", "--out", str(tmp_path / "calibration.json")
    )


def test_a_calibration_that_could_not_be_written_is_refused_before_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("")
    said = refused(capsys, "calibrate", "--policy", "nano", "--out", str(tmp_path / "taken" / "calibration.json"))
    assert said.startswith("forearm: folder: got ")
    assert said.count("\n") == 1
