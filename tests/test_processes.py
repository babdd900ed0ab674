import os
from functools import partial
from pathlib import Path

import pytest

from forearm.errors import InputError
from forearm.processes import NoAnswer, done, in_processes


def squared(job: int) -> int:
    return job * job


def dies_the_first_time(job: int, folder: Path) -> int:
    mark = folder / str(job)
    if job == 2 and not mark.exists():
        mark.touch()
        os._exit(9)  # as the kernel does when memory runs out
    return job


def counts_and_dies(job: int, folder: Path) -> int:
    if job == 2:
        with (folder / "tries").open("a") as tries:
            tries.write("x")
        os._exit(7)
    return job


def raises(job: int) -> int:
    raise MemoryError("not enough for this one")


@pytest.mark.parametrize("workers", [1, *(pytest.param(many, marks=pytest.mark.slow) for many in (3, None))])
def test_every_job_has_one_answer_whatever_the_number_of_workers(workers: int | None) -> None:
    answers = list(in_processes(range(5), squared, workers=workers))
    assert sorted(answers) == [(job, job * job) for job in range(5)]


@pytest.mark.slow
def test_a_job_whose_process_dies_once_is_done_at_its_second_try(tmp_path: Path) -> None:
    answers = in_processes(range(4), partial(dies_the_first_time, folder=tmp_path), workers=2)
    assert sorted(answers) == [(job, job) for job in range(4)]
    assert (tmp_path / "2").exists()


@pytest.mark.slow
def test_a_job_that_kills_each_process_is_given_up_after_two_and_the_others_are_done(tmp_path: Path) -> None:
    answers = dict(in_processes(range(4), partial(counts_and_dies, folder=tmp_path), workers=1))
    assert (tmp_path / "tries").read_text() == "xx"
    assert answers.pop(2) == NoAnswer("The worker process died 2 times, last with exit code 7.")
    assert answers == {0: 0, 1: 1, 3: 3}


def test_what_a_job_raises_is_its_answer_and_is_not_tried_again() -> None:
    said = NoAnswer("MemoryError: not enough for this one")
    assert list(in_processes([1, 2], raises, workers=1)) == [(1, said), (2, said)]
    assert done(1, raises) == said


def test_nothing_to_do_starts_nothing() -> None:
    assert list(in_processes([], squared, workers=1)) == []


def test_work_needs_a_worker() -> None:
    with pytest.raises(InputError, match="workers: got 0"):
        list(in_processes([1], squared, workers=0))
