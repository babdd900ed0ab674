"""`forearm calibrate`: what a model's monitors say when all goes well, and from where on they raise an alarm."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from forearm.cli.asked import file_at
from forearm.cli.evaluate import results_of, seeds_of
from forearm.cli.exits import Exit

if TYPE_CHECKING:
    from forearm.runtime.monitors.calibration import Calibration


def calibrate(
    task: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="TASK")] = (),
    seeds: str = "40000:40060",
    out: Path | None = None,
    policy: str = "model",
    budget: float = 0.05,
    workers: int | None = None,
) -> int:
    """Runs a model on clean scenes and learns from those that went well what its monitors say then.

    Of further runs that go well, in scenes like these, at most the share BUDGET raises any alarm. The file belongs to
    these weights and these cameras: with others, `forearm run` and `forearm eval` say that they are not calibrated. Run
    again, it goes on. Prints the file's path.

      forearm calibrate
      forearm calibrate --policy station --out calibration.json
      forearm calibrate --policy runs/nano --task put-in-box --task lift --seeds 40000:40100
      forearm calibrate --budget 0.02 --out calibration.json

    Args:
        task: as for `forearm eval`; all that the model can be asked for by default.
        seeds: FIRST:END, END not included, of each task; none of them may be among those that are evaluated.
        out: the file; calibration.json beside the weights by default, where it is found again. Where nothing can be
            written there, as in some installations: a copy of the weights' folder is a policy too.
        policy: nano, station, or a checkpoint's folder; model is the smaller of the first two that was taught every
            task asked for.
        budget: share of successful runs that may raise an alarm.
        workers: processes; as many as there are cores by default.
    """
    from forearm.cli.terminal import PEOPLE, say
    from forearm.errors import InputError, listing
    from forearm.evaluation.plans import tasks_of
    from forearm.evaluation.suites import suite_named
    from forearm.model.description import MODELS
    from forearm.policy.choice import answering, tasks_for, weights_folder
    from forearm.runtime.monitors.calibration_file import FILE_NAME, write_calibration

    clean = suite_named("clean")
    policy = answering(policy, lambda name: tasks_of(clean, task, tasks_for(name)))
    folder = weights_folder(policy)
    if folder is None:
        named = listing([*MODELS, "a checkpoint's folder"])
        raise InputError(f"calibration: got policy {policy!r}, a model is needed; name {named}")
    tasks = tasks_of(clean, task, tasks_for(policy))
    file = file_at(out or folder / FILE_NAME)
    first, end = seeds_of(seeds)
    done = _Unfinished(file)
    calibration = done.calibrated(policy, tasks, range(first, end), budget, workers)
    write_calibration(file, calibration)
    done.discard()
    alarms = ", ".join(f"{name} {limit:.3g}" for name, limit in calibration.limits.items())
    PEOPLE.print(f"{calibration.text()}; alarm above {alarms}", highlight=False, soft_wrap=True)
    say(str(file))
    return Exit.DONE


class _Unfinished:
    """What a calibration that was interrupted goes on from, beside its file."""

    def __init__(self, file: Path) -> None:
        self._journal, self._signals = file.with_suffix(".unfinished.jsonl"), file.with_suffix(".signals")

    def calibrated(
        self, policy: str, tasks: tuple[str, ...], seeds: range, budget: float, workers: int | None
    ) -> Calibration:
        """Runs the trials that are missing and learns from all that went well."""
        from forearm.evaluation.journal import Journal
        from forearm.evaluation.plans import planned
        from forearm.evaluation.subject import subject
        from forearm.evaluation.suites import suite_named
        from forearm.evaluation.watched import read_watched, watching
        from forearm.processes import in_processes
        from forearm.runtime.monitors.calibration import calibrated, cameras_digest, refuse_too_few

        trials = planned(suite_named("clean"), tasks, seeds)
        refuse_too_few(len(trials), budget)
        make_policy, about = subject(policy, None)
        journal = Journal(self._journal, about | {"seeds": [seeds.start, seeds.stop], "tasks_asked": tasks})
        results = results_of(trials, make_policy, workers, in_processes, journal, watching(self._signals))
        return calibrated(
            [read_watched(self._signals, result.trial).episode for result in results if result.success],
            budget=budget,
            model_digest=about["model_digest"],
            cameras=cameras_digest(),
            commit=about["commit"],
            tasks=tasks,
        )

    def discard(self) -> None:
        """Its results are in the calibration now."""
        self._journal.unlink(missing_ok=True)
        shutil.rmtree(self._signals, ignore_errors=True)
