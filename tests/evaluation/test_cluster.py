import subprocess
import sys
from pathlib import Path

WITHOUT_RAY = """
import sys
sys.modules["ray"] = None  # as where it is not installed
from forearm.cli import main
main(sys.argv[1:])
"""


def test_without_ray_the_command_that_installs_it_is_said_before_anything_starts(tmp_path: Path) -> None:
    arguments = ("eval", "--task", "lift", "--on", "ray", "--json", str(tmp_path / "r.json"))
    ended = subprocess.run([sys.executable, "-c", WITHOUT_RAY, *arguments], capture_output=True, text=True)
    assert ended.returncode == 2
    assert 'pip install "forearm[ray]"' in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []
