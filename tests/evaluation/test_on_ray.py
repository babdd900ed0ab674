"""Over a real local cluster: `pip install "forearm[ray]"` where these tests are to run."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is an extra of forearm; its absence is tested in test_cluster.py")
pytestmark = pytest.mark.slow

ARGUMENTS = ("eval", "--task", "lift", "--seeds", "5:9", "--policy", "demonstrator", "--workers", "2", "--json")
# A cluster of its own, even where another one runs on this machine.
ENVIRONMENT = {**os.environ, "RAY_ADDRESS": "local"}


def trials_of(file: Path) -> list[dict[str, Any]]:
    """Every trial, without what it cost to run it."""
    return [{**trial, "wall_s": 0.0} for trial in json.loads(file.read_text())["trials"]]


def descendants(pid: int) -> Iterator[int]:
    """Every process that it started, or that those did."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            child = int(entry.parent.name)
            yield child
            yield from descendants(child)


def at_work(pid: int) -> list[int]:
    """The cluster's workers that have a trial: Ray titles such a process with the name of what it does."""
    found: list[int] = []
    for child in descendants(pid):
        try:
            title = Path(f"/proc/{child}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if title.startswith(b"ray::_answer"):
            found.append(child)
    return found


def test_a_cluster_gives_the_local_results_though_a_worker_is_killed_in_mid_run(tmp_path: Path) -> None:
    local, cluster = tmp_path / "local.json", tmp_path / "cluster.json"
    command = [sys.executable, "-m", "forearm", *ARGUMENTS]
    process = subprocess.Popen([*command, str(cluster), "--on", "ray"], env=ENVIRONMENT)
    unfinished, until = cluster.with_suffix(".unfinished.jsonl"), time.monotonic() + 600.0
    while process.poll() is None and time.monotonic() < until:
        if unfinished.is_file() and (workers := at_work(process.pid)):
            os.kill(workers[0], signal.SIGKILL)
            break
        time.sleep(0.02)
    else:
        process.kill()
        raise AssertionError("no worker was seen at work")
    assert process.wait(600.0) == 0
    subprocess.run([*command, str(local)], env=ENVIRONMENT, check=True)
    assert trials_of(cluster) == trials_of(local)
    documents = [json.loads(file.read_text()) for file in (cluster, local)]
    assert [document["tasks"]["lift"]["errors"] for document in documents] == [0, 0]
    for document in documents:
        del document["trials"], document["speed"]
    assert documents[0] == documents[1]
