"""What the model says before it acts, and what happens when a person edits it."""

import numpy as np

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import find_task
from forearm.clock import SimulatedClock
from forearm.messages import Floats, Observation, Request
from forearm.model import checkpoint
from forearm.policy.reasoning import Intervention, ReasoningPolicy
from forearm.robot.kinematics import tool_poses


def raised(_: Observation, waypoints: Floats) -> Floats:
    """Every waypoint 4 cm higher; waypoints are x, y, z in m and the gripper's opening."""
    return waypoints + np.array([0.0, 0.0, 0.04, 0.0])


def main() -> None:
    """Decides twice about one observation: as planned, and with the trace raised by 4 cm."""
    instruction = "put the red block in the box"
    setup = find_task(instruction).sample(seed=7, instruction=instruction)
    robot = CellRobot(setup=setup, clock=SimulatedClock())
    robot.connect(epoch=1)
    observation = robot.read()
    robot.close()
    weights = checkpoint.read(checkpoint.SHIPPED)
    decision = ReasoningPolicy(weights).decide(Request(observation=observation))
    edited = ReasoningPolicy(weights, intervention=Intervention(trace=raised)).decide(Request(observation=observation))
    assert decision.plan is not None
    print(f"subtask: {decision.plan.subtask} (confidence {decision.plan.confidence:.2f})")
    for arm, point, trace in zip(("left", "right"), decision.plan.points, decision.plan.trace, strict=True):
        where = "will neither open nor close" if np.isnan(point).any() else f"acts at {point.round(2)} of the image"
        print(f"  {arm} {where}; its tool will be at {trace[-1].round(3)} m in {decision.plan.trace_times_s[-1]} s")
    before, _ = tool_poses(decision.chunk.positions[-1])
    after, _ = tool_poses(edited.chunk.positions[-1])
    print(f"the edited trace ends the chunk {((after - before)[:, 2] * 1000).round()} mm higher (left, right)")


if __name__ == "__main__":
    main()
