"""How long and how far the arms go on after something says stop, in the simulated cell.

    python benchmarks/stop_time.py --json stop_time.json

Each case is repeated at random phases of demonstrators' motions. Times count from the instant of the fault or the
request, so that finding out is part of them; ways are of the tool that went farthest from the command to stop on.
What is measured is the simulated robot's, at its own clock: it says what the software adds, not what real arms do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")

import numpy as np

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import NANOSECONDS, SimulatedClock
from forearm.events import Event, Stopped
from forearm.messages import Image, Observation, VettedChunk
from forearm.policy.baselines import Demonstrator
from forearm.runtime.inference import Answer, SimulatedInference
from forearm.runtime.patience import Patience
from forearm.runtime.session import Charge, Session
from forearm.runtime.steering import Steering
from forearm.safety.gates import Gates
from forearm.safety.limits import Limits

TASKS = ("put-in-box", "hand-over", "lift")
FIRST_S, LAST_S = 0.6, 2.6  # s after the start, between which everything moves in every task
PATIENCE = Patience(patience_s=0.5)  # holds of this benchmark are not waited out: the first stop is what is measured


@dataclass
class Case:
    """One session in which something says stop at `at_ns`."""

    name: str
    at_ns: int
    clock: SimulatedClock


class Cell(CellRobot):
    """The cell, whose cameras fail at an instant in the way that the case names."""

    case: Case

    def read(self) -> Observation:
        observation = super().read()
        if observation.stamp_ns < self.case.at_ns:
            self._last = observation.images
            return observation
        if self.case.name == "cameras stop":
            return replace(observation, images=self._last)
        if self.case.name == "cameras repeat":
            images = {
                name: Image(stamp_ns=image.stamp_ns, pixels=self._last[name].pixels)
                for name, image in observation.images.items()
            }
            return replace(observation, images=images)
        return observation


class Thinking(SimulatedInference):
    """Thinking that, where the case says so, begins and never comes to an answer."""

    case: Case

    def offer(self, observation: Observation, needed_ns: int, following: VettedChunk | None = None) -> None:
        if self.case.name != "inference hangs" or observation.stamp_ns < self.case.at_ns:
            super().offer(observation, needed_ns, following)

    def take(self, now_ns: int) -> Answer | None:
        hangs = self.case.name == "inference hangs" and now_ns >= self.case.at_ns
        return None if hangs else super().take(now_ns)


CASES: dict[str, str] = {
    "cameras stop": "no new images any more",
    "cameras repeat": "the same bytes under new stamps",
    "inference hangs": "no answer any more",
    "operator": "a person asks the session to end",
    "external stop": "the cell's stop input asks",
    "external stop fails": "the stop input raises",
}


def asked(case: Case, name: str) -> Callable[[], str]:
    """What asks for a stop from the case's instant on, where the case is called that."""

    def reason() -> str:
        due = case.clock.now_ns() >= case.at_ns
        if due and case.name == f"{name} fails":
            raise OSError("no answer from the input")
        return f"{name} asks" if due and case.name == name else ""

    return reason


def stopped(name: str, number: int, generator: np.random.Generator) -> Stopped:
    """The first stop of one session, in which `name` happens at a random instant."""
    setup = task_named(TASKS[number % len(TASKS)]).sample(2000 + number)
    clock = SimulatedClock()
    case = Case(name=name, at_ns=round(generator.uniform(FIRST_S, LAST_S) * NANOSECONDS), clock=clock)
    robot, policy = Cell(setup=setup, clock=clock), Demonstrator.rehearse(setup)
    gates, events = Gates.of(Limits.of()), list[Event]()
    robot.case = case
    inference = Thinking(policy, gates.vetting)
    inference.case = case
    Session(
        charge=Charge(instruction=setup.instruction, seed=number, time_limit_s=12.0),
        robot=robot,
        policy=policy,
        gates=gates,
        steering=Steering.of(inference, gates, events.append),
        goal=robot,
        clock=clock,
        emit=events.append,
        patience=PATIENCE,
        interrupted=asked(case, "operator"),
        external_stop=asked(case, "external stop"),
    ).run()
    found = [event for event in events if isinstance(event, Stopped)]
    return replace(found[0], stamp_ns=case.at_ns)  # from here on that stamp is the instant of the fault


def figures(stops: list[Stopped]) -> dict[str, float]:
    """Medians and maxima in s and m; how many were measured standing."""
    noticed = np.array([(each.commanded_ns - each.stamp_ns) / NANOSECONDS for each in stops])
    standing = [each for each in stops if each.standing_ns is not None]
    to_stand = np.array([((each.standing_ns or 0) - each.commanded_ns) / NANOSECONDS for each in standing])
    whole = np.array([((each.standing_ns or 0) - each.stamp_ns) / NANOSECONDS for each in standing])
    way = np.array([max(each.tools_m) for each in stops])
    rows = {"noticed_s": noticed, "to_stand_s": to_stand, "whole_s": whole, "way_m": way}
    summary = {
        f"{key}_{name}": float(reduce(values))
        for key, values in rows.items()
        for name, reduce in (("p50", np.median), ("max", np.max))
    }
    return {"stops": len(stops), "standing": len(standing), **summary}


def main() -> None:
    """Measures, prints, and writes the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--repetitions", type=int, default=20, help="of each case; 20 by default")
    arguments = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    print(
        f"{'':22}{'standing':>10}{'noticed, s':>16}{'to stand, s':>16}{'both, s':>16}{'way, mm':>16}   (median / max)"
    )
    for name in CASES:
        generator = np.random.default_rng(0)
        result = figures([stopped(name, number, generator) for number in range(arguments.repetitions)])
        results[name] = result
        times = "".join(
            f"{result[f'{key}_p50']:>9.2f} /{result[f'{key}_max']:>5.2f}"
            for key in ("noticed_s", "to_stand_s", "whole_s")
        )
        way = f"{result['way_m_p50'] * 1e3:>9.0f} /{result['way_m_max'] * 1e3:>5.0f}"
        print(f"{name:22}{result['standing']:>6.0f}/{result['stops']:<3.0f}{times}{way}", flush=True)
        if arguments.json:
            about = {"cases": CASES, "repetitions": arguments.repetitions, "machine": platform.machine()}
            arguments.json.write_text(json.dumps({**results, "about": about}, indent=1) + "\n")


if __name__ == "__main__":
    main()
