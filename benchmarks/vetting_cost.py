"""What vetting a chunk and guarding a tick cost on one core.

    python benchmarks/vetting_cost.py --json vetting_cost.json

Real chunks and ticks are those of sessions of the shipped model in the cell, kept and shown to fresh gates again, which
are to answer as they did then. Beside them 30 rows of smooth motions of both arms, plan and depth map included. Each
once more with the five walls of a box and a block in either hand: there many chunks are cut or refused, which takes more
looking. Wall time is what a control loop feels, CPU time is what the work takes; on a machine that does other work too
the two differ. `cpu_least_*` is over the least of `REPEATS` repetitions of each call: what the work itself
takes, without what other work on the machine adds to it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core, before numpy starts its threads

import numpy as np

from forearm.cell.simulator import CellRobot
from forearm.clock import NANOSECONDS, SimulatedClock
from forearm.geometry import Box
from forearm.messages import ActionChunk, Command, Decision, DepthImage, Held, Image, Observation, Plan, Verdict
from forearm.policy.choice import MODEL, policy_named, tasks_for
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses
from forearm.runtime.chunks import ChunkBuffer
from forearm.runtime.helm import Helm
from forearm.runtime.inference import SimulatedInference
from forearm.runtime.session import Charge, Session
from forearm.runtime.steering import Steering
from forearm.safety.gates import Gates
from forearm.safety.guard import Guard
from forearm.safety.limits import TICK_S, Limits
from forearm.safety.vetting import Vetting
from forearm.safety.workspace import Workspace

HOME = np.array([0.611, 1.467, 1.299, -1.403, 0.0, -1.571, 1.0])
BOTH_HOME = np.concatenate([HOME, HOME * [-1, 1, 1, 1, -1, -1, 1]])
PERIOD_S = 0.1
CALLS, TICKS, REPEATS = 300, 5000, 5
DEPTH = np.random.default_rng(2).uniform(0.8, 0.802, (120, 120)).astype(np.float32)
WALLS = ((0, 0, 0.003), (0.068, 0, 0.03), (-0.068, 0, 0.03), (0, 0.068, 0.03), (0, -0.068, 0.03))
SIZES = ((0.07, 0.07, 0.003), *((0.003, 0.07, 0.03),) * 2, *((0.07, 0.003, 0.03),) * 2)
FURNISHED = Workspace(
    fixtures=tuple(
        Box(name="box", centre=(0.29 + x, -0.305 + y, z), half=half)
        for (x, y, z), half in zip(WALLS, SIZES, strict=True)
    ),
)
BLOCKS = tuple(
    Held(name="block", arm=arm, centre=(0.0, 0.0, 0.0), half=(0.025, 0.02, 0.025)) for arm in ("left", "right")
)


def observation(positions: np.ndarray, stamp_ns: int) -> Observation:
    """Both arms at rest there; images of the station's sizes, new every 0.1 s."""
    capture_ns = stamp_ns - stamp_ns % round(PERIOD_S * NANOSECONDS)
    images = {
        camera.name: Image(
            stamp_ns=capture_ns,
            pixels=np.full((camera.height, camera.width, 3), capture_ns // 10**8 % 251, dtype=np.uint8),
        )
        for camera in BIMANUAL_YAM.cameras
    }
    return Observation(
        stamp_ns=stamp_ns,
        sequence=stamp_ns,
        epoch=1,
        positions=positions,
        velocities=np.zeros(14),
        efforts=np.zeros(14),
        images=images,
        depths={"top": DepthImage(stamp_ns=stamp_ns, metres=DEPTH)},
        instruction="",
    )


def way(seconds: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(T, 14) both arms swinging out from home and back, at up to 0.5 rad/s, from rest."""
    swing = generator.uniform(0.03, 0.12, 14) * (1.0 - np.cos(np.outer(seconds, generator.uniform(1.0, 4.0, 14))))
    swing[:, [6, 13]] -= 0.5
    return BOTH_HOME + swing


def decision(rows: int, generator: np.random.Generator) -> Decision:
    """A decision of that many rows, whose trace is what its chunk does."""
    path = way(PERIOD_S * np.arange(1, rows + 1), generator)
    ahead = np.array([2, 5, 9, 15])
    plan = Plan(
        subtask="",
        depth_tokens=np.zeros(0, dtype=np.int64),
        depth_map=np.full((10, 10), 0.8),
        points=np.zeros((2, 2)),
        trace=tool_poses(path[ahead])[0].transpose(1, 0, 2),
        trace_grippers=np.ones((2, len(ahead))),
        trace_times_s=PERIOD_S * (ahead + 1.0),
        confidence=1.0,
    )
    chunk = ActionChunk(stamp_ns=0, period_s=PERIOD_S, positions=path)
    return Decision(sequence=0, epoch=1, plan=plan, chunk=chunk, latency_s=0.0, model_digest="")


class Kept:
    """A gate that keeps what it is asked and how it answered, once a session has begun."""

    def __init__(self, ask: Callable[..., Verdict], reset: Callable[[Observation], None]) -> None:
        self._ask, self._reset = ask, reset
        self.asked = list[tuple[tuple[Any, Observation, int], bool]]()

    def vet(self, question: Any, seen: Observation, now_ns: int) -> Verdict:
        """Asks the real gate."""
        verdict = self._ask(question, seen, now_ns)
        self.asked.append(((question, seen, now_ns), verdict.vetted is not None or verdict.command is not None))
        return verdict

    review = vet

    def reset(self, seen: Observation) -> None:
        """Forgets what was asked: what comes before a guard's last reset is its proof."""
        self._reset(seen)
        self.asked.clear()


def sessions(count: int) -> list[tuple[Kept, Kept, str]]:
    """What vetting and guard were asked in that many sessions of the model, and the model's digest."""
    return [session(number) for number in range(count)]


def session(number: int) -> tuple[Kept, Kept, str]:
    """One session, the tasks taking turns."""
    tasks = tasks_for(MODEL)
    setup, clock = tasks[number % len(tasks)].sample(number), SimulatedClock()
    robot = CellRobot(setup=setup, clock=clock)
    policy = policy_named(MODEL)(robot)
    gates = Gates.of(Limits.of(), model_digest=policy.model_digest)
    vets, reviews = Kept(gates.vetting.vet, lambda seen: None), Kept(gates.guard.review, gates.guard.reset)
    helm = Helm(SimulatedInference(policy, vets), gates.helm_vetting)
    Session(
        charge=Charge(instruction=setup.instruction, seed=number, time_limit_s=setup.time_limit_s),
        robot=robot,
        policy=policy,
        gates=replace(gates, guard=reviews),
        steering=Steering(helm=helm, chunks=ChunkBuffer(gates.limits)),
        goal=robot,
        clock=clock,
        emit=lambda event: None,
    ).run()
    return vets, reviews, policy.model_digest


def measure(make_calls: Callable[[], Sequence[Callable[[], bool]]]) -> dict[str, float]:
    """Wall and CPU time s of the calls, made anew for each repetition; each says whether it was let through."""
    wall, cpu, allowed = list[list[float]](), list[list[float]](), list[bool]()
    for _ in range(REPEATS):
        wall.append([])
        cpu.append([])
        for call in make_calls():
            before, before_cpu = time.perf_counter(), time.thread_time()
            allowed.append(call())
            cpu[-1].append(time.thread_time() - before_cpu)
            wall[-1].append(time.perf_counter() - before)
    figures = {
        f"{clock}_{name}_s": float(np.quantile(values, quantile))
        for clock, values in (("wall", wall), ("cpu", cpu), ("cpu_least", np.min(cpu, axis=0)))
        for name, quantile in (("p50", 0.5), ("p99", 0.99))
    }
    return {**figures, "calls": len(cpu[0]), "allowed": float(np.mean(allowed))}


def smooth_chunks(workspace: Workspace | None = None, held: tuple[Held, ...] = ()) -> dict[str, float]:
    """What vetting 30 rows of smooth motion costs."""
    generator = np.random.default_rng(0)
    vetting = Vetting(Limits.of(), workspace=workspace)
    here = replace(observation(way(np.zeros(1), generator)[0], 0), held=held)
    decisions = [decision(30, generator) for _ in range(CALLS)]
    return measure(lambda: [lambda d=each: vetting.vet(d, here, 0).vetted is not None for each in decisions])


def real_chunks(
    kept: list[tuple[Kept, Kept, str]], workspace: Workspace | None = None, held: tuple[Held, ...] = ()
) -> dict[str, float]:
    """What vetting the model's chunks costs, with that in the hands."""

    def calls() -> list[Callable[[], bool]]:
        gates = [Vetting(Limits.of(), model_digest=digest, workspace=workspace) for _, _, digest in kept]
        asked = [
            (gate, question, replace(seen, held=held), now_ns)
            for gate, (vets, _, _) in zip(gates, kept, strict=True)
            for (question, seen, now_ns), _ in vets.asked
        ]
        return [lambda a=each: a[0].vet(*a[1:]).vetted is not None for each in asked]

    return measure(calls)


def real_ticks(kept: list[tuple[Kept, Kept, str]]) -> dict[str, float]:
    """What guarding the sessions' ticks costs; `answered` is the share that fresh guards answer as those did."""

    def calls() -> list[Callable[[], bool]]:
        gates = [Guard(Limits.of()) for _ in kept]
        return [
            lambda g=gate, a=asked, was=passed: (g.review(*a).command is not None) == was
            for gate, (_, reviews, _) in zip(gates, kept, strict=True)
            for asked, passed in reviews.asked
        ]

    figures = measure(calls)
    return {**figures, "answered": figures.pop("allowed")}


def smooth_ticks() -> dict[str, float]:
    """What guarding one tick costs on a ride that is allowed throughout."""
    path = way(TICK_S * np.arange(TICKS), np.random.default_rng(1))
    asked = list[tuple[Command, Observation, int]]()
    for number, positions in enumerate(path):
        now_ns = round(number * TICK_S * NANOSECONDS)
        command = Command(stamp_ns=now_ns, sequence=number, epoch=1, positions=positions)
        asked.append((command, observation(positions, now_ns), now_ns))

    def calls() -> list[Callable[[], bool]]:
        guard = Guard(Limits.of())
        return [lambda a=each: guard.review(*a).command is not None for each in asked]

    return measure(calls)


def main() -> None:
    """Measures, prints, and writes the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--sessions", type=int, default=6, help="sessions of the model whose chunks and ticks are used")
    arguments = parser.parse_args()
    load, kept = os.getloadavg()[0], sessions(arguments.sessions)
    results = {
        "vetting_30x14": smooth_chunks(),
        "vetting_30x14_furnished": smooth_chunks(FURNISHED, BLOCKS),
        "vetting_real": real_chunks(kept),
        "vetting_real_furnished": real_chunks(kept, FURNISHED, BLOCKS),
        "guard_smooth": smooth_ticks(),
        "guard_real": real_ticks(kept),
    }
    heads = ("p50", "p99", "cpu p50", "cpu p99", "least p50", "least p99")
    print(f"{'ms':24}" + "".join(f"{head:>10}" for head in heads) + f"{'calls':>8}{'allowed':>9}{'as then':>9}")
    for name, each in results.items():
        times = "".join(f"{value * 1e3:>10.2f}" for key, value in each.items() if key.endswith("_s"))
        shares = "".join(f"{each[key]:>9.1%}" if key in each else " " * 9 for key in ("allowed", "answered"))
        print(f"{name:24}{times}{each['calls']:>8.0f}{shares}")
    if arguments.json:
        about = {
            "machine": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": [load, os.getloadavg()[0]],
            "numpy": np.__version__,
        }
        arguments.json.write_text(json.dumps({**results, "about": about}, indent=1) + "\n")


if __name__ == "__main__":
    main()
