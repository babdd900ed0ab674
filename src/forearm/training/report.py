"""A training run as one page: its curves, its recipe, what it scores on episodes it never saw."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forearm.files import write_text

_LOSSES = ("total", "flow", "tokens", "z", "trace_mm", "point", "offset", "depth", "subtask", "l1")
CURVES = (*_LOSSES, "divergence", "gradient")
WIDTH, HEIGHT = 420, 180  # px of one curve
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>forearm: training of {name}</title>
<style>
:root {{ color-scheme: light dark; --line: #2563eb; --soft: #8884; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 960px; margin: 2rem auto; padding: 0 1rem; }}
.curves {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); gap: 1rem; }}
figure {{ margin: 0; }} svg {{ width: 100%; border-bottom: 1px solid var(--soft); border-left: 1px solid var(--soft); }}
polyline {{ fill: none; stroke: var(--line); stroke-width: 1.5; }}
pre {{ overflow: auto; background: #8881; padding: 1rem; }}
</style>
<h1>Training of {name}</h1><p>{summary}</p><div class="curves">{curves}</div>
<h2>On episodes it never saw</h2><pre>{held_out}</pre><h2>Recipe</h2><pre>{recipe}</pre></html>
"""


def write_report(
    out: Path, rows: list[dict[str, float]], recipe: Mapping[str, Any], held_out: Mapping[str, Any]
) -> Path:
    """Writes `training.html` beside a checkpoint, from its metrics alone; the page needs nothing else to open."""
    last = rows[-1]
    page = PAGE.format(
        name=html.escape(str(recipe.get("name", "a reasoner"))),
        summary=f"{last['step']} steps in {last['seconds'] / 60:.0f} minutes.",
        curves="".join(_curve(name, rows) for name in CURVES if name in last),
        held_out=html.escape(json.dumps(dict(held_out), indent=1)),
        recipe=html.escape(json.dumps(dict(recipe), indent=1)),
    )
    path = out / "training.html"
    write_text(path, page)
    return path


def _curve(name: str, rows: list[dict[str, float]]) -> str:
    """One figure, each point the mean of its hundredth of the run."""
    size = max(1, len(rows) // 100)
    parts = [rows[first : first + size] for first in range(0, len(rows), size)]
    steps = [sum(row["step"] for row in part) / len(part) for part in parts]
    values = [sum(row[name] for row in part) / len(part) for part in parts]
    low, high = min(values), max(values)
    spread, last = max(high - low, 1e-12), max(steps[-1], 1.0)
    points = " ".join(
        f"{step / last * WIDTH:.1f},{(high - value) / spread * (HEIGHT - 8) + 4:.1f}"
        for step, value in zip(steps, values, strict=True)
    )
    caption = f"<b>{name}</b> {values[0]:.3g} → {values[-1]:.3g} (lowest {low:.3g})"
    drawn = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}"><polyline points="{points}"/></svg>'
    return f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>"
