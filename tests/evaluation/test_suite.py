import json
import os
from dataclasses import replace

import pytest

from forearm.cell.simulator import CellRobot
from forearm.errors import InputError
from forearm.evaluation.suite import run_suite, summarize
from forearm.evaluation.trial import Trial, TrialResult
from forearm.policy.interface import Policy

DONE = TrialResult(task="lift", seed=1, words="asked", outcome="done", success=True, progress=1.0, findings={"age": 2})


def dies_on_seed_one(robot: CellRobot) -> Policy:
    if robot.setup.seed == 1:
        os._exit(9)  # as the kernel does when memory runs out
    if robot.setup.seed == 2:
        raise MemoryError("not enough for this policy")
    raise InputError("policy: got none, one is needed; this test only counts errors")


def says_its_threads(robot: CellRobot) -> Policy:
    raise InputError(f"{os.environ['OMP_NUM_THREADS']} thread")


@pytest.mark.slow
def test_a_worker_computes_with_one_thread_and_its_parent_as_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    for parents in ("7", None):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        if parents is not None:
            monkeypatch.setenv("OMP_NUM_THREADS", parents)
        (result,) = run_suite([Trial(task="lift", seed=1)], says_its_threads, workers=1)
        assert "1 thread" in result.reason
        assert os.environ.get("OMP_NUM_THREADS") == parents


def test_summaries_count_errors_apart_from_failures() -> None:
    results = [DONE, replace(DONE, seed=2, outcome="failed", success=False), replace(DONE, seed=3, outcome="error")]
    summary = summarize(results)["lift"]
    assert (summary.trials, summary.successes, summary.errors) == (3, 1, 1)
    assert summary.rate == 0.5
    assert summary.ci95[0] < 0.5 < summary.ci95[1]


def test_which_object_was_taken_is_counted_where_there_is_a_choice() -> None:
    block = replace(DONE, task="put-in-box", asked="block_1")
    results = [replace(block, taken="block_1"), replace(block, taken="block_2"), replace(block, taken="")]
    summary = summarize(results)["put-in-box"]
    assert (summary.took_asked, summary.took_other) == (1, 1)


@pytest.mark.slow
def test_a_worker_that_dies_and_a_trial_that_raises_are_errors_and_the_others_go_on() -> None:
    trials = [Trial(task="lift", seed=seed) for seed in (1, 2, 3)]
    results = {result.seed: result for result in run_suite(trials, dies_on_seed_one, workers=1)}
    assert sorted(results) == [1, 2, 3]
    assert all(result.is_error for result in results.values())
    assert results[1].reason == "The worker process died 2 times, last with exit code 9."
    assert "MemoryError: not enough" in results[2].reason


def test_the_parts_of_a_task_are_counted_one_by_one() -> None:
    lift = replace(DONE, stages={"near": True, "far": False})
    results = [lift, replace(lift, seed=2, stages={"near": True, "far": True}), replace(DONE, seed=3, outcome="error")]
    summary = summarize(results)["lift"]
    assert (summary.stages, summary.stages_mean) == ({"near": 2, "far": 1}, 1.5)
    assert summarize([DONE])["lift"].stages_mean is None


def test_a_result_is_a_json_object() -> None:
    assert TrialResult(**json.loads(json.dumps(DONE.record()))) == DONE
