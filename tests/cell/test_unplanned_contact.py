"""An arm that meets what nobody planned to meet is held, in the real physics and within a stated time."""

from dataclasses import replace

import numpy as np

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import NANOSECONDS, SimulatedClock
from forearm.messages import Command, Outcome, Verdict
from forearm.robot.kinematics import tool_poses
from forearm.safety.guard import Guard
from forearm.safety.limits import TICK_S, Limits

WITHIN_S = 0.3  # s from the tool's last motion to the hold; 0.15 s of it are the guard's own patience
TICK_NS = round(TICK_S * NANOSECONDS)
# A table that is much higher than was said: for this guard fingers may go half a metre below it.
WRONG_TABLE = replace(Limits.of(), finger_height_m=-0.5)


def lowered(seconds: float) -> tuple[list[float], list[Verdict]]:
    """Turns joint 2 of the left arm down at 0.5 rad/s; the tool's heights and the verdicts, up to the first refusal."""
    clock = SimulatedClock()
    robot = CellRobot(setup=task_named("lift").sample(3), clock=clock)
    robot.connect(1)
    guard, heights, verdicts = Guard(WRONG_TABLE), list[float](), list[Verdict]()
    at, speed = np.array(robot.read().positions), 0.0
    for tick in range(round(seconds / TICK_S)):
        clock.sleep_until(tick * TICK_NS)
        observation = robot.read()
        speed = min(0.5, speed + 0.02)
        at[1] += speed * TICK_S
        command = Command(stamp_ns=observation.stamp_ns, sequence=tick, epoch=1, positions=at)
        verdicts.append(guard.review(command, observation, observation.stamp_ns))
        heights.append(float(tool_poses(observation.positions)[0][0, 2]))
        if verdicts[-1].command is None:
            break
        robot.send(verdicts[-1].command)
    robot.close()
    return heights, verdicts


def test_an_arm_that_is_pressed_on_a_table_is_held_soon_after_it_stopped_going_down() -> None:
    heights, verdicts = lowered(3.0)
    assert verdicts[-1].outcome is Outcome.HOLD
    (finding,) = verdicts[-1].findings
    assert (finding.check, finding.unit) == ("effort", "N m")
    assert finding.subject.startswith("left_joint")
    assert all(verdict.outcome is Outcome.ALLOW for verdict in verdicts[:-1])
    falling = np.diff(heights) < -0.5e-3 * 0.4  # still at a fifth of the 2 mm that a tick goes down
    last_motion = int(np.nonzero(falling)[0][-1])
    assert (len(heights) - 1 - last_motion) * TICK_S <= WITHIN_S
