"""A live run whose motors stop following for seconds: the ladder waits, the policy decides anew, the arms go on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from punctuality import HeldError, Pauses, with_time

from forearm.events import RecoveryBegan, RecoveryEnded
from forearm.runtime.live.diary import read_diary
from forearm.telemetry.log import RunLog, read_run

SCRIPT = Path(__file__).parent / "live_run.py"
PATIENCE_S = 400.0  # s, for whatever takes as long as the machine is busy: stretched the most, a run lasts 300


def run(folder: Path, factor: float, fault: str) -> RunLog:
    """The log of a live run with that fault, which the watchdog did not have held."""
    folder.mkdir()
    command = [sys.executable, str(SCRIPT), str(folder), str(factor), fault]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, timeout=PATIENCE_S, check=True)
    if any(line["kind"] == "tripped" for line in read_diary(folder / "watchdog.jsonl")):
        raise HeldError(read_diary(folder / "watchdog.jsonl"))
    return read_run(folder / "run.mcap")


@pytest.mark.slow
def test_a_live_run_climbs_the_ladder_when_something_else_has_the_motors_and_proves_that_it_helped(
    tmp_path: Path,
) -> None:
    def climbs(number: int, factor: float, _: Pauses) -> None:
        log = run(tmp_path / f"run{number}", factor, "interruption")
        assert log.end is not None
        began = [event for event in log.recoveries if isinstance(event, RecoveryBegan)]
        ended = [event for event in log.recoveries if isinstance(event, RecoveryEnded)]
        assert ("interrupted", "wait and decide anew") in [(event.condition, event.rung) for event in began], began
        assert any(event.recovered and event.proof.startswith("A joint has moved") for event in ended), log.end
        assert "recovering" in [change.after for change in log.mode_changes]
        assert log.end.outcome == "failed", log.end.reason  # it turns to and fro until its time is over

    with_time(climbs)
