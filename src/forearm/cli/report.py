"""`forearm report`: a page about a run from its log alone, or about an evaluation from its result file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from forearm.cli.review import REPLAYS, show_page


def report(
    source: tyro.conf.Positional[Path],
    /,
    html: Annotated[Path | None, tyro.conf.arg(metavar="PAGE")] = None,
    replays: int = REPLAYS,
) -> int:
    """Rebuilds a run's report.html from run.mcap, also of a run that was killed, or makes a result file's page.

    Prints the page's path. A result's page has its rates with their intervals, and what happened in its failures.

      forearm report runs/20260101-120000-put-the-red-block-in-the-box
      forearm report results.json --replays 20

    Args:
        source: a run's folder or its run.mcap, or a file that `forearm eval` wrote.
        html: where a result's page goes, a .html file or a folder for it; beside the file by default.
        replays: at most so many of a result's failures are run again, for their pictures and their own pages.
    """
    from forearm.cli.terminal import say
    from forearm.errors import InputError
    from forearm.evaluation.report import write_report
    from forearm.telemetry.writer import FILE_NAME

    if source.name == FILE_NAME:
        source = source.parent
    if source.is_file():
        show_page(source, html or source.with_suffix(".html"), replays=replays)
    elif html is not None:
        raise InputError(f"page: got {html} for {source}, a run's report is in the run's folder; leave out --html")
    else:
        say(str(write_report(source)))
    return 0
