"""How long a model of ours takes for one decision, and with what: medians over real observations of the cell.

    python benchmarks/decision_latency.py --json latency.json
    python benchmarks/decision_latency.py --policy station --json latency.json

Times one process with 1 and then with 2 threads. Compare figures of one run only: cores are shared with other work.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from forearm.cell.simulator import CellRobot
from forearm.clock import SimulatedClock
from forearm.messages import Observation, Request
from forearm.model.checkpoint import Checkpoint
from forearm.model.flow import sample
from forearm.model.reasoner import Reasoner
from forearm.policy.choice import checkpoint_named, tasks_for
from forearm.policy.reasoning import ReasoningPolicy
from forearm.policy.seeing import see

SCENES = 24  # shared out over the model's tasks
REPEATS = 5


def observations(policy: str) -> list[Observation]:
    """First looks at unseen scenes of every task that the model was taught."""
    seen, tasks = [], tasks_for(policy)
    for task in tasks:
        for seed in range(5000, 5000 + max(1, SCENES // len(tasks))):
            robot = CellRobot(setup=task.sample(seed), clock=SimulatedClock())
            robot.connect(epoch=1)
            seen.append(robot.read())
            robot.close()
    return seen


@torch.inference_mode()
def parts(policy: ReasoningPolicy, made: Checkpoint[Reasoner], observation: Observation) -> dict[str, float]:
    """Seconds of each part of one decision, and of the whole through the policy."""
    spent, model = dict[str, float](), made.model

    def timed(name: str, work: Callable[[], object]) -> object:
        started = time.perf_counter()
        done = work()
        spent[name] = time.perf_counter() - started
        return done

    timed("whole decision", lambda: policy.decide(Request(observation=observation)))
    sight, _, tools = see(observation, made.words, made.scales)  # the same inputs, to take the decision apart
    timed("vision", lambda: (model.top_stem(sight.top), model.wrist_stem(sight.wrists.flatten(0, 1))))
    cache = model.new_cache()
    reading = timed("vision and decoder", lambda: model.read(sight, cache))
    spent["decoder"] = spent.pop("vision and decoder") - spent["vision"]
    codes = timed("depth", lambda: reading.depth.argmax(-1))
    points = timed("point", lambda: model.points(reading, reading.points.argmax(-1)))
    traces = timed("trace", lambda: model.plan(codes, points, tools, cache))
    timed("commit", lambda: model.commit(traces, tools, cache))
    noise = torch.zeros(1, model.config.expert.horizon, model.config.expert.action_dim)
    timed("flow", lambda: sample(model.expert, model.context(cache), noise, model.config.flow.steps))
    return spent


def measure(made: Checkpoint[Reasoner], threads: int, seen: list[Observation]) -> dict[str, dict[str, float]]:
    """Median and 99th percentile of every part, ms."""
    torch.set_num_threads(threads)
    policy = ReasoningPolicy(made)
    policy.decide(Request(observation=seen[0]))
    rows = [parts(policy, made, each) for _ in range(REPEATS) for each in seen]
    by_part = {name: np.array([row[name] for row in rows]) * 1e3 for name in rows[0]}
    return {name: {"p50": float(np.median(ms)), "p99": float(np.quantile(ms, 0.99))} for name, ms in by_part.items()}


def main() -> None:
    """Measures and prints a table; writes JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--policy", default="nano", help="nano, station, or a checkpoint's folder")
    arguments = parser.parse_args()
    made = checkpoint_named(arguments.policy)
    if made is None:
        parser.error(f"policy: got {arguments.policy!r}, a model that reasons is needed; name nano or station")
    seen = observations(arguments.policy)
    tables = {f"{threads} thread{'s' * (threads > 1)}": measure(made, threads, seen) for threads in (1, 2)}
    for name, table in tables.items():
        print(
            f"{arguments.policy} {made.digest[:12]}, {name}: ms a decision, p50 (p99) over {REPEATS * len(seen)} decisions"
        )
        for part, figures in table.items():
            print(f"  {part:15s} {figures['p50']:7.2f} ({figures['p99']:.2f})")
    if arguments.json:
        result = {"policy": arguments.policy, "model_digest": made.digest, **tables}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
