"""What every robot can do, made of motors or of MuJoCo: be read, take a safe command, stop."""

from __future__ import annotations

from typing import Protocol

from forearm.messages import Observation, SafeCommand
from forearm.robot.embodiment import Embodiment


class Robot(Protocol):
    """Two arms and their cameras. Called from one thread only: the control loop's."""

    @property
    def embodiment(self) -> Embodiment:
        """The fixed description."""
        ...

    def connect(self, epoch: int) -> None:
        """Opens the robot for session `epoch`, under power and holding its pose. Blocks.

        Raises:
            RobotError: when it cannot be reached or does not answer.
        """
        ...

    def read(self) -> Observation:
        """The newest state and images. Never blocks for a new image; ≤ 1 ms where no image is new.

        Raises:
            RobotError: when the state is unknown.
        """
        ...

    def send(self, command: SafeCommand) -> None:
        """Sets the joint targets until the next call. Never blocks.

        Raises:
            RobotError: when the command cannot reach the joints.
        """
        ...

    def stop(self) -> None:
        """Holds the pose it is in, under power: YAM arms fall without torque. May be called at any time, repeatedly.

        Grippers keep what they were told, so that nothing held is dropped.
        """
        ...

    def close(self) -> None:
        """Lets go of what `connect` took; the arms keep holding."""
        ...
