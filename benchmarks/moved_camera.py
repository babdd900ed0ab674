"""How exactly a main camera that was moved is found by the arms that it sees, and what finding it costs.

    python benchmarks/moved_camera.py --scenes 60 --json moved_camera.json

In scenes of three tasks the camera is moved, turned and zoomed at random, up to the amounts of each line, with and
without noise and missing depth. A place that is refused costs a session; one that is put right wrongly costs accuracy,
so their errors are what counts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from math import radians
from pathlib import Path

import numpy as np

from forearm.cell.drawing import drawn
from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.cell.variation import Mount
from forearm.clock import SimulatedClock
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.rectification import Rectification
from forearm.robot.registration import register
from forearm.runtime.registered import verdict_on

CAMERA = BIMANUAL_YAM.cameras[0]
TASKS = ("put-in-box", "stack", "put-everything-in-box")
FIRST_SEED = 950_000
# Up to so many m, degrees and share of the view; noise m and share of pixels without depth.
LINES = (
    (0.0, 0.0, 0.0, 0.0, 0.0),
    (0.02, 2.0, 0.05, 0.0, 0.0),
    (0.03, 3.0, 0.08, 0.0, 0.0),
    (0.03, 3.0, 0.08, 0.004, 0.4),
    (0.06, 6.0, 0.10, 0.0, 0.0),
    (0.10, 10.0, 0.10, 0.0, 0.0),
)


def moved(most: tuple[float, float, float], rng: np.random.Generator) -> Mount:
    """A camera off its drawing by 0.3 to 1 times the most, in any direction."""
    shift_m, turn_deg, zoom = most
    shift, turn = (direction / np.linalg.norm(direction) for direction in rng.normal(size=(2, 3)))
    shift, turn = shift * shift_m * rng.uniform(0.3, 1.0), turn * radians(turn_deg) * rng.uniform(0.3, 1.0)
    return Mount(
        camera=CAMERA.name,
        shift=(shift[0], shift[1], shift[2]),
        turn=(turn[0], turn[1], turn[2]),
        zoom=1.0 + rng.uniform(-zoom, zoom),
    )


def measure(line: tuple[float, float, float, float, float], scenes: int) -> dict[str, object]:
    """One line of the table."""
    *most, noise_m, missing = line
    rng, verdicts = np.random.default_rng(0), Counter[str]()
    errors, costs = list[tuple[float, ...]](), list[tuple[float, float]]()
    for number in range(scenes):
        scene = task_named(TASKS[number % len(TASKS)]).sample(FIRST_SEED + number)
        mount = moved((most[0], most[1], most[2]), rng)
        robot = CellRobot(setup=replace(scene, look=replace(scene.look, mounts=(mount,))), clock=SimulatedClock())
        robot.connect(1)
        seen = robot.read()
        robot.close()
        metres = seen.depths[CAMERA.name].metres
        metres = metres + rng.normal(scale=noise_m, size=metres.shape)
        metres[rng.random(metres.shape) < missing] = np.nan
        begun = time.perf_counter()
        found = register(metres.astype(np.float32), partial(drawn, seen.positions), CAMERA.pinhole)
        registered = time.perf_counter()
        put_right = Rectification(found, CAMERA.pinhole)
        made = time.perf_counter()
        put_right(seen.images[CAMERA.name].pixels, metres.astype(np.float32))
        costs.append((registered - begun, time.perf_counter() - made))
        verdict = verdict_on(found)
        verdicts[verdict] += 1
        if verdict in ("as drawn", "put right"):
            focal = np.tan(CAMERA.fovy / 2.0) / np.tan(CAMERA.fovy * mount.zoom / 2.0)
            turned = np.degrees(np.linalg.norm(found.turn_rad - mount.turn))
            shifted_mm = float(np.linalg.norm(found.shift_m - mount.shift)) * 1e3
            errors.append((shifted_mm, float(turned), float(abs(found.focal - focal)) * 100))
    rows = np.array(errors).reshape(-1, 3)
    named = ("mm", "degrees", "percent of focal length")
    return {
        "up to": dict(zip(("m", "degrees", "of the view", "noise m", "missing"), line, strict=True)),
        "verdicts": dict(verdicts),
        "median error": dict(zip(named, np.median(rows, axis=0).tolist(), strict=True)) if len(rows) else None,
        "largest error": dict(zip(named, rows.max(axis=0).tolist(), strict=True)) if len(rows) else None,
        "register s": float(np.median([each for each, _ in costs])),
        "put right s": float(np.median([each for _, each in costs])),
    }


def main() -> None:
    """Measures, prints, and writes the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=60, help="per line")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    results = [measure(line, arguments.scenes) for line in LINES]
    for each in results:
        print(json.dumps(each))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
