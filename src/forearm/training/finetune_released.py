"""A released MolmoAct2 checkpoint goes on learning from a dataset; what comes out is a released folder again.

Learned is the released objective, as far as checkpoint and dataset bring it: the flow always; action tokens where the
checkpoint writes them and its action tokenizer, which is released apart from it, is at hand; depth codes where the
dataset holds them, because the encoder that makes them of a picture is not among the released files. What is left out
is said. One process does it, or as many as torchrun started.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from forearm.data.lerobot import Source
from forearm.data.mapping import FeatureMapping
from forearm.errors import ConfigError, InputError, unknown
from forearm.files import write_json
from forearm.model import weights
from forearm.model.action_tokenizer import ActionTokenizer
from forearm.model.adaptation import LowRank, Rates, adapt, train_everything, train_expert_only
from forearm.model.config import ModelConfig
from forearm.model.published import read_config
from forearm.model.released import MolmoAct2
from forearm.training.examples import Examples, prompter_for, statistics_with
from forearm.training.finetune_plan import FinetunePlan, Tune
from forearm.training.metrics import add_row, resume_at, rows_in
from forearm.training.processes import Processes, joined
from forearm.training.released_trainer import ReleasedRecipe, ReleasedTrainer, saved
from forearm.training.report import write_report
from forearm.training.written import writes_actions, writes_depth

RECIPE = "recipe.json"
SAVE_EVERY = 250  # steps between resumable states


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedTuning:
    """One way to go on learning: its learning rates, and what marks a model's parameters so."""

    name: Tune
    rates: Rates
    choose: Callable[[MolmoAct2], object]


def _low_rank(model: MolmoAct2) -> None:
    adapt(model, LowRank())


# Rates of the released recipes; low-rank additions are trained at one rate.
RELEASED_TUNINGS = (
    ReleasedTuning(name="full", rates=Rates(), choose=train_everything),
    ReleasedTuning(name="lora", rates=Rates(language=5e-5, vision=5e-5, connector=5e-5, expert=5e-5), choose=_low_rank),
    ReleasedTuning(name="expert", rates=Rates(), choose=train_expert_only),
)


def released_tuning_named(name: str) -> ReleasedTuning:
    """The way of that name.

    Raises:
        InputError: for a name that is none of theirs.
    """
    for tuning in RELEASED_TUNINGS:
        if tuning.name == name:
            return tuning
    raise InputError(unknown("tune", name, [tuning.name for tuning in RELEASED_TUNINGS]))


def released_recipe_for(tuning: ReleasedTuning, *, steps: int, batch: int, insulated: bool = False) -> ReleasedRecipe:
    """How a released checkpoint goes on learning, with the rates of what is trained."""
    return ReleasedRecipe(steps=steps, batch=batch, insulated=insulated, rates=tuning.rates)


def finetune_released(
    plan: FinetunePlan,
    mapping: FeatureMapping,
    recipe: ReleasedRecipe,
    *,
    tokenizer: Path | None,
    tell: Callable[[str], None],
) -> None:
    """Goes on learning where a released checkpoint ended; writes a released folder, metrics and training.html.

    Run again to resume, by as many processes as before or another number.

    Args:
        plan: with a released checkpoint's folder, and any LeRobot v3.0 dataset.
        mapping: what of it is what, its cameras in the order in which the model is shown them.
        recipe: for how long, and how.
        tokenizer: folder of the checkpoint's action tokenizer; None learns no action tokens.
        tell: is told once, in a sentence each, what of the released objective is not learned.

    Raises:
        CheckpointError, DatasetError: when the parent, the tokenizer or the dataset is damaged.
        ConfigError: when the checkpoint does not act by the flow.
        InputError: when `plan.out` is being made into something else; when the mapping's robot or cameras, or the
            tokenizer, are not the checkpoint's.
    """
    source, config, tuning = Source(plan.data[0]), read_config(plan.parent), released_tuning_named(plan.tune)
    if config.expert is None or config.action_mode == "discrete":
        raise ConfigError(
            f"action mode: got {config.action_mode!r} and {'no' if config.expert is None else 'an'} action expert, "
            "allowed are continuous or both, with one; this checkpoint does not act by the flow"
        )
    missing = tuple(_not_learned(config, tuning, mapping, tokenizer))
    actions = None if tokenizer is None or tuning.name == "expert" else ActionTokenizer.read(tokenizer)
    with joined() as processes:
        statistics, made = plan.out / config.norm_stats_file, dict[str, Any]()
        if processes.first:
            for sentence in missing:
                tell(sentence)
            parent = weights.digest(plan.parent)
            said = None if tokenizer is None else str(tokenizer.resolve())
            made = {**plan.made(parent), "action_tokenizer": said, "not_learned": missing}
            plan.claim(parent, {**asdict(recipe), "action_tokenizer": said})
            write_json(statistics, statistics_with(plan.parent, source, mapping))
        processes.wait()
        examples = Examples(source, mapping, prompter_for(plan.parent, statistics, mapping), actions)
        loaded = weights.load(plan.parent, dtype=torch.float32, device=processes.device)
        torch.manual_seed(recipe.seed)  # low-rank additions draw their weights: the same in every process
        tuning.choose(loaded.model)
        trainer = ReleasedTrainer(loaded.model, examples, recipe, processes)
        _run(trainer, plan.out, processes)
        tensors = trainer.weights()
        if processes.first:
            _write(plan.parent, plan.out, tensors, statistics.read_bytes())
            write_json(plan.out / RECIPE, {**made, "recipe": asdict(recipe), "step": trainer.step})
            write_report(plan.out, rows_in(plan.out), {**made, **asdict(recipe)}, {})
        processes.wait()


def _not_learned(
    config: ModelConfig, tuning: ReleasedTuning, mapping: FeatureMapping, tokenizer: Path | None
) -> Iterator[str]:
    """What of the released objective is left out, and why."""
    if tuning.name == "expert":
        if writes_actions(config) or writes_depth(config):
            yield "tokens are not learned: the action expert alone is trained, and writes none"
        return
    if writes_actions(config) and tokenizer is None:
        yield "action tokens are not learned: the checkpoint writes them, but its action tokenizer was not named"
    if writes_depth(config) and mapping.depth_codes is None:
        yield (
            "depth is not learned: the mapping names no depth_codes, and the encoder that makes them of a picture is "
            "not among the released files"
        )
    if mapping.depth_codes is not None and not writes_depth(config):
        yield "depth is not learned: the checkpoint writes no depth map"


def _run(trainer: ReleasedTrainer, out: Path, processes: Processes) -> None:
    """Every step that is left."""
    state = saved(out)
    if state is not None:
        trainer.restore(state)
    if processes.first:
        resume_at(trainer.step, out)
    started, first = time.monotonic(), trainer.step
    while trainer.step < trainer.recipe.steps:
        figures = trainer.advance()
        if processes.first:
            seconds = (time.monotonic() - started) / (trainer.step - first) * trainer.step
            add_row(out, {"step": trainer.step, "seconds": seconds, **figures})
        if trainer.step % SAVE_EVERY == 0 or trainer.step == trainer.recipe.steps:
            trainer.save(out)


def _write(parent: Path, out: Path, tensors: Mapping[str, torch.Tensor], statistics: bytes) -> None:
    """The weights under their published names, beside the parent's small files and the robot's statistics."""
    loaded = weights.load(parent)
    model = weights.build(loaded.model.config)
    model.load_state_dict(dict(tensors), assign=True)
    weights.save(weights.Checkpoint(model, loaded.extra, loaded.metadata), out, source=parent)
    (out / loaded.model.config.norm_stats_file).write_bytes(statistics)
