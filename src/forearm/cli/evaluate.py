"""`forearm eval`: success rates over tasks and seeds, with their intervals."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from forearm.evaluation.suite import Journal, TaskSummary
    from forearm.evaluation.trial import Trial, TrialResult
    from forearm.policy.choice import MakePolicy

SCHEMA = 1  # of the result file; raised when a field changes meaning or goes away


def evaluate(
    task: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="TASK")],
    json_file: Annotated[Path, tyro.conf.arg(name="json", metavar="FILE")],
    seeds: str = "1000:1100",
    workers: int | None = None,
    policy: str = "model",
    words: Literal["asked", "swap"] = "asked",
    intervene: Literal["point", "trace", "stated-point", "erase"] | None = None,
) -> int:
    """Tries every task with every seed, guard and vetting on, and writes what came of it.

    FILE holds tasks.NAME.{trials,successes,errors,rate,ci95} beside seeds, commit and recipe, and every trial. Exits 0
    when it ran, however the trials went. An interrupted evaluation goes on where it stopped.

      forearm eval --task put-in-box --task hand-over --task lift --seeds 1000:1100 --json results.json
      forearm eval --task put-in-box --seeds 1000:1060 --words swap --json words.json

    Args:
        task: put-in-box, hand-over or lift, with another policy than a model any other of forearm.cell.tasks; may be
            given several times.
        json_file: gets the result.
        seeds: FIRST:END, END not included.
        workers: processes; as many as there are cores by default.
        policy: model, demonstrator, hold, or a checkpoint's folder.
        words: swap names the other block of the scene instead.
        intervene: changes the model's plan between reasoning and acting, to see whether the plan causes the action:
            point points at the other block, stated-point only says so, erase hides the plan, and trace measures at
            every decision how far the tools' paths follow a trace shifted by 4 cm.
    """
    from forearm.cell.tasks import task_named
    from forearm.evaluation.suite import Journal, summarize
    from forearm.evaluation.trial import Trial
    from forearm.policy.choice import tasks_for

    first, end = _seeds(seeds)
    for name in task:
        task_named(name, tasks_for(policy))  # what it was never taught says nothing about it
    trials = [Trial(task=name, seed=seed, words=words) for name in task for seed in range(first, end)]
    trials[0].setup()  # words that there are none of are refused before any worker starts
    make_policy, subject = _subject(policy, intervene)
    subject |= {"seeds": [first, end], "tasks_asked": list(task), "words": words, "intervene": intervene}
    journal = Journal(json_file.with_suffix(".unfinished.jsonl"), subject)
    results = _results(trials, make_policy, workers or os.cpu_count() or 1, journal)
    summaries = summarize(results)
    document = {**subject, "tasks": {name: asdict(each) for name, each in summaries.items()}}
    _write(json_file, {**document, "trials": [result.record() for result in results]})
    journal.discard()
    _print_table(summaries)
    return 0


def _subject(policy: str, intervene: str | None) -> tuple[MakePolicy, dict[str, Any]]:
    """What makes the policy, and what is to be known about it; weights that cannot be read are refused here."""
    from forearm.evaluation.interventions import INTERVENTIONS
    from forearm.evaluation.trace_response import probe_named
    from forearm.policy.choice import about_policy, policy_named
    from forearm.provenance import code_version

    if intervene == "trace":
        made = probe_named(policy)
    else:
        made = policy_named(policy, intervene=INTERVENTIONS[intervene] if intervene else None)
    return made, {"schema": SCHEMA, "commit": code_version(), "policy": policy, **about_policy(policy)}


def _results(trials: Sequence[Trial], make_policy: MakePolicy, workers: int, journal: Journal) -> list[TrialResult]:
    """Every trial's result in the order of the trials, with a bar for people; each is journalled as it comes."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from forearm.cli.terminal import PEOPLE
    from forearm.evaluation.suite import run_suite

    done = {(result.task, result.seed): result for result in journal.results}
    missing = [trial for trial in trials if (trial.task, trial.seed) not in done]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=PEOPLE) as progress:
        bar = progress.add_task("trials", total=len(trials), completed=len(done))
        for result in run_suite(missing, make_policy, workers=workers):
            journal.add(result)
            done[result.task, result.seed] = result
            if not result.success:
                outcome = f"{result.task} {result.seed} {result.outcome}: {result.reason}"
                progress.console.print(outcome, markup=False, highlight=False, soft_wrap=True)
            successes = sum(each.success for each in done.values())
            progress.update(bar, advance=1, description=f"{successes}/{len(done)} done")
    return [done[trial.task, trial.seed] for trial in trials]


def _seeds(text: str) -> tuple[int, int]:
    from forearm.errors import InputError

    try:
        first, end = (int(part) for part in text.split(":"))
    except ValueError:
        first, end = 0, 0
    if not 0 <= first < end:
        raise InputError(f"seeds: got {text!r}, allowed is FIRST:END with 0 ≤ FIRST < END; write 1000:1100")
    return first, end


def _write(path: Path, document: dict[str, Any]) -> None:
    """The whole file, or none."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def _print_table(summaries: dict[str, TaskSummary]) -> None:
    from rich.table import Table

    from forearm.cli.terminal import PEOPLE

    table = Table("task", "trials", "successes", "errors", "rate", "95 %", "took the asked object", "path shift, mm")
    for name, each in summaries.items():
        lower, upper = each.ci95
        chosen = each.took_asked + each.took_other
        took = f"{each.took_asked}/{chosen}" if chosen else ""
        counts = (str(each.trials), str(each.successes), str(each.errors))
        shift = "" if each.path_shift_mm is None else f"{each.path_shift_mm:.1f}"
        table.add_row(name, *counts, f"{each.rate:.1%}", f"{lower:.1%} – {upper:.1%}", took, shift)
    PEOPLE.print(table)
