"""The command line: one function per command, typed, with everything heavy imported inside it.

Invariant: what a script reads is on stdout, everything for people is on stderr, and the exit code tells how it ended.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import tyro

from forearm.cli.calibrate import calibrate
from forearm.cli.card import card
from forearm.cli.data import data
from forearm.cli.evaluate import evaluate
from forearm.cli.exits import Exit, code_of
from forearm.cli.model import model
from forearm.cli.record import record
from forearm.cli.report import report
from forearm.cli.run import run
from forearm.cli.selftest import selftest
from forearm.cli.terminal import settle
from forearm.cli.train import train
from forearm.errors import ForearmError

COMMANDS = {
    "run": run,
    "eval": evaluate,
    "calibrate": calibrate,
    "card": card,
    "report": report,
    "record": record,
    "data": data,
    "train": train,
    "model": model,
    "selftest": selftest,
}

DESCRIPTION = """An open action reasoning system for robots: it says what it sees in 3D and what it will do, has that
vetted, moves two arms, and can explain itself afterwards.

  forearm run "put the red block in the box"                     one sentence becomes a motion, a log and a report
  forearm run "lift the tray with both arms" --seed 7            another scene
  forearm eval --task lift --seeds 1000:1100 --json lift.json    a success rate with its interval
  forearm calibrate --policy nano                                what its monitors say when all goes well
  forearm card --results clean.json --out card.json               under which conditions a model was measured to work
  forearm report runs/…                                          rebuilds a run's report from its log alone
  forearm record --out data/nano                                 demonstrations of the scripted solver
  forearm data info data/theirs                                  what a LeRobot v3 dataset is, and what it lacks
  forearm train --data data/nano --out runs/nano                 from demonstrations to weights
  forearm train --from nano --data data/mine --out runs/mine     from weights to better ones
  forearm model info station                                     what a model knows, and what is known of it
  forearm selftest                                               shows both safety gates what is known to be bad

forearm COMMAND --help says more about each."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits with its code; `arguments` are the process's own where None.

    Raises:
        SystemExit: always.
    """
    code = _run(arguments)
    settle()
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="forearm", description=DESCRIPTION, args=arguments, sort_subcommands=False
        )
    except ForearmError as error:
        print(f"forearm: {error}", file=sys.stderr)  # noqa: T201  # the one line a person needs
        return code_of(error)
    except OSError as error:  # a full disk, or a file that is not this user's
        said = f"file: got {error}, room and the right to it are needed; then do the same again"
        print(f"forearm: {said}", file=sys.stderr)  # noqa: T201
        return Exit.BROKEN
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception:  # not foreseen, so everything known about it is shown
        traceback.print_exc()
        return Exit.BROKEN
    return int(code)
