"""What forearm uses of ruckig 0.19, whose module is compiled and without types."""

from enum import Enum

class ControlInterface(Enum):
    Position = 0
    Velocity = 1

class Synchronization(Enum):
    No = 3

class Result(int): ...

class InputParameter:
    current_position: list[float]
    current_velocity: list[float]
    current_acceleration: list[float]
    target_position: list[float]
    max_velocity: list[float]
    max_acceleration: list[float]
    max_jerk: list[float]
    control_interface: ControlInterface
    synchronization: Synchronization
    def __init__(self, degrees_of_freedom: int) -> None: ...

class OutputParameter:
    new_position: list[float]
    def __init__(self, degrees_of_freedom: int) -> None: ...
    def pass_to_input(self, input: InputParameter) -> None: ...

class Ruckig:
    def __init__(self, degrees_of_freedom: int, delta_time: float) -> None: ...
    def update(self, input: InputParameter, output: OutputParameter) -> Result: ...
    def calculate(self, input: InputParameter, trajectory: Trajectory) -> Result: ...

class Trajectory:
    duration: float
    def __init__(self, degrees_of_freedom: int) -> None: ...
    def at_time(self, time: float) -> tuple[list[float], list[float], list[float]]: ...
