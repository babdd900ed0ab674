"""Tasks times seeds, tried side by side, and what their results say together.

Invariant: every trial has exactly one result, and what a result says does not depend on which worker made it or when.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Protocol

from forearm.evaluation.statistics import wilson_interval
from forearm.evaluation.trial import Trial, TrialResult, run_trial
from forearm.policy.choice import MakePolicy
from forearm.processes import NoAnswer, Spread, in_processes


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSummary:
    """What the trials of one task say together.

    Attributes:
        trials: how many were run, errors among them.
        successes: how many reached the goal.
        errors: how many say nothing, because the machinery failed.
        rate: successes of the trials that say something; 0 where none does.
        ci95: the rate's Wilson interval.
        took_asked: of the trials with a choice of object in which one was taken, how many took the asked one.
        took_other: how many took another.
        path_shift_mm: how far tool paths answered a trace shifted by 40 mm, mean over the trials that measured it.
        stages: of a task of many parts, in how many of the trials that say something each part was done at the end.
    """

    trials: int
    successes: int
    errors: int
    rate: float
    ci95: tuple[float, float]
    took_asked: int
    took_other: int
    path_shift_mm: float | None
    stages: Mapping[str, int]

    @property
    def stages_mean(self) -> float | None:
        """How many parts were done, mean of the trials that say something; None for a task of one part."""
        scored = self.trials - self.errors
        return sum(self.stages.values()) / scored if self.stages and scored else None


def summarize(results: Iterable[TrialResult]) -> dict[str, TaskSummary]:
    """One summary per task, tasks in the order of their first result."""
    by_task: dict[str, list[TrialResult]] = {}
    for result in results:
        by_task.setdefault(result.task, []).append(result)
    return {task: _summary(each) for task, each in by_task.items()}


def _summary(results: Sequence[TrialResult]) -> TaskSummary:
    scored = [result for result in results if not result.is_error]
    chosen = [result for result in scored if result.asked and result.taken]
    successes = sum(result.success for result in scored)
    shifts = [result.path_shift_mm for result in scored if result.path_shift_mm is not None]
    took_asked = sum(result.taken == result.asked for result in chosen)
    return TaskSummary(
        trials=len(results),
        successes=successes,
        errors=len(results) - len(scored),
        rate=successes / len(scored) if scored else 0.0,
        ci95=wilson_interval(successes, len(scored)),
        took_asked=took_asked,
        took_other=len(chosen) - took_asked,
        path_shift_mm=sum(shifts) / len(shifts) if shifts else None,
        stages=dict(sum((Counter(result.stages) for result in scored), Counter[str]())),
    )


class RunTrial(Protocol):
    """Runs one trial; `run_trial` is one."""

    def __call__(self, trial: Trial, make_policy: MakePolicy) -> TrialResult:
        """Its result."""
        ...


def run_suite(
    trials: Sequence[Trial],
    make_policy: MakePolicy,
    *,
    workers: int | None = None,
    spread: Spread = in_processes,
    run: RunTrial = run_trial,
) -> Iterator[TrialResult]:
    """Yields each trial's result as it comes, in no fixed order; what has not come when it is closed is abandoned.

    A trial that raises, or twice takes its worker down with it, has outcome "error" and a reason in words; the others
    go on.

    Args:
        trials: all different.
        make_policy: makes the policy for a scene; sent to the workers.
        workers: how many trials at once at the most, ≥ 1; as many as there are cores by default.
        spread: where they run.
        run: runs a trial; sent to the workers.

    Raises:
        InputError: for fewer than one worker.
    """
    for trial, answer in spread(trials, partial(run, make_policy=make_policy), workers=workers):
        yield TrialResult(**asdict(trial), reason=answer.reason) if isinstance(answer, NoAnswer) else answer
