"""A live run as a process of its own: `live_run.py FOLDER STRETCH`, of the demonstrator, for a few seconds.

`live_run.py FOLDER STRETCH FAULT` is one of a policy that turns an arm to and fro, with that fault in the cell, for
longer. Everything that ages may be STRETCH times older: 1 on a machine that keeps time. On any other that policy moves
the arms without a fault too: the demonstrator could be done before a silence has lasted for so long. Says "moving" when
the arms do, and at the end how it went. A file "stop" in the folder is its stop input.
"""

import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from forearm.cell.faults import drawn
from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.events import Event
from forearm.messages import ActionChunk, Decision, Request
from forearm.policy.choice import policy_named
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.interruption import Interruption
from forearm.runtime.live.run import Live
from forearm.runtime.live.watchdog import Silence
from forearm.runtime.patience import Patience
from forearm.runtime.stop_file import StopFile
from forearm.safety.freshness import AGES

MOVING_RAD_S = 0.3
SECONDS = 6.0  # the clean run's length; what is done to it comes earlier
LONGER = 2.5  # times, a run with a fault: it lasts up to 4 s and begins within 2


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Sways:
    """Turns the left arm's base to and fro about where it began; looks at nothing but the joints."""

    name, model_digest = "sways", ""

    def __init__(self, robot: CellRobot) -> None:
        self._middle = float(robot.setup.start[0])

    def reset(self, *, seed: int) -> None: ...

    def decide(self, request: Request) -> Decision:
        seen = request.observation
        rows = np.tile(seen.positions, (16, 1))
        rows[:, 0] = self._middle + 0.4 * np.sin(0.8 * (seen.stamp_ns / 1e9 + 0.1 * np.arange(1, 17)))
        rows[:, BIMANUAL_YAM.grippers] = 1.0
        chunk = ActionChunk(stamp_ns=seen.stamp_ns, period_s=0.1, positions=rows)
        return Decision(
            sequence=seen.sequence, epoch=seen.epoch, plan=None, chunk=chunk, latency_s=0.0, model_digest=""
        )


class Teller:
    def __init__(self) -> None:
        self._told = False

    def __call__(self, event: Event) -> None:
        if not self._told and event.kind == "observed":
            self._told = bool(np.abs(event.observation.velocities).max() > MOVING_RAD_S)
            if self._told:
                say("moving")


def live(folder: Path, stretch: float, fault: str) -> Live:
    images_s = {camera: seconds * stretch for camera, seconds in AGES.images_s.items()}
    ages = replace(AGES, images_s=images_s, depth_s=AGES.depth_s * stretch, state_s=AGES.state_s * stretch)
    silence = Silence(**{part: seconds * stretch for part, seconds in asdict(Silence()).items()})
    patience = Patience(patience_s=2.0 * stretch, warm_up_s=10.0 * stretch)
    setup = task_named("put-in-box").sample(0)
    limit_s = LONGER * SECONDS if fault else SECONDS
    return Live(
        replace(setup, time_limit_s=limit_s * max(1.0, stretch / 4.0)),
        Sways if fault or stretch > 1.0 else policy_named("demonstrator"),
        folder,
        ages=ages,
        silence=silence,
        patience=patience,
        faults=[drawn(fault, 0)] if fault else [],
    )


def main(folder: Path, stretch: float, fault: str = "") -> None:
    stop = StopFile(folder / "stop")
    with Interruption() as interruption, live(folder, stretch, fault) as run:
        ended = run.run(seed=0, emit=Teller(), interrupted=lambda: interruption.reason, external_stop=stop)
    say(f"{ended.outcome}: {ended.reason}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:])
