"""How another dataset says what one of ours would: which feature is which, in which unit, which way a gripper counts.

A mapping is written by a person who knows that robot, as TOML or as these values. What it cannot know it must say;
nothing is guessed from a name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import pi
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forearm.data.lerobot import Feature, Source
from forearm.errors import ConfigError, DatasetError, unknown
from forearm.robot.embodiment import BIMANUAL_YAM, Embodiment

RADIANS = {"rad": 1.0, "deg": pi / 180}  # rad, of a unit of joint angles
Channel = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A camera: the feature that holds its pictures, and its vertical field of view in degrees, None for our camera's.

    A picture that shows more than our camera sees is cut to what it sees; one that shows less is refused.
    """

    feature: str
    fovy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """Joint angles and gripper openings.

    Attributes:
        feature: that holds them.
        channels: names or numbers of its channels, in our robot's order; empty for all in its own order.
        grippers: those of `channels` that are openings.
        unit: of the others.
        closed, open: what the feature says for a closed and for an open gripper: 0 and 1, or 0.08 and 0, or 0 and 100.
    """

    feature: str
    channels: tuple[Channel, ...] = ()
    grippers: tuple[Channel, ...] = ()
    unit: str = "rad"
    closed: float = 0.0
    open: float = 1.0

    def __post_init__(self) -> None:
        if self.unit not in RADIANS:
            raise ConfigError(unknown(f"mapping of {self.feature}: unit", self.unit, RADIANS))
        if self.closed == self.open:
            raise ConfigError(
                f"mapping of {self.feature}: got {self.open} for a closed and an open gripper, allowed are two "
                "numbers; look at what the dataset says for each"
            )

    def columns(self, feature: Feature) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Which columns of the feature these channels are, and which of them are openings.

        Raises:
            DatasetError: when the feature has no channel of a name or number.
        """
        if not feature.is_vector:
            raise DatasetError(
                f"feature {feature.name}: got {feature.dtype} {feature.shape}, allowed is a list of numbers; "
                "name another"
            )
        channels = self.channels or tuple(range(feature.shape[0]))
        columns = np.array([_column(feature, each) for each in channels], dtype=np.int64)
        grippers = [_column(feature, each) for each in self.grippers]
        missing = sorted(set(grippers) - set(columns.tolist()))
        if missing:
            raise DatasetError(
                f"mapping of {feature.name}: grippers {missing} are none of its channels; list them in both"
            )
        return columns, np.isin(columns, grippers)

    def read(self, source: Source, table: pa.Table) -> NDArray[np.float32]:
        """(T, J) of an episode's rows: rad and openings.

        Raises:
            DatasetError: when the feature is missing, or no such vector.
        """
        columns, grippers = self.columns(source.feature(self.feature))
        raw = source.vectors(table, self.feature)[:, columns]
        openings = (raw - self.closed) / (self.open - self.closed)
        return np.where(grippers, openings, raw * RADIANS[self.unit]).astype(np.float32)


def _column(feature: Feature, channel: Channel) -> int:
    if isinstance(channel, str):
        if channel not in feature.names:
            raise DatasetError(
                unknown(f"feature {feature.name}: channel", channel, feature.names or ("numbers alone",))
            )
        return feature.names.index(channel)
    if not 0 <= channel < feature.shape[0]:
        raise DatasetError(f"feature {feature.name}: got channel {channel}, allowed are 0 to {feature.shape[0] - 1}")
    return channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Robot:
    """How a released model is told which robot it moves.

    Attributes:
        tag: under which its statistics are stored; those of a new tag are made from the dataset.
        setup: the robot in words.
        control: what its actions are, in words.
    """

    tag: str
    setup: str = ""
    control: str = "absolute joint pose"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureMapping:
    """What of another dataset is what.

    Attributes:
        cameras: by our names, the main one first.
        state: measured.
        action: absolute targets.
        depth: the feature that holds the main camera's depth; None where there is none.
        depth_codes: the feature that holds its map as codes of a released model's depth tokenizer, row by row, one
            list of whole numbers a tick; None where there is none.
        subtask: the text feature that says what is being done; None takes the sentence.
        robot: as a released model is told of it; None takes the only robot that the checkpoint knows.
    """

    cameras: Mapping[str, View]
    state: Vector = field(default_factory=lambda: _ours("observation.state"))
    action: Vector = field(default_factory=lambda: _ours("action"))
    depth: str | None = None
    depth_codes: str | None = None
    subtask: str | None = None
    robot: Robot | None = None


def _ours(feature: str) -> Vector:
    return Vector(feature=feature, grippers=tuple(BIMANUAL_YAM.grippers.tolist()))


def of_recordings(embodiment: Embodiment = BIMANUAL_YAM) -> FeatureMapping:
    """The mapping of our own recordings, in which nothing is renamed."""
    return FeatureMapping(
        cameras={camera.name: View(feature=f"observation.images.{camera.name}") for camera in embodiment.cameras},
        depth="observation.depth_cells",
        subtask="subtask",
    )


def read_mapping(path: Path) -> FeatureMapping:
    """A mapping from its TOML file.

        depth = "observation.depth.cam_high"

        [cameras]
        top = { feature = "observation.images.cam_high", fovy = 58.0 }
        left = { feature = "observation.images.cam_left_wrist", fovy = 72.0 }
        right = { feature = "observation.images.cam_right_wrist", fovy = 72.0 }

        [state]
        feature = "observation.state"
        channels = ["left_waist", "left_shoulder", …, "left_gripper", "right_waist", …, "right_gripper"]
        grippers = ["left_gripper", "right_gripper"]
        unit = "deg"
        closed = 0.0
        open = 100.0

        [action]
        feature = "action"
        …

    Raises:
        ConfigError: when it cannot be read, or says something else.
    """
    try:
        raw = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"mapping {path}: cannot be read ({error.strerror}); name a TOML file") from error
    except ValueError as error:
        raise ConfigError(f"mapping {path}: is not TOML ({error}); correct it") from error
    _known(path, "", raw, FeatureMapping)
    if not isinstance(raw.get("cameras"), dict) or not raw["cameras"]:
        raise ConfigError(f"mapping {path}: got no table of cameras, needs one; say which feature is which camera")
    return FeatureMapping(
        cameras={name: _made(path, f"cameras.{name}", each, View) for name, each in raw["cameras"].items()},
        state=_made(path, "state", raw.get("state"), Vector),
        action=_made(path, "action", raw.get("action"), Vector),
        depth=raw.get("depth"),
        depth_codes=raw.get("depth_codes"),
        subtask=raw.get("subtask"),
        robot=None if "robot" not in raw else _made(path, "robot", raw["robot"], Robot, needs="tag"),
    )


def _known(path: Path, where: str, raw: Mapping[str, Any], kind: type[Any]) -> None:
    names = [each.name for each in fields(kind)]
    for name in raw:
        if name not in names:
            raise ConfigError(unknown(f"mapping {path}: {where} entry".replace("  ", " "), name, names))


def _made(path: Path, where: str, raw: Any, kind: type[Any], needs: str = "feature") -> Any:
    """A value of `kind` from a TOML table."""
    if not isinstance(raw, dict):
        raise ConfigError(f"mapping {path}: {where}: got {raw!r}, needs a table with a {needs}; say which it is")
    table = cast(dict[str, Any], raw)
    _known(path, where, table, kind)
    if not isinstance(table.get(needs), str):
        raise ConfigError(f"mapping {path}: {where}: names no {needs}; say which it is")
    for name, value in table.items():
        wanted = (int, float) if name in ("fovy", "closed", "open") else str
        wanted = list if name in ("channels", "grippers") else wanted
        if not isinstance(value, wanted):
            raise ConfigError(f"mapping {path}: {where}.{name}: got {value!r}, which is of another kind; correct it")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in table.items()})
