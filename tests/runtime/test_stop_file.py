"""Real files and folders: the arms may move only while it is seen that the file is not there."""

import re
from pathlib import Path

import pytest
from recovery_bench import RecoveryBench

from forearm.errors import InputError, RobotError
from forearm.runtime.stop_file import StopFile


def test_while_the_file_is_not_there_nothing_is_asked_for(tmp_path: Path) -> None:
    stop = StopFile(tmp_path / "stop")
    (tmp_path / "another").touch()
    assert stop() == ""


@pytest.mark.parametrize("kind", ["file", "folder", "link to nowhere"])
def test_whatever_has_that_name_asks_for_a_stop(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "stop"
    stop = StopFile(path)
    if kind == "file":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    assert stop() == f"{path} is there."


def test_a_folder_that_is_gone_or_another_one_fails(tmp_path: Path) -> None:
    folder = tmp_path / "cell"
    folder.mkdir()
    stop = StopFile(folder / "stop")
    folder.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        stop()
    folder.mkdir()
    with pytest.raises(RobotError, match="mount it again"):
        stop()
    folder.rmdir()
    folder.touch()
    with pytest.raises(NotADirectoryError):
        stop()


def test_a_name_is_of_the_folder_that_was_current_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "later").mkdir()
    monkeypatch.chdir(tmp_path)
    stop = StopFile(Path("stop"))
    monkeypatch.chdir(tmp_path / "later")
    (tmp_path / "stop").touch()
    assert stop() == f"{tmp_path / 'stop'} is there."


def test_a_file_that_is_there_already_and_a_folder_that_is_not_are_refused(tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    with pytest.raises(InputError, match=f"got {re.escape(str(tmp_path))}/stop, which is there, .*; remove it"):
        StopFile(tmp_path / "stop")
    with pytest.raises(InputError, match=r"got No such file or directory for .*; make it, or name another file"):
        StopFile(tmp_path / "cell" / "stop")


@pytest.mark.parametrize("lost", [False, True])
def test_a_session_stops_when_the_file_comes_and_when_its_folder_goes(lost: bool, tmp_path: Path) -> None:
    folder = tmp_path / "cell"
    folder.mkdir()
    stop = StopFile(folder / "stop")

    def change(seconds: float) -> float:
        if seconds > 1.0 and lost and folder.exists():
            folder.rmdir()
        elif seconds > 1.0 and not lost:
            (folder / "stop").touch()
        return 0.39

    bench = RecoveryBench(thing=change, external_stop=stop)
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    said = (
        "The external stop input failed: FileNotFoundError" if lost else f"External stop: {folder / 'stop'} is there."
    )
    assert ended.reason.startswith(said)
    assert 1.0 < ended.stamp_ns / 1e9 < 2.5
    assert bench.modes()[-1] == "protective_stop"
