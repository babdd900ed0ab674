"""The plan causes the action: what is changed in it is followed, what is only said is not. With the shipped weights."""

from functools import partial
from statistics import fmean

import pytest

from forearm.evaluation.interventions import INTERVENTIONS
from forearm.evaluation.suite import TaskSummary, summarize
from forearm.evaluation.trace_response import SHIFT_M, probe_named
from forearm.evaluation.trial import Trial, Words, run_trial
from forearm.policy.choice import MakePolicy, policy_named

pytestmark = pytest.mark.slow

SEEDS = range(7000, 7008)
MOST = 7  # of eight: these weights choose rightly in 60 of 60 trials


def outcome(make_policy: MakePolicy, seeds: range = SEEDS, words: Words = "asked") -> TaskSummary:
    trials = [Trial(task="put-in-box", seed=seed, words=words) for seed in seeds]
    return summarize(run_trial(trial, make_policy, intervened=True) for trial in trials)["put-in-box"]


def intervened(name: str) -> MakePolicy:
    return policy_named("model", intervene=partial(INTERVENTIONS[name]))


def test_the_colour_word_decides_which_block_is_taken() -> None:
    assert outcome(policy_named("model"), words="swap").took_asked >= MOST


def test_without_an_intervention_a_plan_that_points_at_the_other_block_is_not_followed() -> None:
    trial = Trial(task="put-in-box", seed=SEEDS[0])
    result = run_trial(trial, intervened("point"))
    assert result.outcome == "refused"
    assert "no plan named a place that is" in result.reason
    assert not result.taken


def test_a_point_that_is_only_stated_is_not_followed() -> None:
    assert outcome(intervened("stated-point")).took_asked >= MOST


def test_the_arm_takes_the_block_that_a_moved_point_points_at() -> None:
    assert outcome(intervened("point"), seeds=SEEDS[:4]).took_other >= 3


def test_without_its_trace_the_model_does_nothing_useful() -> None:
    assert outcome(intervened("erase"), seeds=SEEDS[:3]).successes == 0


def test_tools_go_as_far_aside_as_their_trace_is_shifted() -> None:
    trials = [Trial(task=task, seed=seed) for task in ("put-in-box", "hand-over", "lift") for seed in SEEDS[:2]]
    moved = [run_trial(trial, probe_named("model")).path_shift_mm for trial in trials]
    mean = fmean(each for each in moved if each is not None)
    assert None not in moved
    assert abs(mean - SHIFT_M * 1e3) < 0.1 * SHIFT_M * 1e3
