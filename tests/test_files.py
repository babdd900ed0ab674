"""A file is whole or it is as it was, and a folder goes on only with the work that it was begun for."""

import json
from pathlib import Path

import pytest

from forearm.errors import InputError
from forearm.files import claim, whole, write_json, write_text


def write_and_fail(path: Path) -> None:
    with whole(path) as partial:
        partial.write_text("half of")
        raise RuntimeError


def test_a_write_that_fails_leaves_the_file_as_it_was_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "page.html"
    write_text(path, "größer")
    with pytest.raises(RuntimeError):
        write_and_fail(path)
    assert path.read_text(encoding="utf-8") == "größer"
    assert list(path.parent.iterdir()) == [path]


def test_while_it_is_written_it_is_not_there_and_its_name_ends_as_it_will(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with whole(path) as partial:
        partial.touch()
        assert not path.exists()
        assert partial.suffix == ".mp4"
    assert path.exists()


def test_a_value_that_is_no_json_costs_no_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}


def test_the_same_plan_goes_on_and_another_is_refused_with_where_the_first_stands(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    for _ in range(2):
        claim(folder, "plan.json", {"counts": {"lift": 3}, "sizes": (1, 2)}, what="recording")
    with pytest.raises(
        InputError, match=r"recording .*new: got another plan than .*plan\.json holds; name a new folder"
    ):
        claim(folder, "plan.json", {"counts": {"lift": 4}, "sizes": (1, 2)}, what="recording")
    assert json.loads((folder / "plan.json").read_text())["counts"] == {"lift": 3}


def test_a_plan_of_an_older_version_goes_on_while_nobody_asks_for_what_is_new(tmp_path: Path) -> None:
    older = {"counts": {"lift": 3}, "recording": {"seed": 0}}
    claim(tmp_path, "plan.json", older, what="recording")
    newer = {"counts": {"lift": 3}, "recording": {"seed": 0, "variation": ""}}
    claim(tmp_path, "plan.json", newer, what="recording")
    for other in (
        {**newer, "recording": {"seed": 0, "variation": "size:worst"}},
        {**newer, "counts": {"lift": 3, "stack": 1}},
        {**newer, "recording": {"variation": ""}},
        {"counts": {"lift": 3}},
    ):
        with pytest.raises(InputError, match="another plan"):
            claim(tmp_path, "plan.json", other, what="recording")


def test_a_plan_that_cannot_be_read_is_another(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"counts":')
    with pytest.raises(InputError, match="another plan"):
        claim(tmp_path, "plan.json", {}, what="recording")
