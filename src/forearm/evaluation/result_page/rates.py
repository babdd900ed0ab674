"""Rates as a reader sees them: a row per task and variation, its interval drawn, one square per trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from forearm.evaluation.comparison import Compared, against_clean
from forearm.evaluation.suite import TaskSummary, summarize
from forearm.evaluation.trial import TrialResult

Group = tuple[str, str]  # task and variation, empty for none


def rates(results: Sequence[TrialResult]) -> str:
    """The table of every task and variation of one result."""
    compared = {(each.task, each.variation): each for each in against_clean(results)}
    staged = any(result.stages for result in results)
    varied = bool(compared)
    heads = ["task", *["scenes"] * varied, "rate", "successes", "95 %", "errors", *["parts done"] * staged]
    heads += ["against clean scenes"] * varied
    rows: list[list[str]] = []
    for (task, variation), summary in _summaries(results).items():
        scored = summary.trials - summary.errors
        row = [escape(task), *[escape(variation or "clean")] * varied, _bar(summary), f"{summary.successes}/{scored}"]
        row += [_interval(summary.ci95), str(summary.errors or ""), *[_parts(summary)] * staged]
        row += [_difference(compared.get((task, variation)))] * varied
        rows.append(row)
    return table(heads, rows)


def comparison(compared: Iterable[Compared], sides: tuple[str, str]) -> str:
    """The table of two results side by side."""
    rows = [
        [
            escape(each.task),
            escape(each.variation or "clean"),
            *(
                f"{count}/{each.pairs} <small>{_interval(bounds)}</small>"
                for count, bounds in zip(each.successes, each.ci95, strict=True)
            ),
            _difference(each),
            str(each.left_out or ""),
        ]
        for each in compared
    ]
    return table(["task", "scenes", *map(escape, sides), "difference", "trials without a partner"], rows)


def squares(results: Sequence[TrialResult]) -> str:
    """One square per trial, by task and variation; those that did not succeed lead to what happened."""
    groups: dict[Group, list[str]] = {}
    for number, result in enumerate(results):
        said = escape(f"seed {result.seed}: {result.outcome}: {result.reason}", quote=True)
        leads = "" if result.success else f' href="#trial-{number}"'
        kind = "done" if result.success else result.outcome  # a refusal may be what was wanted
        square = f'<a class="trial {escape(kind)}" title="{said}"{leads}></a>'
        groups.setdefault((result.task, result.variation), []).append(square)
    return "".join(
        f'<div class="squares"><span>{escape(" ".join(group).strip())}</span><div>{"".join(row)}</div></div>'
        for group, row in groups.items()
    )


def stages(summaries: Mapping[str, TaskSummary]) -> str:
    """Of tasks of many parts, how often each part was done."""
    rows = [
        [escape(task), escape(stage), f"{count}/{each.trials - each.errors}"]
        for task, each in summaries.items()
        for stage, count in each.stages.items()
    ]
    return f"<h3>Parts</h3>{table(['task', 'part', 'done'], rows)}" if rows else ""


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are markup already."""
    titles = "".join(f"<th>{head}</th>" for head in heads)
    filled = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{filled}</tbody></table></div>'


def _summaries(results: Sequence[TrialResult]) -> dict[Group, TaskSummary]:
    groups = dict.fromkeys((result.task, result.variation) for result in results)
    return {
        (task, variation): summarize(each for each in results if (each.task, each.variation) == (task, variation))[task]
        for task, variation in groups
    }


def _bar(summary: TaskSummary) -> str:
    """The rate as a point on a line from 0 to 100 %, with its interval."""
    lower, upper = (f"{100 * bound:.1f}" for bound in summary.ci95)
    return (
        f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{summary.rate:.0%}">'
        f'<line x1="0" x2="100" y1="5" y2="5"/><line class="interval" x1="{lower}" x2="{upper}" y1="5" y2="5"/>'
        f'<line class="point" x1="{100 * summary.rate:.1f}" x2="{100 * summary.rate:.1f}" y1="1" y2="9"/></svg>'
        f"<b>{summary.rate:.0%}</b>"
    )


def _parts(summary: TaskSummary) -> str:
    mean = summary.stages_mean
    return "" if mean is None else f"{mean:.1f} of {len(summary.stages)}"


def _difference(compared: Compared | None) -> str:
    if compared is None or compared.difference is None:
        return ""
    lower, upper = (round(100 * bound) for bound in compared.difference.ci95)
    return (
        f"{compared.difference.difference:+.0%} <small>{lower:+d} to {upper:+d}, p {compared.difference.p:.2g}</small>"
    )


def _interval(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:.1%} – {bounds[1]:.1%}"
