"""`forearm card`: a model's operating limits, from what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from forearm.cli.asked import file_at


def card(
    results: Annotated[tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(metavar="FILE")],
    out: Path,
    rate: float = 0.8,
) -> int:
    """Makes a model's operating-limit card from result files of `forearm eval`, one of them of the clean scenes.

    For each task and each condition it says the worst severity up to which the lower end of the success rate's 95 %
    interval stays at or above RATE; what was not measured is listed as that. Writes OUT and, for people, OUT's name
    with .md. As limits.json beside the weights, which `forearm model info` finds, it is held at run time: what it does
    not allow is refused. Prints both.

      forearm card --results clean.json --results perturbed.json --results latency.json --out card.json
      forearm card --results all.json --rate 0.9 --out runs/nano/limits.json

    Args:
        results: a file that `forearm eval --json` wrote; may be given several times, all of one model.
        out: the card, a .json.
        rate: success rate that the limits are made for.
    """
    from forearm.cli.terminal import say
    from forearm.errors import InputError
    from forearm.evaluation.card import card_of, in_markdown
    from forearm.evaluation.comparison import read_results
    from forearm.files import write_json, write_text

    if not results:
        raise InputError("card: got no result file, at least one is needed; add --results FILE")
    if out.suffix != ".json":
        raise InputError(f"card: got {out}, a .json is needed, its name with .md is the page; name it {out.stem}.json")
    document = card_of([read_results(file) for file in results], rate)
    page = out.with_suffix(".md")
    write_json(file_at(out), document)
    write_text(page, in_markdown(document))
    say(f"{out}\n{page}")
    return 0
