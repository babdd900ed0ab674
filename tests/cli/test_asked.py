"""What can come to nothing is refused before any work, in one line, and exit codes say whose fault it was."""

import os
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from forearm import errors
from forearm.cli import main, story
from forearm.cli.asked import at_least, file_at, folder_at
from forearm.cli.exits import Exit, code_of
from forearm.errors import InputError
from forearm.events import ModeChanged

LIFT = "lift the tray with both arms"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("run", LIFT, "--policy", "hold", "--seed", "-1", "--out", "{new}"), "seed: got -1, allowed is ≥ 0"),
        (("run", LIFT, "--policy", "hold", "--out", "{file}"), "folder: got {file}"),
        (("run", LIFT, "--policy", "hold", "--out", "{file}/run"), "folder: got {file}/run"),
        (("eval", "--task", "lift", "--seeds", "5:6", "--policy", "hold", "--json", "{folder}"), "file: got the folder"),
        (("eval", "--task", "lift", "--seeds", "5:6", "--policy", "hold", "--json", "{file}/r.json"), "folder: got {file}"),
        (("eval", "--task", "put-in-box", "--task", "lift", "--seeds", "5:6", "--words", "swap", "--policy", "hold",
          "--json", "{new}/r.json"), "two objects"),
        (("eval", "--task", "lift", "--seeds", "5:6", "--intervene", "point", "--json", "{new}/r.json"), "two objects"),
        (("record", "--out", "{new}", "--episodes", "0"), "episodes: got 0, allowed is ≥ 1"),
        (("record", "--out", "{new}", "--workers", "0"), "workers: got 0"),
        (("record", "--out", "{new}", "--seed", "-1"), "seed: got -1"),
        (("record", "--out", "{file}"), "folder: got {file}"),
        (("record", "--out", "{new}", "--recipe", "nan0"), "recipe: got 'nan0'"),
        (("train", "--data", "{new}", "--out", "{new}", "--recipe", "nan0"), "recipe: got 'nan0'"),
        (("train", "--data", "--out", "{new}"), "data: got no folder"),
        (("record", "--out", "{new}", "--visits", "nan0"), "nan0"),
        (("record", "--out", "{new}", "--task", "stack"), "task: got 'stack'"),
        (("record", "--out", "{new}", "--variation", "siz"), "siz"),
        (("record", "--out", "{new}", "--variation", "sku:held-out"), "which is held out, allowed are sku:training"),
        (("train", "--data", "{file}/data", "--out", "{new}"), "folder: got {file}/data"),
        (("train", "--data", "{new}", "--out", "{new}", "--from", "nan0"), "nan0"),
        (("card", "--out", "{new}/card.json"), "card: got no result file, at least one is needed"),
        (("report", "{new}/run.mcap"), "run log: got {new}/run.mcap"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_before_anything_is_made(
    arguments: tuple[str, ...], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = tmp_path / "a-file", tmp_path / "a-folder"
    file.write_text("kept")
    folder.mkdir()
    places = {"new": tmp_path / "new", "file": file, "folder": folder}
    with pytest.raises(SystemExit) as end:
        main([each.format(**places) for each in arguments])
    said = capsys.readouterr().err
    assert end.value.code == Exit.BAD_INPUT
    assert complaint.format(**places) in said
    assert said.count("\n") == 1
    assert file.read_text() == "kept"
    assert sorted(tmp_path.rglob("*")) == [file, folder]


def test_numbers_folders_and_files_that_will_do_pass(tmp_path: Path) -> None:
    at_least(0, seed=0, workers=None)
    assert folder_at(tmp_path / "a" / "b").is_dir()
    assert file_at(tmp_path / "c" / "r.json") == tmp_path / "c" / "r.json"
    assert (tmp_path / "c").is_dir()


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # as it is for anybody but root
    with pytest.raises(InputError, match="can be written to"):
        folder_at(tmp_path)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InputError, Exit.BAD_INPUT),
        (errors.InstructionError, Exit.BAD_INPUT),
        (errors.CheckpointError, Exit.BAD_INPUT),
        (errors.DatasetError, Exit.BAD_INPUT),
        (errors.LogError, Exit.BAD_INPUT),
        (errors.SafetyError, Exit.STOPPED),
        (errors.RobotError, Exit.BROKEN),
        (errors.ModelError, Exit.BROKEN),
        (errors.ForearmError, Exit.BROKEN),
    ],
)
def test_an_error_exits_with_whose_fault_it_was(error: type[errors.ForearmError], code: Exit) -> None:
    assert code_of(error("x")) is code


def test_texts_from_elsewhere_are_told_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(record=True, width=200, force_terminal=False, quiet=False, file=StringIO())
    monkeypatch.setattr(story, "PEOPLE", terminal)
    reason = "RuntimeError: cannot open [/tmp/x] of [bold]"
    story.Story().tell(ModeChanged(stamp_ns=0, before="engaged", after="holding", trigger="hold", reason=reason))
    assert reason in terminal.export_text()
