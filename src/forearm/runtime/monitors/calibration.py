"""What signals are when all goes well, learned from runs that did, and how far beyond that is an alarm.

Invariant: of runs that go well, drawn as the calibration's were, at most the stated share raises any alarm at all. That
is split conformal prediction (Vovk et al., 2005; Lei et al., JASA 113, 2018): one half of the runs says what the
signals usually are, the other, which that half has never seen, how far from it a run that went well may come; nothing
is assumed of how the numbers are distributed. It says nothing of another model, other cameras or other work.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, isfinite, nan
from types import MappingProxyType

import numpy as np

from forearm.errors import InputError
from forearm.messages import Floats
from forearm.robot.embodiment import BIMANUAL_YAM, Camera
from forearm.runtime.monitors.signals import FEATURES, NAMES

USUAL, HIGH = 0.5, 0.9  # quantiles of the runs' greatest values: what is usual, and what a high one is
LEAST_SPREAD = 0.1  # of the usual value: a signal that hardly varied in a few runs must not drown the others
LEAST_SPREADS: Mapping[str, float] = MappingProxyType(  # of one that is usually 0 too: what nobody would call a change
    {
        "depth": 1.0,  # mm
        "trace": 1.0,  # mm
        "chunk": 0.01,  # rad
        "progress": 0.5,  # s, less than there is between two decisions
        FEATURES: 0.1,  # times
    }
)
AXES = 32  # directions in which features may vary each in its own way; few runs do not tell more of them apart
LEAST_DEVIATION = 0.01  # of the average one: what never varied is not known to the last bit
ROUNDING = 1e-9  # of a count: 20 times 0.05 is one


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Familiar:
    """What features (F,) of runs that went well are like: a Gaussian, alike in all directions but a few.

    Probabilistic principal components (Tipping & Bishop, JRSS B 61, 1999).

    Attributes:
        mean: (F,).
        axes: (K, F) unit vectors along which features vary most.
        deviations: (K,) standard deviations along them.
        rest: standard deviation in every other direction.
    """

    mean: Floats
    axes: Floats
    deviations: Floats
    rest: float

    @classmethod
    def of(cls, features: Floats) -> Familiar:
        """From the features (N, F) of many decisions; N ≥ 2."""
        variances, vectors = np.linalg.eigh(np.atleast_2d(np.cov(features.T)))
        least = LEAST_DEVIATION * float(np.sqrt(max(variances.mean(), 0.0))) + 1e-12
        deviations = np.maximum(np.sqrt(np.maximum(variances, 0.0)), least)
        others = deviations[:-AXES]
        return cls(
            mean=features.mean(0),
            axes=vectors[:, -AXES:].T,
            deviations=deviations[-AXES:],
            rest=float(np.sqrt(np.mean(others**2))) if others.size else least,
        )

    def distance(self, features: Floats) -> float:
        """Mahalanobis' distance per root of dimension: 1 is usual. NaN for features of another size."""
        if features.shape != self.mean.shape:
            return nan
        away = features - self.mean
        along = self.axes @ away
        beside = max(float(away @ away - along @ along), 0.0)
        return float(np.sqrt((np.sum((along / self.deviations) ** 2) + beside / self.rest**2) / len(away)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """A signal's greatest value in a run that goes well: what it usually is, and by how much more a high one is."""

    middle: float
    spread: float

    def score(self, value: float) -> float:
        """How far beyond usual a value is, in spreads; what signals of different units are compared by."""
        return (value - self.middle) / self.spread

    def value(self, score: float) -> float:
        """The value of that score."""
        return self.middle + score * self.spread


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Episode:
    """A run as a calibration needs it: T decisions' signals by name, (T,) each, and features (T, F)."""

    values: Mapping[str, Floats]
    features: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """What is usual for one model with one set of cameras, and where alarm begins.

    Attributes:
        model_digest: of the weights.
        cameras: `cameras_digest` of the robot's.
        commit: of the code that ran the episodes.
        budget: share of successful runs that may raise an alarm.
        episodes: successful runs that it was made of, both halves.
        tasks: what they were.
        usual: by signal; one that never said anything is not among them.
        threshold: score above which a decision is an alarm.
        familiar: what features are usual; None for a model that has none.
    """

    model_digest: str
    cameras: str
    commit: str
    budget: float
    episodes: int
    tasks: tuple[str, ...]
    usual: Mapping[str, Usual]
    threshold: float
    familiar: Familiar | None

    def complete(self, values: Mapping[str, float], features: Floats) -> dict[str, float]:
        """The values by signal, with the one that needs to know what is familiar."""
        return {**values, FEATURES: self.familiar.distance(features) if self.familiar is not None else nan}

    def scores(self, values: Mapping[str, float]) -> dict[str, float]:
        """How far beyond usual each signal is, in spreads; those that say nothing are left out."""
        known = {name: value for name, value in values.items() if name in self.usual and not np.isnan(value)}
        return {name: self.usual[name].score(value) for name, value in known.items()}

    @property
    def limits(self) -> dict[str, float]:
        """By signal, the value above which a decision is an alarm, in the signal's own unit."""
        return {name: usual.value(self.threshold) for name, usual in self.usual.items()}

    def text(self) -> str:
        """In one line, as people read it."""
        return (
            f"calibrated on {self.episodes} successful runs of {', '.join(self.tasks)}: "
            f"at most {self.budget:.0%} of such runs raise an alarm"
        )


def calibrated(
    episodes: Sequence[Episode],
    *,
    budget: float,
    model_digest: str,
    cameras: str,
    commit: str,
    tasks: tuple[str, ...],
) -> Calibration:
    """The calibration that successful episodes give: every other one says what is usual, the rest where alarm begins.

    Raises:
        InputError: for a budget that is no share, or too few episodes for it.
    """
    refuse_too_few(len(episodes), budget)
    learned, judged = episodes[0::2], episodes[1::2]
    rank = ceil((len(judged) + 1) * (1.0 - budget) - ROUNDING)
    draft = Calibration(
        model_digest=model_digest,
        cameras=cameras,
        commit=commit,
        budget=budget,
        episodes=len(episodes),
        tasks=tasks,
        usual={},
        threshold=np.inf,
        familiar=_familiar(learned),
    )
    # Features that taught what is familiar look far too familiar: what is usual comes from episodes that did not.
    greatest = [
        greatest_values(replace(draft, familiar=_familiar(learned[1 - half :: 2])), episode)
        for half in (0, 1)
        for episode in learned[half::2]
    ]
    usual = {name: _usual(name, [each[name] for each in greatest if name in each]) for name in NAMES}
    known = replace(draft, usual={name: each for name, each in usual.items() if each is not None})
    threshold = sorted(greatest_score(known, each) for each in judged)[rank - 1]
    if not isfinite(threshold):
        raise InputError("calibration: got episodes in which no signal says anything, some must; record longer ones")
    return replace(known, threshold=threshold)


def refuse_too_few(episodes: int, budget: float) -> None:
    """Nothing, unless so many episodes cannot keep the budget: the half that judges needs one for each share of it.

    Raises:
        InputError: for a budget that is no share, or too few episodes for it.
    """
    if not 0.0 < budget < 1.0:
        raise InputError(f"budget: got {budget}, allowed is a share between 0 and 1; write 0.05 for 5 %")
    needed = 2 * (ceil(1.0 / budget - ROUNDING) - 1)
    if episodes < max(needed, 4):
        raise InputError(
            f"calibration: got {episodes} successful episodes, allowed are at least {max(needed, 4)} for a budget of "
            f"{budget:g}; add seeds or allow more false alarms"
        )


def greatest_values(calibration: Calibration, episode: Episode) -> dict[str, float]:
    """Each signal's greatest value in an episode, without those that said nothing."""
    values = dict(episode.values)
    if calibration.familiar is not None and episode.features.size:
        values[FEATURES] = np.array([calibration.familiar.distance(row) for row in episode.features])
    return {name: float(np.nanmax(each)) for name, each in values.items() if np.isfinite(each).any()}


def greatest_score(calibration: Calibration, episode: Episode) -> float:
    """The greatest score of any signal in an episode: above the threshold there was an alarm. -inf where none spoke."""
    return max(calibration.scores(greatest_values(calibration, episode)).values(), default=-np.inf)


def cameras_digest(cameras: Iterable[Camera] = BIMANUAL_YAM.cameras) -> str:
    """SHA-256 of what is known of the cameras: names, sizes, views and where they are mounted."""
    described = [
        [
            *(each.name, each.width, each.height, round(each.fovy, 6), each.mount, each.has_depth),
            None if each.cell_from_camera is None else _rounded(each.cell_from_camera.rotation),
            None if each.cell_from_camera is None else _rounded(each.cell_from_camera.translation),
        ]
        for each in cameras
    ]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _familiar(episodes: Sequence[Episode]) -> Familiar | None:
    """What is familiar from these; None where the model has no features."""
    features = [row for episode in episodes for row in episode.features]
    return Familiar.of(np.array(features)) if len(features) > 1 and len(features[0]) else None


def _usual(name: str, greatest: Sequence[float]) -> Usual | None:
    if not greatest:
        return None
    middle, high = (float(value) for value in np.quantile(greatest, [USUAL, HIGH]))
    return Usual(middle=middle, spread=max(high - middle, LEAST_SPREAD * abs(middle), LEAST_SPREADS[name]))


def _rounded(values: Floats) -> list[float]:
    return np.round(values, 6).ravel().tolist()
