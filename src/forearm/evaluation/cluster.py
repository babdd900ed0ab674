"""Jobs over a Ray cluster: as in processes of this machine, with the same answers, on as many machines as it has.

Invariant: a worker runs the code that asked it, or nothing: what another commit answers is not this evaluation's.
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from typing import Any

from forearm.errors import InputError
from forearm.processes import THREADS, TRIES, Answer, Job, NoAnswer, done, positive
from forearm.provenance import code_version

PASSED_ON = ("MUJOCO_GL", "PYTHONPATH")  # how workers render and where they find the code, where this process was told


@dataclass(frozen=True, slots=True)
class OtherCode:
    """What a worker says that has other code than was asked for."""

    commit: str
    machine: str


def require_ray() -> None:
    """Refuses to begin where Ray is not installed.

    Raises:
        InputError: with the command that installs it.
    """
    if find_spec("ray") is None:
        raise InputError('Ray: got no such package, --on ray needs it; pip install "forearm[ray]"')


def on_ray(
    jobs: Sequence[Job], work: Callable[[Job], Answer], *, workers: int | None = None, address: str | None = None
) -> Iterator[tuple[Job, Answer | NoAnswer]]:
    """A `Spread` over the cluster at `address`, or of RAY_ADDRESS, or of this machine, or one that is started on it.

    By default all jobs are handed over at once and wait there for cores: one core, one thread and one renderer each.

    Raises:
        InputError: for fewer than one worker, no such cluster, or one whose workers have other code than this.
    """
    most, left = positive(workers) or len(jobs), iter(jobs)
    with _cluster(address) as ray:
        environment = {name: value for name in PASSED_ON if (value := os.environ.get(name))}
        ask = ray.remote(_answer).options(
            num_cpus=1,
            max_retries=TRIES - 1,
            runtime_env={"env_vars": {**environment, THREADS: "1"}},
        )
        waiting = {ask.remote(job, work, code_version()): job for job in islice(left, most)}
        while waiting:
            (answered,), _ = ray.wait(list(waiting), num_returns=1)
            job, answer = waiting.pop(answered), _fetched(ray, answered)
            waiting |= {ask.remote(following, work, code_version()): following for following in islice(left, 1)}
            yield job, answer


def _answer(job: Job, work: Callable[[Job], Answer], commit: str) -> Answer | NoAnswer | OtherCode:
    """In the worker: does the job, if the code is the one that asks."""
    here = code_version()
    return done(job, work) if here == commit else OtherCode(here, platform.node())


def _fetched(ray: Any, answered: Any) -> Any:
    """The answer that has come.

    Raises:
        InputError: when the worker has other code than this, or none.
    """
    try:
        answer = ray.get(answered)
    except (ray.exceptions.RayTaskError, ray.exceptions.RuntimeEnvSetupError) as error:  # the work itself never raises
        last = str(error).strip().splitlines()[-1]
        raise InputError(f"Ray worker: got {last}, needed is one with forearm installed; install it there") from error
    except ray.exceptions.RayError as error:  # killed, out of memory, its machine lost: after the last try
        return NoAnswer(f"The worker was lost {TRIES} times, last by {type(error).__name__}.")
    if isinstance(answer, OtherCode):
        raise InputError(
            f"Ray worker on {answer.machine}: got forearm {answer.commit}, needed is {code_version()}; install the "
            "same code on every machine of the cluster"
        )
    return answer


@contextmanager
def _cluster(address: str | None) -> Generator[Any]:
    """Connected meanwhile; what was still running is ended with the connection."""
    import ray  # pyright: ignore[reportMissingImports]  # an extra: here and nowhere else

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray has no type of its own for a cluster that does not answer, or not in time
        raise InputError(
            f"Ray cluster {address or os.environ.get('RAY_ADDRESS', '')}: got {error} Needed is one that "
            "answers; start it, name another, or begin when this machine is less busy"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()
