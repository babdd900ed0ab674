"""From somebody else's dataset to a checkpoint of one's own, by the command line alone."""

import json
import sys
from pathlib import Path

import pytest

from forearm.cli import main
from forearm.cli.exits import Exit

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
import foreign


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


@pytest.fixture
def theirs(tmp_path: Path) -> tuple[str, str]:
    written, mapping = foreign.write(tmp_path / "theirs"), tmp_path / "theirs.toml"
    mapping.write_text(foreign.mapping_text())
    return str(written.root), str(mapping)


def test_a_survey_is_printed_and_an_import_needs_a_mapping(
    theirs: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, mapping = theirs
    assert ended("data", "info", folder) == Exit.DONE
    assert "2 episodes" in capsys.readouterr().out
    assert ended("data", "import", folder, "--out", str(tmp_path / "mine")) == Exit.BAD_INPUT
    assert "add --mapping FILE" in capsys.readouterr().err
    assert ended("data", "info", str(tmp_path), "--mapping", mapping) == Exit.BAD_INPUT
    assert ended("train", "--data", folder, "--out", str(tmp_path / "out"), "--mapping", mapping) == Exit.BAD_INPUT
    assert f"forearm data import {folder} --mapping {mapping}" in capsys.readouterr().err
    ours = ("train", "--from", "model", "--data", folder, "--out", str(tmp_path / "out"))
    for only_released in (("--insulate",), ("--action-tokenizer", folder)):
        assert ended(*ours, *only_released) == Exit.BAD_INPUT
        assert "which writes no action tokens" in capsys.readouterr().err
    assert ended(*ours, "--recipe", "act") == Exit.BAD_INPUT
    assert "got act, which makes a model of another kind" in capsys.readouterr().err
    assert ended(*ours, "--recipe", "nan0") == Exit.BAD_INPUT
    assert "recipe: got 'nan0'" in capsys.readouterr().err
    released = str(Path(__file__).parent.parent / "parity/references/base")
    theirs = ("train", "--from", released, "--data", folder, "--out", str(tmp_path / "out"), "--recipe", "nano")
    assert ended(*theirs) == Exit.BAD_INPUT
    assert "recipe: got nano for a released checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--steps", "0"), ("--batch", "0"), ("--steps", "-5")])
def test_no_steps_at_all_are_not_the_usual_number_of_steps(
    option: str, value: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert ended("train", "--data", str(tmp_path / "data"), "--out", str(out), option, value) == Exit.BAD_INPUT
    assert f"{option.removeprefix('--')}: got {value}, allowed is ≥ 1" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_an_imported_dataset_teaches_the_shipped_model_new_words(
    theirs: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, mapping = theirs
    mine, out = str(tmp_path / "mine"), tmp_path / "tuned"
    assert ended("data", "import", folder, "--mapping", mapping, "--out", mine) == Exit.DONE
    assert ended("train", "--from", "model", "--data", mine, "--out", str(out), "--tune", "lora", "--steps", "2") == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == str(out)
    assert "words it learned anew: fold, towel" in said.err
    assert json.loads((out / "recipe.json").read_text())["tune"] == "lora"
    assert (out / "training.html").is_file()
