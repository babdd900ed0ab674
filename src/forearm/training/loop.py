"""Training, resumable: on an accelerator where there is one, else on a few CPU cores.

On CPU cores it is one single-threaded process a core, gradients averaged between them: they beat one multi-threaded one
by a third, because the model is too small to share a step out. The dataset is read once and shared by fork.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from typing import Any

import torch
import torch.distributed as dist
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from forearm.data.dataset import load_all
from forearm.errors import ForearmError
from forearm.model import checkpoint
from forearm.model.adaptation import merged
from forearm.model.reasoner import ReasonerConfig
from forearm.model.sizes import Sizes
from forearm.training.batch import Batch, Lessons
from forearm.training.captured import CapturedStep
from forearm.training.checkpoint import claim_run, load_state, save_state
from forearm.training.feed import Feed
from forearm.training.learners import Model, learner_named
from forearm.training.metrics import add_row, resume_at
from forearm.training.recipe import Recipe

SAVE_EVERY = 250  # steps between resumable states: a few minutes of work
SHOW_EVERY = 10
CPU = torch.device("cpu")
BETAS = (0.9, 0.95)

Beginning = Callable[[Lessons, Recipe], Model]  # what a run starts from: the same in each of its processes


def rate_at(recipe: Recipe, step: int) -> float:
    """The learning rate of a step: up, level, and linearly down to zero at the end."""
    left = (recipe.steps - step) / max(1.0, recipe.decay * recipe.steps)
    return recipe.rate * min(1.0, (step + 1) / recipe.warmup, left)


def config_for(lessons: Lessons, sizes: Sizes) -> ReasonerConfig:
    """A reasoner of these sizes for what a dataset's sentences need."""
    words = lessons.words
    return sizes.config(vocabulary=len(words.vocabulary), places=words.places, subtasks=len(words.subtasks))


def fresh(lessons: Lessons, recipe: Recipe) -> Model:
    """A beginning from nothing: new weights, decided by the recipe's seed."""
    return learner_named(recipe.learner).build(config_for(lessons, recipe.sizes), recipe.seed)


def train(datasets: Sequence[Path], out: Path, recipe: Recipe, *, provenance: Mapping[str, Any]) -> None:
    """Trains a reasoner and writes its checkpoint to `out`; run again to resume after an interruption.

    Args:
        datasets: recordings; what is learned from is all of them.
        out: where the checkpoint, the metrics and the resumable state go.
        recipe: what to do.
        provenance: written into the checkpoint: commit, command and the like.

    Raises:
        DatasetError: when a recording is not whole.
        InputError: when `out` is another run's, by recipe or data.
        ForearmError: when a process died.
    """
    torch.set_num_threads(1)  # before the fork: the processes must not inherit a thread pool
    recorded = load_all(datasets)
    data = {"episodes": len(recorded.instructions), "digest": recorded.digest()}
    claim_run(out, {"recipe": asdict(recipe), "data": data})
    lessons = Lessons.of(recorded, horizon=recipe.sizes.horizon, asking=recipe.asking, turns=recipe.turns)
    learn(lessons, out, recipe, provenance={**provenance, "data": data})


def learn(
    lessons: Lessons, out: Path, recipe: Recipe, *, provenance: Mapping[str, Any], beginning: Beginning = fresh
) -> None:
    """`train` on lessons that were made before, from any beginning. To be called with one thread, because it forks.

    Raises:
        ForearmError: when a process died.
    """
    out.mkdir(parents=True, exist_ok=True)
    work = on_accelerator if torch.cuda.is_available() else on_cores
    work(lessons, out, recipe, dict(provenance), beginning)


def on_accelerator(
    lessons: Lessons, out: Path, recipe: Recipe, provenance: dict[str, Any], beginning: Beginning = fresh
) -> None:
    """Learns in this process on the first CUDA device; `learn` says what comes of it."""
    torch.set_float32_matmul_precision("high")
    device = torch.device("cuda")
    made = {**provenance, "device": torch.cuda.get_device_name(device)}
    _work(0, lessons, out, replace(recipe, processes=1), made, beginning, out / "rendezvous", device)


def on_cores(
    lessons: Lessons, out: Path, recipe: Recipe, provenance: dict[str, Any], beginning: Beginning = fresh
) -> None:
    """Learns in forked processes, one a core; `learn` says what comes of it.

    Raises:
        ForearmError: when one of them died.
    """
    rendezvous = (out / "rendezvous").absolute()  # a URL has no relative paths
    rendezvous.unlink(missing_ok=True)
    context = multiprocessing.get_context("fork")
    ranks = [
        context.Process(
            target=_forked, args=(rank, lessons, out, recipe, provenance, beginning, rendezvous), daemon=True
        )
        for rank in range(recipe.processes)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    rendezvous.unlink(missing_ok=True)
    died = [rank for rank, process in enumerate(ranks) if process.exitcode != 0]
    if died:
        raise ForearmError(f"training: processes {died} died, see above; run the same command to resume")


def _forked(*given: Any) -> None:
    """`_work` in a process that never outlives the one that began it, and leaves an interrupt to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    beginner = multiprocessing.parent_process()
    assert beginner is not None
    Thread(target=_end_with, args=(beginner.sentinel,), daemon=True).start()
    _work(*given)


def _end_with(sentinel: int) -> None:
    """Ends this process as soon as the one of that sentinel has ended: a second run may be begun by then."""
    wait([sentinel])
    os._exit(1)


def _work(
    rank: int,
    lessons: Lessons,
    out: Path,
    recipe: Recipe,
    provenance: dict[str, Any],
    beginning: Beginning,
    rendezvous: Path,
    device: torch.device = CPU,
) -> None:
    torch.set_num_threads(1)
    if recipe.processes > 1:
        dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=recipe.processes)
    trainer = Trainer(lessons, recipe, rank, device, beginning)
    state = load_state(out, device)
    if state is not None:
        trainer.restore(state)
    if rank == 0:
        resume_at(trainer.step, out)
    started, first = time.monotonic(), trainer.step
    for step, figures in _shown(trainer, rank):
        if rank == 0 and (step % SHOW_EVERY == 0 or step == recipe.steps):
            seconds = (time.monotonic() - started) / (step - first) * step
            row = {"step": step, "seconds": seconds, **{name: float(value) for name, value in figures.items()}}
            add_row(out, row)
        if rank == 0 and (step % SAVE_EVERY == 0 or step == recipe.steps):
            save_state(out, trainer.state())
            made = {**provenance, "recipe": asdict(recipe), "step": step}
            weights = {name: tensor.cpu() for name, tensor in trainer.average.items()}
            parts = (weights, trainer.model.config, lessons.words, lessons.scales, made)
            checkpoint.write(out, *parts, kind=trainer.learner.kind)
    if recipe.processes > 1:
        dist.destroy_process_group()


def _shown(trainer: Trainer, rank: int) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """The trainer's steps, with a progress bar on the first process."""
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=rank > 0) as progress:
        bar = progress.add_task("", total=trainer.recipe.steps, completed=trainer.step)
        while trainer.step < trainer.recipe.steps:
            figures = trainer.advance()
            progress.update(bar, advance=1)
            if trainer.step % SHOW_EVERY == 0:
                progress.update(bar, description=f"loss {float(figures['total']):.3f}")
            yield trainer.step, figures


class Trainer:
    """One process's share of a run: weights, optimiser and running average. Deterministic in (recipe, step, rank)."""

    def __init__(
        self,
        lessons: Lessons,
        recipe: Recipe,
        rank: int,
        device: torch.device = CPU,
        beginning: Beginning = fresh,
    ) -> None:
        self.recipe, self.step, self._rank, self._device = recipe, 0, rank, device
        self._feed = Feed(lessons, recipe, rank)
        self.learner = learner_named(recipe.learner)
        self.model = beginning(lessons, recipe).to(device)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        matrices = [parameter for parameter in trained if parameter.ndim > 1]
        vectors = [parameter for parameter in trained if parameter.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups, lr=recipe.rate, betas=BETAS, fused=True)
        self.average = {name: tensor.detach().clone() for name, tensor in self._weights().items()}
        self._generator = torch.Generator(device)
        self._begin()

    def _begin(self) -> None:
        """Makes what belongs to one stretch of steps: the batches from here on, and how a step is done."""
        self._batches = self._feed.batches(self.step, self._device)
        self._learn = self._one_step
        if self._device.type == "cuda":
            for group in self._optimizer.param_groups:
                group |= {"lr": torch.tensor(self.recipe.rate, device=self._device), "capturable": True}
            self._learn = CapturedStep(self._one_step, self._generator)

    def advance(self) -> dict[str, Tensor]:
        """One optimiser step on this process's share of the batch; answers the losses."""
        recipe, rate = self.recipe, rate_at(self.recipe, self.step)
        self._generator.manual_seed(hash((recipe.seed, self.step, self._rank)) % 2**63)
        for group in self._optimizer.param_groups:
            group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate
        figures = self._learn(next(self._batches))
        self.step += 1
        self._move_average()
        return figures

    def _one_step(self, batch: Batch) -> dict[str, Tensor]:
        figures = self.learner.losses(self.model, batch, self.recipe.weights, self._generator)
        figures["total"].backward()
        self._average_gradients()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return {**{name: value.detach() for name, value in figures.items()}, "gradient": norm}

    def _average_gradients(self) -> None:
        if self.recipe.processes == 1:
            return
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.recipe.processes
        for gradient, part in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    @torch.no_grad()
    def _move_average(self) -> None:
        keep = min(self.recipe.average, self.step / (self.step + 10))  # short at first, so that it forgets the start
        weights = self._weights()
        averages, weights = list(self.average.values()), [weights[name] for name in self.average]
        torch._foreach_lerp_(averages, weights, 1 - keep)  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]

    def _weights(self) -> dict[str, Tensor]:
        """The weights as they are shipped: low-rank additions, where there are any, are part of their matrices."""
        return merged(self.model, self.model.state_dict())

    def state(self) -> dict[str, Any]:
        """Everything `restore` needs."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where `state` was taken."""
        self.step = int(state["step"])
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.average = {name: tensor.clone() for name, tensor in state["average"].items()}
        self._begin()
