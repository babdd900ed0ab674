"""`forearm model`: what a released checkpoint is, and whether this code computes what its reference did."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro


def model(question: tyro.conf.Positional[Literal["info", "verify"]], folder: tyro.conf.Positional[Path], /) -> int:
    """Looks at a checkpoint folder (config.json, safetensors, norm_stats.json, tokenizer).

      forearm model info checkpoints/MolmoAct2-LIBERO       sizes, parts, horizon, cameras, tags, token ids
      forearm model verify fixtures/think                   compares inputs.npz and outputs.npz, array by array

    Exit codes: 0 done, or all agree; 1 something differs; 2 the folder is not such a checkpoint.

    Args:
        question: info, or verify, for a folder that also holds a reference's inputs.npz and outputs.npz.
        folder: of the checkpoint.
    """
    from forearm.cli.terminal import say

    if question == "info":
        from forearm.model.describe import describe

        say(describe(folder))
        return 0
    from forearm.model.verify import verify

    report = verify(folder)
    say(report.text())
    return 0 if report.agrees else 1
