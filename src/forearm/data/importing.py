"""Another dataset becomes one of ours: converted once, episode by episode, by a mapping; resumable.

What is asked of the other robot: that its joints turn the same way from the same zero, and that its main camera is
mounted as ours. Neither can be seen in the data; what can be seen is checked: every angle and opening must lie in our
joints' ranges, and no camera may show less than ours does.
"""

from __future__ import annotations

from dataclasses import asdict
from math import degrees, radians, tan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from forearm.data.dataset_writer import claim_dataset, data_file, finalize, write_shard
from forearm.data.episode import FPS, NO_SEED, Episode
from forearm.data.lerobot import Place, Source
from forearm.data.mapping import FeatureMapping, Vector, View
from forearm.errors import DatasetError, listing
from forearm.robot.embodiment import BIMANUAL_YAM, Camera, Embodiment

Box = tuple[float, float, float, float]  # left, top, right, bottom, px

SHARD_EPISODES = 10  # episodes a file, as recordings have
PLAN = "import.json"  # what a folder is being imported from; a resumed import must match it
DEPTH_SIDE = 10  # cells a side of the main camera's depth, as recordings have
SLACK = 0.2  # rad or opening that a reading may lie beyond a joint's range: calibrations differ, sensors overshoot
RARE = 0.01  # share of readings that may lie beyond that: glitches
STILL_RAD = 0.05  # rad; a recording in which no joint turns further was not in the unit that was said


def import_dataset(root: Path, mapping: FeatureMapping, out: Path, *, embodiment: Embodiment = BIMANUAL_YAM) -> int:
    """Imports the dataset in `root` into `out`; answers how many episodes. Run again to resume.

    Args:
        root: a LeRobot v3.0 dataset; it stays as it is.
        mapping: what of it is what.
        out: another folder.
        embodiment: whose joints and cameras are filled.

    Raises:
        DatasetError: when it is damaged, or cannot be what the mapping says; every reason that shows before a video is
            read is listed.
        InputError: when `out` is being imported from something else, or holds something else.
    """
    source = Source(root)
    found = problems(source, mapping, embodiment)
    if found:
        raise DatasetError(f"dataset {root}: " + "; ".join(found))
    claim_dataset(out, PLAN, {"from": str(root.resolve()), "mapping": asdict(mapping)}, what="import")
    places = [place for place in source.places if _ticks(place.length, source.fps) > 0]
    shards = range(0, len(places), SHARD_EPISODES)
    for number, first in enumerate(shards):
        if not data_file(out, number).is_file():
            part = places[first : first + SHARD_EPISODES]
            write_shard(out, number, [read_episode(source, each, mapping, embodiment) for each in part], first)
    finalize(out, len(shards), {each.name: (each.height, each.width) for each in embodiment.cameras}, embodiment)
    return len(places)


def problems(source: Source, mapping: FeatureMapping, embodiment: Embodiment = BIMANUAL_YAM) -> list[str]:
    """Why the dataset cannot be imported, as far as its description and its numbers tell; empty where it can.

    Reads every row but no video.
    """
    found = list[str]()
    if source.fps < FPS:
        found.append(f"fps: got {source.fps:g}, allowed is ≥ {FPS}, the rate of a policy's ticks; record it faster")
    missing = [camera.name for camera in embodiment.cameras if camera.name not in mapping.cameras]
    if missing:
        found.append(
            f"cameras: got no {listing(missing)}, needed are {listing(each.name for each in embodiment.cameras)}"
        )
    for name, view in mapping.cameras.items():
        if view.feature not in source.features:
            found.append(_missing(source, f"camera {name}", view.feature))
        elif not source.features[view.feature].is_picture:
            found.append(f"camera {name}: {view.feature} holds no pictures; name a video or image feature")
        elif name not in missing and name in [camera.name for camera in embodiment.cameras]:
            height, width = _size(source, view.feature)
            if _box(embodiment.camera(name), view.fovy, height, width) is None:
                seen = _degrees(view, embodiment.camera(name))
                found.append(
                    f"camera {name}: got {width} × {height} px of {seen:.0f}°, which shows less than our camera does; "
                    "use a wider lens, or say its vertical field of view"
                )
    for what, feature in (("depth", mapping.depth), ("subtask", mapping.subtask)):
        if feature is not None and feature not in source.features:
            found.append(_missing(source, what, feature))
    for what, vector in (("state", mapping.state), ("action", mapping.action)):
        found += _vector_problems(source, what, vector, embodiment)
    return found


def _degrees(view: View, camera: Camera) -> float:
    return degrees(camera.fovy) if view.fovy is None else view.fovy


def _missing(source: Source, what: str, feature: str) -> str:
    return f"{what}: there is no feature {feature!r}, there are {listing(sorted(source.features))}"


def _size(source: Source, feature: str) -> tuple[int, int]:
    """Height and width of a picture; LeRobot also writes (channels, height, width)."""
    shape = source.features[feature].shape
    return (shape[1], shape[2]) if shape[0] == 3 else (shape[0], shape[1])


def _vector_problems(source: Source, what: str, vector: Vector, embodiment: Embodiment) -> list[str]:
    if vector.feature not in source.features:
        return [_missing(source, what, vector.feature)]
    try:
        columns, grippers = vector.columns(source.features[vector.feature])
    except DatasetError as error:
        return [f"{what}: {error}"]
    names = [joint.name for joint in embodiment.joints]
    if len(columns) != len(names):
        return [
            f"{what}: got {len(columns)} channels, allowed are {len(names)}: {', '.join(names)}; list them in order"
        ]
    if np.flatnonzero(grippers).tolist() != embodiment.grippers.tolist():
        wanted = [names[index] for index in embodiment.grippers]
        return [f"{what}: the channels of {listing(wanted)} must be its grippers and no others; list them as grippers"]
    values = np.concatenate([vector.read(source, source.rows(place)) for place in source.places])
    return _range_problems(what, vector, values, embodiment)


def _range_problems(what: str, vector: Vector, values: NDArray[np.float32], embodiment: Embodiment) -> list[str]:
    if not np.isfinite(values).all():
        return [f"{what}: holds values that are not finite; leave those episodes out"]
    found = list[str]()
    low, high = np.quantile(values, RARE / 2, axis=0), np.quantile(values, 1 - RARE / 2, axis=0)
    for index, joint in enumerate(embodiment.joints):
        if low[index] < joint.lower - SLACK or high[index] > joint.upper + SLACK:
            hint = "say what it says for closed and open" if joint.unit == "opening" else "correct unit, order or zero"
            found.append(
                f"{what}: {joint.name} goes from {low[index]:.2f} to {high[index]:.2f} {joint.unit}, allowed is "
                f"{joint.lower:.2f} to {joint.upper:.2f}; {hint}"
            )
    turns = np.delete(np.ptp(values, axis=0), embodiment.grippers)
    if not found and turns.max() < STILL_RAD:
        found.append(
            f"{what}: no joint turns further than {turns.max():.4f} rad, which is no recording in {vector.unit}; "
            "correct the unit"
        )
    return found


def read_episode(
    source: Source, place: Place, mapping: FeatureMapping, embodiment: Embodiment = BIMANUAL_YAM
) -> Episode:
    """One episode at our rate, in our units, as our cameras would have seen it.

    Numbers are interpolated to the ticks, pictures are the nearest.

    Raises:
        DatasetError: when a file is missing or damaged.
    """
    table = source.rows(place)
    ticks = np.arange(_ticks(place.length, source.fps))
    measured = ticks * source.fps / FPS  # row, of each tick
    # An action is what is to be reached one row later, ours one tick later.
    commanded = (ticks + 1) * source.fps / FPS - 1
    nearest = np.minimum(np.rint(measured).astype(np.int64), place.length - 1)
    images = {
        camera.name: np.stack(
            [
                _as_seen(picture, camera, mapping.cameras[camera.name].fovy)
                for picture in source.pictures(place, mapping.cameras[camera.name].feature, nearest)
            ]
        )
        for camera in embodiment.cameras
    }
    sentence = source.sentence(table)
    spoken = [sentence] * place.length if mapping.subtask is None else table[mapping.subtask].to_pylist()
    return Episode(
        instruction=sentence,
        images=images,
        depth_cells=_depth(source, place, mapping, nearest, embodiment),
        positions=_at(mapping.state.read(source, table), measured),
        actions=_at(mapping.action.read(source, table), commanded),
        subtasks=tuple(str(spoken[row]) for row in nearest),
        seed=NO_SEED,
    )


def _ticks(length: int, fps: float) -> int:
    """Ticks of an episode of `length` rows whose action lies inside it."""
    return int(np.floor(length * FPS / fps + 1e-9))


def _at(rows: NDArray[np.float32], where: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows (T, J) between their instants."""
    return np.stack([np.interp(where, np.arange(len(rows)), each) for each in rows.T], axis=1).astype(np.float32)


def _box(camera: Camera, fovy: float | None, height: int, width: int) -> Box | None:
    """What `camera` sees of a picture of that vertical field of view (degrees, None its own); None: not all of it."""
    share = 1.0 if fovy is None else tan(camera.fovy / 2) / tan(radians(fovy) / 2)
    down, across = height / 2 * share, height / 2 * share * camera.width / camera.height
    if down > height / 2 + 0.5 or across > width / 2 + 0.5:
        return None
    down, across = min(down, height / 2), min(across, width / 2)
    return width / 2 - across, height / 2 - down, width / 2 + across, height / 2 + down


def _as_seen(picture: NDArray[np.uint8], camera: Camera, fovy: float | None) -> NDArray[np.uint8]:
    box = _box(camera, fovy, *picture.shape[:2])
    if box is None:
        raise DatasetError(
            f"camera {camera.name}: got {picture.shape[1]} × {picture.shape[0]} px, which shows too little"
        )
    if picture.shape[:2] == (camera.height, camera.width) and fovy is None:
        return picture
    resized = Image.fromarray(picture).resize((camera.width, camera.height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(resized, dtype=np.uint8)


def _depth(
    source: Source, place: Place, mapping: FeatureMapping, rows: NDArray[np.int64], embodiment: Embodiment
) -> NDArray[np.float32]:
    """(T, side, side) m: the median of what each cell of the main camera's grid measured; NaN without depth."""
    if mapping.depth is None:
        return np.full((len(rows), DEPTH_SIDE, DEPTH_SIDE), np.nan, np.float32)
    camera = embodiment.cameras[0]
    frames = source.depth(place, mapping.depth, rows)
    return np.stack([cells(each, camera, mapping.cameras[camera.name].fovy) for each in frames])


def cells(metres: NDArray[np.float32], camera: Camera, fovy: float | None) -> NDArray[np.float32]:
    """(side, side) medians of a depth image (H, W); NaN where most of a cell is unknown. A grid stays as it is."""
    if metres.shape == (DEPTH_SIDE, DEPTH_SIDE):
        return metres
    box = _box(camera, fovy, *metres.shape)
    if box is None:
        raise DatasetError(f"depth of camera {camera.name}: got {metres.shape}, which shows less than our camera")
    columns, rows = (np.rint(np.linspace(box[k], box[k + 2], DEPTH_SIDE + 1)).astype(int) for k in (0, 1))
    result = np.full((DEPTH_SIDE, DEPTH_SIDE), np.nan, np.float32)
    for row in range(DEPTH_SIDE):
        for column in range(DEPTH_SIDE):
            cell = metres[rows[row] : rows[row + 1], columns[column] : columns[column + 1]]
            known = cell[np.isfinite(cell)]
            if len(known) * 2 > cell.size:
                result[row, column] = np.median(known)
    return result
