"""Every fault in every phase of every task: what becomes of the run, and whether anything happened that must not.

    python benchmarks/fault_campaign.py --json campaign.json --workers 2
    python benchmarks/fault_campaign.py --json campaign.json --runs 40
    python benchmarks/fault_campaign.py --json campaign.json --kinds "camera freezes" "loop stalls"
    python benchmarks/fault_campaign.py --json campaign.json --task stack insert-peg --seeds 1

Counted must be 0, or it exits with 1: contacts between the arms (meshes, in the true poses), set-points that break a
limit (by an oracle that shares no code with the gates), holds and stops whose reason nothing in the log bears out, logs
that are not whole. Half of the runs of every fault, task and phase have the ladder of recoveries, the others not. Each
task is done by the smallest shipped model that was taught it. No model is held to its operating-limit card, which would
refuse tasks that it does not do often enough: the line is on trial here, whatever the model makes of the task.
Runs that are done stand in FILE.runs.jsonl: an interrupted campaign goes on where it stopped, and a prefix of it is
spread over all of it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core a run, before numpy and torch start their threads
os.environ.setdefault("MUJOCO_GL", "egl")

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from campaign_phases import PHASES_OF
from campaign_run import Case, run
from campaign_troubles import KINDS, ONLY
from escape_oracle import Oracle
from forearm.model.description import MODELS
from forearm.policy.choice import MODEL, about_policy, tasks_for
from forearm.provenance import code_version
from forearm.safety.limits import Limits

FIRST_SEED = 20_000  # apart from training's and evaluation's
COUNTED = ("contacts", "broken_limits", "unexplained", "log_faults")
PEOPLE = Console(stderr=True)


def plan(kinds: Sequence[str], tasks: Sequence[str], seeds: int) -> list[Case]:
    """Every case, shuffled: whatever is done first is spread over all of it.

    Scenes differ from kind to kind. Whether there is a ladder alternates along seeds, kinds, tasks and phases alike, so
    that it goes with none of them.
    """
    cases = [
        Case(
            kind=kind,
            task=task,
            phase=phase,
            seed=FIRST_SEED + number * len(KINDS) + nth_kind,
            recovers=(number + nth_kind + nth_task + nth_phase) % 2 == 1,
        )
        for number in range(seeds)
        for nth_kind, kind in enumerate(KINDS)
        for nth_task, (task, phases) in enumerate(PHASES_OF.items())
        for nth_phase, phase in enumerate(phases)
        if kind in kinds and task in tasks and phase in ONLY.get(kind, phases)
    ]
    return [cases[index] for index in np.random.default_rng(0).permutation(len(cases))]


def done_by(policy: str) -> dict[str, str]:
    """Each task that `policy` can be asked to do, and who does it: for "model" the smallest shipped one taught it."""
    models = MODELS if policy == MODEL else [policy]
    return {task.name: model for model in reversed(list(models)) for task in tasks_for(model)}


_ORACLE: Oracle | None = None


def one(case: Case, policy: str) -> dict[str, Any]:
    """The case's result as a JSON object; called in a worker, which keeps its oracle."""
    global _ORACLE
    _ORACLE = _ORACLE or Oracle(Limits.of())
    return run(case, policy, _ORACLE).record()


def results(cases: Sequence[Case], doers: Mapping[str, str], workers: int) -> Iterator[dict[str, Any]]:
    """Each case's result as it comes; `doers` has each task's policy."""
    if workers == 1:
        yield from (one(case, doers[case.task]) for case in cases)
        return
    spawn = multiprocessing.get_context("spawn")  # a forked worker would share the parent's thread pools
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        for future in as_completed([pool.submit(one, case, doers[case.task]) for case in cases]):
            yield future.result()


def journalled(path: Path, subject: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The results by key that an interrupted campaign of the same code and policy has left; others are not mixed in."""
    if not path.is_file():
        path.write_text(json.dumps(subject) + "\n", encoding="utf-8")
        return {}
    first, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if json.loads(first) != subject:
        sys.exit(
            f"{path}: got a campaign of other code or another policy, the same is needed; delete it or name another"
        )
    whole = [line for line in lines if line.endswith("\n")]  # the last one may have been cut off
    path.write_text("".join([first, *whole]), encoding="utf-8")
    return {result["key"]: result for result in map(json.loads, whole)}


def table(done: Sequence[dict[str, Any]]) -> str:
    """One line per kind and phase: how often which outcome."""
    cells: dict[tuple[str, str], Counter[str]] = {}
    for result in done:
        kind, _, phase, *_ = result["key"].split("|")
        outcome = f"{result['outcome']}: {result['label']}" if result["label"] else result["outcome"]
        cells.setdefault((kind, phase), Counter())[outcome if result["happened"] else "did not come about"] += 1
    order = list(KINDS)
    lines = [f"{'fault':26}{'phase':10}{'runs':>5}  outcomes"]
    for (kind, phase), counts in sorted(cells.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
        lines.append(f"{kind:26}{phase:10}{counts.total():>5}  {outcomes}")
    return "\n".join(lines)


def summary(done: Sequence[dict[str, Any]]) -> dict[str, int]:
    """In how many runs something happened that must not."""
    return {"runs": len(done), **{name: sum(bool(result[name]) for result in done) for name in COUNTED}}


def main() -> None:
    """Runs what is missing, prints the table and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="gets the figures and every run")
    parser.add_argument("--workers", type=int, default=1, help="processes, one thread each")
    parser.add_argument("--seeds", type=int, default=2, help="scenes per fault, task and phase")
    parser.add_argument("--runs", type=int, help="no more than that many of all runs")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), metavar="FAULT")
    parser.add_argument("--task", nargs="+", choices=list(PHASES_OF), metavar="TASK", help="only these")
    parser.add_argument("--policy", default=MODEL, help="by default the smallest model that was taught the task")
    chosen = parser.parse_args()
    doers = done_by(chosen.policy)
    tasks = chosen.task or list(doers)
    if untaught := [task for task in tasks if task not in doers]:
        parser.error(f"task: got {', '.join(untaught)}, policy {chosen.policy} can be asked {', '.join(doers)}")
    cases = plan(chosen.kinds, tasks, chosen.seeds)[: chosen.runs]
    models = {name: about_policy(name) for name in sorted(set(doers.values()))}
    subject = {"commit": code_version(), "policy": chosen.policy, "models": models}
    journal = chosen.json.with_suffix(".runs.jsonl")
    known = journalled(journal, subject)
    done = {case.key: known[case.key] for case in cases if case.key in known}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=PEOPLE) as progress, journal.open("a", encoding="utf-8") as file:
        bar = progress.add_task("faults", total=len(cases), completed=len(done))
        missing = [case for case in cases if case.key not in done]
        for result in results(missing, doers, chosen.workers):
            file.write(json.dumps(result) + "\n")
            file.flush()
            done[result["key"]] = result
            for name in COUNTED:
                for text in result[name]:
                    PEOPLE.print(f"{result['key']}: {name}: {text}", markup=False, highlight=False, soft_wrap=True)
            progress.update(bar, advance=1)
    counts = summary(list(done.values()))
    document = {**subject, **counts, "results": [done[case.key] for case in cases]}
    chosen.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(table(list(done.values())))
    nearest = min((result["nearest_m"] for result in done.values()), default=np.inf)
    print(f"{counts}; nearest the arms' capsules came to each other: {nearest * 1e3:.1f} mm")
    sys.exit(int(any(counts[name] for name in COUNTED)))


if __name__ == "__main__":
    main()
