"""`forearm run`: one sentence becomes a reasoned, vetted, recorded motion."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import tyro

from forearm.cli.asked import at_least, folder_at
from forearm.cli.exits import BY_OUTCOME, Exit
from forearm.cli.override import By, operator_by

if TYPE_CHECKING:
    from forearm.cell.setup import Setup
    from forearm.events import SessionEnded
    from forearm.policy.choice import MakePolicy
    from forearm.runtime.known import Known
    from forearm.runtime.operator import Operator, TraceDesk

WITH_A_PERSON_S = 600.0  # s; a person who holds is not hurried by the task's own limit


def run(
    instruction: tyro.conf.Positional[str],
    /,
    seed: int = 0,
    out: Path | None = None,
    policy: str = "model",
    real_time: bool = False,
    override: By | None = None,
    gamepad: Path | None = None,
    stop_file: Path | None = None,
) -> int:
    """Does what the sentence says in the simulated cell, and leaves a log and a report.

    Exits 0 when the task is done, 1 when it failed, 2 when the input was bad or refused, 3 when safety stopped it, 70
    when something broke, and 128 and the signal when one ended it. Prints the run's folder. Without --policy the
    smallest shipped model that can be asked this does it. A limits.json beside the weights refuses what it does not
    allow; a calibration.json raises alarms: three in a row make the arms hold for a person, if any (--override).

      forearm run "put the red block in the box"
      forearm run "hand the blue bar to the left arm and place it on the pad" --seed 3 --out runs/bar
      forearm run "please put the red cube into the box" --policy station
      forearm run "lift the tray with both arms" --real-time
      forearm run "put the red block in the box" --override keys
      forearm run "put the red block in the box" --override gamepad
      forearm run "put the red block in the box" --override script < acts.txt

    Args:
        instruction: what to do; what the policy cannot be asked, or not in these words, is refused with what it can.
        seed: draws the scene and the policy's noise; the same seed gives the same run.
        out: a new folder for the run; by default runs/TIME-SENTENCE.
        policy: nano, station, demonstrator, hold, a checkpoint's folder (ours or released), or a run's, to replay it.
        real_time: by the machine's clock, with station, inference, recorder and a watchdog in processes of their own,
            as real arms would be run; a run then does not repeat itself exactly. Linux only.
        override: a person may hold, step, move the arms and hand back: with keys in this terminal or a gamepad, and the
            run then keeps the machine's pace, or by a script on standard input, one line an act: SECONDS hold, resume,
            step, take-over, hand-back, jog ARM X Y Z in m, move JOINT BY in rad, or edit ARM X Y Z in m, which shifts
            the path planned next, not with --real-time. With a gamepad an arm moves only while its shoulder button is
            held; the others are shown at the start. A keyboard or gamepad that is lost stops the run.
        gamepad: the gamepad's device; the first of /dev/input/js* by default. Linux only.
        stop_file: the arms stop as soon as this file exists, or it cannot be seen whether it does. Software on an
            ordinary computer looks for it: it is not a safety function and replaces no emergency stop.
    """
    from forearm.policy.choice import answering, scene_for, weights_folder
    from forearm.runtime.known import read_known
    from forearm.runtime.stop_file import StopFile

    at_least(0, seed=seed)
    stop = str if stop_file is None else StopFile(stop_file)
    policy = answering(policy, lambda name: scene_for(name, instruction, seed))
    setup = scene_for(policy, instruction, seed)
    folder = out or _default_folder(setup.instruction)
    with operator_by(override, device=gamepad) as operator:
        if operator is not None:
            setup = replace(setup, time_limit_s=WITH_A_PERSON_S)
        known = read_known(weights_folder(policy))
        wanted = _Wanted(
            setup=setup, policy=policy, seed=seed, folder=folder, known=known, operator=operator, stop=stop
        )
        told = _lived(wanted) if real_time else _simulated(wanted, paced=override in ("keys", "gamepad"))
    return _summarized(told, policy, folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """A run as it was asked for."""

    setup: Setup
    policy: str
    seed: int
    folder: Path
    known: Known
    operator: Operator | None
    stop: Callable[[], str]

    def recipe(self, model: object) -> str:
        """For the log."""
        return json.dumps({"command": "run", "policy": self.policy, "seed": self.seed, "model": model})


class _Told(NamedTuple):
    """How a run of these weights ended, after how many s of its time, by which signal or 0, and what its log lacks."""

    ended: SessionEnded
    model_digest: str
    duration_s: float
    signal: int
    log_fault: str


def _simulated(wanted: _Wanted, *, paced: bool) -> _Told:
    """Runs it, logged in its folder and told on the terminal."""
    from forearm.cli.story import Story
    from forearm.clock import PacedClock, RealClock, SimulatedClock
    from forearm.events import Event
    from forearm.provenance import code_version
    from forearm.runtime.interruption import Interruption
    from forearm.runtime.simulation import Simulation
    from forearm.telemetry.recorder import LosslessRecorder
    from forearm.telemetry.writer import FILE_NAME, LogWriter

    make_policy, desk = _with_desk(wanted)
    simulation = Simulation(
        wanted.setup,
        make_policy,
        outside_view=True,
        operator=wanted.operator,
        desk=desk,
        clock=PacedClock(RealClock()) if paced else SimulatedClock(),
        known=wanted.known,
    )
    log = LogWriter.create(folder_at(wanted.folder) / FILE_NAME)
    with Interruption() as interruption, LosslessRecorder(log) as recorder, Story() as story:

        def emit(event: Event) -> None:
            recorder.emit(event)
            story.tell(event)

        simulated = simulation.run(
            seed=wanted.seed,
            emit=emit,
            commit=code_version(),
            recipe=wanted.recipe(getattr(simulation.policy, "recipe", None)),
            interrupted=lambda: interruption.reason,
            external_stop=wanted.stop,
        )
    run = simulated.ended, simulation.policy.model_digest, simulated.duration_s, int(interruption.signal or 0)
    return _Told(*run, log_fault=recorder.close().fault)


def _with_desk(wanted: _Wanted) -> tuple[MakePolicy, TraceDesk | None]:
    """What makes the policy, and where a person's edits of its trace go, if there are a person and a trace."""
    from forearm.policy.choice import checkpoint_named, policy_named

    if wanted.operator is None or checkpoint_named(wanted.policy) is None:
        return policy_named(wanted.policy), None
    from forearm.policy.reasoning import Intervention
    from forearm.runtime.operator import TraceDesk

    desk = TraceDesk()
    return policy_named(wanted.policy, intervene=lambda robot: Intervention(trace=desk)), desk


def _lived(wanted: _Wanted) -> _Told:
    """The same in real time, with a process for each part that may fail."""
    from forearm.cli.story import Story, StoryLog
    from forearm.clock import NANOSECONDS, RealClock
    from forearm.policy.choice import about_policy, policy_named
    from forearm.provenance import code_version
    from forearm.runtime.interruption import Interruption
    from forearm.runtime.live.run import Live
    from forearm.telemetry.recorder import Recorder

    about_policy(wanted.policy)  # weights that cannot be read are refused before there is a folder
    live = Live(
        wanted.setup,
        policy_named(wanted.policy),
        folder_at(wanted.folder),
        outside_view=True,
        operator=wanted.operator,
        known=wanted.known,
    )
    with Interruption() as interruption, Story() as story, Recorder(StoryLog(story)) as teller, live:
        started_ns = RealClock().now_ns()
        ended = live.run(
            seed=wanted.seed,
            emit=teller.emit,
            commit=code_version(),
            recipe=wanted.recipe(live.policy.recipe),
            interrupted=lambda: interruption.reason,
            external_stop=wanted.stop,
        )
    duration_s = (ended.stamp_ns - started_ns) / NANOSECONDS
    run = ended, live.policy.model_digest, duration_s, int(interruption.signal or 0)
    return _Told(*run, log_fault=live.log_fault)


def _default_folder(instruction: str) -> Path:
    words = "".join(letter if letter.isalnum() else "-" for letter in instruction.lower())
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{words}"


def _summarized(told: _Told, policy: str, folder: Path) -> int:
    """Says how it ended, of which policy, and writes the report; the code to exit with."""
    from rich.markup import escape

    from forearm.cli.terminal import PEOPLE, say, with_digest
    from forearm.errors import LogError
    from forearm.evaluation.report import write_report

    ended, duration_s = told.ended, told.duration_s
    colour = {"done": "green", "failed": "yellow"}.get(ended.outcome, "red")
    with suppress(OSError):  # a terminal that closed may be what ended the run
        PEOPLE.print(f"[bold {colour}]{ended.outcome}[/] after {duration_s:.1f} s: {escape(ended.reason)}")
        if told.log_fault:
            fault = f"[bold red]the log is not whole[/]: {escape(told.log_fault)}"
            PEOPLE.print(fault, highlight=False, soft_wrap=True)
    try:
        report = str(write_report(folder))
    except (LogError, OSError) as error:  # what stopped the run may have stopped its log
        report = f"none: {error}"
    with suppress(OSError):
        lines = f"policy  {with_digest(policy, told.model_digest)}\nreport  {report}\nlog     {folder / 'run.mcap'}"
        PEOPLE.print(lines, markup=False, highlight=False, soft_wrap=True)
        say(str(folder))
    if told.signal:
        return 128 + told.signal
    return Exit.BROKEN if told.log_fault else BY_OUTCOME[ended.outcome]
