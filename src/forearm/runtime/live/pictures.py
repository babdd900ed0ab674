"""The newest picture of every camera, from the station to the loop."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from forearm.messages import DepthImage, Image
from forearm.robot.embodiment import BIMANUAL_YAM, Camera
from forearm.runtime.live.memory import Memory

_HEAD = struct.Struct("=q")  # the capture's stamp


class Frame(NamedTuple):
    """How large one camera's picture is, px, and whether depth comes with it."""

    name: str
    height: int
    width: int
    has_depth: bool

    @property
    def size(self) -> int:
        """Bytes: a stamp, three bytes a pixel, and four for its depth."""
        return _HEAD.size + self.height * self.width * (7 if self.has_depth else 3)


class Pictures(Memory):
    """One slot a camera; about 0.3 MB for three cameras and a view for people.

    Args:
        frames: the cameras.
    """

    def __init__(self, frames: tuple[Frame, ...], descriptor: int | None = None) -> None:
        super().__init__([frame.size for frame in frames], descriptor)
        self._sizes = frames  # what another process makes the same memory from
        self._frames = dict(zip((frame.name for frame in frames), zip(frames, self.slots, strict=True), strict=True))
        self._given: dict[str, int] = {}
        self._taken = -1
        self._images: dict[str, Image] = {}
        self._depths: dict[str, DepthImage] = {}

    @classmethod
    def of(cls, cameras: tuple[Camera, ...] = BIMANUAL_YAM.cameras, *more: Frame) -> Pictures:
        """For a robot's cameras, and `more` for people."""
        frames = [Frame(camera.name, camera.height, camera.width, camera.has_depth) for camera in cameras]
        return cls((*frames, *more))

    def give(self, images: Mapping[str, Image], depths: Mapping[str, DepthImage]) -> None:
        """Puts what is new among the captures there; only the station does. About 0.2 ms for new ones."""
        for name, image in images.items():
            if self._given.get(name) != image.stamp_ns:
                self._given[name] = image.stamp_ns
                depth = depths[name].metres.tobytes() if name in depths else b""
                self._frames[name][1].write(_HEAD.pack(image.stamp_ns) + image.pixels.tobytes() + depth)

    def newest(self) -> tuple[Mapping[str, Image], Mapping[str, DepthImage]]:
        """The newest capture of each camera that has one; the same objects while nothing is new."""
        counts = sum(slot.count for slot in self.slots)
        if counts != self._taken:
            self._taken = counts
            for name, (frame, slot) in self._frames.items():
                if slot.count:
                    self._take(name, frame, slot.read())
        return dict(self._images), dict(self._depths)

    def _take(self, name: str, frame: Frame, value: bytes) -> None:
        (stamp_ns,) = _HEAD.unpack_from(value)
        if name in self._images and self._images[name].stamp_ns == stamp_ns:
            return
        shape = (frame.height, frame.width)
        pixels = np.frombuffer(value, np.uint8, count=3 * frame.height * frame.width, offset=_HEAD.size)
        self._images[name] = Image(stamp_ns=stamp_ns, pixels=pixels.reshape(*shape, 3))
        if frame.has_depth:
            # The stamp and three bytes a pixel before it: a copy, so that the floats are aligned.
            metres = np.frombuffer(value[_HEAD.size + pixels.size :], np.float32)
            self._depths[name] = DepthImage(stamp_ns=stamp_ns, metres=metres.reshape(shape))
