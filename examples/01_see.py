"""The cell as a robot sees it: three cameras, metric depth, joints."""

import numpy as np

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import find_task
from forearm.clock import SimulatedClock


def main() -> None:
    """Opens a scene and says what is in one observation."""
    instruction = "put the red block in the box"
    setup = find_task(instruction).sample(seed=7, instruction=instruction)
    robot = CellRobot(setup=setup, clock=SimulatedClock())
    robot.connect(epoch=1)
    observation = robot.read()
    robot.close()
    print(f"{setup.task}: {observation.instruction}")
    for name, image in observation.images.items():
        depth = observation.depths[name].metres
        print(f"  {name}: {image.pixels.shape}, surfaces {np.nanmin(depth):.2f} to {np.nanmax(depth):.2f} m away")
    for joint, position in zip(robot.embodiment.joints, observation.positions, strict=True):
        print(f"  {joint.name}: {position:+.3f} {joint.unit}")


if __name__ == "__main__":
    main()
