"""When pictures are taken: in the control loop's own thread, or beside it.

Either way a picture shows the cell at the instant its stamp says.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import mujoco

from forearm.cell.camera import Cameras
from forearm.cell.physics import Physics
from forearm.cell.scene import OUTSIDE
from forearm.cell.variation import Look
from forearm.errors import RobotError
from forearm.messages import DepthImage, Image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Views:
    """The pictures of one instant by camera name; depths of the robot's own cameras alone."""

    images: Mapping[str, Image]
    depths: Mapping[str, DepthImage]


class Shutter(Protocol):
    """Takes pictures of one cell. Called from the robot's thread only."""

    def open(self, physics: Physics, names: Sequence[str], stamp_ns: int) -> None:
        """Makes the renderer for the cameras `names` and takes the first pictures. Blocks."""
        ...

    def press(self, physics: Physics, stamp_ns: int) -> None:
        """Takes the pictures of this instant."""
        ...

    def newest(self) -> Views:
        """The newest pictures there are. Never blocks.

        Raises:
            RobotError: when the cameras have failed.
        """
        ...

    def close(self) -> None:
        """Lets go of the renderer. Safe to call at any time."""
        ...


class InlineShutter:
    """Takes every picture at once, in the caller's thread, 6 ms for three cameras: the same bytes every time."""

    def __init__(self) -> None:
        self._cameras: Cameras | None = None

    def open(self, physics: Physics, names: Sequence[str], stamp_ns: int) -> None:
        self.close()
        self._cameras, self._names = Cameras(physics.model), tuple(names)
        self.press(physics, stamp_ns)

    def press(self, physics: Physics, stamp_ns: int) -> None:
        assert self._cameras is not None  # open comes first
        self._views = _take(self._cameras, physics.model, physics.data, physics.look, self._names, stamp_ns)

    def newest(self) -> Views:
        return self._views

    def close(self) -> None:
        if self._cameras is not None:
            self._cameras.close()
            self._cameras = None


class BackgroundShutter:
    """Takes pictures in a thread of its own, so that a loop in real time does not wait for them.

    A press while the last pictures are still being made is dropped: cameras fall behind, the loop does not.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def open(self, physics: Physics, names: Sequence[str], stamp_ns: int) -> None:
        self.close()
        self._names, self._views, self._failure = tuple(names), Views(images={}, depths={}), ""
        self._pressed, self._idle = threading.Event(), threading.Event()
        self._closing = False
        self._model, self._look, self._still = physics.model, physics.look, mujoco.MjData(physics.model)
        self._idle.set()
        self._thread = threading.Thread(target=self._work, name="cell cameras", daemon=True)
        self._thread.start()
        self.press(physics, stamp_ns)
        self._idle.wait()
        self.newest()

    def press(self, physics: Physics, stamp_ns: int) -> None:
        if self._idle.is_set():
            mujoco.mj_copyData(self._still, self._model, physics.data)
            self._stamp_ns = stamp_ns
            self._idle.clear()
            self._pressed.set()

    def newest(self) -> Views:
        if self._failure:
            raise RobotError(f"cell cameras: got {self._failure}, pictures are needed; connect again")
        return self._views

    def close(self) -> None:
        if self._thread is not None:
            self._closing = True
            self._pressed.set()
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        try:
            with Cameras(self._model) as cameras:
                while self._pressed.wait() and not self._closing:
                    self._pressed.clear()
                    self._views = _take(cameras, self._model, self._still, self._look, self._names, self._stamp_ns)
                    self._idle.set()
        except Exception as error:  # reported by the next `newest`: a thread has nobody to raise to
            self._failure = repr(error)
            self._idle.set()


def _take(
    cameras: Cameras,
    model: mujoco.MjModel,
    data: mujoco.MjData,
    look: Look,
    names: tuple[str, ...],
    stamp_ns: int,
) -> Views:
    images: dict[str, Image] = {}
    depths: dict[str, DepthImage] = {}
    for name in names:
        seen = cameras.capture(model, data, name, look)
        images[name] = Image(stamp_ns=stamp_ns, pixels=seen.pixels)
        if name != OUTSIDE:
            depths[name] = DepthImage(stamp_ns=stamp_ns, metres=seen.metres)
    return Views(images=images, depths=depths)
