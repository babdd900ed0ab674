"""How well a plan's depth map tells the world it was made in from another one.

    python benchmarks/plan_against_world.py --seeds 10 --json plan_against_world.json

The shipped model works in the cell, and every decision's stated depth map is judged against four depth images: that of
its own observation (an objection is a false hold), that of a decision two before where the view has changed since (a
frozen camera), that of another scene (a swapped one), and its own with a box that nobody knows of.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from forearm.cell.tasks import task_named
from forearm.events import Decided, Event, Observed
from forearm.messages import DepthImage, Observation, Plan
from forearm.policy.choice import MODEL, policy_named, tasks_for
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.simulation import Simulation
from forearm.safety.depth_agreement import depth_agrees
from forearm.safety.limits import Limits

CAMERA = BIMANUAL_YAM.cameras[0]
FIRST_SEED = 930_000
CHANGED_M = 0.01  # m, mean change of a depth image from which a frozen one is worth noticing
BOXES = ((0.15, 0.15), (0.20, 0.20), (0.15, 0.30), (0.25, 0.10))  # m, side and height


@dataclass(frozen=True)
class Case:
    """What one decision said and had before it."""

    scene: tuple[str, int]
    plan: Plan
    observation: Observation

    def held(self, metres: np.ndarray | None = None) -> bool:
        """Whether vetting would hold it, with another depth image where one is given."""
        seen = self.observation
        if metres is not None:
            depth = DepthImage(stamp_ns=seen.stamp_ns, metres=metres.astype(np.float32))
            seen = replace(seen, depths={CAMERA.name: depth})
        return bool(depth_agrees(self.plan, seen, CAMERA, Limits.of(), age_s=0.5))

    @property
    def metres(self) -> np.ndarray:
        """What the camera measured."""
        return self.observation.depths[CAMERA.name].metres


def cases(task: str, seed: int) -> list[Case]:
    """One session of the model."""
    found, observations = [], dict[int, Observation]()
    setup = task_named(task).sample(seed)

    def emit(event: Event) -> None:
        if isinstance(event, Observed):
            observations[event.stamp_ns] = event.observation
        elif isinstance(event, Decided) and event.decision.plan is not None:
            observation = observations[event.decision.chunk.stamp_ns]
            found.append(Case((task, seed), event.decision.plan, observation))
            observations.clear()

    Simulation(setup, policy_named(MODEL)).run(seed=seed, emit=emit)
    return found


def with_box(metres: np.ndarray, side_m: float, height_m: float, rng: np.random.Generator) -> np.ndarray:
    """The depth image with a box standing somewhere on the table between the arms."""
    pose = CAMERA.cell_from_camera
    assert pose is not None
    columns, rows = np.meshgrid(np.arange(CAMERA.width) + 0.5, np.arange(CAMERA.height) + 0.5)
    rays = CAMERA.pinhole.unproject(np.stack([columns, rows], axis=-1), np.ones(columns.shape)) @ pose.rotation.T
    centre = np.array([rng.uniform(0.2, 0.5), rng.uniform(-0.55, -0.06), height_m / 2])
    half = np.array([side_m, side_m, height_m]) / 2
    one, other = (centre - half - pose.translation) / rays, (centre + half - pose.translation) / rays
    enters, leaves = np.minimum(one, other).max(axis=-1), np.maximum(one, other).min(axis=-1)
    return np.minimum(metres, np.where((enters <= leaves) & (enters > 0), enters, np.inf))


def share(held: list[bool]) -> dict[str, float]:
    """How many of how many."""
    return {"held": sum(held), "of": len(held), "share": sum(held) / max(len(held), 1)}


def judge(everything: list[Case]) -> dict[str, dict[str, float]]:
    """Every figure."""
    rng = np.random.default_rng(0)
    others = [everything[index] for index in rng.permutation(len(everything))]
    swapped = [
        case.held(other.metres) for case, other in zip(everything, others, strict=True) if case.scene != other.scene
    ]
    frozen = [
        later.held(earlier.metres)
        for earlier, later in zip(everything, everything[2:], strict=False)
        if earlier.scene == later.scene and np.nanmean(np.abs(earlier.metres - later.metres)) > CHANGED_M
    ]
    results = {"its own (false holds)": share([case.held() for case in everything])}
    results |= {"frozen since two decisions": share(frozen), "another scene": share(swapped)}
    for side_m, height_m in BOXES:
        held = [case.held(with_box(case.metres, side_m, height_m, rng)) for case in everything]
        results[f"unknown box {side_m:.2f} m wide, {height_m:.2f} m high"] = share(held)
    return results


def main() -> None:
    """Measures, prints, and writes the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="sessions per task")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + arguments.seeds)
    results = judge([case for task in tasks_for(MODEL) for seed in seeds for case in cases(task.name, seed)])
    for name, each in results.items():
        print(f"{name:40}{each['held']:>6} of {each['of']:>5}  {each['share']:>6.1%}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
