"""Safety shares no code with the simulator or the model it judges, and stays importable without either."""

import subprocess
import sys


def test_importing_safety_loads_neither_torch_nor_mujoco() -> None:
    modules = "capsules, checks, clearance, contact, freshness, guard, limits, mode, stopping, stops, sweep, vetting"
    code = f"import sys; from forearm.safety import {modules}; print({{'torch', 'mujoco', 'scipy'}} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "set()"
