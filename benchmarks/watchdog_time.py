"""How soon and how far from there the arms stand when a part of a live run is killed (kill -9) or stopped (SIGSTOP).

    python benchmarks/watchdog_time.py --repetitions 10 --json watchdog.json

What is promised is `forearm.runtime.live.watchdog.HOLD_S` from the signal until the station brakes. Both stamps are of
the machine's monotonic clock: this program's before the signal, the station's diary after it. The way is the longer of
the two tools', from the signal until the arms stand. A run that tripped before its signal was sent is a false trip: it
is counted and done again. The lateness of this program's own sleeps meanwhile tells how busy the machine was.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from forearm.cell.tasks import task_named
from forearm.events import Event
from forearm.policy.choice import policy_named
from forearm.provenance import code_version
from forearm.runtime.live.board import Part
from forearm.runtime.live.diary import read_diary
from forearm.runtime.live.run import STATION_FILE, WATCHDOG_FILE, Live
from forearm.runtime.live.watchdog import HOLD_S, Silence
from forearm.runtime.patience import Patience
from forearm.safety.freshness import AGES

PARTS = (Part.LOOP, Part.INFERENCE, Part.RECORDER, Part.WATCHDOG)
SIGNALS = (signal.SIGKILL, signal.SIGSTOP)
MOVING_RAD_S = 0.3
WITHIN_S = 1.5  # s after the arms first move in which the signal is sent
PATIENCE_S = 60.0  # s, for a run's diaries
TRIES = 5  # per repetition, when runs trip by themselves


def act(folder: Path, stretch: float) -> None:
    """One live run in this process; says when the arms move."""
    images_s = {camera: seconds * stretch for camera, seconds in AGES.images_s.items()}
    ages = replace(AGES, images_s=images_s, depth_s=AGES.depth_s * stretch, state_s=AGES.state_s * stretch)
    told: list[bool] = []

    def tell(event: Event) -> None:
        if not told and event.kind == "observed" and np.abs(event.observation.velocities).max() > MOVING_RAD_S:
            told.append(True)
            print("moving", flush=True)

    live = Live(
        task_named("put-in-box").sample(0),
        policy_named("demonstrator"),
        folder,
        ages=ages,
        silence=Silence(**{part: seconds * stretch for part, seconds in asdict(Silence()).items()}),
        patience=Patience(patience_s=2.0 * stretch, warm_up_s=10.0 * stretch),
    )
    with live:
        live.run(seed=0, emit=tell)


def lines(path: Path, kind: str) -> list[dict[str, Any]]:
    """The diary's lines of one kind, none where there is no diary yet."""
    return [line for line in read_diary(path) if line["kind"] == kind] if path.exists() else []


def sleep(seconds: float, late: list[float]) -> None:
    """Sleeps, and notes by how much too long."""
    begun = time.monotonic()
    time.sleep(seconds)
    late.append(time.monotonic() - begun - seconds)


def one(part: Part, sent: signal.Signals, stretch: float, late: list[float]) -> dict[str, float] | None:
    """Milliseconds and millimetres of one run; None when it tripped by itself."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, __file__, "--act", name, str(stretch)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "moving\n":
                return None
            sleep(random.uniform(0.0, WITHIN_S), late)
            watching = lines(folder / WATCHDOG_FILE, "watching")
            if not watching or lines(folder / STATION_FILE, "held"):
                return None
            signalled_ns = time.monotonic_ns()
            os.kill(watching[0]["pids"][str(part)], sent)
            until = time.monotonic() + PATIENCE_S * max(1.0, stretch / 4)
            while not lines(folder / STATION_FILE, "standing") and time.monotonic() < until:
                sleep(0.01, late)
        finally:
            if part is Part.LOOP:
                process.kill()  # also the one that was only stopped
            process.communicate()  # the others end by themselves, and with them the loop
        held, stood = lines(folder / STATION_FILE, "held")[0], lines(folder / STATION_FILE, "standing")[0]
        if held["stamp_ns"] < signalled_ns or str(part) not in held["reason"]:
            return None
        way = np.array(
            [tools for stamp_ns, _, *tools in stood["trail"] if signalled_ns <= stamp_ns <= stood["stamp_ns"]]
        )
        steps = np.linalg.norm(np.diff(way.reshape(len(way), -1, 3), axis=0), axis=2)
        return {
            "held_ms": (held["stamp_ns"] - signalled_ns) / 1e6,
            "standing_ms": (stood["stamp_ns"] - signalled_ns) / 1e6,
            "way_mm": float(steps.sum(axis=0).max() * 1e3) if len(way) > 1 else 0.0,
        }


def measure(part: Part, sent: signal.Signals, repetitions: int, stretch: float, late: list[float]) -> dict[str, Any]:
    """Median and worst of the repetitions, and how many runs tripped by themselves."""
    done: list[dict[str, float]] = []
    tried = 0
    while len(done) < repetitions and tried < TRIES * repetitions:
        tried += 1
        if (figures := one(part, sent, stretch, late)) is not None:
            done.append(figures)
    result: dict[str, Any] = {
        "part": str(part),
        "signal": sent.name,
        "runs": len(done),
        "false_trips": tried - len(done),
    }
    for name in ("held_ms", "standing_ms", "way_mm"):
        values = [figures[name] for figures in done]
        result[name] = {"median": statistics.median(values), "worst": max(values)} if values else None
    return result


def main(
    repetitions: int = 10,
    stretch: float = 1.0,
    json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Measures, prints and writes.

    Args:
        repetitions: of each part and signal.
        stretch: how many times older everything may be than it should; other than 1 only to try this out.
        json_file: gets the figures.
    """
    late: list[float] = []
    rows: list[dict[str, Any]] = []
    print(f"{'':20} {'runs':>5} {'false':>6} {'held ms':>16} {'standing ms':>16} {'way mm':>16}   median (worst)")
    for part in PARTS:
        for sent in SIGNALS:
            row = measure(part, sent, repetitions, stretch, late)
            rows.append(row)
            cells = [
                f"{row[name]['median']:.0f} ({row[name]['worst']:.0f})" if row[name] else "-"
                for name in ("held_ms", "standing_ms", "way_mm")
            ]
            print(
                f"{row['part'] + ' ' + row['signal']:20} {row['runs']:5} {row['false_trips']:6} "
                + " ".join(f"{cell:>16}" for cell in cells)
            )
    ordered = sorted(late)
    busy = {"p99": ordered[int(0.99 * (len(ordered) - 1))] * 1e3, "worst": ordered[-1] * 1e3}
    print(
        f"promised {HOLD_S * stretch * 1e3:.0f} ms; this program's sleeps were late by {busy['p99']:.1f} ms (p99), {busy['worst']:.1f} ms (worst)"
    )
    if json_file is not None:
        document = {
            "commit": code_version(),
            "promised_ms": HOLD_S * stretch * 1e3,
            "stretch": stretch,
            "sleep_late_ms": busy,
            "rows": rows,
        }
        json_file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--act"]:
        act(Path(sys.argv[2]), float(sys.argv[3]))
    else:
        tyro.cli(main)
