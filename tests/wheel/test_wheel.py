"""What is built is what works: the wheel alone, outside the checkout, with everything it needs inside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from forearm.model.description import MODELS

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT], check=True)
    (wheel,) = folder.glob("forearm-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def run(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=installed, env=environment, capture_output=True, text=True, timeout=240)


def test_the_command_line_starts_from_the_wheel(installed: Path) -> None:
    done = run(installed, "-m", "forearm", "--help")
    assert done.returncode == 0, done.stderr
    assert "put the red block in the box" in done.stdout


def test_the_weights_and_the_report_page_are_inside(installed: Path) -> None:
    code = (
        "import forearm; from forearm.model import checkpoint; from forearm.model.description import MODELS;"
        "from importlib.resources import files; print(forearm.__file__);"
        "print(*(f'{name}:{len(checkpoint.read(folder).digest)}' for name, folder in MODELS.items()), sep=',');"
        "print(files('forearm.evaluation.report_page').joinpath('page.html').is_file())"
    )
    done = run(installed, "-c", code)
    assert done.returncode == 0, done.stderr
    where, models, page = done.stdout.split()
    assert Path(where).is_relative_to(installed)
    assert (models, page) == (",".join(f"{name}:64" for name in MODELS), "True")


def test_a_wheel_runs_a_sentence(installed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = run(installed, "-m", "forearm", "run", "lift the tray with both arms", "--seed", "3", "--out", str(out))
    assert done.returncode in (0, 1), done.stderr  # done, or an honest failure: the machinery worked
    assert (out / "report.html").stat().st_size > 100_000
