from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from forearm.cell.setup import Setup
from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import held_out_phrasings, taught_phrasings
from forearm.clock import SimulatedClock
from forearm.errors import CheckpointError, InputError
from forearm.evaluation.report import write_report
from forearm.evaluation.subject import same_weights, subject
from forearm.evaluation.trial import Trial, Words, run_trial
from forearm.messages import Floats, Observation
from forearm.policy.baselines import Demonstrator
from forearm.policy.choice import demonstrator, hold, policy_named
from forearm.policy.reasoning import Intervention
from forearm.telemetry.recorder import LosslessRecorder
from forearm.telemetry.writer import FILE_NAME, LogWriter

WORDS: tuple[Words, ...] = ("asked", "swap")


def _nowhere(observation: Observation, points: Floats) -> Floats:
    return np.full_like(points, np.nan)


def _as_if_asked_for(setup: Setup, robot: CellRobot) -> Demonstrator:
    """Does what another sentence means, whatever it is told."""
    return Demonstrator.rehearse(setup)


@pytest.mark.slow
def test_the_demonstrator_lifts_the_tray_through_the_whole_line() -> None:
    result = run_trial(Trial(task="lift", seed=5), demonstrator)
    assert (result.outcome, result.success, result.progress) == ("done", True, 1.0)
    assert result.decisions >= 4
    assert result.taken == "tray"


@pytest.mark.slow
def test_the_demonstrator_takes_the_block_that_swapped_words_name() -> None:
    asked, swapped = Trial(task="put-in-box", seed=3), Trial(task="put-in-box", seed=3, words="swap")
    assert asked.setup().placements == swapped.setup().placements
    result = run_trial(swapped, demonstrator)
    assert result.success
    assert result.taken == result.asked


def test_other_words_ask_for_the_same_in_the_same_scene() -> None:
    clean = Trial(task="put-in-box", seed=3).setup()
    for variation, phrasings in (("taught", taught_phrasings), ("held-out", held_out_phrasings)):
        said = [
            Trial(task="put-in-box", seed=3, words=words, variation=f"phrasing:{variation}").setup() for words in WORDS
        ]
        assert all(each.placements == clean.placements for each in said)
        assert [each.spoken in phrasings(each.instruction)[variation == "taught" :] for each in said] == [True, True]
        assert said[0].instruction == clean.instruction != said[1].instruction


@pytest.mark.slow
def test_the_demonstrator_does_what_it_is_asked_for_in_other_words() -> None:
    result = run_trial(Trial(task="lift", seed=5, variation="phrasing:held-out"), demonstrator)
    assert result.success
    assert result.instruction in held_out_phrasings("lift the tray with both arms")


@pytest.mark.slow
@pytest.mark.parametrize("variation", ["absent:colour", "another-task:absent"])
def test_what_is_not_there_is_refused_before_any_motion_which_counts_as_success(variation: str) -> None:
    result = run_trial(Trial(task="put-in-box", seed=3, variation=variation), demonstrator)
    assert (result.outcome, result.success, result.progress, result.asked) == ("refused", True, 0.0, "")
    assert "cannot be done" in result.reason
    assert result.duration_s < 1.0


@pytest.mark.slow
def test_a_model_that_points_nowhere_is_refused_and_the_report_says_why(tmp_path: Path) -> None:
    trial = Trial(task="put-in-box", seed=3, variation="absent:colour")
    blind = policy_named("model", intervene=lambda robot: Intervention(point=_nowhere))
    with LosslessRecorder(LogWriter.create(tmp_path / FILE_NAME)) as recorder:
        result = run_trial(trial, blind, emit=recorder.emit)
    assert (result.outcome, result.success, result.taken) == ("refused", True, "")
    assert set(result.findings) == {"instruction"}
    assert "I do not see what" in write_report(tmp_path).read_text()
    assert not run_trial(replace(trial, variation=""), blind).success


@pytest.mark.slow
def test_to_move_or_to_wait_when_asked_for_what_is_not_there_is_a_failure() -> None:
    trial = Trial(task="put-in-box", seed=3, variation="absent:colour")
    result = run_trial(trial, partial(_as_if_asked_for, Trial(task="put-in-box", seed=3).setup()))
    assert (result.outcome, result.success, result.progress) == ("failed", False, 0.0)


@pytest.mark.slow
def test_doing_nothing_fails_and_is_not_an_error() -> None:
    result = run_trial(Trial(task="lift", seed=5), hold)
    assert (result.outcome, result.success, result.is_error) == ("failed", False, False)
    assert result.taken == ""


def test_swapped_words_need_two_objects() -> None:
    with pytest.raises(InputError, match="use that"):
        Trial(task="lift", seed=0, words="swap").setup()


def test_an_unknown_policy_is_refused_with_what_there_is() -> None:
    with pytest.raises(InputError, match="demonstrator"):
        policy_named("demonstrater")


def test_only_a_model_can_be_intervened_on() -> None:
    with pytest.raises(InputError, match="only a model has a plan"):
        policy_named("hold", intervene=partial(lambda robot: robot))


def test_nothing_is_done_of_a_task_of_many_parts_when_it_starts() -> None:
    robot = CellRobot(setup=Trial(task="put-everything-in-box", seed=3).setup(), clock=SimulatedClock())
    assert robot.stages() == dict.fromkeys(("block_1", "block_2", "block_3", "bar_1", "bar_2"), False)
    assert CellRobot(setup=Trial(task="lift", seed=3).setup(), clock=SimulatedClock()).stages() == {}


@pytest.mark.slow
def test_the_demonstrator_does_every_part_of_a_task_of_many() -> None:
    result = run_trial(Trial(task="put-everything-in-box", seed=3), demonstrator)
    assert result.success
    assert len(result.stages) == 5
    assert all(result.stages.values())


def test_weights_that_are_not_those_of_the_evaluation_are_refused_by_its_workers() -> None:
    make_policy, about = subject("model", None)
    robot = CellRobot(setup=Trial(task="lift", seed=3).setup(), clock=SimulatedClock())
    assert make_policy(robot).model_digest == about["model_digest"]
    with pytest.raises(CheckpointError, match="needed are 0000"):
        same_weights(robot, make_policy=policy_named("model"), digest="0000")
