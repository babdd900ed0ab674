"""Results of the same seeds set side by side: two files, or one file's variations and its clean trials.

Invariant: only trials that both sides ran and that say something are compared, and how many were left out is said.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forearm.errors import InputError
from forearm.evaluation.statistics import PairedDifference, paired_difference, wilson_interval
from forearm.evaluation.trial import TrialResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One task under one variation, twice.

    Attributes:
        task: its name.
        variation: NAME:LEVEL, empty for none.
        pairs: trials that both sides ran and that say something.
        left_out: trials of either side without such a partner.
        successes: of the first side and of the second, among the pairs.
        ci95: each side's Wilson interval.
        difference: second minus first; None without pairs.
    """

    task: str
    variation: str
    pairs: int
    left_out: int
    successes: tuple[int, int]
    ci95: tuple[tuple[float, float], tuple[float, float]]
    difference: PairedDifference | None

    def record(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def compare(first: Sequence[TrialResult], second: Sequence[TrialResult]) -> list[Compared]:
    """Two sets of results, group by group of task and variation, in the order of the first set."""
    groups = dict.fromkeys((result.task, result.variation) for result in (*first, *second))
    return [
        _compared(task, variation, _of(first, task, variation), _of(second, task, variation))
        for task, variation in groups
    ]


def against_clean(results: Sequence[TrialResult]) -> list[Compared]:
    """Every variation of one set of results against the same seeds without any."""
    groups = dict.fromkeys((result.task, result.variation) for result in results if result.variation)
    return [
        _compared(task, variation, _of(results, task, ""), _of(results, task, variation)) for task, variation in groups
    ]


def read_results(path: Path) -> tuple[dict[str, Any], list[TrialResult]]:
    """A result file's heading and its trials.

    Raises:
        InputError: when the file is none that `forearm eval` wrote.
    """
    try:
        document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        trials = [TrialResult(**trial) for trial in document["trials"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"result file {path}: got {type(error).__name__}: {error}, needed is a file that `forearm eval` wrote; "
            "name another"
        ) from error
    return {name: value for name, value in document.items() if name != "trials"}, trials


def _of(results: Iterable[TrialResult], task: str, variation: str) -> dict[Hashable, TrialResult]:
    chosen = [result for result in results if (result.task, result.variation) == (task, variation)]
    return {(result.seed, result.words): result for result in chosen if not result.is_error}


def _compared(
    task: str, variation: str, first: Mapping[Hashable, TrialResult], second: Mapping[Hashable, TrialResult]
) -> Compared:
    both = [key for key in first if key in second]
    before, after = [first[key].success for key in both], [second[key].success for key in both]
    return Compared(
        task=task,
        variation=variation,
        pairs=len(both),
        left_out=len(first) + len(second) - 2 * len(both),
        successes=(sum(before), sum(after)),
        ci95=(wilson_interval(sum(before), len(both)), wilson_interval(sum(after), len(both))),
        difference=paired_difference(before, after) if both else None,
    )
