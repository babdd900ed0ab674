from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture
from synthetic_run import INSTRUCTION, START, events_of, painted

from forearm.errors import LogError
from forearm.evaluation.report import write_report
from forearm.evaluation.report_page.packing import millimetres, numbers, thinned
from forearm.evaluation.report_page.pictures import camera_frames, depth_frames
from forearm.evaluation.report_page.reasoning import fractions, measured_cells, trace_errors
from forearm.events import Event, Judged
from forearm.messages import DepthImage
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses
from forearm.telemetry.images import LoggedImage
from forearm.telemetry.log import read_run
from forearm.telemetry.writer import LogWriter

HERE = Path(__file__).parent
VOID = {"meta", "input", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """The page's text by element, and every address it names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: dict[str, str] = {}
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.rows = 0
        self.feed(text)
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        if named.get("id"):
            self.ids.add(str(named["id"]))
        self.rows += "data-time" in named
        if tag not in VOID:
            self.open.append(str(named.get("id") or tag))

    def handle_endtag(self, tag: str) -> None:
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for name in self.open:
            self.text[name] = self.text.get(name, "") + data

    @property
    def run(self) -> dict[str, Any]:
        return json.loads(self.text["run"])


def report_of(events: list[Event], folder: Path) -> Page:
    with LogWriter.create(folder / "run.mcap") as log:
        for event in events:
            log.append(event)
    return Page(write_report(folder).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return report_of(events_of(painted()), folder)


def test_the_page_opens_without_a_network(page: Page, folder: Path) -> None:
    assert page.addresses == []
    text = (folder / "report.html").read_text(encoding="utf-8")
    for outside in ("http://", "https://", "@import", "fetch(", "url("):
        assert outside not in text


def test_the_page_says_what_was_asked_and_what_came_of_it(page: Page) -> None:
    assert page.text["h1"] == INSTRUCTION
    assert "The red block is in the box." in page.text["header"]
    for fact in ("bimanual_yam", "reasoning", "9f2c41d07be5a3361c2e8b5f0d7a94e6c81b3f5a", "4e5bd4b21c0a"):
        assert fact in page.text["origin"]
    assert '"depth_bins": 64' in page.text["pre"]


def test_texts_of_the_log_cannot_become_markup(page: Page, folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "<now>" not in text
    assert "<hold>" not in text
    assert "<hold> until it follows" in page.text["timeline"]


def test_every_finding_and_mode_is_told_in_words(page: Page) -> None:
    assert "left_joint4 would turn at 3.41 rad/s in row 5" in page.text["timeline"]
    assert "The left arm lags behind its command." in page.text["timeline"]
    assert page.rows == 3 + 4


def test_all_cameras_play_over_the_whole_run(page: Page) -> None:
    cameras = page.run["cameras"]
    assert set(cameras) == {"top", "left", "right", "outside"}
    for film in cameras.values():
        assert len(film["times"]) == len(film["jpegs"]) == 39
        assert (film["times"][0], film["times"][-1]) == (0.0, 3.8)
        with Picture.open(io.BytesIO(b64decode(film["jpegs"][0]))) as picture:
            assert picture.size == (film["width"], film["height"])


def test_the_pictures_of_a_twenty_second_run_stay_small(folder: Path) -> None:
    log = read_run(folder / "run.mcap")
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)  # the worst case for JPEG
    buffer = io.BytesIO()
    Picture.fromarray(noise).save(buffer, "jpeg", quality=90)
    film = tuple(
        LoggedImage(stamp_ns=START + frame * 33_000_000, format="jpeg", data=buffer.getvalue()) for frame in range(600)
    )
    cameras = camera_frames(replace(log, images={"top": log.images["top"], "outside": film}))
    assert len(json.dumps(cameras)) < 12e6
    assert len(cameras["outside"]["times"]) > 15
    assert cameras["outside"]["times"][-1] > 19


def test_a_decision_compares_what_was_predicted_with_what_was_measured(page: Page) -> None:
    decisions = page.run["decisions"]
    assert [decision["time"] for decision in decisions] == [0.05, 0.85, 1.65, 2.45, 3.25]
    plan = decisions[0]["plan"]
    assert plan["depth"]["median_mm"] < 15
    assert len(b64decode(plan["depth"]["predicted"])) == 2 * 100
    assert 3 < plan["trace_error_mm"] < 20
    assert np.shape(plan["pixels"]) == (2, 5, 2)
    assert set(decisions[0]["timings_ms"]) == {"vision", "reasoner", "depth", "trace", "flow"}


def test_the_tools_path_is_that_of_the_measured_joints(page: Page, folder: Path) -> None:
    log = read_run(folder / "run.mcap")
    tools, _ = tool_poses(log.positions[:1])
    assert np.allclose(page.run["paths"]["tools"], np.array(page.run["paths"]["tools"]))
    assert np.allclose([arm[0] for arm in page.run["paths"]["tools"]], tools[0], atol=1e-4)


def test_the_pictures_plan_lies_where_the_camera_sees_the_point() -> None:
    top = BIMANUAL_YAM.cameras[0]
    assert top.cell_from_camera is not None
    ahead = top.cell_from_camera.apply(np.array([[0.0, 0.0, 1.0]]))
    assert np.allclose(fractions(top, ahead), [[0.5, 0.5]])


def test_depth_points_lie_on_the_table_that_was_measured(folder: Path) -> None:
    depth = depth_frames(read_run(folder / "run.mcap"), BIMANUAL_YAM.cameras[0])
    assert depth is not None
    metres = np.frombuffer(b64decode(depth["maps"][0]), dtype="<u2") / 1000
    points = np.array(depth["origin"]) + metres[:, None] * np.array(depth["rays"])
    assert (metres > 0).mean() > 0.5
    assert np.abs(points[metres > 0, 2]).max() < 0.002  # m, the rounding of the depth


def test_trace_errors_are_unknown_after_the_logs_end(folder: Path) -> None:
    log = read_run(folder / "run.mcap")
    errors = trace_errors(log, log.decisions[-1])
    assert np.isfinite(errors[:, 0]).all()
    assert np.isnan(errors[:, -1]).all()


def test_measured_cells_are_medians_and_unknown_where_nothing_was_seen() -> None:
    metres = np.full((4, 4), np.nan, dtype=np.float32)
    metres[:2, :2] = [[1.0, 1.0], [1.0, 9.0]]
    cells = measured_cells(DepthImage(stamp_ns=0, metres=metres), (2, 2))
    assert cells[0, 0] == 1.0
    assert np.isnan(cells[1, 1])


@pytest.mark.slow
def test_a_log_that_was_cut_off_says_so_and_still_plays(tmp_path: Path) -> None:
    with LogWriter.create(tmp_path / "run.mcap") as log:
        for event in events_of(painted()):
            log.append(event)
    whole = (tmp_path / "run.mcap").read_bytes()
    (tmp_path / "run.mcap").write_bytes(whole[: len(whole) // 2])
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "The log ends here: the process died at" in page.text["header"]
    assert "Ended cleanly: no" in page.text["header"]
    assert page.run["complete"] is False
    assert 10 < len(page.run["cameras"]["top"]["times"]) < 39


def test_a_policy_without_plans_has_a_report(tmp_path: Path) -> None:
    page = report_of(events_of(painted(1.0), plans=False), tmp_path)
    assert [decision["plan"] for decision in page.run["decisions"]] == [None, None]
    assert page.run["paths"] is not None


def test_a_session_that_was_refused_at_once_has_a_report(tmp_path: Path) -> None:
    run = events_of(painted(1.0))
    ending = replace(run[-1], outcome="refused", reason="No task is named: allowed are three.", stamp_ns=START)
    page = report_of([run[0], ending], tmp_path)
    assert "No task is named" in page.text["header"]
    assert page.run["cameras"] == {}
    assert page.run["duration"] == 0.0


def test_a_robot_with_other_joints_has_a_report_without_paths(tmp_path: Path) -> None:
    recording = painted(1.0)
    run = [event for event in events_of(recording, plans=False) if event.kind != "decided"]
    short = [
        replace(event, observation=replace(event.observation, positions=event.observation.positions[:6]))
        if event.kind == "observed"
        else event
        for event in run
    ]
    page = report_of(short, tmp_path)
    assert page.run["paths"] is None
    assert page.run["joints"]["names"][0] == "joint1"


@pytest.mark.slow
def test_a_guard_that_objects_all_the_time_does_not_flood_the_page(tmp_path: Path) -> None:
    run = events_of(painted(2.6))
    held = next(event for event in run if isinstance(event, Judged) and event.gate == "guard")
    page = report_of([*run[:-1], *[held] * 1000, run[-1]], tmp_path)
    assert page.rows == 400 + 4
    assert "602 more in the log" in page.text["timeline"]


def test_without_a_log_the_error_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"run\.mcap"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


ENDLESS = """
import sys, time
from pathlib import Path
from synthetic_run import events_of, painted
from forearm.telemetry.recorder import Recorder
from forearm.telemetry.writer import LogWriter
recorder = Recorder(LogWriter.create(Path(sys.argv[1])))
for number, event in enumerate(events_of(painted(), complete=False)):
    recorder.emit(event)
    time.sleep(0.001)
    if number == 500:
        print("recorded", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_a_process_killed_in_mid_run_leaves_a_report(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENDLESS, str(tmp_path / "run.mcap")]
    child = subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "the process died" in page.text["header"]
    assert page.run["decisions"]


def test_lengths_are_packed_in_whole_millimetres_and_nothing_as_zero() -> None:
    packed = np.frombuffer(b64decode(millimetres(np.array([0.5004, np.nan, np.inf, -1.0, 99.0]))), dtype="<u2")
    assert packed.tolist() == [500, 0, 0, 0, 65535]


def test_numbers_that_are_not_finite_become_nothing() -> None:
    assert numbers(np.array([[1.23456, np.nan], [np.inf, -0.5]]), 2) == [[1.23, None], [None, -0.5]]


@pytest.mark.parametrize(("count", "most"), [(0, 5), (5, 5), (100, 7), (3, 2)])
def test_thinning_keeps_the_first_and_the_last(count: int, most: int) -> None:
    kept = thinned(count, most)
    assert len(kept) <= most
    if count:
        assert (kept[0], kept[-1]) == (0, count - 1)
