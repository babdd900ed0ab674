"""A robot's numbers to the model's and back, by the statistics of norm_stats.json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from forearm.errors import CheckpointError, InputError, unknown
from forearm.model.published import read_json

Array = NDArray[np.float32]
Mode = Literal["q01_q99", "q10_q90", "min_max", "mean_std", "none"]
_BOUNDS: dict[str, tuple[str, str]] = {"q01_q99": ("q01", "q99"), "q10_q90": ("q10", "q90"), "min_max": ("min", "max")}
_STATISTICS = ("mean", "std", "min", "max", "q01", "q99", "q10", "q90", "q50")
_SMALLEST_SPAN = 1e-6  # under which a channel's span or deviation is taken as this; published constant
_FORMAT = "molmoact2_norm_stats.v1"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Normaliser:
    """One vector's scaling.

    Attributes:
        mode: which statistics scale it.
        offset, span: (D,) low bound and width of a bounded mode, mean and deviation of "mean_std".
        scaled: (D,) False for channels that are passed through raw.
        constant: (D,) True for channels that never moved in the data: they normalise to 0.
    """

    mode: Mode
    offset: Array
    span: Array
    scaled: NDArray[np.bool_]
    constant: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """D, channels."""
        return len(self.scaled)

    def normalise(self, values: Array) -> Array:
        """(..., D) robot units to about [-1, 1], clipped to it in a bounded mode.

        Raises:
            InputError: for another number of channels.
        """
        raw = self._checked(values)
        if self.mode == "none":
            scaled = raw
        elif self.mode == "mean_std":
            scaled = (raw - self.offset) / np.maximum(self.span, _SMALLEST_SPAN)
        else:
            scaled = np.clip(2.0 * (raw - self.offset) / np.maximum(self.span, _SMALLEST_SPAN) - 1.0, -1.0, 1.0)
        out = np.where(self.scaled, scaled, raw)
        return np.where(self.constant, np.float32(0.0), out).astype(np.float32)

    def unnormalise(self, values: Array) -> Array:
        """(..., D) the model's numbers to robot units. A bounded mode clips every channel to [-1, 1], raw ones too.

        Raises:
            InputError: for another number of channels.
        """
        given = self._checked(values)
        if self.mode == "none":
            return given
        if self.mode == "mean_std":
            scaled = given * self.span + self.offset
        else:
            given = np.clip(given, -1.0, 1.0)
            scaled = (given + 1.0) * self.span / 2.0 + self.offset
        return np.where(self.scaled, scaled, given).astype(np.float32)

    def _checked(self, values: Array) -> Array:
        array = np.asarray(values, dtype=np.float32)
        if array.shape[-1:] != (self.size,):
            raise InputError(
                f"channels: got {array.shape[-1:]}, allowed is {self.size}; use the statistics of this robot"
            )
        return array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tag:
    """What a checkpoint knows of one embodiment.

    `cameras` are in the order the model was shown them, empty where the file does not say; `alternatives` are other
    views that it was shown instead. `horizon` and `steps` are
    rows of a chunk made and executed, None where the file leaves them to the model; `fps` is how many rows a second
    has, None where the file does not say, as no released one does.
    """

    name: str
    setup: str
    control: str
    cameras: tuple[str, ...]
    alternatives: tuple[tuple[str, ...], ...]
    horizon: int | None
    steps: int | None
    state: Normaliser | None
    action: Normaliser | None
    fps: float | None = None


def read_tags(path: Path) -> dict[str, Tag]:
    """Every embodiment in a norm_stats.json, by tag.

    Raises:
        CheckpointError: when the file is missing, damaged, of another format, or lacks statistics its mode needs.
    """
    raw = read_json(path)
    if raw.get("format", _FORMAT) != _FORMAT:
        raise CheckpointError(f"{path.name} format: got {raw['format']!r}, allowed is {_FORMAT!r}; use newer software")
    mode, tags = raw.get("norm_mode", "min_max"), raw.get("metadata_by_tag")
    if mode not in (*_BOUNDS, "mean_std", "none"):
        raise CheckpointError(
            f"{unknown(f'{path.name} norm_mode', mode, (*_BOUNDS, 'mean_std', 'none'))}; use newer software"
        )
    if not isinstance(tags, dict) or not tags:
        raise CheckpointError(
            f"{path.name} metadata_by_tag: got {tags!r}, allowed is an object with a tag or more; download it again"
        )
    return {name: _tag(name, cast(Mapping[str, Any], each), mode) for name, each in cast(dict[str, Any], tags).items()}


def choose(tags: Mapping[str, Tag], name: str | None) -> Tag:
    """The tag of that name; None takes the only one.

    Raises:
        InputError: for an unknown name, or none where there are several.
    """
    if name is None and len(tags) == 1:
        return next(iter(tags.values()))
    if name is None or name not in tags:
        raise InputError(f"{unknown('embodiment tag', name, sorted(tags))}; use statistics that hold the robot's tag")
    return tags[name]


def _tag(name: str, raw: Mapping[str, Any], mode: Mode) -> Tag:
    try:
        rows = {key: None if raw.get(key) is None else int(raw[key]) for key in ("action_horizon", "n_action_steps")}
        if any(each is not None and each < 1 for each in rows.values()):
            raise ValueError(f"{rows} must be ≥ 1")
        return Tag(
            name=name,
            setup=str(raw.get("setup_type") or ""),
            control=str(raw.get("control_mode") or ""),
            cameras=tuple(raw.get("camera_keys") or ()),
            alternatives=_alternatives(raw.get("camera_keys_alternative") or ()),
            horizon=rows["action_horizon"],
            steps=rows["n_action_steps"],
            state=_normaliser(raw.get("state_stats"), mode),
            action=_normaliser(raw.get("action_stats"), mode),
            fps=_rate(raw.get("fps")),
        )
    except KeyError as error:
        raise CheckpointError(
            f"norm_stats tag {name!r}: got no {error}, which norm_mode {mode!r} needs; download it again"
        ) from error
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        raise CheckpointError(f"norm_stats tag {name!r}: {error}; the file is damaged or incomplete") from error


def _rate(raw: Any) -> float | None:
    if raw is None:
        return None
    if not math.isfinite(float(raw)) or float(raw) <= 0.0:
        raise ValueError(f"fps {raw} must be > 0")
    return float(raw)


def _alternatives(raw: Sequence[Any]) -> tuple[tuple[str, ...], ...]:
    """One list of names, or several."""
    lists = raw if all(isinstance(each, list) for each in raw) else (raw,)
    return tuple(tuple(map(str, each)) for each in lists)


def _normaliser(raw: Mapping[str, Any] | None, mode: Mode) -> Normaliser | None:
    if raw is None:
        return None
    stats = {key: np.asarray(raw[key], dtype=np.float32) for key in _STATISTICS if raw.get(key) is not None}
    for key in stats:
        if not np.isfinite(stats[key]).all():
            raise ValueError(f"{key} has values that are not finite, allowed are numbers")
    size = _size(raw, stats)
    for key in stats:
        if stats[key].shape != (size,):
            raise ValueError(f"{key} has {stats[key].shape} channels, others {size}")
    if mode == "none":
        offset, span = np.zeros(size, np.float32), np.ones(size, np.float32)
    elif mode == "mean_std":
        offset, span = stats["mean"], stats["std"]
    else:
        low, high = _BOUNDS[mode]
        offset, span = stats[low], stats[high] - stats[low]
    constant = np.zeros(size, dtype=np.bool_)
    if mode in _BOUNDS and "min" in stats and "max" in stats:
        constant = stats["min"] == stats["max"]
    mask = raw.get("mask")
    scaled = (
        np.ones(size, dtype=np.bool_) if mask is None else np.broadcast_to(np.asarray(mask, dtype=np.bool_), (size,))
    )
    return Normaliser(mode=mode, offset=offset, span=span, scaled=scaled, constant=constant)


def _size(raw: Mapping[str, Any], stats: Mapping[str, Array]) -> int:
    for key in _STATISTICS:
        if key in stats and stats[key].ndim > 0:
            return int(stats[key].shape[-1])
    for key in ("mask", "names"):
        if raw.get(key) is not None:
            return len(raw[key])
    raise ValueError("no statistics")
