"""What the ladder is worth: success with and without it, on the same seeds, under each failure made on purpose.

    python benchmarks/recovery.py --count 7 --json recovery.json
    python benchmarks/recovery.py --count 5 --tasks put-in-box --kinds "failed grasp" none

Trials last twice as long as in an evaluation, with the ladder and without: a failure costs time either way. A trial in
which the failure did not come about (no grasp to fail) is counted as not applicable. "none" is the clean run. Seeds are
gone through one after the other, every failure and task with each; with --json an interrupted benchmark goes on where
it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from forearm.cell.faults import KINDS, drawn
from forearm.cell.tasks import task_named
from forearm.evaluation.statistics import wilson_interval
from forearm.events import Event, RecoveryBegan, RecoveryEnded
from forearm.policy.choice import MODEL, about_policy, policy_named, tasks_for
from forearm.provenance import code_version
from forearm.runtime.simulation import Simulation

CLEAN = "none"
ONLY = {"slipped hand-over": ("hand-over",)}  # kinds that need a certain task
FIRST_SEED = 9000  # apart from training's and evaluation's
LONGER = 2.0  # times the task's time limit
Result = dict[str, Any]


def trial(policy: str, task: str, kind: str, seed: int, recovers: bool) -> Result:
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


def share(trials: Sequence[Result]) -> str:
    """Successes, how many, and the 95 % interval."""
    good, count = sum(bool(each["success"]) for each in trials), len(trials)
    if not count:
        return "not applicable"
    low, high = wilson_interval(good, count)
    return f"{good}/{count} = {good / count:4.0%} ({low:.0%}..{high:.0%})"


def table(trials: Sequence[Result]) -> str:
    """A row for each failure and task, and one for each failure altogether."""
    lines = [f"{'failure':20}{'task':12}{'without the ladder':28}with it"]
    for kind in dict.fromkeys(each["kind"] for each in trials):
        of_kind = [each for each in trials if each["kind"] == kind and each["happened"]]
        tasks = list(dict.fromkeys(each["task"] for each in of_kind))
        for task in [*tasks, *(["all"] if len(tasks) > 1 else [])]:
            rows = [each for each in of_kind if task in ("all", each["task"])]
            without, having = ([each for each in rows if each["recovers"] is recovers] for recovers in (False, True))
            lines.append(f"{kind:20}{task:12}{share(without):28}{share(having)}")
    return "\n".join(lines)


def known(path: Path | None, subject: Result) -> list[Result]:
    """The trials that an interrupted benchmark of the same code and policy has left."""
    if path is None or not path.is_file():
        return []
    document = json.loads(path.read_text(encoding="utf-8"))
    if {name: document[name] for name in subject} != json.loads(json.dumps(subject)):
        sys.exit(f"{path}: got trials of other code or another policy, the same is needed; delete it or name another")
    return document["trials"]


def main() -> None:
    """Runs every pair of trials that is missing and prints the table after every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default=MODEL)
    parser.add_argument("--count", type=int, default=20, help="seeds per failure and task")
    parser.add_argument("--tasks", nargs="+", default=[task.name for task in tasks_for(MODEL)])
    parser.add_argument("--kinds", nargs="+", default=[CLEAN, *KINDS])
    parser.add_argument("--json", type=Path, help="where every trial goes")
    chosen = parser.parse_args()
    subject = {"commit": code_version(), "policy": chosen.policy, **about_policy(chosen.policy)}
    trials = known(chosen.json, subject)
    done = {(each["task"], each["kind"], each["seed"], each["recovers"]) for each in trials}
    for seed in range(FIRST_SEED, FIRST_SEED + chosen.count):
        for kind in chosen.kinds:
            for task in chosen.tasks:
                for recovers in (False, True):
                    if task not in ONLY.get(kind, chosen.tasks) or (task, kind, seed, recovers) in done:
                        continue
                    trials.append(trial(chosen.policy, task, kind, seed, recovers))
                    if chosen.json:
                        document = {**subject, "trials": trials}
                        chosen.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"after {seed - FIRST_SEED + 1} seeds\n{table(trials)}", flush=True)


if __name__ == "__main__":
    main()
