"""Exact depth on video of the cell: the codes of full greedy decoding, in how many passes, beside the published mode.

    python benchmarks/exact_depth.py --json exact.json

A tiny model of the released layout learns to write the map of the cell's top camera (a few minutes, once, below build/),
and then watches two clips frame by frame: a demonstration, and a block that creeps over the table by 2 mm a frame while
the light falls by 1 %. Each frame is decoded three ways: every code greedily (what the map is defined to be), exactly
from the previous frame's codes, and as published, which keeps the codes of cells that look like the frame before. Codes
that differ from greedy decoding are counted, and how far off the truth each map is. Seconds are those computed by this
process, of one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray

import tiny_thinker
from forearm.cell.camera import Cameras
from forearm.cell.physics import Physics
from forearm.cell.solver import task_model
from forearm.model import depth_decoding
from forearm.model.depth import changed_cells
from forearm.model.depth_codes import code_metres
from forearm.model.inputs import Prompter, batch
from forearm.model.released import MolmoAct2
from tiny_thinker import TASK, UNSEEN, Frame

ROOT = Path(__file__).parent.parent
CREEP_M, DIMMING = 0.002, 0.99  # per frame
GHOST = 2  # steps of 14 mm: a code this far from greedy decoding's, or more, shows something that is not there


def creeping(cameras: Cameras, frames: int) -> Iterator[Frame]:
    """A block moves over the table, away from the nearer arm, and it gets darker."""
    setup = tiny_thinker.sample_demonstration(TASK, UNSEEN)
    physics = Physics(task_model(TASK), setup)
    block = physics.model.body("block_1")
    x = physics.model.jnt_qposadr[block.jntadr[0]]
    for number in range(frames):
        seen = tiny_thinker.look(physics, setup, cameras)
        yield Frame(
            pixels=tiny_thinker.dimmed(seen.pixels, DIMMING**number),
            metres=seen.metres,
            positions=seen.positions,
            actions=seen.actions,
            instruction=seen.instruction,
        )
        physics.data.qpos[x] += CREEP_M
        mujoco.mj_forward(physics.model, physics.data)


@dataclass(slots=True, eq=False)
class Way:
    """One way to write the map, and what came of it, frame by frame."""

    codes: list[NDArray[np.int64]] = field(default_factory=list[NDArray[np.int64]])
    passes: list[int] = field(default_factory=list[int])
    seconds: list[float] = field(default_factory=list[float])

    def take(self, decode: Callable[[], depth_decoding.Depth]) -> None:
        """Decodes one frame."""
        began = time.process_time()
        depth = decode()
        self.seconds.append(time.process_time() - began)
        self.codes.append(depth.codes[0].numpy())
        self.passes.append(depth.passes)

    @property
    def latest(self) -> torch.Tensor:
        """(1, N) the codes of the last frame."""
        return torch.tensor(self.codes[-1])[None]


def watch(model: MolmoAct2, prompts: Prompter, clip: list[Frame]) -> dict[str, Way]:
    """The three ways over one clip; each goes by its own codes, and the first frame is decoded in full by all."""
    ways = {"greedy": Way(), "exact": Way(), "published": Way()}
    pace = depth_decoding.Pace()
    before: Frame | None = None
    for frame in clip:
        prompt = batch([tiny_thinker.sample(prompts, frame)], model.config.tokens.pad)
        ways["greedy"].take(lambda: depth_decoding.write(model, prompt))  # noqa: B023  # called at once
        if before is None:
            for name in ("exact", "published"):
                ways[name].take(lambda: depth_decoding.write(model, prompt))  # noqa: B023
        else:
            changed = changed_cells(frame.pixels, before.pixels, tiny_thinker.CELLS**2)
            exact, published = ways["exact"], ways["published"]
            exact.take(lambda: depth_decoding.verify(model, prompt, exact.latest, changed, pace))  # noqa: B023
            published.take(lambda: depth_decoding.rewrite(model, prompt, published.latest, changed))  # noqa: B023
        before = frame
    return ways


def judged(ways: dict[str, Way], clip: list[Frame]) -> dict[str, Any]:
    """What the figures say; the first frame, which has no predecessor, counts for none of them."""
    truth = np.stack([frame.codes for frame in clip])[1:]
    greedy = np.stack(ways["greedy"].codes)[1:]
    metres = code_metres()
    out: dict[str, Any] = {"frames": len(greedy)}
    for name, way in ways.items():
        codes = np.stack(way.codes)[1:]
        error = np.abs(metres[codes] - metres[truth])
        out[name] = {
            "identical_frames": float((codes == greedy).all(1).mean()),
            "different_cells": float((codes != greedy).sum(1).mean()),
            "different_cells_at_the_end": int((codes[-1] != greedy[-1]).sum()),
            "ghost_cells_at_the_end": int((np.abs(codes[-1] - greedy[-1]) >= GHOST).sum()),
            "passes": statistics.mean(way.passes[1:]),
            "most_passes": max(way.passes[1:]),
            "cpu_s": statistics.median(way.seconds[1:]),
            "error_mm": 1e3 * float(error.mean()),
        }
    usual = np.median(truth, axis=0).astype(np.int64)
    out["error_mm_of_a_still_map"] = 1e3 * float(np.abs(metres[usual][None] - metres[truth]).mean())
    out["cells_changing_per_frame"] = float((greedy[1:] != greedy[:-1]).sum(1).mean())
    out["speedup"] = out["greedy"]["cpu_s"] / out["exact"]["cpu_s"]
    return out


def table(name: str, result: dict[str, Any]) -> str:
    """A few lines for a person."""
    lines = [f"{name}, {result['frames']} frames, {result['cells_changing_per_frame']:.1f} of 100 codes change in each"]
    lines.append(
        f"  {'':<10}{'identical':>10}{'passes':>8}{'most':>6}{'cpu ms':>8}{'differ':>8}{'at end':>8}{'error mm':>10}"
    )
    for way in ("greedy", "exact", "published"):
        each = result[way]
        lines.append(
            f"  {way:<10}{each['identical_frames']:>10.1%}{each['passes']:>8.1f}{each['most_passes']:>6}"
            f"{1e3 * each['cpu_s']:>8.1f}{each['different_cells']:>8.2f}{each['different_cells_at_the_end']:>8}"
            f"{each['error_mm']:>10.1f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Both clips, a table each, and the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument("--frames", type=int, default=100, help="of each clip at the most")
    parser.add_argument("--steps", type=int, default=400, help="of training, about 0.3 s each")
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder = ROOT / "build" / "tiny-thinker"
    model = tiny_thinker.trained(folder, given.steps)
    prompts = tiny_thinker.prompter(folder, model.config)
    results: dict[str, Any] = {}
    with Cameras(task_model(TASK)) as cameras:
        clips = {
            "demonstration": list(islice(tiny_thinker.episode(UNSEEN, cameras), given.frames)),
            "slow drift": list(creeping(cameras, given.frames)),
        }
    for name, clip in clips.items():
        results[name] = judged(watch(model, prompts, clip), clip)
        print(table(name, results[name]))
    if given.json:
        about = {
            "parameters": sum(each.numel() for each in model.parameters()),
            "training_steps": given.steps,
            "identical": all(each["exact"]["identical_frames"] == 1.0 for each in results.values()),
        }
        given.json.write_text(json.dumps(about | {"clips": results}, indent=1))


if __name__ == "__main__":
    main()
