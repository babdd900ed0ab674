"""Tables of success rates for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from forearm.evaluation.comparison import Compared
    from forearm.evaluation.suite import TaskSummary

WIDE = 120  # columns that a table is given in a file


def print_summaries(summaries: Mapping[str, TaskSummary]) -> None:
    """One row per task."""
    from rich.table import Table

    table = Table("task", "trials", "successes", "errors", "rate", "95 %", "took the asked object", "path shift, mm")
    for name, each in summaries.items():
        lower, upper = each.ci95
        chosen = each.took_asked + each.took_other
        took = f"{each.took_asked}/{chosen}" if chosen else ""
        counts = (str(each.trials), str(each.successes), str(each.errors))
        shift = "" if each.path_shift_mm is None else f"{each.path_shift_mm:.1f}"
        table.add_row(name, *counts, f"{each.rate:.1%}", f"{lower:.1%} – {upper:.1%}", took, shift)
    _print(table)


def print_comparisons(compared: Sequence[Compared], sides: tuple[str, str]) -> None:
    """One row per task and variation: both sides' successes, the second's rate, the difference and its probability."""
    from rich.box import SIMPLE
    from rich.table import Table

    first, second = sides
    left_out = sum(each.left_out for each in compared)
    note = f"{left_out} trials have no partner on the other side" if left_out else None
    table = Table("variation", "task", first, second, "rate, 95 %", "difference, 95 %", "p", box=SIMPLE, caption=note)
    for each in compared:
        counts = [f"{count}/{each.pairs}" for count in each.successes]
        figures: list[str] = []
        if each.difference is not None:
            rate = each.successes[1] / each.pairs
            figures = [
                f"{rate:.0%} ({_interval(each.ci95[1])})",
                f"{each.difference.difference:+.0%} ({_interval(each.difference.ci95)})",
                f"{each.difference.p:.2g}",
            ]
        table.add_row(each.variation, each.task, *counts, *figures)
    _print(table)


def _print(table: Table) -> None:
    """What is no terminal counts as 80 columns wide, in which names would be cut off."""
    from rich.console import Console

    from forearm.cli.terminal import PEOPLE

    (PEOPLE if PEOPLE.is_terminal else Console(stderr=True, width=WIDE)).print(table)


def _interval(bounds: tuple[float, float]) -> str:
    lower, upper = bounds
    return f"{100.0 * lower:.0f} to {100.0 * upper:.0f}"
