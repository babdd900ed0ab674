"""How late may a model's answers come? The same scenes with every answer held back for 0 to 600 ms of simulated time.

    python benchmarks/late_answers.py --json late.json
    python benchmarks/late_answers.py --policy station --tasks hand-over insert-peg --late-ms 50 200 600 --json late.json

The arms follow the chunk before meanwhile, or hold where it has been spent; vetting and guard are on. For each delay: how
many trials were done, how long the successful ones took beside those without delay, seed by seed, and in how many
something was refused. Differences in the rate are to the first delay. Run again, it goes on.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import tyro

from forearm.evaluation.comparison import compare
from forearm.evaluation.journal import Journal
from forearm.evaluation.subject import subject
from forearm.evaluation.suite import run_suite, summarize
from forearm.evaluation.trial import Trial, TrialResult, run_trial
from forearm.files import write_json
from forearm.policy.choice import MODEL, tasks_for
from forearm.provenance import code_version


def tried(trials: list[Trial], policy: str, late_ms: int, file: Path, workers: int | None) -> list[TrialResult]:
    """The results with answers that late, in the order of the trials; each is journalled as it comes."""
    make_policy, about = subject(policy, None)
    journal = Journal(file.with_suffix(f".{late_ms}ms.jsonl"), about | {"late_ms": late_ms})
    done = {result.trial: result for result in journal.results}
    missing = [trial for trial in trials if trial not in done]
    late = partial(run_trial, latency_s=late_ms / 1e3)
    for result in run_suite(missing, make_policy, workers=workers, run=late):
        journal.add(result)
        done[result.trial] = result
    return [done[trial] for trial in trials]


def slower(prompt: list[TrialResult], late: list[TrialResult]) -> float | None:
    """The median of how many times as long a trial took, over those that are done either way."""
    ratios = [
        other.duration_s / one.duration_s
        for one, other in zip(prompt, late, strict=True)
        if one.success and other.success
    ]
    return median(ratios) if ratios else None


def row(late_ms: int, prompt: list[TrialResult], late: list[TrialResult]) -> dict[str, Any]:
    """What came of one delay, against the first."""
    return {
        "late_ms": late_ms,
        "tasks": {task: asdict(summary) for task, summary in summarize(late).items()},
        "against_first": [each.record() for each in compare(prompt, late)],
        "times_as_long": slower(prompt, late),
        "with_findings": sum(bool(result.findings) for result in late),
    }


def line(found: dict[str, Any]) -> str:
    """A row for people."""
    cells = [
        f"{task} {each['successes']}/{each['trials']} [{each['ci95'][0]:.2f}, {each['ci95'][1]:.2f}]"
        for task, each in found["tasks"].items()
    ]
    times = "–" if found["times_as_long"] is None else f"{found['times_as_long']:.2f}"
    return (
        f"{found['late_ms']:>4} ms  {'  '.join(cells)}  {times} times as long  {found['with_findings']} with findings"
    )


def main(
    json_file: Annotated[Path, tyro.conf.arg(name="json")],
    policy: str = MODEL,
    tasks: tuple[str, ...] = (),
    seeds: str = "27000:27040",
    late_ms: tuple[int, ...] = (0, 100, 200, 300, 450, 600),
    workers: int | None = None,
) -> None:
    """Tries, prints a line for each delay, and writes all of it.

    Args:
        json_file: gets the figures; beside it are the trials of each delay.
        policy: model, a shipped model's name or a checkpoint's folder.
        tasks: all that it was taught by default.
        seeds: first and one past the last, of every task.
        late_ms: ms from an observation to the answer, one after the other; the first is what the others are held against.
        workers: processes; as many as there are cores by default.
    """
    first, last = (int(seed) for seed in seeds.split(":"))
    names = tasks or tuple(task.name for task in tasks_for(policy))
    trials = [Trial(task=task, seed=seed) for task in names for seed in range(first, last)]
    rows: list[dict[str, Any]] = []
    prompt: list[TrialResult] = []
    for late in late_ms:
        results = tried(trials, policy, late, json_file, workers)
        prompt = prompt or results
        rows.append(row(late, prompt, results))
        print(line(rows[-1]), flush=True)
        write_json(json_file, {"commit": code_version(), "policy": policy, "seeds": seeds, "delays": rows})


if __name__ == "__main__":
    tyro.cli(main)
