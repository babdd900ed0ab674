"""What is the same for every test."""

import gc
import signal
from collections.abc import Generator

import pytest

# Signals do what they do in a terminal, whatever started the tests: nohup ignores a hang-up, a shell's "&" an interrupt.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What collecting loads is there to the end, so that looking for garbage in it over and over finds nothing."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
