"""What vetting says of decisions that must not be executed."""

import numpy as np

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import find_task
from forearm.clock import SimulatedClock
from forearm.messages import ActionChunk, Decision, Floats, Observation
from forearm.safety.limits import Limits
from forearm.safety.vetting import Vetting


def decision(observation: Observation, positions: Floats) -> Decision:
    """A decision that answers the observation with these joint targets (H, 14), 0.1 s apart."""
    chunk = ActionChunk(stamp_ns=observation.stamp_ns, period_s=0.1, positions=positions)
    return Decision(
        sequence=observation.sequence, epoch=observation.epoch, plan=None, chunk=chunk, latency_s=0.0, model_digest=""
    )


def main() -> None:
    """Vets four chunks: standing still, a jump, a NaN, and an arm that leans into the table."""
    setup = find_task("lift the tray with both arms").sample(seed=1)
    clock = SimulatedClock()
    robot = CellRobot(setup=setup, clock=clock)
    robot.connect(epoch=1)
    observation = robot.read()
    robot.close()
    vetting = Vetting(Limits.of(robot.embodiment))

    still = np.tile(observation.positions, (16, 1))
    jump, missing, leaning = still.copy(), still.copy(), still.copy()
    jump[:, 1] += 1.0
    missing[3, 2] = np.nan
    leaning[:, 1] += np.linspace(0.05, 0.8, 16)  # the left shoulder leans forward until the hand is in the table
    for name, positions in {"still": still, "jump": jump, "NaN": missing, "leaning": leaning}.items():
        verdict = vetting.vet(decision(observation, positions), observation, clock.now_ns())
        print(f"{name}: {verdict.outcome.name}")
        for finding in verdict.findings:
            print(f"  {finding.check}: {finding.text}")


if __name__ == "__main__":
    main()
