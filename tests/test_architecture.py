"""The house holds: sizes, names, who may make what, and what importing us costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "forearm"
FILES = sorted(SOURCE.rglob("*.py"))
BANNED = {"utils", "helpers", "common", "misc", "base", "core", "manager", "handler", "wrapper", "factory"}
FILE_LINES, FUNCTION_LINES = 400, 60
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # of a statement, with statements in them
# Light modules, and what they must not load even indirectly: one after the other in one process, the lightest first.
LIGHT = {
    "forearm": ("torch", "mujoco", "numpy"),
    "forearm.runtime.live.watchdog": ("torch", "mujoco", "ruckig"),
    "forearm.cli": ("torch", "mujoco"),
    "forearm.messages": ("torch", "mujoco"),
    "forearm.safety.vetting": ("torch", "mujoco", "mink"),
    "forearm.safety.guard": ("torch", "mujoco", "mink"),
    "forearm.telemetry.recorder": ("torch", "mujoco"),
    "forearm.telemetry.log": ("torch", "mujoco"),
    "forearm.runtime.loop": ("torch", "mujoco"),
}
MAKERS = {"SafeCommand": "safety/guard.py", "VettedChunk": "safety/vetting.py"}


def functions(path: Path) -> list[tuple[str, int]]:
    found, inside = list[tuple[str, int]](), list[ast.AST]([ast.parse(path.read_text())])
    while inside:  # statements alone: most of a tree is expressions, and no function is in one
        node = inside.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append((node.name, (node.end_lineno or 0) - node.lineno + 1))
        inside += [each for block in BLOCKS for each in getattr(node, block, ())]
    return found


def test_every_file_fits_in_the_head() -> None:
    long = {str(path): lines for path in FILES if (lines := path.read_text().count("\n")) > FILE_LINES}
    assert not long


def test_every_function_fits_on_a_screen() -> None:
    long = {f"{path}:{name}": lines for path in FILES for name, lines in functions(path) if lines > FUNCTION_LINES}
    assert not long


def test_no_file_is_a_drawer() -> None:
    drawers = [path for path in FILES if BANNED & {path.stem, *path.relative_to(SOURCE).parts[:-1]}]
    assert not drawers


@pytest.mark.parametrize(("name", "maker"), MAKERS.items())
def test_only_its_gate_makes_what_has_passed_a_gate(name: str, maker: str) -> None:
    makers = {
        str(path.relative_to(SOURCE))
        for path in FILES
        if name in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and name in (getattr(node.func, "id", ""), getattr(node.func, "attr", ""))
    }
    assert makers == {maker}


def test_light_modules_stay_light() -> None:
    code = (
        "import importlib, sys\n"
        f"for module, heavy in {LIGHT!r}.items():\n"
        "    importlib.import_module(module)\n"
        "    if loaded := [name for name in heavy if name in sys.modules]: sys.exit(f'{module} loads {loaded}')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
