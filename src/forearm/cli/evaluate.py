"""`forearm eval`: success rates over tasks and seeds, with their intervals."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from forearm.cli.exits import Exit
from forearm.cli.tables import print_comparisons, print_summaries

if TYPE_CHECKING:
    from forearm.evaluation.suite import Journal
    from forearm.evaluation.trial import Trial, TrialResult
    from forearm.policy.choice import MakePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A look at results that there are.

    Attributes:
        compare: runs nothing, sets two result files side by side on the seeds that both have: the second's rate minus
            the first's with an interval (Agresti and Min) and McNemar's exact probability.
        rerun: runs one trial of this result file again and leaves a folder with its log and report; exits 1 when it did
            not go as the file says.
        trial: which one, from 0, in the order of the file.
        out: a new folder for the rerun; by default runs/rerun-FILE-TRIAL.
    """

    compare: Annotated[tuple[Path, Path] | None, tyro.conf.arg(metavar="A B")] = None
    rerun: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    trial: int = 0
    out: Path | None = None

    @property
    def folder(self) -> Path:
        """Where a rerun goes."""
        return self.out or Path("runs") / f"rerun-{self.rerun.stem if self.rerun else ''}-{self.trial}"


NO_REVIEW = Review()


def evaluate(
    task: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="TASK")] = (),
    json_file: Annotated[Path | None, tyro.conf.arg(name="json", metavar="FILE")] = None,
    suite: Literal["clean", "perturbed", "cells", "latency", "language"] = "clean",
    variation: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME[:LEVEL]")] = (),
    seeds: str = "1000:1100",
    workers: int | None = None,
    policy: str = "model",
    words: Literal["asked", "swap"] = "asked",
    intervene: Literal["point", "trace", "stated-point", "erase"] | None = None,
    review: tyro.conf.OmitArgPrefixes[Review] = NO_REVIEW,
) -> int:
    """Tries every task with every seed, guard and vetting on, and writes what came of it.

    FILE holds tasks.NAME.{trials,successes,errors,rate,ci95} of the clean scenes beside seeds, commit and recipe, each
    variation against the same seeds without it, and every trial. Exits 0 when it ran. Run again, it goes on.

      forearm eval --task put-in-box --task hand-over --task lift --seeds 1000:1100 --json results.json
      forearm eval --task put-in-box --seeds 1000:1060 --words swap --json words.json
      forearm eval --suite perturbed --variation glare --variation clutter:worst --seeds 1000:1020 --json glare.json
      forearm eval --compare before.json after.json
      forearm eval --rerun glare.json --trial 31

    Args:
        task: put-in-box, hand-over or lift, with another policy than a model any other of forearm.cell.tasks; may be
            given several times; all that the policy can be asked for by default.
        json_file: gets the result.
        suite: clean scenes; with the others also one thing about them changed at a time: how they look and feel, the
            cell, delays, or the words (taught, held out, or for what is not there, which is to be refused).
        variation: only this one of the suite, at one level (mild, strong, worst) or at all; may be given several times.
        seeds: FIRST:END, END not included.
        workers: processes; as many as there are cores by default.
        policy: model, demonstrator, hold, or a checkpoint's folder.
        words: swap names the other block of the scene instead.
        intervene: changes the model's plan between reasoning and acting, to see whether the plan causes the action:
            point points at the other block, stated-point only says so, erase hides the plan, and trace measures at
            every decision how far the tools' paths follow a trace shifted by 4 cm.
        review: looks at results that there are instead of making any.
    """
    from forearm.errors import InputError
    from forearm.evaluation.plans import planned
    from forearm.evaluation.subject import subject
    from forearm.evaluation.suite import Journal

    if review.compare is not None:
        return _compare(*review.compare)
    if review.rerun is not None:
        return _rerun(review.rerun, review.trial, review.folder)
    if json_file is None:
        raise InputError("evaluation: got no file for the result, one is needed; add --json FILE")
    first, end = _seeds(seeds)
    tasks = _tasks(task, policy)
    trials = planned(suite, tasks, range(first, end), words, variation)
    make_policy, about = subject(policy, intervene)
    about |= {"seeds": [first, end], "tasks_asked": tasks, "words": words, "suite": suite, "only": variation}
    journal = Journal(json_file.with_suffix(".unfinished.jsonl"), about)
    results = _results(trials, make_policy, workers or os.cpu_count() or 1, journal)
    _conclude(json_file, about, results)
    journal.discard()
    return Exit.DONE


def _tasks(asked: Sequence[str], policy: str) -> tuple[str, ...]:
    """What is asked for, or all that the policy can do: what a model was never taught says nothing about it."""
    from forearm.cell.tasks import task_named
    from forearm.policy.choice import tasks_for

    known = tasks_for(policy)
    return tuple(task_named(name, known).name for name in asked) or tuple(each.name for each in known)


def _conclude(path: Path, about: dict[str, Any], results: Sequence[TrialResult]) -> None:
    """Writes the result file and shows its tables."""
    from forearm.evaluation.comparison import against_clean
    from forearm.evaluation.suite import summarize

    summaries = summarize(result for result in results if not result.variation)
    compared = against_clean(results)
    document = {**about, "tasks": {name: asdict(each) for name, each in summaries.items()}}
    document["variations"] = [each.record() for each in compared]
    _write(path, {**document, "trials": [result.record() for result in results]})
    print_summaries(summaries)
    if compared:
        print_comparisons(compared, ("clean", "varied"))


def _compare(first: Path, second: Path) -> int:
    from forearm.evaluation.comparison import compare, read_results

    (_, before), (_, after) = read_results(first), read_results(second)
    print_comparisons(compare(before, after), (first.stem, second.stem))
    return Exit.DONE


def _rerun(file: Path, number: int, folder: Path) -> int:
    from forearm.cli.terminal import PEOPLE, say
    from forearm.evaluation.rerun import rerun

    done = rerun(file, number, folder)
    trial = done.after.trial
    what = f"{trial.task} {trial.seed} {trial.variation}".rstrip()
    PEOPLE.print(f"{what}: {done.after.outcome}: {done.after.reason}", highlight=False, soft_wrap=True)
    for line in (*done.differences, *done.other_code):
        PEOPLE.print(f"not as in {file.name}: {line}", markup=False, highlight=False, soft_wrap=True)
    say(str(folder))
    return Exit.FAILED if done.differences else Exit.DONE


def _results(trials: Sequence[Trial], make_policy: MakePolicy, workers: int, journal: Journal) -> list[TrialResult]:
    """Every trial's result in the order of the trials, with a bar for people; each is journalled as it comes."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from forearm.cli.terminal import PEOPLE
    from forearm.evaluation.suite import run_suite

    done = {result.trial: result for result in journal.results}
    missing = [trial for trial in trials if trial not in done]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=PEOPLE) as progress:
        bar = progress.add_task("trials", total=len(trials), completed=len(done))
        for result in run_suite(missing, make_policy, workers=workers):
            journal.add(result)
            done[result.trial] = result
            if not result.success:
                what = f"{result.task} {result.seed} {result.variation}".rstrip()
                outcome = f"{what} {result.outcome}: {result.reason}"
                progress.console.print(outcome, markup=False, highlight=False, soft_wrap=True)
            successes = sum(each.success for each in done.values())
            progress.update(bar, advance=1, description=f"{successes}/{len(done)} done")
    return [done[trial] for trial in trials]


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
