"""One page about a result file, opened without a network: everything but the replays it links is inside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from forearm.evaluation.comparison import compare, read_results
from forearm.evaluation.report import PAGE_NAME
from forearm.evaluation.result_page.failures import failures
from forearm.evaluation.result_page.rates import comparison, rates, squares, stages, table
from forearm.evaluation.statistics import wilson_interval
from forearm.evaluation.suite import summarize
from forearm.evaluation.trial import TrialResult
from forearm.files import write_text
from forearm.processes import NoAnswer


def page_at(html: Path) -> Path:
    """The page's file: `html` itself where it is called .html, else report.html in that folder."""
    return html if html.suffix == ".html" else html / PAGE_NAME


def write_result_page(
    file: Path, page: Path, *, replays: Mapping[int, Path | NoAnswer], against: Path | None = None
) -> Path:
    """Writes the page about result file `file` and returns its path.

    Args:
        file: what `forearm eval` wrote.
        page: the new page; one that is there is replaced.
        replays: by the trial's number, the folder in which it was run again, or why there is none.
        against: a result of the same seeds to set it against.

    Raises:
        InputError: for a file that is no result.
        LogError: when a replay's log cannot be read.
        OSError: when the page cannot be written.
    """
    heading, results = read_results(file)
    page.parent.mkdir(parents=True, exist_ok=True)
    text = Template(_file("result_page", "page.html")).substitute(
        title=escape(file.stem),
        style=_file("report_page", "page.css") + _file("result_page", "page.css"),
        subject=escape(_subject(heading)),
        notice=_notice(results),
        figures=_figures(heading, results),
        rates=rates(results) + stages(summarize(result for result in results if not result.variation)),
        compared="" if against is None else _compared(against, file, results),
        squares=squares(results),
        failures=failures(results, replays, file, page.parent),
        facts=_facts(heading),
        recipe=escape(json.dumps(heading.get("recipe"), indent=2, ensure_ascii=False)),
    )
    write_text(page, text)
    return page


def _file(folder: str, name: str) -> str:
    return files(f"forearm.evaluation.{folder}").joinpath(name).read_text(encoding="utf-8")


def _subject(heading: Mapping[str, Any]) -> str:
    """What was evaluated, in a few words."""
    said = [f"policy {heading['policy']}", f"suite {heading.get('suite', 'clean')}"]
    if heading["intervene"]:
        said.append(f"plan changed: {heading['intervene']}")
    if heading.get("words", "asked") != "asked":
        said.append(f"words: {heading['words']}")
    return ", ".join(said)


def _notice(results: Sequence[TrialResult]) -> str:
    """What the reader must know before believing the page."""
    errors = sum(result.is_error for result in results)
    if not errors:
        return ""
    said = f"{errors} of {len(results)} trials say nothing, because the machinery failed. They are in no rate."
    return f'<p class="notice" role="alert">{said}</p>'


def _figures(heading: Mapping[str, Any], results: Sequence[TrialResult]) -> str:
    """The evaluation in a few numbers."""
    scored = [result for result in results if not result.is_error and not result.variation]
    successes = sum(result.success for result in scored)
    lower, upper = wilson_interval(successes, len(scored))
    seconds = [result.duration_s for result in scored if result.success]
    per_minute = heading.get("speed", {}).get("episodes_per_minute")
    tiles = [
        ("successes", f"{successes}/{len(scored)}", f"clean scenes; 95 % {lower:.1%} – {upper:.1%}"),
        ("trials", str(len(results)), "of all scenes"),
        ("errors", str(sum(result.is_error for result in results)), "say nothing, counted in no rate"),
        ("time to success", f"{sum(seconds) / len(seconds):.1f} s" if seconds else "–", "mean, clean scenes"),
        ("episodes per minute", f"{per_minute:.1f}" if per_minute else "–", "speed of the evaluation"),
    ]
    return "".join(
        f'<div class="figure"><dt>{escape(name)}</dt><dd>{escape(value)}</dd><small>{escape(note)}</small></div>'
        for name, value, note in tiles
    )


def _compared(against: Path, file: Path, results: Sequence[TrialResult]) -> str:
    """Both results side by side, and every trial of which they say different things."""
    _, before = read_results(against)
    was = {result.trial: result for result in before}
    changed = [
        [
            escape(f"{result.task} · seed {result.seed} {result.variation}"),
            escape(was[result.trial].outcome),
            escape(result.outcome) if result.success else f'<a href="#trial-{number}">{escape(result.outcome)}</a>',
            escape((was[result.trial] if result.success else result).reason),
        ]
        for number, result in enumerate(results)
        if result.trial in was and was[result.trial].success != result.success
    ]
    sides = (against.stem, file.stem)
    both = comparison(compare(before, results), sides)
    trials = table(["trial", *map(escape, sides), "reason"], changed) if changed else '<p class="quiet">None.</p>'
    return (
        f'<section id="compared"><h2>Compared with {escape(against.stem)} <span class="note">same seeds, second minus '
        f"first; interval of Agresti and Min, McNemar's exact p</span></h2>{both}"
        f"<h3>Trials that went otherwise</h3>{trials}</section>"
    )


def _facts(heading: Mapping[str, Any]) -> str:
    """Where the result comes from."""
    first, end = heading.get("seeds", ("?", "?"))
    facts = [
        ("Commit", heading["commit"]),
        ("Model", heading["model_digest"] or "no weights"),
        ("Seeds", f"{first} to {end}, the last not included"),
        ("Ran", f"{heading.get('speed', {}).get('on', 'here')}"),
    ]
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>" for name, value in facts)
