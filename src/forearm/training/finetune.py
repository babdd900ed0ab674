"""A checkpoint that learns from further demonstrations: all of it, its action expert, or low-rank additions to it.

What comes out is a checkpoint like any other: low-rank additions are part of their matrices, old words keep their rows,
scales are the parent's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch

from forearm.data.dataset import load_all
from forearm.errors import CheckpointError, InputError, listing, unknown
from forearm.files import write_json
from forearm.model import checkpoint
from forearm.model.adaptation import LowRank, adapt_layers
from forearm.model.checkpoint import Checkpoint
from forearm.model.reasoner import Reasoner, ReasonerConfig
from forearm.model.sizes import NANO, Sizes
from forearm.model.vocabulary import with_words
from forearm.training.batch import Lessons
from forearm.training.feed import split
from forearm.training.finetune_plan import FinetunePlan, Tune
from forearm.training.held_out import open_loop
from forearm.training.loop import learn
from forearm.training.metrics import rows_in
from forearm.training.recipe import Recipe, Recording
from forearm.training.report import write_report

HELD_OUT_TICKS = 256  # measured open loop before and after, spread evenly over the held-out episodes
LOW_RANK = LowRank(rank=16, alpha=16.0, dropout=0.0)  # of matrices 128 wide; an eighth of their directions


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """One way to go on learning.

    Attributes:
        name: as a person asks for it.
        rate: peak learning rate.
        learns_words: whether it can learn sentences that the parent was not taught.
        choose: makes what is to be trained trainable and the rest not, given the parameters that grew.
    """

    name: Tune
    rate: float
    learns_words: bool
    choose: Callable[[Reasoner, frozenset[str]], None]


def _everything(model: Reasoner, grown: frozenset[str]) -> None:
    model.requires_grad_(True)


def _expert(model: Reasoner, grown: frozenset[str]) -> None:
    model.requires_grad_(False)
    model.expert.requires_grad_(True)


def _low_rank(model: Reasoner, grown: frozenset[str]) -> None:
    """Additions beside every matrix of what sees and reasons; the action expert and tables that grew are trained."""
    owners = {name.rpartition(".")[0] for name in grown}
    trained = [model.get_parameter(name) for name in grown]
    model.requires_grad_(False)
    adapt_layers(model, lambda name: not name.startswith("expert.") and name not in owners, LOW_RANK)
    model.expert.requires_grad_(True)
    for parameter in trained:
        parameter.requires_grad_(True)


def _added(model: Reasoner, grown: frozenset[str]) -> None:
    """What the parent lacks; what it can do is not put at risk by parts that have learned nothing yet."""
    model.requires_grad_(False)
    for name in grown:
        model.get_parameter(name).requires_grad_(True)


TUNINGS = (
    Tuning(name="full", rate=3e-4, learns_words=True, choose=_everything),
    Tuning(name="lora", rate=1e-3, learns_words=True, choose=_low_rank),
    Tuning(name="expert", rate=3e-4, learns_words=False, choose=_expert),
    Tuning(name="added", rate=1e-3, learns_words=False, choose=_added),
)


def tuning_named(name: str) -> Tuning:
    """The way of that name.

    Raises:
        InputError: for a name that is none of theirs.
    """
    for tuning in TUNINGS:
        if tuning.name == name:
            return tuning
    raise InputError(unknown("tune", name, [tuning.name for tuning in TUNINGS]))


def recipe_for(tuning: Tuning, *, steps: int, batch: int = 48, processes: int = 2, seed: int = 0) -> Recipe:
    """How a checkpoint goes on learning: gently up, level, down to zero. Records nothing."""
    return Recipe(
        name=f"finetune-{tuning.name}",
        recording=Recording(counts={}),
        steps=steps,
        batch=batch,
        processes=processes,
        rate=tuning.rate,
        warmup=max(1, min(100, steps // 10)),
        seed=seed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What fine-tuning came to.

    Attributes:
        digest: of the new checkpoint.
        new_words: words that the parent did not know.
        new_sentences: sentences that it was not taught.
        before, after: open-loop figures on held-out episodes, empty where the dataset is too small to hold any out.
    """

    digest: str
    new_words: tuple[str, ...]
    new_sentences: tuple[str, ...]
    before: Mapping[str, float]
    after: Mapping[str, float]


def finetune(plan: FinetunePlan, recipe: Recipe) -> Tuned:
    """Goes on learning where a reasoner ended; writes the checkpoint, its metrics and training.html to `plan.out`.

    Run again to resume.

    Args:
        plan: with a reasoner's folder, and datasets in our layout, recorded or imported.
        recipe: for how long, and how.

    Raises:
        CheckpointError: when the parent is damaged or not a reasoner.
        DatasetError: when the dataset is not whole.
        InputError: when `plan.out` is being made into something else; when the recipe is of another kind of model;
            when the sentences are new and only what reads none is to be trained; when nothing is.
        ForearmError: when a process died.
    """
    torch.set_num_threads(1)  # before the fork: the processes must not inherit a thread pool
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise InputError(
            f"processes: got {os.environ['WORLD_SIZE']} of torchrun, allowed is one for a model of ours, which makes "
            "its own; start it without torchrun"
        )
    if recipe.learner != "reasoner":
        raise InputError(
            f"recipe: got {recipe.name}, which makes a model of another kind, allowed are those that make a reasoner; "
            "name another, or none"
        )
    tuning, out = tuning_named(plan.tune), plan.out
    start = _reasoner(plan.parent)
    recipe = replace(recipe, sizes=_sizes(start.model.config, recipe.sizes))
    if plan.tune == "added" and recipe.sizes == _sizes(start.model.config, NANO):  # which asks for nothing more
        raise InputError(
            f"tune added: got recipe {recipe.name}, of which the checkpoint lacks no part, allowed is one with more; "
            "name another recipe, or tune in full"
        )
    data = load_all(plan.data)
    lessons = Lessons.of(
        data, horizon=recipe.sizes.horizon, asking=recipe.asking, known=start.words, turns=recipe.turns
    )
    lessons = replace(lessons, scales=start.scales)
    new_words = lessons.words.vocabulary[len(start.words.vocabulary) :]
    new_sentences = tuple(sorted(set(lessons.words.instructions) - set(start.words.instructions)))
    if new_sentences and not tuning.learns_words:
        raise InputError(
            f"tune {tuning.name}: got {len(new_sentences)} sentences that the checkpoint was not taught, such as "
            f"{new_sentences[0]!r}, allowed are those that it was: what is trained reads none; "
            f"use {listing(each.name for each in TUNINGS if each.learns_words)}"
        )
    made = plan.made(start.digest) | {"before": dict(start.recipe), "new_words": list(new_words)}
    made["data"] = {"folders": made["data"], "episodes": len(data.instructions), "digest": data.digest()}
    plan.claim(start.digest, asdict(recipe))
    learn(lessons, out, recipe, provenance=made, beginning=partial(begin, start, tuning))
    before, after = _measured(start, lessons, recipe, out)
    write_json(out / "held_out.json", {"before": before, "after": after})
    write_report(out, rows_in(out), {**made, **asdict(recipe)}, {"before": before, "after": after})
    digest = checkpoint.read(out).digest
    return Tuned(digest=digest, new_words=new_words, new_sentences=new_sentences, before=before, after=after)


def _reasoner(folder: Path) -> Checkpoint[Reasoner]:
    kind = checkpoint.kind_of(folder)
    if kind is not Reasoner:
        raise CheckpointError(
            f"fine-tuning {folder}: got {'no model of ours' if kind is None else kind.__name__.lower()}, allowed is a "
            "reasoner or a released checkpoint; train the other from its recipe"
        )
    return checkpoint.read(folder)


def _sizes(config: ReasonerConfig, asked: Sizes) -> Sizes:
    decoder = config.decoder
    return Sizes(
        width=decoder.width,
        layers=decoder.layers,
        hidden=decoder.hidden,
        cell_channels=config.cell_channels,
        names=asked.names or config.names,
        closer=asked.closer or config.closer,
        horizon=config.expert.horizon,
        without=config.without,
    )


def begin(start: Checkpoint[Reasoner], tuning: Tuning, lessons: Lessons, recipe: Recipe) -> Reasoner:
    """What a run starts from: the parent with the lessons' words, ready to be trained as asked."""
    model, grown = with_words(start, lessons.words, recipe.seed, names=recipe.sizes.names, closer=recipe.sizes.closer)
    tuning.choose(model, grown)
    return model


def _measured(
    start: Checkpoint[Reasoner], lessons: Lessons, recipe: Recipe, out: Path
) -> tuple[dict[str, float], dict[str, float]]:
    """Open-loop figures of the parent and of what became of it; nothing where no episode was held out."""
    _, held_out = split(lessons.dataset)
    if len(held_out) == 0:
        return {}, {}
    ticks = held_out[:: max(1, len(held_out) // HELD_OUT_TICKS)]
    model, _ = with_words(start, lessons.words, recipe.seed)
    first = replace(start, model=model.eval(), words=lessons.words)
    return asdict(open_loop(first, lessons, ticks)), asdict(open_loop(checkpoint.read(out), lessons, ticks))
