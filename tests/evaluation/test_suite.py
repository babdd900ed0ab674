import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from forearm.cell.simulator import CellRobot
from forearm.errors import InputError
from forearm.evaluation.suite import Journal, run_suite, summarize
from forearm.evaluation.trial import Trial, TrialResult
from forearm.policy.baselines import Hold
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
    assert "exit code 9" in results[1].reason
    assert "MemoryError: not enough" in results[2].reason


def test_a_suite_needs_a_worker() -> None:
    with pytest.raises(InputError, match="workers: got 0"):
        list(run_suite([], lambda robot: Hold(), workers=0))


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
    with pytest.raises(InputError, match="delete it"):
        Journal(path, {"policy": "hold", "seeds": (0, 2)})


def test_a_result_is_a_json_object() -> None:
    assert TrialResult(**json.loads(json.dumps(DONE.record()))) == DONE
