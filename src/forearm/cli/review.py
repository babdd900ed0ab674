"""Looks at results that there are: two files compared, one trial run again, a page about a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import tyro

from forearm.cli.exits import Exit
from forearm.cli.tables import print_comparisons

REPLAYS = 8  # failures that are run again for a page, unless asked otherwise
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A look at results that there are.

    Attributes:
        compare: runs nothing, sets two result files side by side on the seeds that both have: the second's rate minus
            the first's with an interval (Agresti and Min) and McNemar's exact probability. With --html it is on the
            second's page.
        rerun: runs one trial of this result file again and leaves a folder with its log and report; exits 1 when it did
            not go as the file says.
        trial: which one, from 0, in the order of the file.
        out: a new folder for the rerun; by default runs/rerun-FILE-TRIAL.
    """

    compare: Annotated[tuple[Path, Path] | None, tyro.conf.arg(metavar="A B")] = None
    rerun: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    trial: int = 0
    out: Path | None = None

    @property
    def folder(self) -> Path:
        """Where a rerun goes."""
        return self.out or Path("runs") / f"rerun-{self.rerun.stem if self.rerun else ''}-{self.trial}"


NO_REVIEW = Review()


def compared(first: Path, second: Path, html: Path | None) -> int:
    """Shows two result files side by side, on the terminal and, where one is asked for, on the second's page."""
    from forearm.evaluation.comparison import compare, read_results

    (_, before), (_, after) = read_results(first), read_results(second)
    print_comparisons(compare(before, after), (first.stem, second.stem))
    if html is not None:
        show_page(second, html, against=first)
    return Exit.DONE


def run_again(file: Path, number: int, folder: Path) -> int:
    """Runs one trial of a result file once more, and says whether it went as it had."""
    from forearm.cli.terminal import PEOPLE, say
    from forearm.evaluation.rerun import rerun

    done = rerun(file, number, folder)
    trial = done.after.trial
    what = f"{trial.task} {trial.seed} {trial.variation}".rstrip()
    PEOPLE.print(f"{what}: {done.after.outcome}: {done.after.reason}", highlight=False, soft_wrap=True)
    for line in (*done.differences, *done.other_code):
        PEOPLE.print(f"not as in {file.name}: {line}", markup=False, highlight=False, soft_wrap=True)
    say(str(folder))
    return Exit.FAILED if done.differences else Exit.DONE


def show_page(
    file: Path, html: Path, *, against: Path | None = None, replays: int = REPLAYS, workers: int | None = None
) -> None:
    """Makes the page about a result file and prints its path; the failures that it replays are run first."""
    from forearm.cli.terminal import say
    from forearm.evaluation.comparison import read_results
    from forearm.evaluation.result_page.page import page_at, write_result_page
    from forearm.evaluation.result_page.replays import replay, replayed_first

    _, results = read_results(file)
    page, numbers = page_at(html), replayed_first(results, replays)
    shown = dict(_with_bar(replay(file, numbers, page, workers=workers), len(numbers)))
    say(str(write_result_page(file, page, replays=shown, against=against)))


def _with_bar(items: Iterable[Item], total: int) -> Iterable[Item]:
    """The items, with a bar for people while they come."""
    from rich.progress import track

    from forearm.cli.terminal import PEOPLE

    return track(items, "replays", total=total, console=PEOPLE, disable=not total)
