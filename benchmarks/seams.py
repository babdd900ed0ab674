"""How rough the change from one chunk to the next is, at growing delays, and what it costs in successes.

    python benchmarks/seams.py --seeds 9000:9004 --json seams.json

Three ways, in the cell, with vetting and guard on: a chunk that continues the one before it (ours: the policy is told
what is being followed, and its flow is drawn to it); naive splicing, where each chunk is a new one; and temporal
ensembling, ACT's average of the chunks that overlap. Accelerations and jerks are those of the target rows across the
seam, and of the set-points sent in the 0.3 s after it, where no stop falls into them. Of all set-points of every run,
each stretch between two stops taken from rest, the greatest speed, acceleration and jerk are held against the limits of
their joint: nothing may come out above 1. A tick is starved when the arms had to hold because the last chunk was spent
before the next one was there, and cut when that was because vetting had kept only its safe beginning.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core, before numpy and torch start their threads

import numpy as np
import tyro

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import NANOSECONDS
from forearm.evaluation.seams import Roughness, Stretches, path_roughness, roughness
from forearm.events import Event, Judged, ModeChanged
from forearm.messages import Decision, Floats, Outcome, Request, VettedChunk
from forearm.policy.choice import MODEL, policy_named, tasks_for
from forearm.policy.ensembling import Ensembling, Splicing
from forearm.policy.interface import Policy
from forearm.provenance import code_version
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.patience import SPENT
from forearm.runtime.simulation import Simulation
from forearm.safety.limits import TICK_S, Limits

LIMITS = Limits.of()
DELAYS_MS = (0, 100, 200, 300, 450, 600)
AFTER_NS = 300_000_000  # ns, of set-points that are looked at after a seam: three rows
RATES = ("speed", "acceleration", "jerk")
METHODS: dict[str, Callable[[Policy], Policy]] = {
    "continued": lambda policy: policy,
    "spliced": Splicing,
    "ensembled": Ensembling,
}


class Witness:
    """A policy as it is, and every chunk that the arms were found to follow when it was asked."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.followed: list[VettedChunk | None] = []
        self.name = policy.name
        self.model_digest = policy.model_digest

    def reset(self, *, seed: int) -> None:
        self._policy.reset(seed=seed)

    def decide(self, request: Request) -> Decision:
        if not self.followed or self.followed[-1] is not request.following:
            self.followed.append(request.following)
        return self._policy.decide(request)


@dataclass
class Tally:
    """What the events of one trial say about set-points, when which answer came, and holds."""

    stretches: Stretches = field(default_factory=Stretches)
    answered_ns: dict[int, int] = field(default_factory=dict[int, int])
    starved: int = 0
    cut: int = 0
    was_cut: bool = False
    by_cut: bool = False
    held_since_ns: int | None = None

    def note(self, event: Event) -> None:
        self.stretches.note(event)
        if isinstance(event, Judged) and event.gate == "vetting" and event.outcome < Outcome.HOLD:
            self.answered_ns[event.sequence] = event.stamp_ns
            self.was_cut = any(finding.check.startswith("clearance") for finding in event.findings)
        elif isinstance(event, ModeChanged):
            self.note_mode(event)

    def note_mode(self, event: ModeChanged) -> None:
        """A hold begins or is over; the chunk that ended it has been judged by then."""
        if self.held_since_ns is not None:
            ticks = round((event.stamp_ns - self.held_since_ns) / NANOSECONDS / TICK_S)
            self.cut += ticks * self.by_cut
            self.starved += ticks * (not self.by_cut)
        spent = event.after == "holding" and event.reason.startswith(SPENT)
        self.held_since_ns, self.by_cut = (event.stamp_ns, self.was_cut) if spent else (None, False)


@dataclass
class Cell:
    """What the trials of one method at one delay have said so far."""

    trials: int = 0
    failed: list[str] = field(default_factory=list)
    starved: int = 0
    cut: int = 0
    rows: list[Roughness] = field(default_factory=list)
    sent: list[tuple[float, float]] = field(default_factory=list)
    points: int = 0
    stretches: int = 0
    shares: Floats = field(default_factory=lambda: np.zeros((len(RATES), len(BIMANUAL_YAM.joints))))

    def add(self, task: str, seed: int, method: str, delay_ms: int) -> None:
        """Runs one trial."""
        tally = Tally()

        def witnessed(robot: CellRobot) -> Policy:
            return Witness(METHODS[method](policy_named("model")(robot)))

        simulation = Simulation(task_named(task).sample(seed), witnessed, latency_s=delay_ms / 1e3, recovers=False)
        run = simulation.run(seed=seed, emit=tally.note)
        assert isinstance(simulation.policy, Witness)
        self.look_at_seams(simulation.policy.followed, tally)
        for stretch in tally.stretches.all:
            self.points, self.stretches = self.points + len(stretch.points), self.stretches + 1
            self.shares = np.maximum(self.shares, stretch.shares(LIMITS))
        self.trials += 1
        if run.ended.outcome != "done":
            self.failed.append(f"{task} {seed}")
        self.starved += tally.starved
        self.cut += tally.cut

    def look_at_seams(self, followed: Sequence[VettedChunk | None], tally: Tally) -> None:
        """Where one chunk was followed straight after another."""
        for before, after in pairwise(followed):
            if before is None or after is None:
                continue
            now_ns = tally.answered_ns[after.sequence]
            seam = roughness(before.chunk, after.chunk, now_ns)
            if seam is None:
                continue
            self.rows.append(seam)
            windows = (each.between(now_ns, now_ns + AFTER_NS) for each in tally.stretches.all)
            self.sent += [path_roughness(window, TICK_S) for window in windows if window is not None]

    def figures(self) -> dict[str, float]:
        """Counts, and the median and the greatest of every measure."""
        measures = {
            "jump_rad": [each.jump for each in self.rows],
            "acceleration": [each.acceleration for each in self.rows],
            "jerk": [each.jerk for each in self.rows],
            "sent_acceleration": [acceleration for acceleration, _ in self.sent],
            "sent_jerk": [jerk for _, jerk in self.sent],
        }
        result: dict[str, float] = {
            "trials": self.trials,
            "successes": self.trials - len(self.failed),
            "starved_ticks": self.starved,
            "cut_ticks": self.cut,
            "seams": len(self.rows),
            "seams_looked_at": len(self.sent),
            "set_points": self.points,
            "stretches": self.stretches,
        }
        for rate, share in zip(RATES, self.shares.max(1), strict=True):
            result[f"{rate}_of_limit_max"] = float(share)
        for name, values in measures.items():
            result[f"{name}_p50"] = float(np.median(values)) if values else 0.0
            result[f"{name}_max"] = float(np.max(values, initial=0.0))
        return result


def table(cells: dict[tuple[int, str], Cell]) -> str:
    """One line per delay and method: medians, and the greatest in brackets."""
    lines = [
        f"{'delay':>8} {'method':10} {'done':>7} {'starved':>7} {'cut':>5} {'seams':>5} {'jump, mrad':>13} {'rows, rad/s²':>13} "
        f"{'rows, rad/s³':>13} {'sent, rad/s²':>13} {'sent, rad/s³':>13} {'of limits: v, a, j':>22}"
    ]
    for (delay_ms, method), cell in sorted(cells.items()):
        each = cell.figures()
        pairs = [("jump_rad", 1e3), ("acceleration", 1), ("jerk", 1), ("sent_acceleration", 1), ("sent_jerk", 1)]
        columns = [f"{each[f'{name}_p50'] * unit:.3g} ({each[f'{name}_max'] * unit:.3g})" for name, unit in pairs]
        lines.append(
            f"{delay_ms:5} ms {method:10} {cell.trials - len(cell.failed):>3}/{cell.trials:<3} {cell.starved:>7} {cell.cut:>5} {len(cell.rows):>5} "
            + " ".join(f"{column:>13}" for column in columns)
            + f" {', '.join(f'{share:.4f}' for share in cell.shares.max(1)):>22}"
        )
    return "\n".join([*lines, *of_limits(list(cells.values()))])


def of_limits(cells: Sequence[Cell]) -> list[str]:
    """One line per rate: which joint came nearest to its limit, of all that was sent in every run."""
    shares = np.max([cell.shares for cell in cells], axis=0)
    sent = f"{sum(cell.points for cell in cells)} set-points in {sum(cell.stretches for cell in cells)} stretches"
    nearest = [(rate, int(row.argmax()), float(row.max())) for rate, row in zip(RATES, shares, strict=True)]
    return [
        f"greatest {rate} of {sent}: {share:.4f} of the limit, of {BIMANUAL_YAM.joints[joint].name}"
        for rate, joint, share in nearest
    ]


def record(cells: dict[tuple[int, str], Cell], seeds: str) -> dict[str, object]:
    """What there is so far, with the code that it was measured with."""
    figures = [
        {
            "delay_ms": delay_ms,
            "method": method,
            **cell.figures(),
            "of_limit": {rate: share.tolist() for rate, share in zip(RATES, cell.shares, strict=True)},
            "failed": cell.failed,
        }
        for (delay_ms, method), cell in cells.items()
    ]
    return {"commit": code_version(), "seeds": seeds, "cells": figures}


def main(
    seeds: str = "9000:9004",
    delays_ms: tuple[int, ...] = DELAYS_MS,
    methods: tuple[str, ...] = tuple(METHODS),
    json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Measures, prints a table, and writes what there is as it goes.

    Args:
        seeds: first and one past the last, of every task.
        delays_ms: from observation to answer.
        methods: continued, spliced, ensembled.
        json_file: gets the figures.
    """
    first, last = (int(seed) for seed in seeds.split(":"))
    cells = {(delay_ms, method): Cell() for delay_ms in delays_ms for method in methods}
    for seed in range(first, last):
        for (delay_ms, method), cell in cells.items():
            for task in tasks_for(MODEL):
                cell.add(task.name, seed, method, delay_ms)
            if json_file is not None:
                json_file.write_text(json.dumps(record(cells, seeds), indent=1) + "\n", encoding="utf-8")
        print(f"after {seed - first + 1} seeds of every task\n{table(cells)}", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
