"""Any LeRobot v3.0 dataset, as its own description says: features, episodes, rows, frames, depth. Nothing is converted.

The layout is that which LeRobot 0.4 to 0.6 write: many episodes may share a file, and a video holds its episodes one
after the other.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from forearm.data.video import frames_at
from forearm.errors import DatasetError, unknown

VERSION = "v3.0"
METRES = {"m": 1.0, "mm": 1e-3}  # m, of a depth unit
DEPTH_CODES = 4095  # highest code of a 12-bit depth video
NUMBERS = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "bool")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Feature:
    """One column or video, as info.json describes it.

    Attributes:
        name: of the column or the video.
        dtype: a number's, or "string", "image", "video" and others.
        shape: of one row.
        names: of its channels, empty where it gives none.
        info: what else is said, of videos and depth.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...]
    info: Mapping[str, Any]

    @property
    def is_depth(self) -> bool:
        """Whether it says that it holds depth."""
        return bool(self.info.get("is_depth_map") or self.info.get("video.is_depth_map") or "depth_unit" in self.info)

    @property
    def is_picture(self) -> bool:
        """Whether it is a camera's colour stream."""
        return self.dtype in ("video", "image") and not self.is_depth

    @property
    def is_vector(self) -> bool:
        """Whether a row is a list of numbers."""
        return self.dtype in NUMBERS and len(self.shape) == 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """Where one episode lies: how many rows it has, in which file, and its videos' files and first instants, s."""

    episode: int
    length: int
    data: tuple[int, int]
    videos: Mapping[str, tuple[int, int, float]]


class Source:
    """A dataset folder, opened; rows and frames are read when they are asked for.

    Raises:
        DatasetError: when it is missing, of another version, or does not describe itself.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        path = root / "meta/info.json"
        if not path.is_file():
            raise DatasetError(f"dataset {root}: has no meta/info.json; finish the recording, or name another folder")
        try:
            self.info: dict[str, Any] = json.loads(path.read_text())
            version = self.info["codebase_version"]
            if version != VERSION:
                raise DatasetError(
                    f"dataset {root}: got version {version}, allowed is {VERSION}; convert it with LeRobot's own script"
                )
            self.fps = float(self.info["fps"])
            self.features = {name: _feature(name, each) for name, each in self.info["features"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, DatasetError):
                raise
            raise DatasetError(
                f"{path}: does not describe a dataset ({error}); take it from its source again"
            ) from error
        self._last: tuple[tuple[int, int], pa.Table] | None = None

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Every episode, in order.

        Raises:
            DatasetError: when meta/episodes is missing or incomplete.
        """
        files = sorted((self.root / "meta/episodes").rglob("*.parquet"))
        if not files:
            raise DatasetError(f"dataset {self.root}: has no meta/episodes; take it from its source again")
        videos = [each.name for each in self.features.values() if each.dtype == "video"]
        rows = [row for file in files for row in cast(list[dict[str, Any]], pq.read_table(file).to_pylist())]
        try:
            places = [_place(row, videos) for row in rows]
        except (KeyError, TypeError) as error:
            raise DatasetError(
                f"dataset {self.root}: meta/episodes lacks {error}; take it from its source again"
            ) from error
        return tuple(sorted(places, key=lambda each: each.episode))

    @cached_property
    def tasks(self) -> Mapping[int, str]:
        """Sentences by task index.

        Raises:
            DatasetError: when meta/tasks.parquet is missing or has other columns.
        """
        path = self.root / "meta/tasks.parquet"
        if not path.is_file():
            raise DatasetError(f"dataset {self.root}: has no meta/tasks.parquet; take it from its source again")
        table = pq.read_table(path)
        # pandas calls an index without a name like this; LeRobot names it "task".
        column = next((name for name in ("task", "__index_level_0__") if name in table.column_names), None)
        if column is None or "task_index" not in table.column_names:
            raise DatasetError(unknown(f"{path} column", "task", table.column_names))
        return dict(zip(table["task_index"].to_pylist(), table[column].to_pylist(), strict=True))

    def feature(self, name: str) -> Feature:
        """The feature of that name.

        Raises:
            DatasetError: when there is none.
        """
        if name not in self.features:
            raise DatasetError(unknown(f"dataset {self.root}: feature", name, self.features))
        return self.features[name]

    def rows(self, place: Place) -> pa.Table:
        """An episode's rows, in order.

        Raises:
            DatasetError: when its file is missing, or has another number of them, or others in between.
        """
        if self._last is None or self._last[0] != place.data:
            path = self.root / str(self.info["data_path"]).format(chunk_index=place.data[0], file_index=place.data[1])
            if not path.is_file():
                raise DatasetError(f"dataset {self.root}: {path.relative_to(self.root)} is missing; take it again")
            self._last = place.data, pq.read_table(path)
        table = self._last[1]
        mine = np.flatnonzero(table["episode_index"].to_numpy() == place.episode)
        if len(mine) == 0 or len(mine) != place.length or mine[-1] - mine[0] != place.length - 1:
            raise DatasetError(
                f"dataset {self.root}: episode {place.episode} has {len(mine)} rows, allowed are the {place.length} "
                "that its meta says, in a row; take it from its source again"
            )
        return table.slice(int(mine[0]), place.length)

    def sentence(self, table: pa.Table) -> str:
        """What an episode was asked for.

        Raises:
            DatasetError: when its task is not in the table of tasks.
        """
        index = table["task_index"][0].as_py()
        if index not in self.tasks:
            raise DatasetError(unknown(f"dataset {self.root}: task index", index, self.tasks))
        return self.tasks[index]

    def vectors(self, table: pa.Table, name: str) -> NDArray[np.float32]:
        """(T, D) of a feature of numbers.

        Raises:
            DatasetError: when it is not in the rows, or not as wide as described.
        """
        width = math.prod(self.feature(name).shape)
        if name not in table.column_names:
            raise DatasetError(unknown(f"dataset {self.root}: column", name, table.column_names))
        values = np.array(table[name].to_pylist(), dtype=np.float32).reshape(table.num_rows, -1)
        if values.shape[1] != width:
            raise DatasetError(f"feature {name}: got {values.shape[1]} channels, info.json says {width}; take it again")
        return values

    def pictures(self, place: Place, name: str, rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        """(H, W, 3) RGB of ascending rows of an episode, from its video or its images.

        Raises:
            DatasetError: when a frame is missing or cannot be decoded, or the feature is no picture.
        """
        feature = self.feature(name)
        if feature.dtype == "video":
            yield from cast(Iterator[NDArray[np.uint8]], self._frames(place, name, rows, "rgb24"))
        elif feature.dtype == "image":
            for image in self._images(place, name, rows):
                yield np.asarray(image.convert("RGB"), dtype=np.uint8)
        else:
            raise DatasetError(f"feature {name}: got {feature.dtype}, allowed are video or image; name a camera's")

    def depth(self, place: Place, name: str, rows: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
        """(H, W) m of ascending rows of an episode, NaN where nothing was measured. A flat list is taken as a square.

        Raises:
            DatasetError: when a frame is missing, or the feature does not say its unit.
        """
        feature = self.feature(name)
        if feature.dtype == "video":
            for codes in self._frames(place, name, rows, "gray12le"):
                yield _metres_of_codes(feature, codes)
            return
        unit = feature.info.get("depth_unit")
        if unit not in METRES:
            raise DatasetError(unknown(f"feature {name}: depth_unit", unit, METRES))
        if feature.dtype == "image":
            values = (np.asarray(image, dtype=np.float32) for image in self._images(place, name, rows))
        else:
            flat = self.vectors(self.rows(place), name)[rows]
            side = math.isqrt(flat.shape[1])
            shape = (side, side) if len(feature.shape) == 1 else feature.shape[:2]
            values = (each.reshape(shape) for each in flat)
        for each in values:
            yield np.where(each > 0, each * METRES[unit], np.nan).astype(np.float32)

    def _frames(
        self, place: Place, name: str, rows: NDArray[np.int64], kind: str
    ) -> Iterator[NDArray[np.uint8] | NDArray[np.uint16]]:
        chunk, file, first = place.videos[name]
        path = self.root / str(self.info["video_path"]).format(video_key=name, chunk_index=chunk, file_index=file)
        return frames_at(path, first + rows / self.fps, tolerance=0.5 / self.fps, kind=kind)

    def _images(self, place: Place, name: str, rows: NDArray[np.int64]) -> Iterator[Image.Image]:
        for cell in self.rows(place)[name].take(pa.array(rows)).to_pylist():
            content = cell.get("bytes") if isinstance(cell, dict) else None
            if content is None:
                raise DatasetError(f"feature {name}: got an image that is not in the rows; write it into them")
            yield Image.open(io.BytesIO(content))


def _feature(name: str, raw: Mapping[str, Any]) -> Feature:
    names = raw.get("names")
    if isinstance(names, dict):  # {"motors": [...]} of older recordings
        names = [
            each
            for part in cast(dict[str, Any], names).values()
            for each in (part if isinstance(part, list) else [part])
        ]
    return Feature(
        name=name,
        dtype=str(raw["dtype"]),
        shape=tuple(int(size) for size in raw["shape"]),
        names=tuple(str(each) for each in cast(list[Any], names or [])),
        info={**(raw.get("info") or {}), **(raw.get("video_info") or {})},
    )


def _place(row: Mapping[str, Any], videos: list[str]) -> Place:
    return Place(
        episode=int(row["episode_index"]),
        length=int(row["length"]),
        data=(int(row["data/chunk_index"]), int(row["data/file_index"])),
        videos={
            name: (
                int(row[f"videos/{name}/chunk_index"]),
                int(row[f"videos/{name}/file_index"]),
                float(row[f"videos/{name}/from_timestamp"]),
            )
            for name in videos
        },
    )


def _metres_of_codes(feature: Feature, codes: NDArray[Any]) -> NDArray[np.float32]:
    """Depth of 12-bit codes: equal steps of depth, or of the logarithm of depth plus a shift; 0 says nothing.

    Raises:
        DatasetError: when the feature does not say which.
    """
    try:
        near, far, shift = (float(feature.info[f"video.{name}"]) for name in ("depth_min", "depth_max", "shift"))
        logarithmic = bool(feature.info["video.use_log"])
    except KeyError as error:
        raise DatasetError(f"feature {feature.name}: its info lacks {error}, which depth videos need") from error
    fractions = codes.astype(np.float32) / DEPTH_CODES
    if logarithmic:
        low, high = math.log(near + shift), math.log(far + shift)
        metres = np.exp(low + fractions * (high - low)) - shift
    else:
        metres = near + fractions * (far - near)
    return np.where(codes > 0, metres, np.nan).astype(np.float32)
