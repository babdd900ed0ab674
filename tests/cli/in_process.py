"""Commands in this process, which has loaded already what a process of their own would load first."""

import pytest

from forearm.cli import main


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """A command's exit code, and what it wrote for scripts and for people."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert isinstance(end.value.code, int)
    return int(end.value.code), *capsys.readouterr()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a person is told by a command that does not begin; nothing is told to scripts."""
    code, out, err = told(capsys, *arguments)
    assert (code, out) == (2, "")
    return err
