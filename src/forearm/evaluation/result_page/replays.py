"""Failures run once more, each in a folder of its own beside the page: a log, a report, and pictures for the page.

Invariant: a folder that holds this very trial, of this very code, is kept; any other of its name is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path

from forearm.errors import LogError
from forearm.evaluation.comparison import read_results
from forearm.evaluation.report import PAGE_NAME
from forearm.evaluation.rerun import rerun
from forearm.evaluation.trial import TrialResult
from forearm.processes import NoAnswer, in_processes
from forearm.provenance import code_version
from forearm.telemetry.log import read_run
from forearm.telemetry.writer import FILE_NAME


def replayed_first(results: Sequence[TrialResult], most: int) -> list[int]:
    """Numbers of at most `most` trials that did not succeed: one of each task and variation by turns."""
    groups: dict[tuple[str, str], list[int]] = {}
    for number, result in enumerate(results):
        if not result.success:
            groups.setdefault((result.task, result.variation), []).append(number)
    by_turns = chain.from_iterable(zip_longest(*groups.values()))
    return [number for number in by_turns if number is not None][:most]


def replay(
    file: Path, numbers: Sequence[int], page: Path, *, workers: int | None = None
) -> Iterator[tuple[int, Path | NoAnswer]]:
    """Runs those trials of a result file again, and yields each number with its folder, or why there is none.

    Raises:
        InputError: for fewer than one worker.
    """
    folder = page.with_name(f"{page.stem}-replays")
    yield from in_processes(numbers, partial(_replayed, file=file, folder=folder), workers=workers)


def _replayed(number: int, *, file: Path, folder: Path) -> Path:
    """The trial's folder, in which it has been run again."""
    _, results = read_results(file)
    own = folder / f"trial-{number:04d}"
    if not _holds(own, results[number]):
        for name in (FILE_NAME, PAGE_NAME):
            (own / name).unlink(missing_ok=True)
        rerun(file, number, own)
    return own


def _holds(folder: Path, result: TrialResult) -> bool:
    """Whether the folder has a whole replay of that trial by this code."""
    try:
        log = read_run(folder / FILE_NAME)
        return (
            log.complete
            and (folder / PAGE_NAME).is_file()
            and log.header.commit == code_version()
            and json.loads(log.header.recipe)["trial"] == result.record()
        )
    except (LogError, ValueError, KeyError, TypeError):
        return False
