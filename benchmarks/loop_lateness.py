"""How late the 100 Hz control loop ticks in real time while inference runs beside it: p50, p99 and the worst.

    python benchmarks/loop_lateness.py --seconds 20 --policy model --json lateness.json

The peer: a loop that waits for each inference, as LeRobot's synchronous one does, is late by the whole latency whenever
a new chunk is made; the last figure is that lateness for the same policy on the same machine.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from forearm.cell.shutter import BackgroundShutter
from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import NANOSECONDS, RealClock
from forearm.events import Decided, Event, SessionEnded
from forearm.policy.choice import policy_named
from forearm.provenance import code_version
from forearm.runtime.chunks import ChunkBuffer
from forearm.runtime.inference import ThreadedInference
from forearm.runtime.session import Charge, Session
from forearm.safety.guard import Guard
from forearm.safety.limits import Limits
from forearm.safety.selftest import prove
from forearm.safety.vetting import Vetting


class Never:
    """A goal that is never there, so that the run lasts."""

    def succeeded(self) -> bool:
        return False

    def progress(self) -> float:
        return 0.0


def measure(policy: str, seconds: float) -> tuple[SessionEnded, list[float]]:
    """One session of that length in the cell in real time, and the latency of each of its decisions, s."""
    clock, limits, latencies = RealClock(), Limits.of(), list[float]()
    robot = CellRobot(setup=task_named("put-in-box").sample(0), clock=clock, shutter=BackgroundShutter())
    decider = policy_named(policy)(robot)

    def emit(event: Event) -> None:
        if isinstance(event, Decided):
            latencies.append((event.stamp_ns - event.decision.chunk.stamp_ns) / NANOSECONDS)

    vetting, guard = Vetting(limits, model_digest=decider.model_digest), Guard(limits)
    session = Session(
        charge=Charge(instruction=robot.setup.instruction, seed=0, time_limit_s=seconds),
        robot=robot,
        policy=decider,
        inference=ThreadedInference(decider, vetting, clock),
        chunks=ChunkBuffer(limits),
        guard=guard,
        prove=partial(prove, vetting, guard, model_digest=decider.model_digest),
        goal=Never(),
        clock=clock,
        emit=emit,
    )
    return session.run(), latencies


def main(
    seconds: float = 20.0, policy: str = "model", json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None
) -> None:
    """Measures, prints and writes.

    Args:
        seconds: of real time.
        policy: as in `forearm run`.
        json_file: gets the figures.
    """
    ended, latencies = measure(policy, seconds)
    ordered = sorted(latencies) or [0.0]
    figures = {
        "commit": code_version(),
        "policy": policy,
        "outcome": ended.outcome,
        "reason": ended.reason,
        "ticks": ended.ticks,
        "late_p50_ms": ended.late_p50_s * 1e3,
        "late_p99_ms": ended.late_p99_s * 1e3,
        "decisions": len(latencies),
        "waiting_loop_late_p50_ms": ordered[len(ordered) // 2] * 1e3,
    }
    for name, value in figures.items():
        print(f"{name:26} {value:.2f}" if isinstance(value, float) else f"{name:26} {value}")
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    tyro.cli(main)
