"""Trials of which every decision's signals are kept, in a file each: what monitors are calibrated and measured with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.errors import LogError
from forearm.evaluation.suite import RunTrial
from forearm.evaluation.trial import Trial, TrialResult, run_trial
from forearm.events import Event
from forearm.files import whole
from forearm.messages import Floats
from forearm.policy.choice import MakePolicy
from forearm.runtime.monitors.calibration import Episode
from forearm.runtime.monitors.signals import SIGNALS
from forearm.runtime.monitors.weighing import Weighed, Weighing

TIMES, FEATURES = "times_s", "features"  # arrays of the file beside the signals


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watched:
    """A trial's decisions: when each came, (T,) s of session time, and what the signals said of it."""

    times_s: Floats
    episode: Episode


def watching(folder: Path) -> RunTrial:
    """What runs a trial and leaves its signals in `folder`; can be sent to another process."""
    return partial(_watched, folder=folder)


def read_watched(folder: Path, trial: Trial) -> Watched:
    """The signals of a trial that was run.

    Raises:
        LogError: when they are not there.
    """
    path = _path(folder, trial)
    try:
        with np.load(path) as arrays:
            values = {name: arrays[name] for name in SIGNALS}
            return Watched(times_s=arrays[TIMES], episode=Episode(values=values, features=arrays[FEATURES]))
    except (OSError, KeyError, ValueError) as error:
        raise LogError(
            f"signals of a trial: got {type(error).__name__} from {path}, its file is needed; run the trial again"
        ) from error


def _watched(trial: Trial, make_policy: MakePolicy, *, folder: Path) -> TrialResult:
    weighing = Weighing()
    weighed: list[Weighed] = []

    def emit(event: Event) -> None:
        if (found := weighing.note(event)) is not None:
            weighed.append(found)

    result = run_trial(trial, make_policy, emit=emit)
    width = max((len(each.features) for each in weighed), default=0)
    arrays = {name: np.array([each.values[name] for each in weighed]) for name in SIGNALS}
    arrays[TIMES] = np.array([each.stamp_ns / NANOSECONDS for each in weighed])
    arrays[FEATURES] = np.array([each.features for each in weighed], dtype=np.float64).reshape(len(weighed), width)
    with whole(_path(folder, trial)) as partial_path:
        np.savez_compressed(partial_path, allow_pickle=False, **arrays)
    return result


def _path(folder: Path, trial: Trial) -> Path:
    what = "-".join(filter(None, (trial.task, str(trial.seed), trial.words, trial.variation.replace(":", "-"))))
    return folder / f"{what}.npz"
