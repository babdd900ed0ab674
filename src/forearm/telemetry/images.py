"""Camera pictures as the messages that Foxglove shows, and back.

What a model looks at survives exactly: small colour images are PNG and depth is raw float32 metres. Colour images
above `LOSSLESS_PIXELS` are for people to look at and are JPEG.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.RawImage_pb2 import RawImage
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray
from PIL import Image as Picture

from forearm.clock import NANOSECONDS
from forearm.errors import LogError
from forearm.messages import DepthImage, Image

LOSSLESS_PIXELS = 256 * 256  # px, the size up to which a colour image is kept exactly
JPEG_QUALITY = 88  # of 100, above that size; 4:2:0, no visible blocks at 640 px
PNG_LEVEL = 3  # zlib level: 1.2 ms for 120×120 px, 4 % larger than the default's 2.3 ms
DEPTH_ENCODING = "32FC1"  # float32 metres in a foxglove.RawImage


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedImage:
    """A colour image as the log holds it: `data` is a whole PNG or JPEG file, captured at `stamp_ns`."""

    stamp_ns: int
    format: str
    data: bytes

    def decode(self) -> Image:
        """Its pixels; about 0.5 ms for 120x120.

        Raises:
            LogError: when the picture file is damaged.
        """
        try:
            with Picture.open(io.BytesIO(self.data)) as picture:
                return Image(stamp_ns=self.stamp_ns, pixels=np.asarray(picture.convert("RGB")))
        except OSError as error:
            raise LogError(
                f"logged image at {self.stamp_ns} ns: got {error}, a PNG or JPEG is needed; log again"
            ) from error


def timestamp(stamp_ns: int) -> Timestamp:
    """The stamp as protobuf's seconds and nanoseconds."""
    return Timestamp(seconds=stamp_ns // NANOSECONDS, nanos=stamp_ns % NANOSECONDS)


def stamp_of(message: CompressedImage | RawImage) -> int:
    """The capture stamp in ns."""
    return message.timestamp.seconds * NANOSECONDS + message.timestamp.nanos


def _picture_file(pixels: NDArray[np.uint8]) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    picture = Picture.fromarray(pixels)
    if pixels.shape[0] * pixels.shape[1] <= LOSSLESS_PIXELS:
        picture.save(buffer, "png", compress_level=PNG_LEVEL)
        return "png", buffer.getvalue()
    picture.save(buffer, "jpeg", quality=JPEG_QUALITY)
    return "jpeg", buffer.getvalue()


def colour_message(camera: str, image: Image) -> CompressedImage:
    """`image` as a PNG or JPEG in the camera's frame."""
    form, data = _picture_file(image.pixels)
    return CompressedImage(timestamp=timestamp(image.stamp_ns), frame_id=camera, format=form, data=data)


def logged_image(message: CompressedImage) -> LoggedImage:
    """What `colour_message` made, not yet decoded."""
    return LoggedImage(stamp_ns=stamp_of(message), format=message.format, data=message.data)


def depth_message(camera: str, depth: DepthImage) -> RawImage:
    """`depth` as float32 metres, row by row, little-endian."""
    height, width = depth.metres.shape
    return RawImage(
        timestamp=timestamp(depth.stamp_ns),
        frame_id=camera,
        width=width,
        height=height,
        encoding=DEPTH_ENCODING,
        step=4 * width,
        data=np.ascontiguousarray(depth.metres, dtype="<f4").tobytes(),
    )


def depth_image(message: RawImage) -> DepthImage:
    """What `depth_message` made.

    Raises:
        LogError: for an encoding that this version does not write.
    """
    if message.encoding != DEPTH_ENCODING:
        raise LogError(f"depth image: got encoding {message.encoding!r}, allowed is {DEPTH_ENCODING}; update forearm")
    metres = np.frombuffer(message.data, dtype="<f4").reshape(message.height, message.width)
    return DepthImage(stamp_ns=stamp_of(message), metres=metres)
