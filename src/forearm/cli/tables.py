"""Tables of success rates for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forearm.evaluation.comparison import Compared
    from forearm.evaluation.suite import TaskSummary


def print_summaries(summaries: Mapping[str, TaskSummary]) -> None:
    """One row per task."""
    from rich.table import Table

    from forearm.cli.terminal import PEOPLE

    table = Table("task", "trials", "successes", "errors", "rate", "95 %", "took the asked object", "path shift, mm")
    for name, each in summaries.items():
        chosen = each.took_asked + each.took_other
        took = f"{each.took_asked}/{chosen}" if chosen else ""
        counts = (str(each.trials), str(each.successes), str(each.errors))
        shift = "" if each.path_shift_mm is None else f"{each.path_shift_mm:.1f}"
        table.add_row(name, *counts, f"{each.rate:.1%}", _interval(each.ci95), took, shift)
    PEOPLE.print(table)


def print_comparisons(compared: Sequence[Compared], sides: tuple[str, str]) -> None:
    """One row per task and variation: both sides' counts, the second's rate, the difference, its probability."""
    from rich.table import Table

    from forearm.cli.terminal import PEOPLE

    first, second = sides
    table = Table("variation", "task", first, second, "rate", "95 %", "difference", "95 %", "p", "left out")
    for each in compared:
        before, after = (f"{count}/{each.pairs}" for count in each.successes)
        if each.difference is None:
            table.add_row(each.variation, each.task, before, after, "", "", "", "", "", str(each.left_out))
            continue
        difference = each.difference
        table.add_row(
            each.variation,
            each.task,
            before,
            after,
            f"{each.successes[1] / each.pairs:.1%}",
            _interval(each.ci95[1]),
            f"{difference.difference:+.1%}",
            _interval(difference.ci95),
            f"{difference.p:.2g}",
            str(each.left_out),
        )
    PEOPLE.print(table)


def _interval(bounds: tuple[float, float]) -> str:
    lower, upper = bounds
    return f"{lower:.1%} – {upper:.1%}"
