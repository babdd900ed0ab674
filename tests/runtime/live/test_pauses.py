"""The loop's process does not stop to look for garbage among what was there before the arms moved."""

import gc

import pytest

from forearm.runtime.live.run import without_long_pauses


def look_and_fail(frozen: list[int]) -> None:
    with without_long_pauses():
        frozen.append(gc.get_freeze_count())
        raise RuntimeError


def test_what_was_there_before_is_passed_over_by_the_garbage_collector_until_the_session_ends() -> None:
    frozen: list[int] = []
    with pytest.raises(RuntimeError):
        look_and_fail(frozen)
    assert frozen[0] > 0
    assert gc.get_freeze_count() == 0
