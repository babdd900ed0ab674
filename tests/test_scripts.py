"""Set-up says what is missing and how to get it, to people who are not root and have an ordinary PATH."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parent.parent / "scripts"


def as_anybody(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs it with the PATH of an ordinary user, who is told that they are one."""
    (folder / "id").write_text("#!/bin/sh\necho 1000\n")
    (folder / "id").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:/usr/local/bin:/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


def test_a_renderer_that_is_installed_is_found_without_sbin_on_the_path(tmp_path: Path) -> None:
    ended = as_anybody(tmp_path, "sh", str(SCRIPTS / "graphics.sh"))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_python_without_environments_names_the_package_that_has_them(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    ended = as_anybody(tmp_path, "sh", str(SCRIPTS / "environment.sh"), str(python), str(tmp_path / "venv"))
    assert ended.returncode == 1
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"sudo apt-get install python{version}-venv" in ended.stderr
    assert not (tmp_path / "venv").exists()
