"""`forearm model`: what a released checkpoint is, and whether this code computes what its reference did."""

from __future__ import annotations

from typing import Literal

import tyro


def model(question: tyro.conf.Positional[Literal["info", "verify"]], checkpoint: tyro.conf.Positional[str], /) -> int:
    """Looks at a checkpoint: a folder of config.json, safetensors, norm_stats.json and tokenizer, or its hub name.

      forearm model info checkpoints/MolmoAct2-LIBERO       sizes, parts, horizon, cameras, tags, token ids
      forearm model info allenai/MolmoAct2-LIBERO           the same, downloaded first
      forearm model verify fixtures/think                   compares inputs.npz and outputs.npz, array by array

    Exit codes: 0 done, or all agree; 1 something differs; 2 the folder is not such a checkpoint.

    Args:
        question: info, or verify, for a folder that also holds a reference's inputs.npz and outputs.npz.
        checkpoint: its folder, or its name on the hub.
    """
    from forearm.cli.terminal import say
    from forearm.model.hub import find

    folder = find(checkpoint)
    if question == "info":
        from forearm.model.describe import describe

        say(describe(folder))
        return 0
    from forearm.model.verify import verify

    report = verify(folder)
    say(report.text())
    return 0 if report.agrees else 1
