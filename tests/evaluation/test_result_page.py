from __future__ import annotations

import io
import json
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image as Picture
from synthetic_run import events_of, painted

from forearm.errors import InputError
from forearm.evaluation.report import write_report
from forearm.evaluation.result_page.page import page_at, write_result_page
from forearm.evaluation.result_page.replays import replayed_first
from forearm.evaluation.trial import TrialResult
from forearm.processes import NoAnswer
from forearm.telemetry.writer import LogWriter

DONE = TrialResult(
    task="lift", seed=0, words="asked", outcome="done", success=True, progress=1.0, duration_s=6.0, reason="It is up."
)
FAILED = replace(DONE, outcome="failed", success=False, progress=0.4, reason="The <tray> was dropped & lost.")
ERROR = replace(DONE, outcome="error", success=False, task="no-such-task", reason="InputError: no such task")
HEADING = {
    "commit": "4e5bd4b21c0a",
    "policy": "model",
    "intervene": None,
    "model_digest": "9f2c41d0",
    "recipe": {"steps": 12000},
    "seeds": [0, 4],
    "words": "asked",
    "suite": "clean",
    "speed": {"episodes_per_minute": 12.34, "on": "here"},
}
VOID = {"meta", "img", "br", "line"}


class Page(HTMLParser):
    """Addresses, pictures and the text by element's id; every element must be closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: dict[str, str] = {}
        self.links: list[str] = []
        self.pictures: dict[str, list[bytes]] = {}
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if named.get("href"):
            self.links.append(str(named["href"]))
        if tag not in VOID:
            self.open.append(str(named.get("id") or tag))
        if tag == "img":
            data = b64decode(str(named["src"]).removeprefix("data:image/jpeg;base64,"))
            self.pictures.setdefault(self.open[-3], []).append(data)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Nothing to close."""

    def handle_endtag(self, tag: str) -> None:
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for name in self.open:
            self.text[name] = self.text.get(name, "") + data


def result_file(path: Path, results: list[TrialResult], **heading: object) -> Path:
    path.write_text(json.dumps({**HEADING, **heading, "trials": [result.record() for result in results]}))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page about three successes, a failure that was replayed, one that was not, and an error."""
    folder = tmp_path_factory.mktemp("page")
    replay = folder / "report-replays" / "trial-0003"
    replay.mkdir(parents=True)
    with LogWriter.create(replay / "run.mcap") as log:
        for event in events_of(painted(2.0)):
            log.append(event)
    write_report(replay)
    results = [replace(DONE, seed=seed) for seed in range(3)]
    results += [replace(FAILED, seed=3), replace(FAILED, seed=4), ERROR]
    file = result_file(folder / "results.json", results)
    replays = {3: replay, 5: NoAnswer("InputError: no such task")}
    write_result_page(file, page_at(folder), replays=replays)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(folder / "report.html")


def test_the_page_needs_no_network_and_leads_only_to_what_is_beside_it(page: Page, folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    for outside in ("http://", "https://", "@import", "url(", "<script"):
        assert outside not in text
    assert all(link.startswith("#") or (folder / link).is_file() for link in page.links)
    assert "report-replays/trial-0003/report.html" in page.links


def test_rates_stand_with_their_intervals_and_errors_in_none(page: Page) -> None:
    assert "3/5" in page.text["rates"]
    assert "23.1% – 88.2%" in page.text["rates"]
    assert "1 of 6 trials say nothing" in page.text["header"]
    assert "12.3" in page.text["header"]


def test_each_failure_tells_its_reason_and_texts_cannot_become_markup(page: Page, folder: Path) -> None:
    assert "The <tray> was dropped & lost." in page.text["trial-3"]
    assert "40% done after 6.0 s" in page.text["trial-4"]
    assert "trial-0" not in page.text
    assert "<tray>" not in (folder / "report.html").read_text(encoding="utf-8")


def test_a_replay_is_shown_as_a_strip_and_says_that_it_went_otherwise(page: Page) -> None:
    assert len(page.pictures["trial-3"]) == 6
    for jpeg in page.pictures["trial-3"]:
        with Picture.open(io.BytesIO(jpeg)) as picture:
            assert (picture.format, picture.size) == ("JPEG", (320, 240))
    assert "1.8 s reach for the red block" in page.text["trial-3"]
    assert "not as the trial: ended done: The red block is in the box." in page.text["trial-3"]


def test_a_failure_without_a_replay_shows_its_scene_and_the_command_that_replays_it(page: Page) -> None:
    (scene,) = page.pictures["trial-4"]
    with Picture.open(io.BytesIO(scene)) as picture:
        assert len(picture.convert("RGB").getcolors(320 * 240) or ()) > 100
    assert "--trial 4" in page.text["trial-4"]


def test_an_error_that_has_no_scene_says_why_it_has_no_replay(page: Page) -> None:
    assert "trial-5" not in page.pictures
    assert "no replay: InputError: no such task" in page.text["trial-5"]


def test_where_the_result_comes_from_is_told(page: Page) -> None:
    for fact in ("4e5bd4b21c0a", "9f2c41d0", '"steps": 12000'):
        assert fact in page.text["origin"]


def test_two_results_are_compared_and_what_went_otherwise_is_listed(tmp_path: Path) -> None:
    before = result_file(tmp_path / "before.json", [replace(DONE, seed=seed) for seed in range(4)])
    results = [replace(ERROR if seed == 3 else DONE, seed=seed, task="lift") for seed in range(4)]
    results[2] = replace(FAILED, seed=2)
    after = result_file(tmp_path / "after.json", results)
    page = Page(write_result_page(after, tmp_path / "page.html", replays={}, against=before))
    assert "Compared with before" in page.text["compared"]
    assert "-33%" in page.text["compared"]
    assert "lift · seed 2" in page.text["compared"]
    assert "lift · seed 0" not in page.text["compared"]


def test_variations_stand_against_clean_scenes_and_parts_are_counted(tmp_path: Path) -> None:
    parts = {"bar": True, "block": True}
    results = [replace(DONE, seed=seed, stages=parts, variation=name) for name in ("", "glare:mild") for seed in (0, 1)]
    results[3] = replace(results[3], outcome="failed", success=False, stages={"bar": True, "block": False})
    file = result_file(tmp_path / "r.json", results, suite="perturbed")
    page = Page(write_result_page(file, tmp_path / "r.html", replays={3: NoAnswer("no disk")}))
    assert "glare:mild" in page.text["rates"]
    assert "-50%" in page.text["rates"]
    assert "1.5 of 2" in page.text["rates"]
    assert "1 of 2 parts, missing block" in page.text["trial-3"]


def test_a_refusal_that_was_wanted_is_shown_as_a_success(tmp_path: Path) -> None:
    file = result_file(tmp_path / "r.json", [replace(DONE, outcome="refused", progress=0.0), FAILED])
    text = write_result_page(file, tmp_path / "r.html", replays={}).read_text()
    assert text.count('class="trial done"') == text.count('class="trial failed"') == 1
    assert "trial-0" not in text


def test_each_task_and_variation_has_its_turn_among_the_replays() -> None:
    results = [DONE, FAILED, FAILED, FAILED, replace(FAILED, variation="glare:mild"), replace(FAILED, task="hand-over")]
    assert replayed_first(results, 4) == [1, 4, 5, 2]
    assert replayed_first(results, 0) == []
    assert replayed_first([DONE], 8) == []


def test_a_file_that_is_no_result_leaves_no_page(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("{}")
    with pytest.raises(InputError, match="a file that `forearm eval` wrote"):
        write_result_page(tmp_path / "r.json", tmp_path / "r.html", replays={})
    assert not (tmp_path / "r.html").exists()


def test_a_page_goes_where_it_is_named_or_into_the_folder(tmp_path: Path) -> None:
    assert page_at(tmp_path / "x.html") == tmp_path / "x.html"
    assert page_at(tmp_path) == tmp_path / "report.html"
