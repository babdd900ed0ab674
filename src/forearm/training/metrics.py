"""The figures of a run, one JSON line each as they come: each step once, however often the run was interrupted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from forearm.files import write_text

METRICS = "metrics.jsonl"


def add_row(out: Path, row: Mapping[str, float]) -> None:
    """Adds a row to the figures in `out`."""
    with (out / METRICS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(dict(row)) + "\n")


def rows_in(out: Path) -> list[dict[str, float]]:
    """The rows in `out`; one that was cut off, as when its process was killed, is none."""
    path = out / METRICS
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def resume_at(step: int, out: Path) -> None:
    """Drops what `step` comes before: those steps are done again."""
    write_text(out / METRICS, "".join(json.dumps(row) + "\n" for row in rows_in(out) if row["step"] <= step))
