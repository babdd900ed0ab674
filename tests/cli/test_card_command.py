"""`forearm card` from a result file to the run that it refuses, for a model that ships, by its name."""

import json
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from forearm.cli import main
from forearm.cli.exits import Exit
from forearm.errors import InstructionError
from forearm.evaluation.trial import TrialResult
from forearm.policy.choice import about_policy
from forearm.runtime.card import about_card, read_card, refuse_uncarded

DONE = TrialResult(
    task="lift", seed=0, words="asked", outcome="done", success=True, progress=1.0, duration_s=6.0, reason="It is up."
)


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Of the smallest model: lift always done, put-in-box half of the time."""
    lifted = [replace(DONE, seed=seed) for seed in range(40)]
    put = [replace(DONE, task="put-in-box", seed=seed, success=seed % 2 == 0) for seed in range(40)]
    heading = {"commit": "abc", "policy": "nano", "intervene": None, **about_policy("nano")}
    file = tmp_path / "results.json"
    file.write_text(json.dumps({**heading, "trials": [each.record() for each in (*lifted, *put)]}))
    return file


def test_a_card_of_a_model_that_ships_allows_and_refuses_by_what_was_measured(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "limits.json"
    assert ended("card", "--results", str(results), "--out", str(out)) == Exit.DONE
    card, digest = read_card(out), str(about_policy("nano")["model_digest"])
    assert card is not None
    assert about_card(card, digest) == (True, "lift at 80% success or more")
    refuse_uncarded(card, digest, "lift the tray with both arms")
    with pytest.raises(InstructionError, match="put-in-box at 20 of 40"):
        refuse_uncarded(card, digest, "put the red block in the box")


@pytest.mark.parametrize(
    ("name", "complaint"), [("card.md", "name it card.json"), ("results.json/card.json", "name another")]
)
def test_a_card_that_cannot_be_written_is_one_clear_line(
    results: Path, name: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended("card", "--results", str(results), "--out", str(results.parent / name)) == Exit.BAD_INPUT
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1
    assert [path.name for path in results.parent.iterdir()] == ["results.json"]


def test_a_full_disk_is_one_clear_line_and_leaves_the_card_as_it_was(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, most = tmp_path / "limits.json", resource.getrlimit(resource.RLIMIT_FSIZE)
    out.write_text("as it was")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, most[1]))  # bytes that a file may have
    try:
        assert ended("card", "--results", str(results), "--out", str(out)) == Exit.BROKEN
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    said = capsys.readouterr().err
    assert "File too large" in said
    assert said.count("\n") == 1
    assert out.read_text() == "as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["limits.json", "results.json"]
