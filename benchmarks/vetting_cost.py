"""What vetting a chunk and guarding a tick cost on one core.

    python benchmarks/vetting_cost.py --json vetting_cost.json

Chunks are smooth motions of both arms from home, plan and depth map included; once more with the five walls of a box
and a block that either hand may hold. Wall time is what a control loop feels, CPU time is
what the work takes; on a machine that does other work too the two differ.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core, before numpy starts its threads

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.geometry import Box
from forearm.messages import ActionChunk, Command, Decision, DepthImage, Image, Observation, Plan
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses
from forearm.safety.guard import Guard
from forearm.safety.limits import TICK_S, Limits
from forearm.safety.vetting import Vetting
from forearm.safety.workspace import Held, Workspace

HOME = np.array([0.611, 1.467, 1.299, -1.403, 0.0, -1.571, 1.0])
BOTH_HOME = np.concatenate([HOME, HOME * [-1, 1, 1, 1, -1, -1, 1]])
PERIOD_S = 0.1
CALLS, TICKS = 1000, 5000
DEPTH = np.random.default_rng(2).uniform(0.8, 0.802, (120, 120)).astype(np.float32)
WALLS = ((0, 0, 0.003), (0.068, 0, 0.03), (-0.068, 0, 0.03), (0, 0.068, 0.03), (0, -0.068, 0.03))
SIZES = ((0.07, 0.07, 0.003), *((0.003, 0.07, 0.03),) * 2, *((0.07, 0.003, 0.03),) * 2)
FURNISHED = Workspace(
    fixtures=tuple(
        Box(name="box", centre=(0.29 + x, -0.305 + y, z), half=half)
        for (x, y, z), half in zip(WALLS, SIZES, strict=True)
    ),
    held=tuple(Held.box("block", arm, (0.02, 0.02, 0.02), (0.3, 1.0)) for arm in ("left", "right")),
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


def measure(calls: list[Callable[[], object]]) -> dict[str, float]:
    """Wall and CPU time of the calls, s."""
    wall, cpu = np.empty(len(calls)), np.empty(len(calls))
    for number, call in enumerate(calls):
        before, before_cpu = time.perf_counter(), time.thread_time()
        call()
        cpu[number], wall[number] = time.thread_time() - before_cpu, time.perf_counter() - before
    return {
        f"{clock}_{name}_s": float(np.quantile(values, quantile))
        for clock, values in (("wall", wall), ("cpu", cpu))
        for name, quantile in (("p50", 0.5), ("p99", 0.99))
    }


def chunks(rows: int, workspace: Workspace | None = None) -> dict[str, float]:
    """What vetting chunks of that many rows costs; most of them are allowed."""
    generator = np.random.default_rng(0)
    vetting = Vetting(Limits.of(), workspace=workspace)
    here = observation(way(np.zeros(1), generator)[0], 0)
    decisions = [decision(rows, generator) for _ in range(CALLS)]
    allowed = sum(vetting.vet(each, here, 0).vetted is not None for each in decisions)
    return {**measure([lambda d=each: vetting.vet(d, here, 0) for each in decisions]), "allowed": allowed / CALLS}


def ticks() -> dict[str, float]:
    """What guarding one tick costs on a ride that is allowed throughout."""
    generator = np.random.default_rng(1)
    path = way(TICK_S * np.arange(TICKS), generator)
    guard, calls, allowed = Guard(Limits.of()), [], []
    for number, positions in enumerate(path):
        now_ns = round(number * TICK_S * NANOSECONDS)
        command = Command(stamp_ns=now_ns, sequence=number, epoch=1, positions=positions)
        seen = observation(positions, now_ns)
        calls.append(lambda c=command, o=seen, n=now_ns: allowed.append(guard.review(c, o, n).command is not None))
    return {**measure(calls), "allowed": float(np.mean(allowed))}


def main() -> None:
    """Measures, prints, and writes the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    results = {
        "vetting_16x14": chunks(16),
        "vetting_30x14": chunks(30),
        "vetting_30x14_furnished": chunks(30, FURNISHED),
        "guard_tick": ticks(),
    }
    print(f"{'':24}{'p50':>10}{'p99':>10}{'cpu p50':>10}{'cpu p99':>10}{'allowed':>10}")
    for name, each in results.items():
        times = "".join(f"{each[key] * 1e3:>7.2f} ms" for key in each if key != "allowed")
        print(f"{name:24}{times}{each['allowed']:>10.1%}")
    if arguments.json:
        about = {
            "machine": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "numpy": np.__version__,
        }
        arguments.json.write_text(json.dumps({**results, "about": about}, indent=1) + "\n")


if __name__ == "__main__":
    main()
