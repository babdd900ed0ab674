"""A few runs of the fault campaign, and that each of its four counters can count."""

from pathlib import Path

import numpy as np
import pytest

from campaign_phases import IN_TURN, PHASES_OF, phases
from campaign_run import Case, of_log, of_stretch, run, unexplained
from campaign_troubles import KINDS, ONLY
from escape_oracle import Oracle
from fault_campaign import done_by, plan
from forearm.cell.solver import Performance
from forearm.cell.tasks import TASKS, task_named
from forearm.events import ModeChanged, SessionEnded, SessionStarted
from forearm.policy.choice import MODEL, tasks_for
from forearm.safety.limits import Limits
from forearm.telemetry.log import RunLog, read_run
from forearm.telemetry.writer import LogWriter

HOME = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0] * 2)
ENDED = {"progress": 0.0, "ticks": 1, "late_p50_s": 0.0, "late_p99_s": 0.0, "dropped": 0}


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle(Limits.of())


def logged(path: Path, outcome: str, reason: str, *, finished: bool = True) -> RunLog:
    log = LogWriter.create(path)
    log.append(
        SessionStarted(
            stamp_ns=0, epoch=1, instruction="lift", robot="yam", policy="none", model_digest="", seed=0, commit="",
            recipe="{}",
        )
    )  # fmt: skip
    log.append(ModeChanged(stamp_ns=1, before="idle", after="protective_stop", trigger="fault", reason=reason))
    log.append(SessionEnded(stamp_ns=2, outcome=outcome, reason=reason, **ENDED))  # pyright: ignore[reportArgumentType]
    log.flush()
    log.close() if finished else log.abandon()
    return read_run(path)


def test_the_whole_campaign_is_every_fault_in_every_phase_where_it_makes_sense() -> None:
    cases = plan(list(KINDS), list(PHASES_OF), seeds=2)
    assert len({case.key for case in cases}) == len(cases)
    for kind in KINDS:
        for task, own in PHASES_OF.items():
            expected = set(own) & set(ONLY.get(kind, own))
            assert {case.phase for case in cases if (case.kind, case.task) == (kind, task)} == expected


def test_every_task_of_the_cell_has_phases_and_each_is_done_by_the_smallest_model_that_was_taught_it() -> None:
    assert set(PHASES_OF) == {task.name for task in TASKS} == set(done_by(MODEL))
    small = [task.name for task in tasks_for("nano")]
    assert all(model == ("nano" if task in small else "station") for task, model in done_by(MODEL).items())
    assert done_by("nano") == dict.fromkeys(small, "nano")


@pytest.mark.parametrize("field", ["kind", "task", "phase"])
def test_one_scene_of_each_is_enough_to_see_every_fault_task_and_phase_with_the_ladder_and_without(field: str) -> None:
    cases = [case for case in plan(list(KINDS), list(PHASES_OF), seeds=1) if case.kind not in ONLY]
    for name in {getattr(case, field) for case in cases}:
        ladders = [case.recovers for case in cases if getattr(case, field) == name]
        assert abs(sum(ladders) / len(ladders) - 0.5) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("task", PHASES_OF)
def test_who_does_a_task_goes_through_its_phases_and_through_no_others(task: str) -> None:
    setup = task_named(task).sample(20_000)
    performance = Performance(setup, seed=0, speed=1.0, noise_amplitude=0.0)
    seen = dict[str, set[str]]()
    for tick in performance.ticks():
        for thing, phase in phases(setup, performance.physics, tick.target).items():
            seen.setdefault(phase, set()).add(thing)
    assert performance.success
    assert set(seen) == set(PHASES_OF[task])
    assert min(len(things) for phase, things in seen.items() if phase != "approach") == IN_TURN.get(task, 1)


def test_a_part_of_the_campaign_runs_cases_of_the_whole() -> None:
    whole = {case.key for case in plan(list(KINDS), list(PHASES_OF), seeds=1)}
    part = {case.key for case in plan(["loop stalls", "NaN chunk"], ["stack", "insert-peg"], seeds=1)}
    assert part < whole
    assert len(part) == 2 * (len(PHASES_OF["stack"]) + len(PHASES_OF["insert-peg"]))


def test_set_points_that_jump_or_leave_the_range_are_counted(oracle: Oracle) -> None:
    jump, outside = HOME.copy(), HOME.copy()
    jump[0], outside[0] = 0.5, 9.0
    assert of_stretch([HOME, HOME], oracle) == []
    assert "speed" in of_stretch([HOME, jump], oracle)
    assert "range" in of_stretch([HOME, outside], oracle)


def test_arms_that_touch_are_seen_in_the_pose(oracle: Oracle) -> None:
    crossed = HOME.copy()
    crossed[[0, 7]] = -1.2, 1.2
    crossed[[1, 8]] = crossed[[2, 9]] = 1.6
    assert oracle.arms_apart(HOME) > 0.0
    assert not oracle.arms_touching(HOME)
    assert oracle.arms_apart(crossed) < 0.0
    assert oracle.arms_touching(crossed)


def test_a_stop_without_a_cause_in_its_log_is_counted_and_one_that_the_trouble_explains_is_not(tmp_path: Path) -> None:
    assert list(unexplained(logged(tmp_path / "1.mcap", "stopped", "A whim."), ""))
    assert list(unexplained(logged(tmp_path / "2.mcap", "stopped", ""), ""))
    assert (
        list(unexplained(logged(tmp_path / "3.mcap", "stopped", "External stop: the door is open"), "External")) == []
    )


def test_a_log_that_was_not_finished_or_lacks_something_is_counted(tmp_path: Path) -> None:
    whole = logged(tmp_path / "1.mcap", "done", "Done.")
    assert list(of_log(whole, 0, 3, 0, "")) == []
    assert list(of_log(whole, 1, 3, 0, ""))
    assert list(of_log(whole, 0, 4, 1, "disk full"))
    assert list(of_log(logged(tmp_path / "2.mcap", "done", "Done.", finished=False), 0, 3, 0, ""))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "recovers"),
    [
        ("camera freezes", False),
        ("encoder off", True),
        ("loop stalls", False),
        ("NaN chunk", True),
        ("path blocked", True),
    ],
)
def test_a_fault_in_mid_motion_breaks_nothing_and_is_explained(kind: str, recovers: bool, oracle: Oracle) -> None:
    result = run(Case(kind=kind, task="lift", phase="approach", seed=20_000, recovers=recovers), "demonstrator", oracle)
    assert result.happened
    assert (result.contacts, result.broken_limits, result.unexplained, result.log_faults) == ([], [], [], [])
