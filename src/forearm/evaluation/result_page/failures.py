"""Every trial that did not succeed: why, in words, what it looked like, and where its replay is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from forearm.evaluation.report import PAGE_NAME
from forearm.evaluation.result_page.pictures import Frame, scene, strip
from forearm.evaluation.trial import TrialResult
from forearm.processes import NoAnswer, done
from forearm.telemetry.log import RunLog, read_run
from forearm.telemetry.writer import FILE_NAME

SCENES_MOST = 24  # failures without a replay whose scene is drawn; half a second each
FINDINGS_MOST = 4  # kinds of objection that a card names


def failures(
    results: Sequence[TrialResult], replays: Mapping[int, Path | NoAnswer], file: Path, page_folder: Path
) -> str:
    """A card for each, in the order of the file; links are relative to the page's folder."""
    cards: list[str] = []
    drawn = 0
    for number, result in enumerate(results):
        if result.success:
            continue
        replayed = replays.get(number)
        if isinstance(replayed, Path):
            log = read_run(replayed / FILE_NAME)
            frames, tail = strip(log), _link(log, result, os.path.relpath(replayed / PAGE_NAME, page_folder))
        else:
            frames, drawn = (_scene(result), drawn + 1) if drawn < SCENES_MOST else ([], drawn)
            tail = _command(number, file, replayed)
        cards.append(_card(number, result, frames, tail))
    return "".join(cards) or '<p class="quiet">Every trial succeeded.</p>'


def _scene(result: TrialResult) -> list[Frame]:
    """The scene, where there is one: a trial may be an error because there is none."""
    drawn = done(result.trial, scene)
    return [] if isinstance(drawn, NoAnswer) else [drawn]


def _card(number: int, result: TrialResult, frames: Iterable[Frame], tail: str) -> str:
    where = escape(f"{result.task} · seed {result.seed}" + (f" · {result.variation}" if result.variation else ""))
    pictures = "".join(
        f'<figure><img alt="" src="data:image/jpeg;base64,{frame.jpeg}"><figcaption>{escape(frame.caption)}'
        "</figcaption></figure>"
        for frame in frames
    )
    return (
        f'<article class="panel failure" id="trial-{number}"><h3><span class="pill {escape(result.outcome)}">'
        f"{escape(result.outcome)}</span> {where}</h3><p>{escape(result.reason)}</p>"
        f'<p class="quiet">{escape(_facts(result))}</p><div class="film">{pictures}</div>'
        f'<p class="quiet">{tail}</p></article>'
    )


def _facts(result: TrialResult) -> str:
    """What else is known, in one line."""
    said = [f"“{result.instruction}”"] if result.instruction else []
    if not result.is_error:
        said.append(f"{result.progress:.0%} done after {result.duration_s:.1f} s and {result.decisions} decisions")
    if result.stages:
        missing = [name for name, reached in result.stages.items() if not reached]
        said.append(f"{len(result.stages) - len(missing)} of {len(result.stages)} parts, missing {', '.join(missing)}")
    if result.asked and result.taken and result.taken != result.asked:
        said.append(f"took {result.taken}, asked was {result.asked}")
    objections = sorted(result.findings.items(), key=lambda item: -item[1])[:FINDINGS_MOST]
    said += [f"{check} objected {count} times" for check, count in objections]
    return " · ".join(said)


def _link(log: RunLog, result: TrialResult, address: str) -> str:
    """Where the replay is, and whether it went as the trial did."""
    said = f'<a href="{escape(Path(address).as_posix(), quote=True)}">replay</a>'
    end = log.end
    if end is None or (end.outcome, end.reason) != (result.outcome, result.reason):
        went = "did not end" if end is None else f"ended {end.outcome}: {end.reason}"
        said += f" <b>not as the trial</b>: {escape(went)}"
    return said


def _command(number: int, file: Path, replayed: NoAnswer | None) -> str:
    """How to see more."""
    why = f"no replay: {escape(replayed.reason)} " if replayed else ""
    return f"{why}<code>forearm eval --rerun {escape(str(file))} --trial {number}</code>"
