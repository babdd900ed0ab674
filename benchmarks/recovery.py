"""What the ladder is worth: success with and without it, on the same seeds, under each failure made on purpose.

    python benchmarks/recovery.py --json recovery.json
    python benchmarks/recovery.py --count 5 --tasks put-in-box --kinds "failed grasp" none

Trials last twice as long as in an evaluation, with the ladder and without: a failure costs time either way. A trial in
which the failure did not come about (no grasp to fail) is counted as not applicable. "none" is the clean run.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from forearm.cell.faults import KINDS, drawn
from forearm.cell.tasks import TASKS, task_named
from forearm.evaluation.statistics import wilson_interval
from forearm.events import Event, RecoveryBegan, RecoveryEnded
from forearm.policy.choice import MODEL, policy_named
from forearm.runtime.simulation import Simulation

CLEAN = "none"
FIRST_SEED = 9000  # apart from training's and evaluation's
LONGER = 2.0  # times the task's time limit


def trial(policy: str, task: str, kind: str, seed: int, recovers: bool) -> dict[str, object]:
    """One run: whether the failure came about, whether the task was done, what the ladder did."""
    setup = task_named(task).sample(seed)
    setup = replace(setup, time_limit_s=LONGER * setup.time_limit_s)
    faults = [] if kind == CLEAN else [drawn(kind, seed)]
    rungs: Counter[str] = Counter()
    proven: list[bool] = []

    def emit(event: Event) -> None:
        if isinstance(event, RecoveryBegan):
            rungs[f"{event.condition}: {event.rung}"] += 1
        elif isinstance(event, RecoveryEnded):
            proven.append(event.recovered)

    run = Simulation(setup, policy_named(policy), faults=faults, recovers=recovers).run(seed=seed, emit=emit)
    return {
        "task": task,
        "kind": kind,
        "seed": seed,
        "recovers": recovers,
        "happened": kind == CLEAN or bool(run.faults),
        "success": run.ended.outcome == "done",
        "outcome": run.ended.outcome,
        "duration_s": run.duration_s,
        "rungs": dict(rungs),
        "proven": proven,
        "reason": run.ended.reason,
    }


def share(trials: Sequence[dict[str, object]]) -> str:
    """Successes, how many, and the 95 % interval."""
    good, count = sum(bool(each["success"]) for each in trials), len(trials)
    if not count:
        return "not applicable"
    low, high = wilson_interval(good, count)
    return f"{good}/{count} = {good / count:4.0%} ({low:.0%}..{high:.0%})"


def main() -> None:
    """Runs every pair of trials and prints a row for each failure and task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default=MODEL)
    parser.add_argument("--count", type=int, default=20, help="seeds per failure and task")
    parser.add_argument("--tasks", nargs="+", default=[task.name for task in TASKS])
    parser.add_argument("--kinds", nargs="+", default=[CLEAN, *KINDS])
    parser.add_argument("--json", type=Path, help="where every trial goes")
    chosen = parser.parse_args()
    trials: list[dict[str, object]] = []
    print(f"{'failure':20}{'task':12}{'without the ladder':28}with it")
    for kind in chosen.kinds:
        for task in chosen.tasks:
            pairs: dict[bool, list[dict[str, object]]] = {False: [], True: []}
            for seed in range(FIRST_SEED, FIRST_SEED + chosen.count):
                for recovers in (False, True):
                    done = trial(chosen.policy, task, kind, seed, recovers)
                    trials.append(done)
                    if done["happened"]:
                        pairs[recovers].append(done)
                    if chosen.json:
                        chosen.json.write_text(json.dumps(trials, indent=1))
            print(f"{kind:20}{task:12}{share(pairs[False]):28}{share(pairs[True])}", flush=True)


if __name__ == "__main__":
    main()
