"""Do the monitors know when a run goes wrong? Rollouts that succeed and that fail, and what was said of them before.

Runs clean scenes and varied ones (some of which make the model fail), keeps every decision's signals, and holds them
against the calibration beside the weights (`forearm calibrate`), which has seen none of these seeds. Reported for each
signal and for all together:

    AUC          chance that a failed run's greatest score is above a successful one's (0.5 is a coin)
    AUC, begun   the same over the first seconds alone, as long as half of the successful runs of that task take: failed
                 runs last longer, and whatever adds up over time looks good in the first figure
    caught       failed runs with an alarm, at the threshold of the calibration
    lead         s from the first alarm to the end of the run, median of those caught
    false        successful runs with an alarm, against the calibration's budget; clean scenes and varied ones apart

The published signal beside ours is `chunk`, the consistency of a new chunk with the one before it (Sentinel, CoRL 2024),
here of one sample. A single signal's alarm is where it keeps the budget on the clean successes of this very run, which
is kinder to it than the calibration is to all of them together.

    python benchmarks/monitors.py --json monitors.json                    # 420 rollouts; run again, it goes on
    python benchmarks/monitors.py --rollouts 40 --json slice.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forearm.evaluation.journal import Journal
from forearm.evaluation.statistics import wilson_interval
from forearm.evaluation.subject import calibration_of, subject
from forearm.evaluation.suite import run_suite
from forearm.evaluation.trial import Trial, TrialResult
from forearm.evaluation.watched import Watched, read_watched, watching
from forearm.policy.choice import MODEL, about_policy, tasks_for
from forearm.runtime.monitors.calibration import Calibration
from forearm.runtime.monitors.calibration_file import read_calibration
from forearm.runtime.monitors.signals import FEATURES, NAMES

FIRST_SEED = 50_000  # none of these was trained on, calibrated with or evaluated
VARIATIONS = (
    "", "", "", "brightness:worst", "glare:worst", "occlusion:worst", "top-shift:worst", "top-turn:strong",
    "size:worst", "friction:worst", "mass:worst", "clutter:worst", "finger-wear:worst", "noise:worst",
)  # fmt: skip
ALL = "all together"


@dataclass(frozen=True)
class Rollout:
    """A run: how it went, and each signal's scores (T,) beyond usual at its decisions, NaN where one says nothing."""

    result: TrialResult
    times_s: np.ndarray
    scores: dict[str, np.ndarray]

    def until(self, end_s: float) -> dict[str, float]:
        """Each signal's greatest score by then, -inf for one that said nothing."""
        early = self.times_s <= end_s
        return {
            name: float(np.nanmax(each[early], initial=-np.inf, where=~np.isnan(each[early])))
            for name, each in self.scores.items()
        }

    def first_alarm_s(self, name: str, threshold: float) -> float | None:
        """When the signal first went beyond the threshold."""
        beyond = np.flatnonzero(np.nan_to_num(self.scores[name], nan=-np.inf) > threshold)
        return float(self.times_s[beyond[0]]) if beyond.size else None


def planned_trials(tasks: Sequence[str], count: int) -> list[Trial]:
    """So many trials, tasks and variations by turns, every seed new."""
    pairs = [(task, variation) for variation in VARIATIONS for task in tasks]
    return [
        Trial(task=task, seed=FIRST_SEED + number, variation=variation)
        for number, (task, variation) in enumerate((pairs * (count // len(pairs) + 1))[:count])
    ]


def rollout(calibration: Calibration, result: TrialResult, watched: Watched) -> Rollout:
    """The run with its scores."""
    values = dict(watched.episode.values)
    if calibration.familiar is not None and watched.episode.features.size:
        values[FEATURES] = np.array([calibration.familiar.distance(row) for row in watched.episode.features])
    scores = {name: calibration.usual[name].score(values[name]) for name in calibration.usual if name in values}  # pyright: ignore[reportArgumentType]
    stacked = np.array(list(scores.values())).reshape(len(scores), len(watched.times_s))
    together = np.fmax.reduce(stacked, axis=0) if len(scores) else np.full(len(watched.times_s), np.nan)
    return Rollout(result=result, times_s=watched.times_s, scores={**scores, ALL: together})


def auc(failed: Sequence[float], succeeded: Sequence[float]) -> float | None:
    """Chance that a failure's score is above a success's, ties counting half (Mann and Whitney); None without both."""
    if not failed or not succeeded:
        return None
    one, other = np.array(failed)[:, None], np.array(succeeded)
    return float(np.mean((one > other) + 0.5 * (one == other)))


def half_time_s(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """By task, s in which half of the successful runs are done."""
    tasks = {each.result.task for each in rollouts}
    return {
        task: float(np.median([each.result.duration_s for each in rollouts if each.result.task == task] or [np.inf]))
        for task in tasks
    }


def alone(calibration: Calibration, rollouts: Sequence[Rollout], name: str) -> float:
    """The score at which one signal alone keeps the budget on the clean successes here: kinder to it than to ours."""
    clean = [each.until(np.inf)[name] for each in rollouts if not each.result.variation]
    return float(np.quantile(clean, 1.0 - calibration.budget)) if clean else np.inf


def figures(calibration: Calibration, rollouts: Sequence[Rollout]) -> dict[str, object]:
    """Everything that is reported."""
    failed = [each for each in rollouts if not each.result.success]
    succeeded = [each for each in rollouts if each.result.success]
    half_s = half_time_s(succeeded)
    signals = {
        name: _figures(
            name,
            calibration.threshold if name == ALL else alone(calibration, succeeded, name),
            failed,
            succeeded,
            half_s,
        )
        for name in (ALL, *(name for name in NAMES if name in calibration.usual))
    }
    silent = [each for each in failed if each.first_alarm_s(ALL, calibration.threshold) is None]
    return {
        "rollouts": len(rollouts),
        "failed": len(failed),
        "budget": calibration.budget,
        "calibration_episodes": calibration.episodes,
        "signals": signals,
        "failed_without_any_warning": len(silent),
        "silent": [f"{each.result.task} {each.result.seed} {each.result.variation}".rstrip() for each in silent],
    }


def _figures(
    name: str, threshold: float, failed: Sequence[Rollout], succeeded: Sequence[Rollout], half_s: dict[str, float]
) -> dict[str, object]:
    caught = [each for each in failed if each.first_alarm_s(name, threshold) is not None]
    leads = [each.result.duration_s - (each.first_alarm_s(name, threshold) or 0.0) for each in caught]
    false = {
        which: [
            each.first_alarm_s(name, threshold) is not None
            for each in succeeded
            if bool(each.result.variation) == varied
        ]
        for which, varied in (("clean", False), ("varied", True))
    }
    return {
        "threshold": threshold,
        "auc": auc(*([each.until(np.inf)[name] for each in group] for group in (failed, succeeded))),
        "auc_begun": auc(
            *(
                [each.until(half_s.get(each.result.task, np.inf))[name] for each in group]
                for group in (failed, succeeded)
            )
        ),
        "caught": len(caught),
        "failed": len(failed),
        "lead_s": float(np.median(leads)) if leads else None,
        "false": {
            which: {"alarms": sum(each), "of": len(each), "ci95": list(wilson_interval(sum(each), len(each)))}
            for which, each in false.items()
        },
    }


def measured(trials: Sequence[Trial], policy: str, path: Path, workers: int) -> list[TrialResult]:
    """Runs what is missing; every result and its signals are kept beside `path`."""
    make_policy, about = subject(policy, None)
    journal = Journal(path.with_suffix(".rollouts.jsonl"), about | {"first_seed": FIRST_SEED})
    done = {result.trial: result for result in journal.results}
    missing = [trial for trial in trials if trial not in done]
    for result in run_suite(missing, make_policy, workers=workers, run=watching(path.with_suffix(".signals"))):
        journal.add(result)
        done[result.trial] = result
        print(
            f"{len(done)} of {len(trials)}: {result.task} {result.seed} {result.variation} {result.outcome}", flush=True
        )
    return [done[trial] for trial in trials if not done[trial].is_error]


def show(results: dict[str, object]) -> None:
    """As a table."""
    print(f"{results['rollouts']} rollouts, {results['failed']} failed")
    print(f"{'signal':<14}{'AUC':>7}{'begun':>7}{'caught':>10}{'lead, s':>9}{'false, clean':>14}{'varied':>10}")
    for name, each in results["signals"].items():  # pyright: ignore[reportAttributeAccessIssue]
        numbers = ["–" if each[key] is None else f"{each[key]:.3f}" for key in ("auc", "auc_begun")]
        lead = "–" if each["lead_s"] is None else f"{each['lead_s']:.1f}"
        clean, varied = (
            f"{each['false'][which]['alarms']}/{each['false'][which]['of']}" for which in ("clean", "varied")
        )
        caught = f"{each['caught']}/{each['failed']}"
        print(f"{name:<14}{numbers[0]:>7}{numbers[1]:>7}{caught:>10}{lead:>9}{clean:>14}{varied:>10}")
    print(f"failed without any warning: {results['failed_without_any_warning']}")


def main() -> None:
    """Measures, prints, and writes the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--json", type=Path, required=True, help="where to write the figures; rollouts are kept beside it"
    )
    parser.add_argument("--rollouts", type=int, default=420)
    parser.add_argument("--policy", default=MODEL, help="model, or a checkpoint's folder")
    parser.add_argument("--calibration", type=Path, help="the one beside the weights by default")
    parser.add_argument("--task", action="append", help="all that the model was taught by default")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    path = arguments.calibration
    calibration = calibration_of(arguments.policy) if path is None else read_calibration(path)
    if calibration is None:
        parser.error("there is no calibration; run `forearm calibrate` first")
    if about_policy(arguments.policy)["model_digest"] != calibration.model_digest:
        parser.error("the calibration is of another model; run `forearm calibrate` first")
    trials = planned_trials(arguments.task or [task.name for task in tasks_for(arguments.policy)], arguments.rollouts)
    results = measured(trials, arguments.policy, arguments.json, arguments.workers)
    signals = arguments.json.with_suffix(".signals")
    found = figures(calibration, [rollout(calibration, each, read_watched(signals, each.trial)) for each in results])
    arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    show(found)


if __name__ == "__main__":
    main()
