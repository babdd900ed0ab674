"""One self-contained page that explains a run: made from its log alone, opened from a file without a network."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from forearm.evaluation.report_page.data import page_data
from forearm.evaluation.report_page.packing import Json
from forearm.files import write_text
from forearm.messages import Outcome
from forearm.telemetry.log import RunLog, read_run
from forearm.telemetry.writer import FILE_NAME

PAGE_NAME = "report.html"
SCRIPTS = ("page.js", "player.js", "depth.js", "scene.js", "timeline.js", "plots.js", "start.js")  # in this order
FINDINGS_MOST = 400  # rows; a guard that holds objects at every tick
Row = Iterable[str]


def write_report(run_dir: Path) -> Path:
    """Makes `report.html` from `run.mcap` in the same folder and returns its path; about 2 s for a run of 20 s.

    Raises:
        LogError: when the log cannot be read at all; one that was cut off gives a report that says so.
        OSError: when the page cannot be written.
    """
    log = read_run(run_dir / FILE_NAME)
    path = run_dir / PAGE_NAME
    write_text(path, report_page(log))
    return path


def report_page(log: RunLog) -> str:
    """The page's whole text."""
    data = page_data(log)
    outcome, reason = _ending(log)
    return Template(_file("page.html")).substitute(
        title=escape(log.header.instruction),
        style=_file("page.css"),
        script="\n".join(_file(name) for name in SCRIPTS),
        # "<" would let a string of the log end the script element it stands in.
        data=json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        instruction=escape(log.header.instruction),
        outcome=outcome,
        reason=escape(reason),
        notice=_notice(log),
        figures=_figures(log, data),
        facts=_facts(log),
        findings=_findings(log),
        modes=_modes(log),
        alarms=_alarms(log),
        recipe=escape(_indented(log.header.recipe)),
    )


def _file(name: str) -> str:
    return files("forearm.evaluation.report_page").joinpath(name).read_text(encoding="utf-8")


def _ending(log: RunLog) -> tuple[str, str]:
    """The outcome in one word, and why."""
    if log.end is None:
        return "interrupted", "The process ended before the session could."
    return log.end.outcome, log.end.reason


def _notice(log: RunLog) -> str:
    """What the reader must know before believing the page: that its log stops early, or has gaps."""
    said: list[str] = []
    if log.end is None:
        said.append(f"The log ends here: the process died at {log.duration_s:.2f} s.")
    elif not log.complete:
        said.append(f"The log ends at {log.duration_s:.2f} s.")
    if log.damage:
        said.append(f"Ended cleanly: no; {log.damage}.")
    if log.end is not None and log.end.dropped:
        said.append(f"{log.end.dropped} events were dropped because the disk was too slow.")
    return f'<p class="notice" role="alert">{escape(" ".join(said))}</p>' if said else ""


def _figures(log: RunLog, data: Json) -> str:
    """The run in six numbers."""
    plans = [each["plan"] for each in data["decisions"] if each["plan"] is not None]
    depth = [plan["depth"]["median_mm"] for plan in plans if plan["depth"]]
    trace = [plan["trace_error_mm"] for plan in plans]
    latency = [each["latency_ms"] for each in data["decisions"]]
    objections = sum(verdict.outcome is not Outcome.ALLOW for verdict in log.verdicts)
    late = "–" if log.end is None else f"{log.end.late_p99_s * 1e3:.2f} ms"
    progress = "–" if log.end is None else f"{log.end.progress:.0%}"
    tiles = [
        ("task progress", progress, f"after {log.duration_s:.1f} s"),
        ("decisions", str(len(log.decisions)), f"{len(log.commands)} set-points sent"),
        ("objections", str(objections), "verdicts other than allow"),
        ("depth error", _median(depth, "mm"), "predicted to measured, median"),
        ("trace error", _median(trace, "mm"), "waypoints to tool, median"),
        ("inference", _median(latency, "ms"), "per decision, median"),
        ("tick lateness", late, "99th percentile"),
    ]
    return "".join(
        f'<div class="figure"><dt>{escape(name)}</dt><dd>{escape(value)}</dd><small>{escape(note)}</small></div>'
        for name, value, note in tiles
    )


def _median(values: list[float | None], unit: str) -> str:
    known = [value for value in values if value is not None]
    return f"{np.median(known):.1f} {unit}" if known else "–"


def _facts(log: RunLog) -> str:
    """Where the run comes from."""
    header = log.header
    facts = [
        ("Robot", header.robot),
        ("Policy", header.policy),
        ("Model", header.model_digest or "no weights"),
        ("Seed", str(header.seed)),
        ("Commit", header.commit or "unknown"),
        ("Session", str(header.epoch)),
        ("Monitors", log.limits.monitors if log.limits else "unknown"),
        ("Operating limits", log.limits.card if log.limits else "unknown"),
        ("Main camera", log.camera.text if log.camera else "not looked for"),
        (
            "Log",
            f"{log.path.name}, {log.path.stat().st_size / 1e6:.1f} MB, {'complete' if log.complete else 'cut off'}",
        ),
    ]
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)


def _findings(log: RunLog) -> str:
    """Every objection in words; a click on one moves the scrubber there."""
    found = [(verdict, finding) for verdict in log.verdicts for finding in verdict.findings]
    if not found:
        judged = sum(verdict.gate == "vetting" for verdict in log.verdicts)
        return f'<p class="quiet">No objections: {judged} chunks were vetted and every command was let through.</p>'
    rows = "".join(
        _row(
            log.seconds(verdict.stamp_ns),
            [
                f'<span class="outcome {finding.outcome.name.lower()}">{finding.outcome.name}</span>',
                escape(f"{verdict.gate} · {finding.check}"),
                escape(finding.subject),
                escape(f"{finding.measured:.4g} / {finding.limit:.4g} {finding.unit}"),
                escape(finding.text),
            ],
        )
        for verdict, finding in found[:FINDINGS_MOST]
    )
    more = len(found) - FINDINGS_MOST
    tail = f'<p class="quiet">… and {more} more in the log.</p>' if more > 0 else ""
    return _table(["time", "outcome", "check", "subject", "measured / limit", "finding"], rows) + tail


def _modes(log: RunLog) -> str:
    """Every change of mode, and why."""
    if not log.mode_changes:
        return '<p class="quiet">The mode never changed.</p>'
    rows = "".join(
        _row(
            log.seconds(change.stamp_ns),
            [
                f'{escape(change.before)} → <span class="mode {escape(change.after.lower())}">'
                f"{escape(change.after)}</span>",
                escape(change.trigger),
                escape(change.reason),
            ],
        )
        for change in log.mode_changes
    )
    return _table(["time", "mode", "trigger", "reason"], rows)


def _alarms(log: RunLog) -> str:
    """Every alarm of a monitor, in words; and whether there could have been any."""
    if log.limits is None or not log.limits.calibrated:
        said = "no calibration is in the log" if log.limits is None else log.limits.monitors
        return f'<p class="quiet">No alarm could be raised: {escape(said)}.</p>'
    if not log.alarms:
        return f'<p class="quiet">No alarm. Monitors {escape(log.limits.monitors)}.</p>'
    rows = "".join(
        _row(
            log.seconds(alarm.stamp_ns),
            [
                escape(alarm.monitor),
                escape(f"{alarm.value:.4g} / {alarm.threshold:.4g}"),
                str(alarm.in_a_row),
                escape(alarm.text),
            ],
        )
        for alarm in log.alarms
    )
    return _table(["time", "monitor", "measured / usual", "in a row", "alarm"], rows)


def _row(time_s: float, cells: Row) -> str:
    filled = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr tabindex="0" data-time="{time_s:.4f}"><td class="time">{time_s:.2f} s</td>{filled}</tr>'


def _table(heads: Row, rows: str) -> str:
    titles = "".join(f"<th>{head}</th>" for head in heads)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"


def _indented(recipe: str) -> str:
    """The recipe's JSON as a person reads it; other text as it is."""
    try:
        return json.dumps(json.loads(recipe), indent=2, ensure_ascii=False)
    except ValueError:
        return recipe
