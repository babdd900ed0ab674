"""A run's camera images as JPEG frames, and its depth as coloured points: everything the player draws over time."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from forearm.evaluation.report_page.packing import Json, in_base64, millimetres, numbers, thinned
from forearm.messages import DepthImage
from forearm.robot.embodiment import Camera
from forearm.telemetry.images import LoggedImage
from forearm.telemetry.log import RunLog

FRAMES_MOST = 400  # per camera: 20 s at 20 Hz; longer runs are shown at a lower rate
FRAMES_BYTES = 8_000_000  # of all JPEGs together; base64 makes a third more of it
WIDTH_MOST = 640  # px
JPEG_QUALITY = 88  # of 100; small pictures are shown enlarged, so their colours are not subsampled
POINTS_MOST = 60  # per axis of the depth image: 3600 points a view


def camera_frames(log: RunLog) -> Json:
    """For every colour camera: `times` in s, `width`, `height`, and one JPEG in base64 per time."""
    chosen = {camera: [images[i] for i in thinned(len(images), FRAMES_MOST)] for camera, images in log.images.items()}
    frames = {camera: [_jpeg(image) for image in images] for camera, images in chosen.items()}
    total = sum(len(data) for jpegs in frames.values() for data, _ in jpegs)
    share = min(1.0, FRAMES_BYTES / max(total, 1))
    shown: Json = {}
    for camera, jpegs in frames.items():
        kept = thinned(len(jpegs), max(1, int(len(jpegs) * share)))
        width, height = jpegs[0][1]
        shown[camera] = {
            "width": width,
            "height": height,
            "times": [round(log.seconds(chosen[camera][i].stamp_ns), 4) for i in kept],
            "jpegs": [in_base64(jpegs[i][0]) for i in kept],
        }
    return shown


def _jpeg(image: LoggedImage) -> tuple[bytes, tuple[int, int]]:
    """A JPEG and its size; one that the log holds already is taken as it is."""
    with Picture.open(io.BytesIO(image.data)) as picture:
        if image.format == "jpeg" and picture.width <= WIDTH_MOST:
            return image.data, picture.size
        small = picture.convert("RGB")
    small.thumbnail((WIDTH_MOST, WIDTH_MOST))
    buffer = io.BytesIO()
    small.save(buffer, "jpeg", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue(), small.size


def depth_frames(log: RunLog, camera: Camera) -> Json | None:
    """The depth that `camera` measured over time, on a coarser grid, with each grid point's ray in the cell frame.

    A point of the grid lies at `origin + metres * ray`. None where the run has no depth of that camera, or where nobody
    knows how the camera stands.
    """
    depths = log.depths.get(camera.name, ())
    if not depths or camera.cell_from_camera is None:
        return None
    rows, columns = (_grid(size) for size in depths[0].metres.shape)
    pixels = np.stack(np.meshgrid(columns + 0.5, rows + 0.5), axis=-1)
    scale = camera.width / depths[0].metres.shape[1]  # the log may hold another resolution than the camera's full one
    rays = camera.pinhole.unproject(pixels * scale, np.ones(pixels.shape[:2])) @ camera.cell_from_camera.rotation.T
    kept = [depths[i] for i in thinned(len(depths), FRAMES_MOST)]
    return {
        "width": len(columns),
        "height": len(rows),
        "u": numbers((columns + 0.5) / depths[0].metres.shape[1], 4),
        "v": numbers((rows + 0.5) / depths[0].metres.shape[0], 4),
        "origin": numbers(camera.cell_from_camera.translation, 5),
        "rays": numbers(rays.reshape(-1, 3), 5),
        "times": [round(log.seconds(depth.stamp_ns), 4) for depth in kept],
        "maps": [millimetres(depth.metres[np.ix_(rows, columns)]) for depth in kept],
    }


def _grid(size: int) -> NDArray[np.int64]:
    """The middles of equal strides along one side of an image."""
    stride = max(1, -(-size // POINTS_MOST))
    return np.arange(stride // 2, size, stride, dtype=np.int64)


def newest(captures: Sequence[DepthImage], stamp_ns: int) -> DepthImage | None:
    """The last capture that was there at `stamp_ns`."""
    return next((capture for capture in reversed(captures) if capture.stamp_ns <= stamp_ns), None)
