"""One optimiser step after the other on a released model, by one process or by several that share it out.

What a step learns from, and with what noise, is decided by the seed and the step alone, so that any number of
processes goes the same way. Several keep a share each of weights, gradients and optimiser (FSDP, Zhao et al. 2023,
arXiv 2304.11277), block by block; a block is gathered while it computes.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import cos, pi
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from forearm.errors import ConfigError
from forearm.model.adaptation import Rates, freeze_unread, merged, parameter_groups, trains_decoder
from forearm.model.flow import sample_times
from forearm.model.inputs import batch
from forearm.model.losses import Lesson, learn, root_weights
from forearm.model.released import MolmoAct2, Prompt
from forearm.training.examples import Example, Examples, stacked
from forearm.training.processes import Processes
from forearm.training.written import label_rows

BETAS, EPSILON = (0.9, 0.95), 1e-6  # of AdamW, as the released recipes set them
STATE, PARTIAL = "state-{}", ".partial"  # folders that a run resumes from, by their step
TRAINED_ONLY = StateDictOptions(ignore_frozen_params=True)  # what is frozen is the parent's, which is at hand


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedRecipe:
    """One fine-tuning run of a released model.

    Attributes:
        steps: optimiser steps.
        batch: samples a step, over all processes.
        micro: samples that a process computes at a time.
        noises: flow paths that share one reading of a sample.
        insulated: where tokens are learned, the flow loss does not reach the decoder. Released post-training did so,
            released fine-tuning did not; nothing depends on it where no tokens are learned.
        rates: of the parts; `warmup` steps up to them, then by a cosine down to `floor` of them at the end.
        clip: of each part's gradient norm.
        seed: of batches and noise.
    """

    steps: int
    batch: int = 64
    micro: int = 8
    noises: int = 8
    insulated: bool = False
    rates: Rates = field(default_factory=Rates)
    warmup: int = 200
    floor: float = 0.1
    clip: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.micro, self.noises, self.warmup) < 1 or self.clip <= 0:
            raise ConfigError(f"recipe: got {self}, allowed are counts ≥ 1 and clip > 0; correct it")

    def share(self, step: int) -> float:
        """Of the rates, at a step."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        gone = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.floor + (1 - self.floor) * (1 + cos(pi * gone)) / 2


class Lecture(nn.Module):
    """The model and its loss as one module, because what is shared out between processes is gathered around `forward`.

    Args:
        model: whose parameters are trained as they stand.
        insulated: where tokens are learned, the flow loss does not reach the decoder.
    """

    def __init__(self, model: MolmoAct2, *, insulated: bool) -> None:
        super().__init__()
        self.model, self._insulated = model, insulated

    def forward(self, prompt: Prompt, lesson: Lesson) -> dict[str, Tensor]:
        """The loss that is minimised as `total`, and its parts; tensors alone, which is what can be shared out."""
        return learn(self.model, prompt, lesson, insulated=self._insulated and lesson.labels is not None).figures


def share_out(lecture: Lecture) -> None:
    """Leaves each process its share of every parameter. Blocks of decoder and vision tower are gathered one by one."""
    model = lecture.model
    tower = cast(Iterable[nn.Module], model.vision_backbone.image_vit.transformer["resblocks"])
    for block in model.transformer.blocks:
        fully_shard(block)
        register_fsdp_forward_method(block, "read")  # its queries, keys and values are made before `forward`
    for block in tower:
        fully_shard(block)
    fully_shard(lecture)


class ReleasedTrainer:
    """A run's weights and optimiser, in this process.

    Args:
        model: with what is to be trained marked so; on the processes' device. Tokens are learned where the examples
            have them and the decoder is trained.
        examples: what is learned from.
        recipe: how.
        processes: who works together.

    Raises:
        ConfigError: when the batch cannot be shared out evenly.
    """

    def __init__(self, model: MolmoAct2, examples: Examples, recipe: ReleasedRecipe, processes: Processes) -> None:
        if recipe.batch % processes.count:
            raise ConfigError(
                f"batch: got {recipe.batch} for {processes.count} processes, allowed are multiples; choose another"
            )
        self._tokens = examples.with_tokens and trains_decoder(model)
        if not self._tokens:
            freeze_unread(model)
        self.model, self.recipe, self.step = model, recipe, 0
        self._examples, self._processes = examples, processes
        self._lecture = Lecture(model.train(), insulated=recipe.insulated)
        if processes.count > 1:
            share_out(self._lecture)
        self._groups = parameter_groups(model, recipe.rates)
        self._rates = [float(group["lr"]) for group in self._groups]
        self._optimizer = torch.optim.AdamW(self._groups, betas=BETAS, eps=EPSILON, weight_decay=0.0)

    def advance(self) -> dict[str, float]:
        """One step of all processes together; the batch's losses and the gradient's norm before clipping.

        `total` is what was minimised; `flow`, `tokens`, its part `depth`, and the unweighed `z` where they are learned.
        """
        torch.manual_seed(hash((self.recipe.seed, self.step, self._processes.rank)) % 2**63)  # of dropout
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * self.recipe.share(self.step)
        sums = dict[str, Tensor]()
        parts = self._lessons()
        for number, (share, prompt, lesson) in enumerate(parts):
            if isinstance(self._lecture, FSDPModule):
                self._lecture.set_requires_gradient_sync(number == len(parts) - 1)
            with torch.autocast("cuda", torch.bfloat16, enabled=self._processes.device.type == "cuda"):
                losses = {name: loss * share for name, loss in self._lecture(prompt, lesson).items()}
            losses["total"].backward()
            sums = {name: sums.get(name, 0.0) + loss.detach() for name, loss in losses.items()}
        norms = [_clip(group["params"], self.recipe.clip) for group in self._groups]
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.step += 1
        shown = {name: each for name, each in sums.items() if name != "depth" or self._examples.with_depth}
        means = {name: self._processes.mean(each) for name, each in shown.items()}
        return {**means, "gradient": float(np.hypot.reduce(norms))}

    def _lessons(self) -> list[tuple[float, Prompt, Lesson]]:
        """This process's part of the step's batch, `micro` samples at a time, and which share of its loss each is."""
        recipe, expert, rank = self.recipe, self.model.expert.config, self._processes.rank
        ticks = np.random.default_rng((recipe.seed, self.step)).integers(len(self._examples), size=recipe.batch)
        generator = torch.Generator().manual_seed(hash((recipe.seed, self.step)) % 2**63)
        noise = torch.randn(recipe.batch, recipe.noises, expert.horizon, expert.action_dim, generator=generator)
        times = sample_times((recipe.batch, recipe.noises), self.model.config.flow, generator)
        own, parts = recipe.batch // self._processes.count, list[tuple[float, Prompt, Lesson]]()
        for first in range(rank * own, (rank + 1) * own, recipe.micro):
            part = range(first, min(first + recipe.micro, (rank + 1) * own))
            drawn = [
                self._examples.draw(int(ticks[i]), np.random.default_rng((recipe.seed, self.step, i))) for i in part
            ]
            lesson = self._lesson(drawn, noise[part.start : part.stop], times[part.start : part.stop])
            parts.append((len(drawn) / own, self._prompt(drawn), lesson))
        return self._weighed(parts) if self._tokens else parts

    def _weighed(self, parts: list[tuple[float, Prompt, Lesson]]) -> list[tuple[float, Prompt, Lesson]]:
        """The same with what each label counts for, so that over all processes and parts this sums to one.

        By which sum the released training divides is not published. This one lets a step be the same however it is
        shared out.
        """
        labels = [cast(Tensor, lesson.labels) for _, _, lesson in parts]
        own = [root_weights(each) for each in labels]
        mean = self._processes.mean(torch.stack([each.sum() for each in own]).sum())
        return [
            (share, prompt, replace(lesson, weights=weights / (max(mean, 1e-9) * share)))
            for (share, prompt, lesson), weights in zip(parts, own, strict=True)
        ]

    def _prompt(self, examples: list[Example]) -> Prompt:
        return batch([each.sample for each in examples], self.model.config.tokens.pad, self._processes.device)

    def _lesson(self, examples: list[Example], noise: Tensor, times: Tensor) -> Lesson:
        device = self._processes.device
        actions, rows, channels = (torch.from_numpy(each).to(device) for each in stacked(examples))
        length = max(len(each.sample.ids) for each in examples)
        labels = torch.from_numpy(label_rows([each.written for each in examples], length)).to(device)
        return Lesson(
            actions=actions,
            noise=noise.to(device),
            t=times.to(device),
            rows=rows,
            channels=channels,
            labels=labels if self._tokens else None,
        )

    def save(self, out: Path) -> None:
        """Writes what `restore` needs, each process its share, whole or not at all; every process must come here."""
        folder = out / STATE.format(f"{self.step:08d}")
        partial = folder.with_suffix(PARTIAL)
        with _alone_or_not():
            save(self._state(), checkpoint_id=partial, no_dist=self._processes.count == 1)
        self._processes.wait()
        if self._processes.first:
            partial.rename(folder)  # whole: from here on it is what a run resumes from
            for other in out.glob(STATE.format("*")):
                if other != folder:
                    _remove(other)
        self._processes.wait()

    def restore(self, folder: Path) -> None:
        """Goes on from where `save` was called, by however many processes."""
        state = self._state()
        with _alone_or_not():
            load(state, checkpoint_id=folder, no_dist=self._processes.count == 1)
        set_state_dict(
            self._lecture,
            self._optimizer,
            model_state_dict=state["model"],
            optim_state_dict=state["optimizer"],
            options=StateDictOptions(ignore_frozen_params=True, strict=False),
        )
        self.step = int(state["step"])

    def _state(self) -> dict[str, Any]:
        model, optimizer = get_state_dict(self._lecture, self._optimizer, options=TRAINED_ONLY)
        return {"model": model, "optimizer": optimizer, "step": torch.tensor(self.step)}

    def weights(self) -> dict[str, Tensor]:
        """The model's parameters by name, whole, on the host, low-rank additions merged.

        Every process must ask, because each has its share; the first alone is answered, because nobody else writes.
        """
        whole = dict[str, Tensor]()
        for name, parameter in self.model.named_parameters():
            tensor = _whole(parameter)
            if self._processes.first:
                whole[name] = tensor.cpu()
        return merged(self.model, whole) if self._processes.first else {}


@contextmanager
def _alone_or_not() -> Generator[None]:
    """One process saves and loads what several do; that it is alone is meant, and no warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        yield


def _whole(parameter: nn.Parameter) -> Tensor:
    tensor = parameter.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _clip(parameters: list[nn.Parameter], most: float) -> float:
    norm = torch.nn.utils.clip_grad_norm_(parameters, most)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


def saved(out: Path) -> Path | None:
    """The newest whole state in a folder, None where there is none."""
    whole = sorted(path for path in out.glob(STATE.format("*")) if path.suffix != PARTIAL)
    return whole[-1] if whole else None


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
