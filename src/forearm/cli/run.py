"""`forearm run`: one sentence becomes a reasoned, vetted, recorded motion."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from forearm.cli.exits import BY_OUTCOME

if TYPE_CHECKING:
    from forearm.runtime.simulation import Simulated, Simulation


def run(
    instruction: tyro.conf.Positional[str],
    /,
    seed: int = 0,
    out: Path | None = None,
    policy: str = "model",
) -> int:
    """Does what the sentence says in the simulated cell, and leaves a log and a report.

    Exits 0 when the task is done, 1 when it failed, 2 when the input was bad or refused, 3 when safety stopped it.
    Prints the run's folder.

      forearm run "put the red block in the box"
      forearm run "hand the blue bar to the left arm and place it on the pad" --seed 3 --out runs/bar

    Args:
        instruction: what to do; an unknown one is refused with a list of what can be done.
        seed: draws the scene and the policy's noise; the same seed gives the same run.
        out: a new folder for the run; by default runs/TIME-SENTENCE.
        policy: model, demonstrator, hold, a checkpoint's folder, or a run's folder to replay its decisions.
    """
    from forearm.cell.tasks import find_task
    from forearm.evaluation.report import write_report
    from forearm.policy.choice import policy_named
    from forearm.runtime.simulation import Simulation

    setup = find_task(instruction).sample(seed, instruction)
    simulation = Simulation(setup, policy_named(policy), outside_view=True)
    folder = out or _default_folder(setup.instruction)
    simulated, signal = _recorded(simulation, folder, seed, policy)
    page = write_report(folder)
    _summarize(simulated, folder, page)
    return 128 + signal if signal else BY_OUTCOME[simulated.ended.outcome]


def _recorded(simulation: Simulation, folder: Path, seed: int, policy: str) -> tuple[Simulated, int]:
    """Runs it, logged in `folder` and told on the terminal; also the signal that ended it, or 0."""
    from forearm.cli.story import Story
    from forearm.events import Event
    from forearm.provenance import code_version
    from forearm.runtime.interruption import Interruption
    from forearm.telemetry.recorder import LosslessRecorder
    from forearm.telemetry.writer import FILE_NAME, LogWriter

    folder.mkdir(parents=True, exist_ok=True)
    recipe = {"command": "run", "policy": policy, "seed": seed, "model": getattr(simulation.policy, "recipe", None)}
    log = LogWriter.create(folder / FILE_NAME)
    with Interruption() as interruption, LosslessRecorder(log) as recorder, Story() as story:

        def emit(event: Event) -> None:
            recorder.emit(event)
            story.tell(event)

        simulated = simulation.run(
            seed=seed,
            emit=emit,
            commit=code_version(),
            recipe=json.dumps(recipe),
            interrupted=lambda: interruption.reason,
        )
    return simulated, int(interruption.signal or 0)


def _default_folder(instruction: str) -> Path:
    words = "".join(letter if letter.isalnum() else "-" for letter in instruction.lower())
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{words}"


def _summarize(simulated: Simulated, folder: Path, page: Path) -> None:
    from forearm.cli.terminal import PEOPLE, say

    ended = simulated.ended
    colour = {"done": "green", "failed": "yellow"}.get(ended.outcome, "red")
    PEOPLE.print(f"[bold {colour}]{ended.outcome}[/] after {simulated.duration_s:.1f} s: {ended.reason}")
    PEOPLE.print(f"report  {page}\nlog     {folder / 'run.mcap'}", highlight=False, soft_wrap=True)
    say(str(folder))
