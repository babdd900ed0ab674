"""Models that learned from the same demonstrations, side by side in the same scenes: done, and at what cost.

    python benchmarks/peers.py --reasoner model --flow runs/reactive --act runs/act --seeds 1000:1100 --json peers.json

The reasoner; the same network without reasoning, a plain flow policy (`forearm train --recipe reactive`); and Action
Chunking with Transformers (`forearm train --recipe act`); `ablations.py` teaches all three for the same time. The last is
run in three ways: as its authors do, asked at every row and averaged over all that it said about an instant; averaged,
but asked as rarely as the others; and followed chunk by chunk. All with vetting and guard on, 0.05 s of simulated time
for an answer. Differences are to the reasoner, seed by seed. Arithmetic is counted, whatever else the cores do; compare
times of one run only. Run again, it goes on.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core each, before numpy and torch start their threads

import numpy as np
import torch
import tyro
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import SimulatedClock
from forearm.evaluation.comparison import compare
from forearm.evaluation.journal import Journal
from forearm.evaluation.suite import summarize
from forearm.evaluation.trial import Trial, TrialResult, run_trial
from forearm.messages import Request
from forearm.model import checkpoint
from forearm.model.description import read_json
from forearm.policy.act import ACTPolicy
from forearm.policy.choice import MODEL, MakePolicy, about_policy, policy_named, tasks_for
from forearm.policy.interface import Policy
from forearm.provenance import code_version
from forearm.runtime.chunks import EXECUTION_HORIZON
from forearm.training.metrics import METRICS

REPEATS = 5  # of every decision that is timed
TIMED_SEEDS = range(5000, 5004)  # scenes of each task in which decisions are timed


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A model, and how it is run.

    Attributes:
        name: in tables.
        model: "model" or a checkpoint's folder.
        make: makes its policy.
        horizon: rows of a chunk after which it is asked again.
    """

    name: str
    model: str
    make: MakePolicy
    horizon: int = EXECUTION_HORIZON

    @property
    def folder(self) -> Path:
        """Where its weights are."""
        return checkpoint.SHIPPED if self.model == MODEL else Path(self.model)


def newest_only(robot: CellRobot, *, folder: Path) -> Policy:
    """An Action Chunking Transformer whose newest chunk is followed as it is."""
    return ACTPolicy(_act(folder))


@cache
def _act(folder: Path) -> checkpoint.Checkpoint[checkpoint.ACT]:
    return checkpoint.read_act(folder)


def contestants(reasoner: str, flow: str | None, act: str | None) -> list[Contestant]:
    """The reasoner first: it is what the others are compared with."""
    found = [Contestant(name="reasoner", model=reasoner, make=policy_named(reasoner))]
    if flow is not None:
        found.append(Contestant(name="flow", model=flow, make=policy_named(flow)))
    if act is not None:
        made = policy_named(act)
        found += [
            Contestant(name="ACT", model=act, make=made, horizon=1),
            Contestant(name="ACT, asked rarely", model=act, make=made),
            Contestant(name="ACT, newest chunk", model=act, make=partial(newest_only, folder=Path(act))),
        ]
    return found


def facts(contestant: Contestant) -> dict[str, Any]:
    """What is known of a model before it is run; the time that its training took only where its metrics still are."""
    recipe, metrics = read_json(contestant.folder / checkpoint.RECIPE), contestant.folder / METRICS
    weights = load_file(contestant.folder / checkpoint.WEIGHTS)
    seconds = json.loads(metrics.read_text().splitlines()[-1])["seconds"] if metrics.is_file() else None
    return {
        "name": contestant.name,
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        "training": {"steps": recipe["step"], "seconds": seconds, "device": recipe.get("device", "CPU cores")},
        "rows_between_answers": contestant.horizon,
        **about_policy(contestant.model),
    }


def arithmetic(policy: Policy, request: Request) -> float:
    """Millions of floating-point operations of one decision: products and convolutions, attention among them."""

    def attention(q: torch.Size, k: torch.Size, v: torch.Size, *_: object, **__: object) -> int:
        return sdpa_flop_count(q, k, v)

    # torch counts every attention kernel but the one for CPUs.
    cpu = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    with FlopCounterMode(display=False, custom_mapping={cpu: attention}) as counter:
        policy.decide(request)
    return counter.get_total_flops() / 1e6


def costs(entries: Sequence[Contestant], tasks: Sequence[str], seeds: Sequence[int]) -> dict[str, dict[str, float]]:
    """Of one decision on one thread: millions of floating-point operations, and ms, by contestant.

    The contestants take turns on first looks at the same scenes, so that whatever else the cores do meets them all.
    """
    spent: dict[str, list[float]] = {each.name: [] for each in entries}
    counted: dict[str, float] = {}
    for task, seed in ((task, seed) for task in tasks for seed in seeds):
        robot = CellRobot(setup=task_named(task).sample(seed), clock=SimulatedClock())
        robot.connect(epoch=1)
        request = Request(observation=robot.read())
        policies = {each.name: each.make(robot) for each in entries}
        robot.close()
        for name, policy in policies.items():
            policy.reset(seed=seed)
            counted[name] = arithmetic(policy, request)  # and the first decision, which is slower, is not timed
        for name, policy in list(policies.items()) * REPEATS:
            began = time.perf_counter()
            policy.decide(request)
            spent[name].append((time.perf_counter() - began) * 1e3)
    return {
        name: {"mflop": counted[name], "ms_p50": float(np.median(ms)), "ms_p99": float(np.quantile(ms, 0.99))}
        for name, ms in spent.items()
    }


def tried(contestant: Contestant, trial: Trial) -> TrialResult:
    """One trial; what raises is an error, which says nothing about the contestant."""
    try:
        return run_trial(trial, contestant.make, execution_horizon=contestant.horizon)
    except Exception as error:  # the other trials go on
        return TrialResult(**asdict(trial), reason=f"{type(error).__name__}: {error}")


def results(
    entries: Sequence[Contestant], trials: Sequence[Trial], journals: dict[str, Journal], workers: int
) -> Iterator[dict[str, list[TrialResult]]]:
    """What every contestant has done so far, in the order of the trials, again after every trial; each is journalled."""
    done = {name: {result.trial: result for result in journal.results} for name, journal in journals.items()}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pending = {
            pool.submit(tried, each, trial): each.name
            for trial in trials
            for each in entries
            if trial not in done[each.name]
        }
        for future in as_completed(pending):
            name, result = pending[future], future.result()
            journals[name].add(result)
            done[name][result.trial] = result
            yield ordered(done, trials)
    yield ordered(done, trials)


def ordered(done: dict[str, dict[Trial, TrialResult]], trials: Sequence[Trial]) -> dict[str, list[TrialResult]]:
    """The results that there are, in the order of the trials."""
    return {name: [each[trial] for trial in trials if trial in each] for name, each in done.items()}


def table(about: Sequence[dict[str, Any]], found: dict[str, list[TrialResult]]) -> str:
    """What each costs, then per task what each did and how that differs from the first."""
    lines = [f"{'':18} {'parameters':>10} {'steps':>7} {'trained':>8} {'MFLOP':>6} {'ms, p50 (p99)':>15}  a decision"]
    for each in about:
        seconds = each["training"]["seconds"]
        trained = "" if seconds is None else f"{seconds / 60:.0f} min"
        cost = each["cost"]
        lines.append(
            f"{each['name']:18} {each['parameters']:>10,} {each['training']['steps']:>7,} {trained:>8} {cost['mflop']:>6.0f} "
            f"{cost['ms_p50']:>7.1f} ({cost['ms_p99']:.1f})"
        )
    lines.append(
        f"\n{'':18} {'task':14} {'done':>8} {'95 %':>9} {'difference, 95 %':>22} {'p':>7} {'took other':>10} {'answers/s':>9} {'errors':>6}"
    )
    first = next(iter(found.values()))
    for name, own in found.items():
        differences = {each.task: each.difference for each in compare(first, own)}
        for task, each in summarize(own).items():
            against = differences[task] if own is not first else None
            compared = "" if against is None else f"{against.difference:+.0%} ({interval(against.ci95)})"
            p = "" if against is None else f"{against.p:.2g}"
            pace = sum(result.decisions for result in own if result.task == task)
            pace /= sum(result.duration_s for result in own if result.task == task) or 1.0
            rate = f"{each.successes}/{each.trials - each.errors}"
            lines.append(
                f"{name:18} {task:14} {rate:>8} {interval(each.ci95):>9} {compared:>22} {p:>7} {each.took_other or '':>10} {pace:>9.1f} {each.errors:>6}"
            )
    return "\n".join(lines)


def interval(bounds: tuple[float, float]) -> str:
    """In percent."""
    return f"{100 * bounds[0]:.0f} to {100 * bounds[1]:.0f}"


def record(about: Sequence[dict[str, Any]], found: dict[str, list[TrialResult]], seeds: str) -> dict[str, Any]:
    """All of it, as a JSON object."""
    first = next(iter(found.values()))
    return {
        "commit": code_version(),
        "seeds": seeds,
        "contestants": [
            {
                **each,
                "tasks": {task: asdict(summary) for task, summary in summarize(found[each["name"]]).items()},
                "against_first": [one.record() for one in compare(first, found[each["name"]])],
                "trials": [result.record() for result in found[each["name"]]],
            }
            for each in about
        ],
    }


def main(
    json_file: Annotated[Path, tyro.conf.arg(name="json")],
    reasoner: str = MODEL,
    flow: str | None = None,
    act: str | None = None,
    tasks: tuple[str, ...] = (),
    seeds: str = "1000:1100",
    workers: int = os.cpu_count() or 1,
) -> None:
    """Counts, times and tries, prints a table, and writes all of it.

    Args:
        json_file: gets the figures; beside it, while this runs, each contestant's trials so far.
        reasoner: "model", the one that comes with the package, or a checkpoint's folder.
        flow: the folder of a model trained by `--recipe reactive`; left out by default.
        act: the folder of one trained by `--recipe act`; left out by default.
        tasks: all that the reasoner was taught by default.
        seeds: first and one past the last, of every task.
        workers: processes; compare times only where there are no more than cores.
    """
    names = tasks or tuple(task.name for task in tasks_for(reasoner))
    first, last = (int(seed) for seed in seeds.split(":"))
    entries = contestants(reasoner, flow, act)
    spent = costs(entries, names, TIMED_SEEDS)
    about = [{**facts(each), "cost": spent[each.name]} for each in entries]
    journals: dict[str, Journal] = {}
    for place, each in enumerate(entries):
        subject = {"commit": code_version(), "name": each.name, "seeds": seeds, **about_policy(each.model)}
        journals[each.name] = Journal(json_file.with_suffix(f".{place}.jsonl"), subject)
    trials = [Trial(task=task, seed=seed) for seed in range(first, last) for task in names]
    found: dict[str, list[TrialResult]] = {each.name: [] for each in entries}
    for count, found in enumerate(results(entries, trials, journals, workers), start=1):
        if count % (10 * len(entries)) == 0:
            print(table(about, found), flush=True)
    json_file.write_text(json.dumps(record(about, found, seeds), indent=1) + "\n", encoding="utf-8")
    print(table(about, found))
    for journal in journals.values():
        journal.discard()


if __name__ == "__main__":
    tyro.cli(main)
