"""`forearm model`: what a checkpoint is and knows, and whether this code computes what its reference did."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import tyro


def model(question: tyro.conf.Positional[Literal["info", "verify"]], checkpoint: tyro.conf.Positional[str], /) -> int:
    """Looks at a checkpoint: a model that came with the package, one of ours in a folder, or a released MolmoAct2.

    A released one is a folder of config.json, safetensors, norm_stats.json and tokenizer, or its hub name.

      forearm model info nano                               its tasks, training, calibration and operating limits
      forearm model info station
      forearm model info runs/mine
      forearm model info checkpoints/MolmoAct2-LIBERO       sizes, parts, horizon, cameras, tags, token ids
      forearm model info allenai/MolmoAct2-LIBERO           the same, downloaded first
      forearm model verify fixtures/think                   compares inputs.npz and outputs.npz, array by array

    Exit codes: 0 done, or all agree; 1 something differs; 2 there is no such checkpoint, or it is damaged.

    Args:
        question: info, or verify, for a released one's folder that also holds a reference's inputs.npz and outputs.npz.
        checkpoint: nano, station, its folder, or its name on the hub.
    """
    from forearm.cli.terminal import say
    from forearm.errors import InputError, unknown
    from forearm.model.checkpoint import kind_of
    from forearm.model.description import MODELS, shipped
    from forearm.model.hub import find

    folder = shipped(checkpoint) or find(checkpoint)
    if not folder.is_dir():
        allowed = [*MODELS, "a checkpoint's folder", "a name on the hub"]
        raise InputError(f"{unknown('checkpoint', checkpoint, allowed)}; check the path")
    if question == "info":
        from forearm.model.describe import describe

        say(describe(folder) if kind_of(folder) is None else _ours(checkpoint, folder))
        return 0
    from forearm.model.verify import verify

    report = verify(folder)
    say(report.text())
    return 0 if report.agrees else 1


def _ours(name: str, folder: Path) -> str:
    """A page about a model of ours. About two seconds: its weights are read, so that damage shows.

    Raises:
        CheckpointError: when it, or what is known of it, is damaged.
    """
    from forearm.model.checkpoint import stored
    from forearm.model.description import read_words
    from forearm.policy.choice import about_policy, tasks_for
    from forearm.runtime.card import about_card
    from forearm.runtime.known import read_known
    from forearm.runtime.monitors.watch import applying

    about, words, known = about_policy(name), read_words(folder), read_known(folder)
    digest, parameters = str(about["model_digest"]), stored(folder)
    facts = [
        ("model", digest),
        (
            "parameters",
            f"{parameters.count:,}, {parameters.size / 1e6:.1f} MB stored as {' and '.join(parameters.types)}",
        ),
        ("training", _training(about["recipe"])),
        ("words", f"{len(words.vocabulary)} in {len(words.instructions)} sentences"),
        *(("task", f"{task.name}: {task.pattern}") for task in tasks_for(name)),
        ("monitors", applying(known.calibration, digest)[1]),
        ("card", about_card(known.card, digest)[1]),
    ]
    return "\n".join([str(folder), "", *(f"  {fact:<12}{text}" for fact, text in facts)])


def _training(made: Any) -> str:
    """What a checkpoint's recipe file says of its training."""
    recipe = made.get("recipe")
    name = recipe.get("name") if isinstance(recipe, Mapping) else recipe
    return f"recipe {name}, {made.get('step')} steps, commit {made.get('commit')}"
