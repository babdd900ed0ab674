from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import monitors as benchmark
from forearm.errors import LogError
from forearm.evaluation.trial import Trial, TrialResult
from forearm.evaluation.watched import Watched, read_watched, watching
from forearm.policy.choice import demonstrator
from forearm.runtime.monitors.calibration import Calibration, Episode, Usual

CALIBRATION = Calibration(
    model_digest="m", cameras="c", commit="", budget=0.5, episodes=8, tasks=("lift",),
    usual={"chunk": Usual(middle=0.0, spread=1.0), "progress": Usual(middle=0.0, spread=2.0)},
    threshold=3.0, familiar=None,
)  # fmt: skip
DONE = TrialResult(task="lift", seed=0, words="asked", outcome="done", success=True, duration_s=4.0)
FAILED = replace(DONE, outcome="failed", success=False, duration_s=12.0)


def rolled(result: TrialResult, chunk: list[float], progress: list[float]) -> benchmark.Rollout:
    silent = np.full(len(chunk), np.nan)
    values = {"chunk": np.array(chunk), "progress": np.array(progress), "depth": silent, "trace": silent}
    episode = Episode(values=values, features=np.empty((len(chunk), 0)))
    return benchmark.rollout(CALIBRATION, result, Watched(times_s=np.arange(len(chunk)) * 2.0, episode=episode))


def test_scores_of_failures_above_those_of_successes_and_ties_by_half() -> None:
    assert benchmark.auc([2.0, 3.0], [1.0, 2.0]) == pytest.approx(3.5 / 4)
    assert benchmark.auc([], [1.0]) is None


def test_a_failed_run_is_caught_when_its_first_alarm_comes_and_leads_by_what_is_left() -> None:
    wrong = rolled(FAILED, [np.nan, 1.0, 4.0, 0.0], [0.0, 2.0, 4.0, 6.0])
    right = rolled(DONE, [np.nan, 1.0], [0.0, 1.0])
    found = benchmark.figures(CALIBRATION, [wrong, right, replace_seed(right, 1), rolled(FAILED, [1.0], [0.0])])
    together = found["signals"][benchmark.ALL]  # pyright: ignore[reportIndexIssue]
    assert (together["caught"], together["failed"], together["lead_s"]) == (1, 2, 8.0)
    assert together["false"]["clean"]["alarms"] == 0
    assert (found["failed_without_any_warning"], found["silent"]) == (1, ["lift 0"])


def replace_seed(rollout: benchmark.Rollout, seed: int) -> benchmark.Rollout:
    return replace(rollout, result=replace(rollout.result, seed=seed))


def test_what_only_adds_up_with_time_is_not_ahead_in_the_time_that_both_have() -> None:
    slow = [rolled(FAILED, [0.0] * 6, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0])]
    quick = [rolled(DONE, [0.0] * 3, [0.0, 2.0, 4.0])]
    together = benchmark.figures(CALIBRATION, slow + quick)["signals"][benchmark.ALL]  # pyright: ignore[reportIndexIssue]
    assert (together["auc"], together["auc_begun"]) == (1.0, 0.5)


def test_every_task_meets_every_variation_and_no_seed_comes_twice() -> None:
    trials = benchmark.planned_trials(["lift", "put-in-box"], 60)
    assert len({trial.seed for trial in trials}) == len(trials) == 60
    assert {(each.task, each.variation) for each in trials} == {
        (task, variation) for task in ("lift", "put-in-box") for variation in benchmark.VARIATIONS
    }
    for trial in trials:
        trial.setup()


def test_signals_that_are_not_there_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="run the trial again"):
        read_watched(tmp_path, Trial(task="lift", seed=1))


@pytest.mark.slow
def test_a_watched_trial_goes_as_any_other_and_leaves_its_signals(tmp_path: Path) -> None:
    trial = Trial(task="lift", seed=5, variation="mass:mild")
    result = watching(tmp_path)(trial, demonstrator)
    assert result.success
    watched = read_watched(tmp_path, trial)
    assert len(watched.times_s) == result.decisions
    assert watched.episode.features.shape == (result.decisions, 0)
    assert np.isfinite(watched.episode.values["chunk"][1:]).all()
    assert np.isnan(watched.episode.values["depth"]).all()
