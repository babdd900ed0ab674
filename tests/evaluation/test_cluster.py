import sys
from pathlib import Path

import pytest

from forearm.cli import main


def test_without_ray_the_command_that_installs_it_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    with pytest.raises(SystemExit) as end:
        main(["eval", "--task", "lift", "--on", "ray", "--json", str(tmp_path / "r.json")])
    told = capsys.readouterr().err
    assert end.value.code == 2
    assert 'pip install "forearm[ray]"' in told
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []
