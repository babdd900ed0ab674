"""A live run of the demonstrator as a process of its own: `live_run.py FOLDER STRETCH`, which is 1 on a machine that
keeps time; on one that does not, everything that ages may be so many times older."""

import sys
from dataclasses import asdict, replace
from pathlib import Path

from forearm.cell.tasks import task_named
from forearm.policy.choice import policy_named
from forearm.runtime.interruption import Interruption
from forearm.runtime.live.run import Live
from forearm.runtime.live.watchdog import Silence
from forearm.safety.limits import Limits


def main(folder: Path, stretch: float) -> int:
    limits, silence = Limits.of(), Silence()
    limits = replace(limits, state_age_s=limits.state_age_s * stretch, camera_age_s=limits.camera_age_s * stretch)
    silence = Silence(**{part: seconds * stretch for part, seconds in asdict(silence).items()})
    setup = replace(task_named("put-in-box").sample(0), time_limit_s=60.0)
    with (
        Interruption() as interruption,
        Live(setup, policy_named("demonstrator"), folder, limits=limits, silence=silence) as live,
    ):
        ended = live.run(seed=0, emit=lambda event: None, interrupted=lambda: interruption.reason)
    sys.stdout.write(f"{ended.outcome}: {ended.reason}\n")
    return {"done": 0, "failed": 1}.get(ended.outcome, 3)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2])))
