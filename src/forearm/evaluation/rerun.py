"""One trial of an evaluation once more, this time with a log and a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forearm.errors import InputError
from forearm.evaluation.comparison import read_results
from forearm.evaluation.report import write_report
from forearm.evaluation.subject import calibration_of, differences, subject
from forearm.evaluation.trial import TrialResult, run_trial
from forearm.telemetry.recorder import LosslessRecorder
from forearm.telemetry.writer import FILE_NAME, LogWriter

MEASURED = {"wall_s"}  # differs between equal runs
OF_CODE = ("commit", "model_digest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """How it went, how it had gone, and what is not the same: results first, then code and weights."""

    before: TrialResult
    after: TrialResult
    differences: tuple[str, ...]
    other_code: tuple[str, ...]


def rerun(file: Path, number: int, folder: Path) -> Rerun:
    """Runs trial `number` (from 0) of a result file again and leaves its log and report in the new `folder`.

    Raises:
        InputError: for a file, a number or a policy that there is none of.
        LogError: when the folder holds a run already.
    """
    heading, results = read_results(file)
    if not 0 <= number < len(results):
        raise InputError(f"trial: got {number}, allowed are 0 to {len(results) - 1} of {file}; count from 0")
    before = results[number]
    make_policy, about = subject(heading["policy"], heading["intervene"])
    folder.mkdir(parents=True, exist_ok=True)
    recipe = {"command": "rerun", "policy": heading["policy"], "trial": before.record(), "model": about["recipe"]}
    with LosslessRecorder(LogWriter.create(folder / FILE_NAME)) as recorder:
        after = run_trial(
            before.trial,
            make_policy,
            outside_view=True,
            emit=recorder.emit,
            commit=about["commit"],
            recipe=json.dumps(recipe),
            calibration=calibration_of(heading["policy"]),
            intervened=heading["intervene"] is not None,
        )
    write_report(folder)
    return Rerun(
        before=before,
        after=after,
        differences=tuple(differences(_repeatable(before), _repeatable(after))),
        other_code=tuple(differences(_of_code(heading), _of_code(about))),
    )


def _of_code(heading: Mapping[str, Any]) -> dict[str, Any]:
    return {name: heading[name] for name in OF_CODE}


def _repeatable(result: TrialResult) -> dict[str, Any]:
    return {name: value for name, value in result.record().items() if name not in MEASURED}
