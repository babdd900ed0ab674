"""`forearm eval`: success rates over tasks and seeds, with their intervals."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from forearm.cli.asked import at_least, file_at
from forearm.cli.exits import Exit
from forearm.cli.review import NO_REVIEW, Review, compared, run_again, show_page
from forearm.cli.tables import print_comparisons, print_summaries
from forearm.evaluation.suites import SUITES, suite_named

if TYPE_CHECKING:
    from forearm.evaluation.journal import Journal
    from forearm.evaluation.suite import RunTrial
    from forearm.evaluation.trial import Trial, TrialResult
    from forearm.policy.choice import MakePolicy
    from forearm.processes import Spread

SUITE = tyro.conf.arg(
    metavar="|".join(suite.name for suite in SUITES),
    help="which scenes; where they are varied, clean ones are tried too, to compare with.\n"
    + "\n".join(f"{suite.name}: {suite.tries}" for suite in SUITES),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenes:
    """What is tried.

    Attributes:
        task: put-in-box, hand-over, lift or any other of forearm.cell.tasks that the policy can be asked for; may be
            given several times; all of the suite that it can be asked for by default.
        suite: which scenes.
        variation: only this one of the suite, at one level (mild, strong, worst) or at all; may be given several times.
        seeds: FIRST:END, END not included.
        words: swap names the other block of the scene instead.
    """

    task: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="TASK")] = ()
    suite: Annotated[str, SUITE] = "clean"
    variation: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME[:LEVEL]")] = ()
    seeds: str = "1000:1100"
    words: Literal["asked", "swap"] = "asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """Where trials run; their results do not depend on it.

    Attributes:
        workers: trials at once; as many as there are cores by default.
        on: here, in processes of this machine; or over a Ray cluster, which is that of RAY_ADDRESS, one that runs on
            this machine, one started for the purpose, or the one named. Needs forearm[ray].
    """

    workers: int | None = None
    on: Annotated[str, tyro.conf.arg(metavar="here|ray|ray://HOST:PORT")] = "here"


ALL_SCENES, THIS_MACHINE = Scenes(), Machines()


def evaluate(
    json_file: Annotated[Path | None, tyro.conf.arg(name="json", metavar="FILE")] = None,
    html: Annotated[Path | None, tyro.conf.arg(metavar="PAGE")] = None,
    policy: str = "model",
    intervene: Literal["point", "trace", "stated-point", "erase"] | None = None,
    scenes: tyro.conf.OmitArgPrefixes[Scenes] = ALL_SCENES,
    machines: tyro.conf.OmitArgPrefixes[Machines] = THIS_MACHINE,
    review: tyro.conf.OmitArgPrefixes[Review] = NO_REVIEW,
) -> int:
    """Tries every task with every seed, guard and vetting on, and writes what came of it.

    FILE holds tasks.NAME.{trials,successes,errors,rate,ci95,stages} of the clean scenes beside seeds, commit and
    recipe, each variation against the same seeds without it, and every trial. Exits 0 when it ran. Interrupted and run
    again, it goes on. A trial that takes its worker down is tried once more, then it is an error.

      forearm eval --task put-in-box --task hand-over --task lift --seeds 1000:1100 --json results.json
      forearm eval --task put-in-box --seeds 1000:1060 --words swap --json words.json --html words.html
      forearm eval --suite perturbed --variation glare --variation clutter:worst --seeds 1000:1020 --json glare.json
      forearm eval --suite long-horizon --policy demonstrator --seeds 1000:1020 --json long.json
      forearm eval --task lift --on ray --json lift.json
      forearm eval --compare before.json after.json --html compared.html
      forearm eval --rerun glare.json --trial 31

    Args:
        json_file: gets the result.
        html: gets a page about it that opens without a network, a .html file or a folder for it; the first failures are
            run once more beside it, each with its log and its own page.
        policy: nano, station, demonstrator, hold, or the folder of a checkpoint, ours or a released one; model is the
            smaller of the first two that was taught every task asked for.
        intervene: changes the model's plan between reasoning and acting, to see whether the plan causes the action:
            point points at the other block, stated-point only says so, erase hides the plan, and trace measures at
            every decision how far the tools' paths follow a trace shifted by 4 cm.
        scenes: what is tried.
        machines: where.
        review: looks at results that there are instead of making any.
    """
    from forearm.errors import InputError

    if review.compare is not None:
        return compared(*review.compare, html)
    if review.rerun is not None:
        if html is not None:
            raise InputError(
                f"html: got {html} with --rerun, whose report goes into its own folder; name that with --out"
            )
        return run_again(review.rerun, review.trial, review.folder)
    at_least(1, workers=machines.workers)
    if json_file is None:
        raise InputError("evaluation: got no file for the result, one is needed; add --json FILE")
    _tried(json_file, policy, intervene, scenes, machines)
    if html is not None:
        show_page(json_file, html, workers=machines.workers)
    return Exit.DONE


def _tried(
    path: Path,
    policy: str,
    intervene: Literal["point", "trace", "stated-point", "erase"] | None,
    scenes: Scenes,
    machines: Machines,
) -> None:
    """Makes the result file, going on from an unfinished one."""
    from forearm.cli.terminal import PEOPLE, with_digest
    from forearm.evaluation.interventions import refuse_unfit
    from forearm.evaluation.journal import Journal
    from forearm.evaluation.plans import planned, tasks_of
    from forearm.evaluation.subject import subject
    from forearm.policy.choice import answering, tasks_for

    (first, end), suite, spread = seeds_of(scenes.seeds), suite_named(scenes.suite), _spread(machines.on)
    policy = answering(policy, lambda name: tasks_of(suite, scenes.task, tasks_for(name)))
    tasks = tasks_of(suite, scenes.task, tasks_for(policy))
    trials = planned(suite, tasks, range(first, end), scenes.words, scenes.variation)
    make_policy, about = subject(policy, intervene)
    refuse_unfit(intervene, trials)
    file_at(path)
    about |= {"seeds": [first, end], "tasks_asked": tasks, "words": scenes.words}
    PEOPLE.print(f"policy   {with_digest(policy, about['model_digest'])}", highlight=False, soft_wrap=True)
    run, monitors = _monitored(policy, about["model_digest"], intervened=intervene is not None)
    about |= {"suite": suite.name, "only": scenes.variation, "monitors": monitors}
    journal = Journal(path.with_suffix(".unfinished.jsonl"), about)
    missing, began = len(trials) - len(journal.results), time.perf_counter()
    results = results_of(trials, make_policy, machines.workers, spread, journal, run)
    wall_s = time.perf_counter() - began  # of this sitting: what an earlier one left is not counted
    speed = {"episodes": missing, "wall_s": wall_s, "episodes_per_minute": 60.0 * missing / wall_s}
    _conclude(path, {**about, "speed": {**speed, **asdict(machines)}}, results)
    journal.discard()


def _monitored(policy: str, model_digest: str, *, intervened: bool) -> tuple[RunTrial, str]:
    """Runs a trial and counts what the policy's monitors say, where they are calibrated; and whether they are."""
    from forearm.cli.terminal import PEOPLE
    from forearm.evaluation.subject import calibration_of
    from forearm.evaluation.trial import run_trial
    from forearm.runtime.monitors.watch import applying

    calibration, monitors = applying(calibration_of(policy), model_digest)
    PEOPLE.print(f"monitors {monitors}", highlight=False, soft_wrap=True)
    return partial(run_trial, calibration=calibration, intervened=intervened), monitors


def _conclude(path: Path, about: dict[str, Any], results: Sequence[TrialResult]) -> None:
    """Writes the result file and shows its tables."""
    from forearm.cli.terminal import PEOPLE
    from forearm.evaluation.comparison import against_clean
    from forearm.evaluation.suite import summarize
    from forearm.files import write_json

    summaries = summarize(result for result in results if not result.variation)
    compared = against_clean(results)
    document = {**about, "tasks": {name: asdict(each) for name, each in summaries.items()}}
    document["variations"] = [each.record() for each in compared]
    write_json(path, {**document, "trials": [result.record() for result in results]})
    print_summaries(summaries)
    if compared:
        print_comparisons(compared, ("clean", "varied"))
    speed = about["speed"]
    PEOPLE.print(
        f"{speed['episodes_per_minute']:.1f} evaluation episodes per minute: {speed['episodes']} in "
        f"{speed['wall_s']:.0f} s",
        highlight=False,
    )


def results_of(
    trials: Sequence[Trial],
    make_policy: MakePolicy,
    workers: int | None,
    spread: Spread,
    journal: Journal,
    run: RunTrial,
) -> list[TrialResult]:
    """Every trial's result in the order of the trials, with a bar for people; each is journalled as it comes."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from forearm.cli.terminal import PEOPLE
    from forearm.evaluation.suite import run_suite

    done = {result.trial: result for result in journal.results}
    missing = [trial for trial in trials if trial not in done]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=PEOPLE) as progress:
        bar = progress.add_task("trials", total=len(trials), completed=len(done))
        for result in run_suite(missing, make_policy, workers=workers, spread=spread, run=run):
            journal.add(result)
            done[result.trial] = result
            if not result.success:
                what = f"{result.task} {result.seed} {result.variation}".rstrip()
                outcome = f"{what} {result.outcome}: {result.reason}"
                progress.console.print(outcome, markup=False, highlight=False, soft_wrap=True)
            successes = sum(each.success for each in done.values())
            progress.update(bar, advance=1, description=f"{successes}/{len(done)} done")
    return [done[trial] for trial in trials]


def _spread(on: str) -> Spread:
    """How trials are shared out: over this machine's processes, or over a cluster.

    Raises:
        InputError: for any other place, or a cluster where Ray is not installed.
    """
    from forearm.errors import InputError, unknown
    from forearm.processes import in_processes

    if on == "here":
        return in_processes
    if on != "ray" and not on.startswith("ray://"):
        raise InputError(unknown("on", on, ["here", "ray", "ray://HOST:PORT"]))
    from forearm.evaluation.cluster import on_ray, require_ray

    require_ray()
    return partial(on_ray, address=None if on == "ray" else on)


def seeds_of(text: str) -> tuple[int, int]:
    """The first seed and the one behind the last of FIRST:END.

    Raises:
        InputError: for any other text.
    """
    from forearm.errors import InputError

    try:
        first, end = (int(part) for part in text.split(":"))
    except ValueError:
        first, end = 0, 0
    if not 0 <= first < end:
        raise InputError(f"seeds: got {text!r}, allowed is FIRST:END with 0 ≤ FIRST < END; write 1000:1100")
    return first, end
