"""The tick waits neither for a look through old garbage nor for another thread's turn nor for another process."""

import gc
import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from forearm.runtime.live.punctual import PRIORITY, punctual
from forearm.safety.limits import TICK_S

Seen = TypeVar("Seen")


def fail(look: Callable[[], Seen], seen: list[Seen]) -> None:
    with punctual():
        seen.append(look())
        raise RuntimeError


def look_and_fail(look: Callable[[], Seen]) -> Seen:
    """What is seen inside; it ends by an error."""
    seen: list[Seen] = []
    with pytest.raises(RuntimeError):
        fail(look, seen)
    return seen[0]


def test_what_was_there_before_is_passed_over_by_the_garbage_collector_until_the_session_ends() -> None:
    assert look_and_fail(gc.get_freeze_count) > 0
    assert gc.get_freeze_count() == 0


@pytest.mark.slow
def test_a_thread_hands_over_within_a_small_part_of_a_tick_until_the_session_ends() -> None:
    before = sys.getswitchinterval()
    assert look_and_fail(sys.getswitchinterval) <= TICK_S / 10
    assert sys.getswitchinterval() == before


def may_have_priority() -> bool:
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    except PermissionError:
        return False
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True


@pytest.mark.slow
def test_every_thread_has_the_kernels_priority_where_that_is_granted_and_gives_it_back() -> None:
    over, helper = threading.Event(), threading.Thread(target=lambda: over.wait())
    helper.start()
    assert helper.native_id is not None
    threads = [threading.get_native_id(), helper.native_id]

    def policies() -> list[int]:
        return [os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK for thread in threads]

    granted = os.SCHED_RR if may_have_priority() else os.SCHED_OTHER
    assert look_and_fail(policies) == [granted, granted]
    assert policies() == [os.SCHED_OTHER, os.SCHED_OTHER]
    over.set()
    helper.join()
