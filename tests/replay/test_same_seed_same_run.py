"""Equal seed, equal code: equal run. Only what was measured on the wall clock may differ between two logs."""

from pathlib import Path

import pytest

from forearm.cell.tasks import find_task
from forearm.policy.choice import policy_named
from forearm.runtime.simulation import Simulation
from forearm.telemetry.log import RunLog, read_run
from forearm.telemetry.recorder import LosslessRecorder
from forearm.telemetry.writer import LogWriter


def logged(path: Path, seed: int) -> RunLog:
    setup = find_task("lift the tray with both arms").sample(seed)
    with LosslessRecorder(LogWriter.create(path)) as recorder:
        Simulation(setup, policy_named("model")).run(seed=seed, emit=recorder.emit)
    return read_run(path)


@pytest.mark.slow
def test_two_runs_of_one_seed_leave_the_same_log(tmp_path: Path) -> None:
    first, second = (logged(tmp_path / f"{number}.mcap", seed=11) for number in range(2))
    assert first.complete
    assert first.positions.tobytes() == second.positions.tobytes()
    assert first.commands.tobytes() == second.commands.tobytes()
    assert first.command_stamps_ns.tobytes() == second.command_stamps_ns.tobytes()
    for camera, images in first.images.items():
        assert [image.data for image in images] == [image.data for image in second.images[camera]]
    for a, b in zip(first.decisions, second.decisions, strict=True):
        assert a.decision.chunk.positions.tobytes() == b.decision.chunk.positions.tobytes()
        assert a.stamp_ns == b.stamp_ns
    judged = [
        [(verdict.stamp_ns, verdict.outcome, [each.text for each in verdict.findings]) for verdict in log.verdicts]
        for log in (first, second)
    ]
    assert judged[0] == judged[1]


@pytest.mark.slow
def test_another_seed_is_another_run(tmp_path: Path) -> None:
    first, second = logged(tmp_path / "a.mcap", 11), logged(tmp_path / "b.mcap", 12)
    assert first.positions.tobytes() != second.positions.tobytes()
