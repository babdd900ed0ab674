"""`forearm model info`: the page about a model of ours, and what is no model."""

import shutil
from pathlib import Path

import pytest

from forearm.cli import main
from forearm.cli.exits import Exit
from forearm.model.checkpoint import read
from forearm.model.description import MODELS
from forearm.policy.choice import tasks_for


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


@pytest.mark.parametrize("name", MODELS)
def test_the_page_about_a_model_that_ships_says_what_it_knows_and_what_is_known_of_it(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended("model", "info", name) == Exit.DONE
    page = capsys.readouterr().out
    assert read(MODELS[name]).digest in page
    assert all(f"{task.name}: {task.pattern}" in page for task in tasks_for(name))
    assert f"recipe {name}" in page
    assert "monitors" in page
    assert "card" in page


def test_damaged_weights_are_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "model"
    shutil.copytree(MODELS["nano"], folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert ended("model", "info", str(folder)) == Exit.BAD_INPUT
    assert "the file is corrupt" in capsys.readouterr().err


@pytest.mark.parametrize(("made", "said"), [("{}", "recipe None, "), ('{"recipe": "mine"}', "recipe mine, ")])
def test_a_recipe_file_that_lacks_something_says_what_it_has(
    made: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(MODELS["nano"], folder)
    (folder / "recipe.json").write_text(made)
    assert ended("model", "info", str(folder)) == Exit.DONE
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("question", ["info", "verify"])
def test_what_is_no_model_is_refused_with_what_would_be(question: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("model", question, "nanno") == Exit.BAD_INPUT
    said = capsys.readouterr().err
    assert "checkpoint: got 'nanno', allowed are nano, " in said
    assert "did you mean 'nano'" in said


def test_a_model_of_ours_has_no_reference_to_be_verified_against(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("model", "verify", "nano") == Exit.BAD_INPUT
    assert capsys.readouterr().err.count("\n") == 1
