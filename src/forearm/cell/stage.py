"""What a fault sees and changes: the truth, what was told, and what the robot is allowed to say about itself.

Invariant: a fault works through here alone. Motors that are deaf stay where they are; what is read passes through every
distortion that is on; nothing else about the cell changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from forearm.cell.physics import Physics
from forearm.cell.setup import Setup
from forearm.messages import Floats, Observation
from forearm.robot.embodiment import BIMANUAL_YAM, Arm

STILL_APART = 0.6  # opening at which fingers do not touch anything yet: the widest object, a block, is 0.43
NOTICED = 0.05  # opening between command and measurement: the gripper was told to move
MOVING_RAD_S = 0.2  # rad/s of a shoulder or elbow: in mid-motion

Distortion = Callable[[Observation], Observation]
"""What is read instead of what is; called at every read while it is on. May raise RobotError, as a robot may."""


class Stage:
    """The cell as a fault sees and changes it: the truth, the last command, the time, its own random draws."""

    def __init__(self, physics: Physics, setup: Setup) -> None:
        self.physics = physics
        self.setup = setup
        self.rng = np.random.default_rng((setup.seed, 5))
        self.command: Floats = np.array(setup.start)
        self.command_before = self.command
        self.elapsed_s = 0.0
        self.deaf: NDArray[np.bool_] = np.zeros(len(BIMANUAL_YAM.joints), dtype=np.bool_)
        """(J,) whether the joint's motor stays where it is, whatever it is told."""
        self.distortions: dict[str, Distortion] = {}
        """By kind of fault."""

    @property
    def things(self) -> list[str]:
        """The objects that can be moved."""
        return [placement.name for placement in self.setup.placements if self.physics.is_free(placement.name)]

    def closing(self, arm: Arm) -> bool:
        """Whether the gripper was told to close and its fingers are still apart."""
        opening = self.physics.positions[arm.gripper]
        return bool(opening > STILL_APART and self.command[arm.gripper] < opening - NOTICED)

    def moving(self) -> bool:
        """Whether any arm is in mid-motion."""
        speeds = self.physics.velocities
        return any(np.abs(speeds[arm.joints][:3]).max() > MOVING_RAD_S for arm in BIMANUAL_YAM.arms)


class Fault(Protocol):
    """One thing that goes wrong once: when it is due it begins, and ends `seconds` later."""

    kind: ClassVar[str]

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        ...

    def begins(self, stage: Stage) -> bool:
        """Begins it if the moment is right; says whether it was."""
        ...

    def ends(self, stage: Stage) -> None:
        """Makes the world as it was, but for what has come of it."""
        ...
