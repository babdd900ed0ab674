"""`forearm report`: a run's page, from its log alone."""

from __future__ import annotations

from pathlib import Path

import tyro


def report(folder: tyro.conf.Positional[Path], /) -> int:
    """Rebuilds report.html from run.mcap, also from the log of a run that was killed. Prints the page's path.

      forearm report runs/20260101-120000-put-the-red-block-in-the-box

    Args:
        folder: of a run.
    """
    from forearm.cli.terminal import say
    from forearm.evaluation.report import write_report

    say(str(write_report(folder)))
    return 0
