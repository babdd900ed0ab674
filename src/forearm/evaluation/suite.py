"""Many trials in parallel: tasks times seeds, one process per worker, resumable, and no crash of one stops the others.

Invariant: every trial has exactly one result, and what a result says does not depend on which worker made it or when.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from forearm.errors import InputError
from forearm.evaluation.statistics import wilson_interval
from forearm.evaluation.trial import Trial, TrialResult, run_trial
from forearm.policy.choice import MakePolicy

THREADS = "OMP_NUM_THREADS"
SPAWN = multiprocessing.get_context("spawn")  # a forked child would share the parent's renderer and thread pools


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSummary:
    """What the trials of one task say together.

    Attributes:
        trials: how many were run, errors among them.
        successes: how many reached the goal.
        errors: how many say nothing, because the machinery failed.
        rate: successes of the trials that say something; 0 where none does.
        ci95: the rate's Wilson interval.
        took_asked: of the trials with a choice of object in which one was taken, how many took the asked one.
        took_other: how many took another.
        path_shift_mm: how far tool paths answered a trace shifted by 40 mm, mean over the trials that measured it.
    """

    trials: int
    successes: int
    errors: int
    rate: float
    ci95: tuple[float, float]
    took_asked: int
    took_other: int
    path_shift_mm: float | None


def summarize(results: Iterable[TrialResult]) -> dict[str, TaskSummary]:
    """One summary per task, tasks in the order of their first result."""
    by_task: dict[str, list[TrialResult]] = {}
    for result in results:
        by_task.setdefault(result.task, []).append(result)
    return {task: _summary(each) for task, each in by_task.items()}


def _summary(results: Sequence[TrialResult]) -> TaskSummary:
    scored = [result for result in results if not result.is_error]
    chosen = [result for result in scored if result.asked and result.taken]
    successes = sum(result.success for result in scored)
    shifts = [result.path_shift_mm for result in scored if result.path_shift_mm is not None]
    took_asked = sum(result.taken == result.asked for result in chosen)
    return TaskSummary(
        trials=len(results),
        successes=successes,
        errors=len(results) - len(scored),
        rate=successes / len(scored) if scored else 0.0,
        ci95=wilson_interval(successes, len(scored)),
        took_asked=took_asked,
        took_other=len(chosen) - took_asked,
        path_shift_mm=sum(shifts) / len(shifts) if shifts else None,
    )


class Journal:
    """The results so far, one JSON line each behind a line that says of what; what a resumed suite starts from.

    Args:
        path: the file; made when the first result comes.
        subject: what is evaluated: policy, code and the like. A journal of anything else is not continued.

    Raises:
        InputError: when the file is another subject's.
    """

    def __init__(self, path: Path, subject: Mapping[str, Any]) -> None:
        self._path = path
        self._subject: dict[str, Any] = json.loads(json.dumps(dict(subject)))
        self.results: list[TrialResult] = []
        """Read back from an earlier, interrupted suite; errors are left out, so that they are tried again."""
        if path.is_file():
            self._read_back()

    def add(self, result: TrialResult) -> None:
        """Writes one result; after this returns, a killed process does not lose it."""
        fresh = not self._path.is_file()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            if fresh:
                file.write(json.dumps(self._subject) + "\n")
            file.write(json.dumps(result.record()) + "\n")

    def discard(self) -> None:
        """Removes the file: its results are elsewhere now."""
        self._path.unlink(missing_ok=True)

    def _read_back(self) -> None:
        first, *lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        if json.loads(first) != self._subject:
            raise InputError(
                f"unfinished evaluation: got one of something else in {self._path}, only the same policy, code and "
                "trials can be continued; delete it or name another file"
            )
        whole = [line for line in lines if line.endswith("\n")]  # the last line may have been cut off
        if whole != lines:
            self._path.write_text("".join([first, *whole]), encoding="utf-8")
        results = [TrialResult(**json.loads(line)) for line in whole]
        self.results = [result for result in results if not result.is_error]


def run_suite(trials: Sequence[Trial], make_policy: MakePolicy, *, workers: int) -> Iterator[TrialResult]:
    """Yields each trial's result as it comes, in no fixed order; what has not come when it is closed is abandoned.

    A trial that raises, or takes its worker down with it, has outcome "error" and a reason in words; the others go on.

    Args:
        trials: all different.
        make_policy: makes the policy for a scene; sent to the workers.
        workers: processes, ≥ 1, each with one thread for inference and a renderer of its own.

    Raises:
        InputError: for fewer than one worker.
    """
    if workers < 1:
        raise InputError(f"workers: got {workers}, allowed is ≥ 1; use the number of cores")
    waiting = list(reversed(trials))
    busy: dict[Connection, _Worker] = {}
    try:
        for _ in range(min(workers, len(waiting))):
            worker = _Worker(make_policy)
            worker.begin(waiting.pop())
            busy[worker.line] = worker
        while busy:
            for line in wait(list(busy)):
                worker = busy.pop(line)  # pyright: ignore[reportArgumentType]  # we gave it connections
                result, alive = worker.result()
                if waiting:
                    worker = worker if alive else _Worker(make_policy)
                    worker.begin(waiting.pop())
                    busy[worker.line] = worker
                else:
                    worker.end()
                yield result
    finally:
        for worker in busy.values():
            worker.end()


class _Worker:
    """One process that runs one trial at a time."""

    def __init__(self, make_policy: MakePolicy) -> None:
        self.line, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_serve, args=(theirs, make_policy), daemon=True)
        with _single_threaded():
            self._process.start()
        theirs.close()  # so that its death closes the line

    def begin(self, trial: Trial) -> None:
        self._trial = trial
        self.line.send(trial)

    def result(self) -> tuple[TrialResult, bool]:
        """The trial's result, and whether the worker is still there. Blocks until the process says it or dies."""
        try:
            return self.line.recv(), True
        except (EOFError, ConnectionResetError):
            self._process.join()
            reason = f"The worker process died with exit code {self._process.exitcode}."
            return TrialResult(**asdict(self._trial), reason=reason), False

    def end(self) -> None:
        self._process.terminate()
        self._process.join()
        self.line.close()


@contextmanager
def _single_threaded() -> Generator[None]:
    """Processes started meanwhile compute with one thread: workers share the cores among themselves.

    Told through the environment, because what a worker is sent may load torch before anything here could be called.
    """
    before = os.environ.get(THREADS)
    os.environ[THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[THREADS]
        else:
            os.environ[THREADS] = before


def _serve(line: Connection, make_policy: MakePolicy) -> None:
    """The worker's whole life: a trial in, a result out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers itself
    while True:
        try:
            trial: Trial = line.recv()
        except EOFError:
            return
        try:
            result = run_trial(trial, make_policy)
        except Exception as error:  # reported as this trial's result; the worker goes on
            result = TrialResult(**asdict(trial), reason=f"{type(error).__name__}: {error}")
        line.send(result)
