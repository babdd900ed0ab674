"""The loop's process does not stop to look for garbage among what was there before the arms moved."""

import gc

import pytest

from forearm.runtime.live.run import without_long_pauses


def test_what_was_there_before_is_passed_over_by_the_garbage_collector_until_the_session_ends() -> None:
    with pytest.raises(RuntimeError), without_long_pauses():
        assert gc.get_freeze_count() > 0
        assert gc.isenabled()
        raise RuntimeError
    assert gc.get_freeze_count() == 0
