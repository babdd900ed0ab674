"""A robot whose main camera may have been moved: found by the arms that it sees, its pictures put right, or refused.

Invariant: nothing moves where the main camera measures the arms and is not found by them, is found farther off than its
pictures can be put right, or measures the table at another height than was ever tried. Where nothing of the arms is
measured nothing can be told; the pictures stay as they are then, and as ever the plan's map is held against them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import degrees
from typing import Literal

import numpy as np

from forearm.errors import RobotError
from forearm.events import CameraRegistered, Emit
from forearm.messages import DepthImage, Floats, Image, Observation, SafeCommand
from forearm.robot.embodiment import Embodiment
from forearm.robot.interface import Robot
from forearm.robot.rectification import Rectification
from forearm.robot.registration import LEAST_FIT, Drawn, Registration, register

Draw = Callable[[Floats, float], Drawn]
"""What the main camera would measure of the empty cell from where it is drawn, the joints at those positions (J,), and
the table so many m higher than drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """How far off a camera may be: `shift_m` m, `turn_rad` rad, and `focal` of its focal length."""

    shift_m: float
    turn_rad: float
    focal: float

    def allows(self, found: Registration) -> bool:
        """Whether the camera is no farther off than that in any way."""
        off = np.linalg.norm(found.shift_m), np.linalg.norm(found.turn_rad), abs(found.focal - 1.0)
        return bool(np.all(np.array(off) <= (self.shift_m, self.turn_rad, self.focal)))


UNNOTICED = Play(shift_m=0.003, turn_rad=0.0035, focal=0.004)  # half a pixel; registering errs by a tenth of that
MOST = Play(shift_m=0.03, turn_rad=0.0525, focal=0.1)  # what is found for certain from where the camera is drawn
MOST_TABLE_M = 0.02  # m higher or lower than drawn, which is how every check has it; 0.015 was tried


class RegisteredRobot:
    """`robot`, with its main camera's pictures as from where that is drawn; it is found at a session's first read.

    Args:
        robot: what is read and moved.
        draw: what its main camera would measure.
        emit: is told where the camera was found.
    """

    def __init__(self, robot: Robot, draw: Draw, emit: Emit) -> None:
        self._robot, self._draw, self._emit = robot, draw, emit
        self._camera = robot.embodiment.cameras[0]
        self._registered = False
        self._rectification: Rectification | None = None
        self._newest: tuple[Image, DepthImage, Image, DepthImage] | None = None

    @property
    def embodiment(self) -> Embodiment:
        return self._robot.embodiment

    def connect(self, epoch: int) -> None:
        self._registered, self._rectification, self._newest = False, None, None
        self._robot.connect(epoch)

    def read(self) -> Observation:
        """The newest state and images; 0.1 to 0.3 s the first time, 6 ms for a new picture that is put right.

        Raises:
            RobotError: when the state is unknown, or the main camera is not where its pictures can be put right.
        """
        seen = self._robot.read()
        if not self._registered:
            self._rectification, self._registered = self._register(seen), True
        return seen if self._rectification is None else self._put_right(seen, self._rectification)

    def send(self, command: SafeCommand) -> None:
        self._robot.send(command)

    def stop(self) -> None:
        self._robot.stop()

    def close(self) -> None:
        self._robot.close()

    def _register(self, seen: Observation) -> Rectification | None:
        depth = seen.depths.get(self._camera.name)
        if depth is None:
            return None  # a camera that measures none; one that should is judged by the gates
        found = register(depth.metres, partial(self._draw, seen.positions), self._camera.pinhole)
        verdict = verdict_on(found)
        text = _text(self._camera.name, found, verdict)
        self._emit(
            CameraRegistered(
                stamp_ns=seen.stamp_ns,
                camera=self._camera.name,
                verdict=verdict,
                shift_m=tuple(found.shift_m.tolist()),
                turn_rad=tuple(found.turn_rad.tolist()),
                focal=found.focal,
                table_m=found.table_m,
                arms_fit=found.arms_fit,
                text=text,
            )
        )
        if verdict == "refused":
            raise RobotError(text)
        return Rectification(found, self._camera.pinhole) if verdict == "put right" else None

    def _put_right(self, seen: Observation, rectification: Rectification) -> Observation:
        """With the main camera's picture and depth as from where it is drawn; the same ones are put right once."""
        name = self._camera.name
        image, depth = seen.images.get(name), seen.depths.get(name)
        if image is None or depth is None:  # a picture that cannot be put right is none, which the gates hold
            images = {camera: each for camera, each in seen.images.items() if camera != name}
            depths = {camera: each for camera, each in seen.depths.items() if camera != name}
            return replace(seen, images=images, depths=depths)
        if self._newest is None or self._newest[0] is not image or self._newest[1] is not depth:
            pixels, metres = rectification(image.pixels, depth.metres)
            self._newest = image, depth, replace(image, pixels=pixels), replace(depth, metres=metres)
        *_, image, depth = self._newest
        return replace(seen, images={**seen.images, name: image}, depths={**seen.depths, name: depth})


def verdict_on(found: Registration) -> Literal["as drawn", "put right", "unknown", "refused"]:
    """What is made of a camera that was found there."""
    if not found.told:
        return "unknown"
    if not found.found or not MOST.allows(found) or abs(found.table_m) > MOST_TABLE_M:
        return "refused"
    return "as drawn" if UNNOTICED.allows(found) else "put right"


def _text(name: str, found: Registration, verdict: str) -> str:
    if not found.told:
        return f"{name} camera: it measures nothing of the arms, so that it cannot be told where it stands."
    if not found.found:
        return (
            f"{name} camera: got {found.arms_fit:.0%} of the arms where their joints say, {LEAST_FIT:.0%} are needed; "
            "see whether the camera was moved, the arms are hidden from it, or a joint's zero is off"
        )
    shift_mm, turn = float(np.linalg.norm(found.shift_m)) * 1e3, degrees(float(np.linalg.norm(found.turn_rad)))
    where = (
        f"{shift_mm:.0f} mm and {turn:.1f}° from where it is drawn, its focal length {found.focal - 1.0:+.1%}, "
        f"the table {found.table_m * 1e3:+.0f} mm"
    )
    if verdict == "refused" and MOST.allows(found):
        most = f"{MOST_TABLE_M * 1e3:.0f} mm higher or lower than drawn"
        return f"{name} camera: got {where}, allowed is a table up to {most}; level it, or draw it where it stands"
    if verdict == "refused":
        most = f"{MOST.shift_m * 1e3:.0f} mm, {degrees(MOST.turn_rad):.0f}° and {MOST.focal:.0%}"
        return f"{name} camera: got {where}, allowed are {most}; put it back, or draw it where it stands"
    what = "its pictures are put right." if verdict == "put right" else "that is as drawn."
    return f"{name} camera: {where}; {what}"
