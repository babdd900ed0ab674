from dataclasses import replace
from pathlib import Path

import pytest

from forearm.errors import InputError
from forearm.evaluation.journal import Journal
from forearm.evaluation.trial import TrialResult

DONE = TrialResult(task="lift", seed=1, words="asked", outcome="done", success=True, progress=1.0, findings={"age": 2})


def test_a_journal_goes_on_after_a_kill_and_tries_errors_again(tmp_path: Path) -> None:
    path = tmp_path / "results.unfinished.jsonl"
    journal = Journal(path, {"policy": "model"})
    journal.add(DONE)
    journal.add(replace(DONE, seed=2, outcome="error"))
    with path.open("a") as file:
        file.write('{"task": "lift", "se')  # killed while writing
    again = Journal(path, {"policy": "model"})
    assert again.results == [DONE]
    again.add(replace(DONE, seed=3))
    assert [result.seed for result in Journal(path, {"policy": "model"}).results] == [1, 3]


def test_a_journal_of_something_else_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "results.unfinished.jsonl"
    Journal(path, {"policy": "model", "seeds": (0, 2)}).add(DONE)
    assert Journal(path, {"policy": "model", "seeds": (0, 2)}).results == [DONE]
    with pytest.raises(InputError, match=r"seeds was \[0, 2\], is \[0, 3\]\), .*delete it"):
        Journal(path, {"policy": "model", "seeds": (0, 3)})
    assert Journal(path, {"policy": "model", "seeds": (0, 2)}).results == [DONE]


def test_what_differs_inside_a_recipe_is_named_and_the_rest_is_not(tmp_path: Path) -> None:
    path = tmp_path / "results.unfinished.jsonl"
    recipe = {"steps": 100, "seed": 1}
    Journal(path, {"commit": "a", "recipe": recipe}).add(DONE)
    with pytest.raises(InputError, match=r"\(recipe\.steps was 100, is 200\)"):
        Journal(path, {"commit": "a", "recipe": {**recipe, "steps": 200}})


def test_a_journal_that_was_cut_off_in_its_first_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "results.unfinished.jsonl"
    path.write_text('{"policy": "mo')
    journal = Journal(path, {"policy": "model"})
    assert journal.results == []
    journal.add(DONE)
    assert Journal(path, {"policy": "model"}).results == [DONE]


@pytest.mark.parametrize("content", ["what?\n", "[]\n", '{"policy": "nano"}\n{"task": 3}\n', '{"policy": "nano"}\n{\n'])
def test_a_file_that_no_evaluation_wrote_is_named_and_left_as_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / "suite.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"suite\.json"):
        Journal(path, {"policy": "nano"})
    assert path.read_text() == content
