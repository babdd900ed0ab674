import json
from dataclasses import replace
from pathlib import Path

import pytest

from forearm.errors import InputError
from forearm.evaluation.rerun import rerun
from forearm.evaluation.subject import subject
from forearm.evaluation.trial import Trial, TrialResult, run_trial
from forearm.policy.choice import demonstrator
from forearm.telemetry.log import read_run


def result_file(folder: Path, results: list[TrialResult], policy: str) -> Path:
    file = folder / "results.json"
    _, about = subject(policy, None)
    file.write_text(json.dumps({**about, "trials": [result.record() for result in results]}))
    return file


@pytest.mark.slow
def test_a_rerun_goes_as_the_trial_did_and_leaves_a_log_and_a_report(tmp_path: Path) -> None:
    trial = Trial(task="lift", seed=5, variation="mass:strong")
    before = run_trial(trial, demonstrator)
    file = result_file(tmp_path, [replace(before, seed=9), before], "demonstrator")
    done = rerun(file, 1, tmp_path / "run")
    assert (done.differences, done.other_code) == ((), ())
    assert done.after.record() | {"wall_s": 0} == before.record() | {"wall_s": 0}
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"run.mcap", "report.html"}
    log = read_run(tmp_path / "run" / "run.mcap")
    assert log.complete
    assert log.end is not None
    assert log.end.outcome == before.outcome


@pytest.mark.slow
def test_the_model_s_trial_under_a_variation_goes_the_same_twice(tmp_path: Path) -> None:
    make_policy, _ = subject("model", None)
    before = run_trial(Trial(task="put-in-box", seed=1000, variation="noise:mild"), make_policy)
    done = rerun(result_file(tmp_path, [before], "model"), 0, tmp_path / "run")
    assert (done.differences, done.other_code) == ((), ())


@pytest.mark.slow
def test_a_rerun_that_goes_otherwise_says_what_is_not_as_it_was(tmp_path: Path) -> None:
    before = replace(run_trial(Trial(task="lift", seed=5), demonstrator), decisions=3)
    file = result_file(tmp_path, [before], "demonstrator")
    document = json.loads(file.read_text())
    file.write_text(json.dumps(document | {"commit": "another"}))
    done = rerun(file, 0, tmp_path / "run")
    assert len(done.differences) == 1
    assert done.differences[0].startswith("decisions was 3, is ")
    assert done.other_code[0].startswith("commit was 'another', is ")


def test_a_trial_that_the_file_does_not_hold_is_refused(tmp_path: Path) -> None:
    file = result_file(tmp_path, [TrialResult(task="lift", seed=5, words="asked")], "demonstrator")
    with pytest.raises(InputError, match="trial: got 1, allowed are 0 to 0"):
        rerun(file, 1, tmp_path / "run")
    assert not (tmp_path / "run").exists()
