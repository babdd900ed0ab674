from functools import partial

import pytest

from forearm.cell.simulator import CellRobot
from forearm.clock import SimulatedClock
from forearm.errors import CheckpointError, InputError
from forearm.evaluation.subject import same_weights, subject
from forearm.evaluation.trial import Trial, run_trial
from forearm.policy.choice import demonstrator, hold, policy_named


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
