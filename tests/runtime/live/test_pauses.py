"""The tick waits neither for a look through old garbage nor for another thread's turn."""

import gc
import sys

import pytest

from forearm.runtime.live.run import without_long_pauses
from forearm.safety.limits import TICK_S


def look_and_fail(seen: list[float]) -> None:
    with without_long_pauses():
        seen += [gc.get_freeze_count(), sys.getswitchinterval()]
        raise RuntimeError


def test_what_was_there_before_is_passed_over_by_the_garbage_collector_until_the_session_ends() -> None:
    seen: list[float] = []
    with pytest.raises(RuntimeError):
        look_and_fail(seen)
    assert seen[0] > 0
    assert gc.get_freeze_count() == 0


def test_a_thread_hands_over_within_a_small_part_of_a_tick_until_the_session_ends() -> None:
    before, seen = sys.getswitchinterval(), list[float]()
    with pytest.raises(RuntimeError):
        look_and_fail(seen)
    assert seen[1] <= TICK_S / 10
    assert sys.getswitchinterval() == before
