"""Jobs in processes of their own: one that dies costs its job a second try, and the other jobs nothing.

Invariant: every job has exactly one answer, and what it says does not depend on which process made it or when.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, TypeVar

from forearm.errors import InputError

Job = TypeVar("Job")
Answer = TypeVar("Answer")

THREADS = "OMP_NUM_THREADS"
SPAWN = multiprocessing.get_context("spawn")  # a forked child would share the parent's renderer and thread pools
TRIES = 2  # a process may be killed for what another one did: memory that ran out, a machine that went away


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A job that raised, or whose process died at each try, and the reason in words."""

    reason: str


class Spread(Protocol):
    """A way to have many jobs done at once."""

    def __call__(
        self, jobs: Sequence[Job], work: Callable[[Job], Answer], *, workers: int | None = None
    ) -> Iterator[tuple[Job, Answer | NoAnswer]]:
        """Yields each job with its answer as it comes, in no fixed order; closed early, what has not come is abandoned.

        Args:
            jobs: what is to be done; sent to the workers.
            work: does one; sent to the workers. What it raises is its job's answer.
            workers: how many jobs at once at the most, ≥ 1; as many as there are cores by default.

        Raises:
            InputError: for fewer than one worker.
        """
        ...


def in_processes(
    jobs: Sequence[Job], work: Callable[[Job], Answer], *, workers: int | None = None
) -> Iterator[tuple[Job, Answer | NoAnswer]]:
    """A `Spread` over processes of this machine, each with one thread for inference and a renderer of its own."""
    most = positive(workers) or os.cpu_count() or 1
    waiting = [(job, 1) for job in reversed(jobs)]
    busy: dict[Connection, _Worker] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < most:
                worker = _Worker(work)
                worker.begin(*waiting.pop())
                busy[worker.line] = worker
            for line in wait(list(busy)):
                worker = busy.pop(line)  # pyright: ignore[reportArgumentType]  # we gave it connections
                job, tries = worker.job, worker.tries
                answer, alive = worker.answer()
                if alive and waiting:
                    worker.begin(*waiting.pop())
                    busy[worker.line] = worker
                else:
                    worker.end()
                if alive or tries == TRIES:
                    yield job, answer
                else:
                    waiting.append((job, tries + 1))
    finally:
        for worker in busy.values():
            worker.end()


def done(job: Job, work: Callable[[Job], Answer]) -> Answer | NoAnswer:
    """The job's answer, also where the work raises."""
    try:
        return work(job)
    except Exception as error:  # reported as this job's answer; the worker goes on
        return NoAnswer(f"{type(error).__name__}: {error}")


def positive(workers: int | None) -> int | None:
    """The number of workers, None for as many as there are cores.

    Raises:
        InputError: for fewer than one.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers: got {workers}, allowed is ≥ 1; use the number of cores")
    return workers


class _Worker:
    """One process that does one job at a time."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self.line, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_serve, args=(theirs, work), daemon=True)
        with _single_threaded():
            self._process.start()
        theirs.close()  # so that its death closes the line

    def begin(self, job: Any, tries: int) -> None:
        """Has the job done, for that many-th time."""
        self.job, self.tries = job, tries
        with suppress(BrokenPipeError):  # it died while idle: the line says so when it is listened to
            self.line.send(job)

    def answer(self) -> tuple[Any, bool]:
        """The job's answer, and whether the process is still there. Blocks until it answers or dies."""
        try:
            return self.line.recv(), True
        except (EOFError, ConnectionResetError):
            self._process.join()
            code = self._process.exitcode
            return NoAnswer(f"The worker process died {self.tries} times, last with exit code {code}."), False

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


def _serve(line: Connection, work: Callable[[Any], Any]) -> None:
    """The worker's whole life: a job in, an answer out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers itself
    while True:
        try:
            job = line.recv()
        except EOFError:
            return
        line.send(done(job, work))
