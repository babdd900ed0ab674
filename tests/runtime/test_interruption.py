"""Real signals to this process: noted, and nothing else."""

import os
import signal
from collections.abc import Iterator

import pytest

from forearm.runtime.interruption import Interruption


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Leaves no handler behind, whatever a test does."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_asks_the_process_to_end_is_noted_and_the_handlers_are_put_back(sent: signal.Signals) -> None:
    before = signal.getsignal(sent)
    with Interruption() as interruption:
        assert interruption.reason == ""
        os.kill(os.getpid(), sent)
        assert interruption.signal is sent
        assert interruption.reason == f"The process was asked to end ({sent.name})."
    assert signal.getsignal(sent) is before


def test_the_first_signal_is_the_reason_and_a_second_interrupt_ends_at_once() -> None:
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGHUP)
        assert interruption.signal is signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_hangup_that_was_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup starts a process
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGHUP)
        assert interruption.signal is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
