"""Datasets as others leave them on disk, written by hand in the layout of LeRobot 0.4 to 0.6; no writer of ours."""

import io
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SIDES = ("left", "right")
JOINTS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper")
# Theirs: right arm first, angles in degrees, grippers 0.08 m open and 0 closed.
NAMES = [f"{side}_{joint}.pos" for side in reversed(SIDES) for joint in JOINTS]
DEPTH = {"video.depth_min": 0.01, "video.depth_max": 10.0, "video.shift": 3.5, "video.use_log": True}
HOME = np.array([0.6, 1.47, 1.3, -1.4, 0.0, -1.57, 1.0, -0.6, 1.47, 1.3, -1.4, 0.0, 1.57, 1.0])
CAMERAS = {
    "observation.images.cam_high": (48, 64),
    "observation.images.cam_left_wrist": (72, 72),
    "observation.images.cam_right_wrist": (72, 72),
}
DEPTH_KEY = "observation.depth.cam_high"

MAPPING = """
depth = "observation.depth.cam_high"

[cameras]
top = {{ feature = "observation.images.cam_high", fovy = 60.0 }}
left = {{ feature = "observation.images.cam_left_wrist" }}
right = {{ feature = "observation.images.cam_right_wrist", fovy = 72 }}

[state]
feature = "observation.state"
channels = {channels}
grippers = ["left_gripper.pos", "right_gripper.pos"]
unit = "deg"
closed = 0.0
open = 0.08

[action]
feature = "action"
channels = {channels}
grippers = ["left_gripper.pos", "right_gripper.pos"]
unit = "deg"
closed = 0.0
open = 0.08
"""


def mapping_text() -> str:
    return MAPPING.format(channels=json.dumps([f"{side}_{joint}.pos" for side in SIDES for joint in JOINTS]))


@dataclass
class Written:
    root: Path
    ours: list[np.ndarray]  # by episode (T, 14), what their actions are in our order and units
    measured: list[np.ndarray]
    metres: float  # depth of the whole scene


def motion(length: int, fps: float) -> np.ndarray:
    """(T, 14) in our order and units: the left waist turns at 0.3 rad/s, the left gripper closes halfway."""
    rows = np.tile(HOME, (length, 1))
    rows[:, 0] += 0.3 * np.arange(length) / fps
    rows[length // 2 :, 6] = 0.0
    return rows


def in_their_words(rows: np.ndarray) -> np.ndarray:
    """Right arm first, degrees, metres between the fingers."""
    theirs = np.degrees(rows)
    theirs[:, [6, 13]] = rows[:, [6, 13]] * 0.08
    return np.concatenate([theirs[:, 7:], theirs[:, :7]], axis=1).astype(np.float32)


def video(path: Path, frames: list[np.ndarray], fps: int, codec: str, kind: str, pix_fmt: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"x265-params": "log-level=none:lossless=1"} if codec == "libx265" else {"g": "2", "preset": "12"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.time_base = Fraction(1, fps)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format=kind)
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def codes_of(metres: np.ndarray) -> np.ndarray:
    shift = DEPTH["video.shift"]
    low, high = (np.log(DEPTH[f"video.depth_{end}"] + shift) for end in ("min", "max"))
    return np.clip(np.rint((np.log(metres + shift) - low) / (high - low) * 4095), 0, 4095).astype(np.uint16)


def write(root: Path, *, fps: int = 30, lengths: tuple[int, ...] = (60, 45), depth: bool = True) -> Written:
    """Two episodes in one parquet file, and one video a camera that shows one after the other."""
    sentences = ["Put the red block in the box.", "fold the towel"]
    ours = [motion(length, fps) for length in lengths]
    measured = [np.concatenate([rows[:1], rows[:-1]]) for rows in ours]  # what was asked for is reached a row later
    total, starts = sum(lengths), np.cumsum([0, *lengths])
    episode = np.repeat(np.arange(len(lengths)), lengths)
    inside = np.concatenate([np.arange(length) for length in lengths])
    flat = np.concatenate([in_their_words(rows) for rows in ours])
    state = np.concatenate([in_their_words(rows) for rows in measured])
    wrist = [Image.fromarray(np.full((72, 72, 3), 40 + tick % 100, np.uint8)) for tick in range(total)]
    columns = {
        "observation.state": pa.FixedSizeListArray.from_arrays(pa.array(state.reshape(-1)), 14),
        "action": pa.array(flat.tolist(), type=pa.list_(pa.float32())),
        "observation.images.cam_right_wrist": pa.array([{"bytes": png(each), "path": None} for each in wrist]),
        "timestamp": pa.array((inside / fps).astype(np.float32)),
        "frame_index": pa.array(inside),
        "episode_index": pa.array(episode),
        "index": pa.array(np.arange(total)),
        "task_index": pa.array(episode % 2),
    }
    (root / "data/chunk-000").mkdir(parents=True)
    pq.write_table(pa.table(columns), root / "data/chunk-000/file-000.parquet")
    keys = [key for key in CAMERAS if key != "observation.images.cam_right_wrist"]
    for key in keys:
        height, width = CAMERAS[key]
        frames = [picture(height, width, tick) for tick in range(total)]
        video(root / f"videos/{key}/chunk-000/file-000.mp4", frames, fps, "libsvtav1", "rgb24", "yuv420p")
    if depth:
        codes = codes_of(np.full((48, 64), 0.9))
        codes[:, :3] = 0  # a stripe that was not measured
        video(
            root / f"videos/{DEPTH_KEY}/chunk-000/file-000.mp4", [codes] * total, fps, "libx265", "gray12le", "gray12le"
        )
        keys.append(DEPTH_KEY)
    meta(root, fps, lengths, starts, sentences, keys)
    return Written(root=root, ours=ours, measured=measured, metres=0.9)


def png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def picture(height: int, width: int, tick: int) -> np.ndarray:
    """Grey that says the tick, with a bright border that a narrower camera does not see."""
    frame = np.full((height, width, 3), 20 + tick % 200, np.uint8)
    frame[:, :6] = frame[:, -6:] = 255
    return frame


def meta(
    root: Path, fps: int, lengths: tuple[int, ...], starts: np.ndarray, sentences: list[str], keys: list[str]
) -> None:
    rows = list[dict[str, Any]]()
    for number, length in enumerate(lengths):
        row: dict[str, Any] = {
            "episode_index": number,
            "tasks": [sentences[number % 2]],
            "length": length,
            "data/chunk_index": 0,
            "data/file_index": 0,
            "dataset_from_index": int(starts[number]),
            "dataset_to_index": int(starts[number + 1]),
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        for key in keys:
            row |= {f"videos/{key}/chunk_index": 0, f"videos/{key}/file_index": 0}
            row |= {
                f"videos/{key}/from_timestamp": starts[number] / fps,
                f"videos/{key}/to_timestamp": starts[number + 1] / fps,
            }
        rows.append(row)
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), root / "meta/episodes/chunk-000/file-000.parquet")
    pq.write_table(pa.table({"task_index": [0, 1], "task": sentences}), root / "meta/tasks.parquet")
    vector = {"dtype": "float32", "shape": [14], "names": {"motors": NAMES}}
    features: dict[str, Any] = {"observation.state": vector, "action": {**vector, "names": NAMES}}
    for key, (height, width) in CAMERAS.items():
        kind = "video" if key in keys else "image"
        features[key] = {"dtype": kind, "shape": [height, width, 3], "names": ["height", "width", "channels"]}
    if DEPTH_KEY in keys:
        info = {"is_depth_map": True, "depth_unit": "mm", **DEPTH}
        features[DEPTH_KEY] = {"dtype": "video", "shape": [48, 64, 1], "names": None, "info": info}
    for name, dtype in (("timestamp", "float32"), ("frame_index", "int64"), ("episode_index", "int64")):
        features[name] = {"dtype": dtype, "shape": [1], "names": None}
    for name in ("index", "task_index"):
        features[name] = {"dtype": "int64", "shape": [1], "names": None}
    flat = {key: {"min": [0.0] * 14, "max": [1.0] * 14, "mean": [0.5] * 14, "std": [0.1] * 14} for key in ("action",)}
    (root / "meta/stats.json").write_text(json.dumps(flat))
    info = {
        "codebase_version": "v3.0",
        "robot_type": "aloha",
        "fps": fps,
        "total_episodes": len(lengths),
        "total_frames": int(starts[-1]),
        "total_tasks": 2,
        "chunks_size": 1000,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "splits": {"train": f"0:{len(lengths)}"},
        "features": features,
    }
    (root / "meta/info.json").write_text(json.dumps(info))
