"""What a robot says wrongly of itself or the world: cameras, encoders and the bus, each lying in one way for a while.

Invariant: a lapse changes what is read, never what is; a stamp or number is untrue only where that is the lapse.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from forearm.cell.stage import Distortion, Stage
from forearm.clock import NANOSECONDS
from forearm.errors import RobotError
from forearm.messages import DepthImage, Image, Observation
from forearm.robot.embodiment import BIMANUAL_YAM

CAMERAS = tuple(camera.name for camera in BIMANUAL_YAM.cameras)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapse:
    """From `after_s` s into the run, for `seconds`, what is read passes through a distortion made at that moment."""

    kind: ClassVar[str]
    after_s: float = 0.0
    seconds: float = 3.0

    def begins(self, stage: Stage) -> bool:
        if stage.elapsed_s < self.after_s:
            return False
        stage.distortions[self.kind] = self.distortion()
        return True

    def ends(self, stage: Stage) -> None:
        del stage.distortions[self.kind]

    def distortion(self) -> Distortion:
        """What is read from now on."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleImages(Lapse):
    """Stale perception: `cameras` repeat their last image and depth, old stamps and all."""

    kind: ClassVar[str] = "stale perception"
    cameras: tuple[str, ...] = CAMERAS

    def distortion(self) -> Distortion:
        last: list[Observation] = []

        def repeat(seen: Observation) -> Observation:
            last[:] = last or [seen]
            return _seeing(seen, last[0], self.cameras)

        return repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenImages(Lapse):
    """A frozen camera that looks healthy: the picture stands still, its stamps go on. Depth stays true."""

    kind: ClassVar[str] = "frozen camera"
    cameras: tuple[str, ...] = CAMERAS

    def distortion(self) -> Distortion:
        last: list[Observation] = []

        def repeat(seen: Observation) -> Observation:
            last[:] = last or [seen]
            frozen = {
                name: Image(stamp_ns=seen.images[name].stamp_ns, pixels=last[0].images[name].pixels)
                for name in self.cameras
            }
            return replace(seen, images={**seen.images, **frozen})

        return repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class LateImages(Lapse):
    """Late frames: every picture, with its own stamp, comes `late_s` s after it was taken."""

    kind: ClassVar[str] = "late frames"
    late_s: float = 0.35

    def distortion(self) -> Distortion:
        under_way: deque[Observation] = deque()

        def delay(seen: Observation) -> Observation:
            under_way.append(seen)
            while len(under_way) > 1 and under_way[1].stamp_ns <= seen.stamp_ns - round(self.late_s * NANOSECONDS):
                under_way.popleft()
            return _seeing(seen, under_way[0], CAMERAS)

        return delay


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthHoles(Lapse):
    """Depth that is missing in the middle of every image, as over glare or glass: `share` of its height and width."""

    kind: ClassVar[str] = "depth holes"
    share: float = 0.6

    def distortion(self) -> Distortion:
        def pierce(seen: Observation) -> Observation:
            depths: dict[str, DepthImage] = {}
            for name, depth in seen.depths.items():
                metres = depth.metres.copy()
                edge = (1.0 - self.share) / 2.0
                rows, columns = (slice(round(n * edge), round(n * (1.0 - edge))) for n in metres.shape)
                metres[rows, columns] = np.nan
                depths[name] = DepthImage(stamp_ns=depth.stamp_ns, metres=metres)
            return replace(seen, depths=depths)

        return pierce


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder(Lapse):
    """An encoder that lies: joint number `joint` reads `off_rad` too much, or nothing at all where that is NaN."""

    kind: ClassVar[str] = "encoder off"
    joint: int = 1
    off_rad: float = 0.3

    def distortion(self) -> Distortion:
        def shift(seen: Observation) -> Observation:
            positions = seen.positions.copy()
            positions[self.joint] += self.off_rad
            return replace(seen, positions=positions)

        return shift


@dataclass(frozen=True, slots=True, kw_only=True)
class StillJoints(Lapse):
    """A bus that repeats its last reading: all joints stand still under new stamps and numbers."""

    kind: ClassVar[str] = "joints repeat"

    def distortion(self) -> Distortion:
        last: list[Observation] = []

        def repeat(seen: Observation) -> Observation:
            last[:] = last or [seen]
            old = last[0]
            return replace(seen, positions=old.positions, velocities=old.velocities, efforts=old.efforts)

        return repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class OldJoints(Lapse):
    """A driver that gives its last reading again and again: all of it, old stamp and number."""

    kind: ClassVar[str] = "reading repeats"

    def distortion(self) -> Distortion:
        last: list[Observation] = []

        def repeat(seen: Observation) -> Observation:
            last[:] = last or [seen]
            return last[0]

        return repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class Backwards(Lapse):
    """The robot's clock goes back: everything read is stamped `by_s` s too early."""

    kind: ClassVar[str] = "stamps go back"
    by_s: float = 0.03

    def distortion(self) -> Distortion:
        def stamp(seen: Observation) -> Observation:
            return replace(seen, stamp_ns=seen.stamp_ns - round(self.by_s * NANOSECONDS))

        return stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence(Lapse):
    """A bus that does not answer."""

    kind: ClassVar[str] = "bus silent"

    def distortion(self) -> Distortion:
        def fail(seen: Observation) -> Observation:
            raise RobotError("arms: got no answer for 20 ms, an answer is needed; check the cable")

        return fail


def _seeing(seen: Observation, other: Observation, cameras: Sequence[str]) -> Observation:
    """`seen` with the pictures of `other` from those cameras."""
    images = {name: (other if name in cameras else seen).images[name] for name in seen.images}
    depths = {name: (other if name in cameras else seen).depths[name] for name in seen.depths}
    return replace(seen, images=images, depths=depths)
