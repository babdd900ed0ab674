"""What each part of learning is worth: models that differ in one thing, taught for the same time on the same cores.

    python benchmarks/ablations.py --data data/nano --out runs/ablations --minutes 12 --seeds 1000:1060 --json a.json

The first is nano's recipe. Beside it: depth, point or trace said but with nothing that follows from it; half and a quarter
of the demonstrations, no mirrored samples, chunks of half and of twice as many rows; no reasoning at all (a plain flow
policy), and Action Chunking with Transformers, followed chunk by chunk like the others (`peers.py` runs it as its authors
do). Every one gets as many steps as fit the minutes: paces are timed before anything is taught, so nothing else should run
then; models whose steps cost the same get the same number, which no noise of a clock decides. All are then tried in the
same scenes, vetting and guard on, and compared with the first seed by seed. Run again, it goes on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from forearm.evaluation.comparison import compare, read_results
from forearm.evaluation.suite import summarize
from forearm.evaluation.trial import TrialResult
from forearm.files import write_json
from forearm.model.layout import DEPTH, POINT, TRACE
from forearm.provenance import code_version
from forearm.training.loop import train
from forearm.training.metrics import rows_in
from forearm.training.questions import AS_DEMONSTRATED
from forearm.training.recipe import Recipe, Recording, act, nano, reactive
from forearm.training.recording import record_dataset

TIMED_STEPS = 60  # of a run that is thrown away; the first ten of them warm up


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A recipe that differs from the first in one thing.

    Attributes:
        name: in tables, and its folder's.
        recipe: how it learns.
        share: of nano's demonstrations.
        paced_by: the variant whose steps cost as much.
    """

    name: str
    recipe: Recipe
    share: float = 1.0
    paced_by: str = "reasoner"


def _with(recipe: Recipe, **sizes: str | int) -> Recipe:
    return replace(recipe, sizes=replace(recipe.sizes, **sizes))  # pyright: ignore[reportArgumentType]


VARIANTS = (
    Variant(name="reasoner", recipe=nano()),
    Variant(name="no-depth", recipe=_with(nano(), without=DEPTH)),
    # Where words reach the arms past the points, they must be those that were demonstrated.
    Variant(name="no-point", recipe=_with(replace(nano(), asking=AS_DEMONSTRATED), without=POINT)),
    Variant(name="no-trace", recipe=_with(replace(nano(), shifted=False), without=TRACE)),
    Variant(name="half-the-data", recipe=nano(), share=0.5),
    Variant(name="quarter-of-the-data", recipe=nano(), share=0.25),
    Variant(name="not-mirrored", recipe=replace(nano(), mirrored=0.0)),
    Variant(name="chunk-of-8", recipe=_with(nano(), horizon=8), paced_by="chunk-of-8"),
    Variant(name="chunk-of-32", recipe=_with(nano(), horizon=32), paced_by="chunk-of-32"),
    Variant(name="plain-flow", recipe=reactive(), paced_by="plain-flow"),
    Variant(name="ACT", recipe=act(), paced_by="ACT"),
)


def taught(variant: Variant, data: Path, out: Path, steps: int) -> Path:
    """The variant's folder, after that many steps."""
    recipe = variant.recipe
    if variant.share < 1.0:
        counts = {task: round(count * variant.share) for task, count in recipe.recording.counts.items()}
        recipe = replace(recipe, recording=Recording(counts=counts, seed=recipe.recording.seed))
        data = out / f"{variant.name}-demonstrations"
        record_dataset(data, recipe.recording, workers=recipe.processes)
    folder, made = out / variant.name, {"commit": code_version(), "command": sys.argv}
    recipe = replace(recipe, steps=steps)
    if not (done := rows_in(folder)) or done[-1]["step"] < recipe.steps:
        train([data], folder, recipe, provenance=made)
    return folder


def steps_within(minutes: float, recipe: Recipe, data: Path, file: Path) -> int:
    """How many take that long here; timed once, because a run that goes on must be the same one."""
    if not file.is_file():
        folder = file.with_suffix(".timed")
        train([data], folder, replace(recipe, steps=TIMED_STEPS), provenance={})
        first, *_, last = rows_in(folder)
        pace_s = (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])
        write_json(file, {"steps": round(minutes * 60.0 / pace_s), "pace_s": pace_s})
    return json.loads(file.read_text())["steps"]


def tried(variant: Variant, folder: Path, seeds: str) -> list[TrialResult]:
    """Its results in these scenes of nano's tasks."""
    file = folder.with_suffix(".json")
    if not file.is_file():
        tasks = [part for task in variant.recipe.recording.counts for part in ("--task", task)]
        command = ["eval", "--policy", str(folder), *tasks, "--seeds", seeds, "--json", str(file)]
        subprocess.run([sys.executable, "-m", "forearm", *command], check=True)
    return read_results(file)[1]


def outcomes(first: list[TrialResult], own: list[TrialResult]) -> dict[str, Any]:
    """What came of the trials by task, and against the first model's."""
    return {
        "tasks": {task: asdict(summary) for task, summary in summarize(own).items()},
        "against_first": [each.record() for each in compare(first, own)] if own is not first else [],
    }


def line(row: Mapping[str, Any]) -> str:
    """A row for people: what each task's rate is, and how it differs from the first's."""
    differences = {each["task"]: each["difference"] for each in row["against_first"]}
    cells: list[str] = []
    for task, summary in row["tasks"].items():
        low, high = summary["ci95"]
        cell = f"{task} {summary['successes']}/{summary['trials']} [{low:.2f}, {high:.2f}]"
        if task in differences:
            cell += f" {differences[task]['difference']:+.0%} (p {differences[task]['p']:.2g})"
        cells.append(cell)
    return f"{row['name']:20} {row['steps']:>6} steps {row['seconds'] / 60.0:5.1f} min   {'   '.join(cells)}"


def main(
    data: Path,
    out: Path,
    json_file: Annotated[Path, tyro.conf.arg(name="json")],
    minutes: float = 12.0,
    seeds: str = "1000:1060",
    only: tuple[str, ...] = (),
) -> None:
    """Teaches, tries, prints a table and writes it.

    Args:
        data: nano's demonstrations; recorded there if there are none.
        out: gets a folder and a result file for each model.
        json_file: gets the table.
        minutes: of training, each.
        seeds: first and one past the last, of every task.
        only: the first and these; all by default.
    """
    chosen = [each for each in VARIANTS if not only or each.name in (VARIANTS[0].name, *only)]
    record_dataset(data, VARIANTS[0].recipe.recording, workers=VARIANTS[0].recipe.processes)
    paced = {each.name: each.recipe for each in VARIANTS if each.name in {other.paced_by for other in chosen}}
    steps = {name: steps_within(minutes, each, data, out / f"{name}.steps.json") for name, each in paced.items()}
    rows: list[dict[str, Any]] = []
    first: list[TrialResult] = []
    for variant in chosen:
        folder = taught(variant, data, out, steps[variant.paced_by])
        own = tried(variant, folder, seeds)
        first = first or own
        last = rows_in(folder)[-1]
        cost = {"steps": int(last["step"]), "seconds": last["seconds"]}
        rows.append({"name": variant.name, **cost, **outcomes(first, own)})
        print(line(rows[-1]), flush=True)
        write_json(json_file, {"commit": code_version(), "minutes": minutes, "seeds": seeds, "models": rows})


if __name__ == "__main__":
    tyro.cli(main)
