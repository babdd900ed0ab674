"""How late the 100 Hz control loop ticks in real time, with inference in a process of its own, and how often it starves.

    python benchmarks/loop_lateness.py --sessions 5 --json lateness.json
    python benchmarks/loop_lateness.py --sessions 5 --latency-s 0.3 --json starved.json

Whole live sessions in the cell: station, inference, recorder and watchdog beside the loop. A starved tick is one at
which the arms hold because the last vetted chunk is spent; with `--latency-s` every answer is kept back until it is
that old. The p99 is the worst session's.

The peer: a loop that waits for each inference, as LeRobot's synchronous one does, is late by the whole latency whenever
a new chunk is made; `waiting_loop_late_p50_ms` is that lateness for the same decisions. `bare_late_p99_ms` is the
lateness of a loop that does nothing but sleep, just before: what the machine itself adds.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from forearm.cell.simulator import CellRobot
from forearm.clock import NANOSECONDS, RealClock
from forearm.events import Decided, Event, ModeChanged, Observed, SessionEnded
from forearm.messages import Decision, Request
from forearm.policy.choice import MODEL, MakePolicy, policy_named, tasks_for
from forearm.policy.interface import Policy
from forearm.provenance import code_version
from forearm.runtime.live.run import Live
from forearm.runtime.patience import SPENT
from forearm.safety.limits import TICK_S
from forearm.safety.mode import Mode

BARE_TICKS = 500  # of the loop that does nothing


class Slow:
    """A policy whose answers are kept back until they are `latency_s` old."""

    def __init__(self, policy: Policy, latency_s: float) -> None:
        self.name, self.model_digest = policy.name, policy.model_digest
        self._policy, self._latency_s = policy, latency_s

    def reset(self, *, seed: int) -> None:
        self._policy.reset(seed=seed)

    def decide(self, request: Request) -> Decision:
        begun = time.monotonic()
        decision = self._policy.decide(request)
        time.sleep(max(0.0, begun + self._latency_s - time.monotonic()))
        return decision


def slowed(robot: CellRobot, *, make_policy: MakePolicy, latency_s: float) -> Policy:
    """The policy for the robot's scene, made slow; a function, so that it can be sent to another process."""
    return Slow(make_policy(robot), latency_s)


@dataclass
class Watched:
    """What one session's events say."""

    latencies_s: list[float] = field(default_factory=list)
    held: Counter[str] = field(default_factory=Counter)  # ticks, by why the arms hold
    holding: str = ""

    def emit(self, event: Event) -> None:
        """Takes every event of the session."""
        if isinstance(event, Decided):
            self.latencies_s.append((event.stamp_ns - event.decision.chunk.stamp_ns) / NANOSECONDS)
        elif isinstance(event, ModeChanged):
            self.holding = event.reason if event.after == Mode.HOLDING.value else ""
        elif isinstance(event, Observed) and self.holding:
            self.held[self.holding] += 1


def session(number: int, make_policy: MakePolicy) -> tuple[SessionEnded, Watched]:
    """One live session of a task, the tasks taking turns."""
    watched, tasks = Watched(), tasks_for(MODEL)
    with (
        tempfile.TemporaryDirectory() as folder,
        Live(tasks[number % len(tasks)].sample(number), make_policy, Path(folder)) as live,
    ):
        return live.run(seed=number, emit=watched.emit), watched


def bare_lateness_s() -> list[float]:
    """How late a loop of the same rate is that does nothing."""
    clock, late = RealClock(), list[float]()
    due_ns = clock.now_ns()
    for _ in range(BARE_TICKS):
        due_ns += round(TICK_S * NANOSECONDS)
        clock.sleep_until(due_ns)
        late.append((clock.now_ns() - due_ns) / NANOSECONDS)
    return late


def measure(sessions: int, policy: str, latency_s: float) -> dict[str, Any]:
    """The figures of that many sessions, one after the other."""
    load, bare = os.getloadavg()[0], bare_lateness_s()
    make_policy = partial(slowed, make_policy=policy_named(policy), latency_s=latency_s)
    results = [session(number, make_policy) for number in range(sessions)]
    latencies_s = [s for _, watched in results for s in watched.latencies_s]
    held = sum((watched.held for _, watched in results), Counter[str]())
    return {
        "commit": code_version(),
        "policy": policy,
        "latency_s": latency_s,
        "outcomes": dict(Counter(f"{ended.outcome}: {ended.reason}" for ended, _ in results)),
        "ticks": sum(ended.ticks for ended, _ in results),
        "late_p50_ms": statistics.median(ended.late_p50_s for ended, _ in results) * 1e3,
        "late_p99_ms": max(ended.late_p99_s for ended, _ in results) * 1e3,
        "late_p99_median_session_ms": statistics.median(ended.late_p99_s for ended, _ in results) * 1e3,
        "starved_ticks": sum(ticks for reason, ticks in held.items() if reason == SPENT),
        "held_ticks": dict(held),
        "decisions": len(latencies_s),
        "waiting_loop_late_p50_ms": statistics.median(latencies_s or [float("nan")]) * 1e3,
        "bare_late_p99_ms": float(np.quantile(bare, 0.99)) * 1e3,
        "load": [load, os.getloadavg()[0]],
        "cores": os.cpu_count(),
    }


def main(
    sessions: int = 5,
    policy: str = "model",
    latency_s: float = 0.0,
    json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Measures, prints and writes.

    Args:
        sessions: how many, one after the other.
        policy: as in `forearm run`.
        latency_s: s that every answer takes at least.
        json_file: gets the figures.
    """
    figures = measure(sessions, policy, latency_s)
    for name, value in figures.items():
        print(f"{name:28} {value:.2f}" if isinstance(value, float) else f"{name:28} {value}")
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    tyro.cli(main)
