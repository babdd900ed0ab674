"""Runs a checkpoint on stored raw inputs and keeps every intermediate value under the name that references give it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from forearm.errors import CheckpointError, InputError, listing
from forearm.model import depth_decoding, generate
from forearm.model.action_expert import sinusoids
from forearm.model.config import ExpertConfig
from forearm.model.depth import changed_cells, runs
from forearm.model.images import CROP_MODES, CropConfig, Pixels, cut
from forearm.model.inputs import Prompter, Sample, batch, read_crops
from forearm.model.losses import IGNORED, Lesson, learn
from forearm.model.released import MolmoAct2, Prompt
from forearm.model.statistics import choose, read_tags
from forearm.model.tokenizer import read_tokenizer
from forearm.model.weights import published_name

Arrays = Mapping[str, NDArray[Any]]
CE_TAIL = 20  # targets at the end of the prompt that the reference's cross-entropy covers


@dataclass(frozen=True, slots=True)
class Frame:
    """What one frame came to: prepared inputs, and everything computed from them, by reference name without suffix."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


class Reproduction:
    """One checkpoint and the inputs stored with it. `free` writes depth unconstrained, as some references do."""

    def __init__(self, model: MolmoAct2, folder: Path, inputs: Arrays, meta: Mapping[str, Any], *, free: bool) -> None:
        config = model.config
        crops, marks = read_crops(folder, config)
        if not any((folder / name).is_file() for name in ("processor_config.json", "preprocessor_config.json")):
            crops = _matching_crops(crops, inputs, meta)
        self.model = model
        self._free = free
        self._inputs = inputs
        tokenizer, tags = read_tokenizer(folder, config), read_tags(folder / config.norm_stats_file)
        prompters = {
            name: Prompter(config=config, tokenizer=tokenizer, tag=tag, crops=crops, marks=marks)
            for name, tag in tags.items()
        }
        name = meta.get("norm_tag")
        if name is None and len(tags) > 1:  # the prompt tells of which of them it is
            name = next((each for each, prompter in prompters.items() if self._asked(prompter)), None)
        self._tag = choose(tags, name)
        self._prompter = prompters[self._tag.name]
        self._before: tuple[Tensor, Pixels] | None = None

    @torch.no_grad()
    def frame(self, suffix: str) -> Frame:
        """Everything about the frame whose arrays end in `suffix`; a second frame follows the first one's depth."""
        given, model = self._inputs, self.model
        sample, with_depth = self._sample(self._prompter, suffix)
        prompt = batch([sample], model.config.tokens.pad)
        outputs: dict[str, Any] = {}
        with _recording(model, outputs):
            stream = generate.read(model, prompt, room=0, tail=prompt.ids.shape[1])
        outputs["act_input_embeds"] = model.embed(prompt)
        outputs["logits"] = model.lm_head(stream.hidden)
        outputs["last_hidden_check"] = outputs["logits"].abs().mean().reshape(1)
        outputs["encoder_mask"] = model.visible(prompt.ids, prompt.valid)
        if with_depth:
            depth = self._depth(prompt, sample, outputs)
            stream = depth.stream
            outputs |= _depth_outputs(depth)
        if model.config.expert is not None and f"noise{suffix}" in given:
            noise = _shaped(
                "inputs.npz", given, f"noise{suffix}", (1, model.config.expert.horizon, model.config.expert.action_dim)
            )
            outputs |= self._acting(stream, noise, given.get("velocity_t"))
        return Frame(_input_arrays(sample, prompt, model), outputs)

    def _sample(self, prompter: Prompter, suffix: str) -> tuple[Sample, bool]:
        """The prompt of the frame whose arrays end in `suffix`, and whether it asks for depth."""
        given = self._inputs
        with_depth = bool(np.any(given[f"input_ids{suffix}"] == self.model.config.tokens.depth_output))
        state, task = given.get(f"state_raw{suffix}"), str(given["task"])
        return prompter.sample(_images(given, suffix), task, state, depth=with_depth), with_depth

    def _asked(self, prompter: Prompter) -> bool:
        """Whether what was stored is what `prompter` makes of it."""
        try:
            ids = self._sample(prompter, "")[0].ids
        except InputError:  # another number of cameras or channels
            return False
        return np.array_equal(ids, self._inputs["input_ids"][0])

    def _depth(self, prompt: Prompt, sample: Sample, outputs: dict[str, Any]) -> depth_decoding.Depth:
        model, codes = self.model, cast(Any, self.model.config.depth).codes
        if self._free:
            depth = depth_decoding.write_freely(model, prompt)
            again = generate.read(
                model, prompt, room=depth.tokens.shape[1], then=depth.tokens, tail=depth.tokens.shape[1] + 1
            )
            outputs["decode_logit_targets"] = model.lm_head(again.hidden)[0, :-1]
        elif self._before is None or sample.main_image is None:
            depth = depth_decoding.write(model, prompt)
        else:
            changed = changed_cells(sample.main_image, self._before[1], codes)
            outputs["depth_update_mask"] = changed
            outputs["depth_spans"] = np.array(runs(changed), dtype=np.int64)
            depth = depth_decoding.rewrite(model, prompt, self._before[0], changed)
        if sample.main_image is not None:
            self._before = (depth.codes, sample.main_image)
        return depth

    def _acting(self, stream: generate.Stream, noise: Tensor, times: NDArray[Any] | None) -> dict[str, Any]:
        model, expert, config = self.model, self.model.expert, self.model.config
        width = config.expert.action_dim if config.expert is not None else 0
        action = self._tag.action
        size = width if action is None else action.size
        visible = model.visible(stream.ids, stream.valid)
        pairs = model.gated(stream.ids, visible, stream.cache.pairs())
        context = expert.context(pairs, visible)
        chunk = generate.act(stream, noise, size)
        keep = torch.arange(width)[None, None] < (size if config.mask_padding else width)
        x, steps = noise * keep, config.flow.steps
        states, velocities = list[Tensor](), list[Tensor]()
        for step in range(steps):
            states.append(x)
            velocities.append(expert.velocity(x, torch.tensor([step / steps]), context))
            x = (x + velocities[-1] / steps) * keep
        zero = expert.modulations(torch.zeros(1))
        first, second = expert.time_embed["1"], expert.time_embed["3"]
        outputs = {
            "actions": generate.executed(chunk, self._tag, config),
            "chunk_normalised": chunk,
            "flow_x0": states[0],
            "flow_x": torch.stack(states),
            "velocity_raw": torch.stack(velocities),
            "kv_k_flat": torch.stack([k for k, _ in pairs]),
            "kv_v_flat": torch.stack([v for _, v in pairs]),
            "ctx_k": torch.stack(list(context.keys)),
            "ctx_v": torch.stack(list(context.values)),
            "cross_mask": visible[0],
            "adaln_block0_t0": zero.blocks[0, 0],
            "adaln_final_t0": zero.final[0],
            "time_cond_t0": second(
                nn.functional.silu(first(sinusoids(torch.zeros(1), expert.config.time_channels).to(zero.final.dtype)))
            ),
        }
        if times is not None:
            at = [expert.velocity(noise, torch.tensor([float(t)]), context)[0] for t in times]
            outputs["velocity_at_t"] = torch.stack(at)
        return outputs

    def training(self, stored: Arrays, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
        """Losses by reference name, and the gradient of every parameter by published name (zeros where there is none).

        `kind` is "flow" (flow loss alone), "joint" (with cross-entropy over the prompt's tail) or "ki" (insulated).
        """
        model, given = self.model, self._inputs
        sample = self._prompter.sample(_images(given, ""), str(given["task"]), given.get("state_raw"), depth=False)
        prompt = batch([sample], model.config.tokens.pad)
        labels = torch.full_like(prompt.ids, IGNORED)
        learnt = torch.nonzero(prompt.ids[0, 1:] < model.config.text.vocabulary)[:, 0][-CE_TAIL:] + 1
        labels[0, learnt] = prompt.ids[0, learnt]
        actions, noise, t, padded = _taught(stored, model.expert.config)
        width = actions.shape[-1]
        size = width if self._tag.action is None else self._tag.action.size
        lesson = Lesson(
            actions=actions,
            noise=noise,
            t=t,
            rows=~padded,
            channels=(torch.arange(width) < size)[None],
            labels=labels,
        )
        model.zero_grad(set_to_none=True)
        losses = learn(model, prompt, lesson, insulated=kind == "ki")
        total = losses.flow if kind == "flow" or losses.tokens is None else losses.flow + losses.tokens
        total.backward()
        gradients = {
            published_name(name): np.zeros(each.shape, np.float32) if each.grad is None else each.grad.numpy()
            for name, each in model.named_parameters()
        }
        arrays = {"loss_flow": losses.flow, "loss_ce_tail": losses.tokens, "velocity": losses.velocity}
        return {name: cast(Tensor, each).detach().numpy() for name, each in arrays.items()}, gradients


def _shaped(file: str, arrays: Arrays, name: str, most: Sequence[int | None]) -> Tensor:
    """An array of reference inputs as a tensor: of the shape `most`, or of fewer rows; None is any number.

    Raises:
        CheckpointError: when there is none, or it is of another shape.
    """
    got = arrays[name].shape if name in arrays else None
    rows = max(1, len(most) - 2)  # the axis that may be shorter
    same = got is not None and len(got) == len(most)
    if not same or not all(
        n > 0 if m is None else 0 < n <= m if axis == rows else n == m
        for axis, (n, m) in enumerate(zip(got or (), most, strict=True))
    ):
        raise CheckpointError(f"{file} {name}: got shape {got}, allowed is up to {tuple(most)}; copy it again")
    return torch.tensor(arrays[name])


def _taught(stored: Arrays, expert: ExpertConfig) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What train.npz holds of a lesson: actions, noise, flow times and which rows are padding."""
    actions = _shaped("train.npz", stored, "action_target", (1, expert.horizon, expert.action_dim))
    noise = _shaped("train.npz", stored, "noise", (1, None, actions.shape[1], expert.action_dim))
    t = _shaped("train.npz", stored, "t", (1, noise.shape[1]))
    return actions, noise, t, _shaped("train.npz", stored, "step_is_pad", (1, actions.shape[1]))


def _input_arrays(sample: Sample, prompt: Prompt, model: MolmoAct2) -> dict[str, Any]:
    typed = np.array(model.config.tokens.image_typed)
    return {
        "prompt_text": np.array(sample.text),
        "input_ids": prompt.ids.numpy(),
        "token_type_ids": np.isin(prompt.ids.numpy(), typed),
        "pixel_values": (sample.patches.astype(np.float32) / np.float32(255.0)) * np.float32(2.0) - np.float32(1.0),
        "image_token_pooling": sample.windows,
        "image_grids": np.array(sample.grids),
        "image_num_crops": np.array(sample.crops),
    }


def _depth_outputs(depth: depth_decoding.Depth) -> dict[str, Any]:
    best = depth.logits[0].topk(2, dim=-1).values if depth.logits.numel() else None
    outputs: dict[str, Any] = {"depth_bins": depth.codes, "depth_token_ids": depth.tokens}
    if best is not None:
        outputs |= {"depth_code_logits": depth.logits[0], "depth_margin_min": (best[:, 0] - best[:, 1]).min()}
    return outputs


def _images(inputs: Arrays, suffix: str) -> list[Pixels]:
    """The frame's images in the order of their numbers."""
    found = (re.fullmatch(rf"image(\d+)_raw{suffix}", name) for name in inputs)
    numbers = sorted(int(each[1]) for each in found if each is not None)
    return [inputs[f"image{number}_raw{suffix}"] for number in numbers]


def _matching_crops(whole: CropConfig, inputs: Arrays, meta: Mapping[str, Any]) -> CropConfig:
    """The cropping that makes the stored grids and windows: references do not always say how they cut their images."""
    mode = meta.get("crop_mode", "resize")
    if mode not in CROP_MODES:
        raise CheckpointError(f"meta.json crop_mode: got {mode!r}, allowed are {listing(CROP_MODES)}; correct it")
    images = _images(inputs, "")
    if not images or "image_token_pooling" not in inputs or "image_grids" not in inputs:
        return whole
    for crops in _croppings(whole, mode, inputs["image_token_pooling"].shape[-1]):
        if _makes(crops, images, inputs["image_token_pooling"], inputs["image_grids"]):
            return crops
    if mode == "resize":
        return whole
    raise CheckpointError(
        "image_token_pooling: no cropping makes it from the stored images; state it in processor_config.json"
    )


def _croppings(whole: CropConfig, mode: Any, area: int) -> Generator[CropConfig]:
    """Every cropping whose windows have that area, equal margins and many crops first."""
    side = whole.size[0] // whole.patch
    margins = sorted(product(range(side), repeat=2), key=lambda each: (each[0] != each[1], -sum(each)))
    for pooling in ((down, area // down) for down in range(1, area + 1) if area % down == 0):
        for before, after in [(0, 0)] if mode == "resize" else [each for each in margins if sum(each) < side]:
            for most in [1] if mode == "resize" else range(12, 0, -1):
                yield replace(whole, mode=mode, pooling=pooling, margins=(before, after), max_crops=most)


def _makes(crops: CropConfig, images: list[Pixels], windows: NDArray[Any], grids: NDArray[Any]) -> bool:
    start = 0
    for image, grid in zip(images, grids, strict=False):
        made = cut(image, crops)
        end = start + len(made.windows)
        if made.grid != tuple(grid) or not np.array_equal(made.windows, windows[start:end]):
            return False
        start = end
    return start == len(windows)


@contextmanager
def _recording(model: MolmoAct2, outputs: dict[str, Any]) -> Generator[None]:
    """Keeps what the parts answer while it lasts."""

    def keep(name: str) -> Callable[[Any, Any, Tensor], None]:
        def hook(_module: Any, _inputs: Any, answer: Tensor) -> None:
            outputs[name] = answer

        return hook

    backbone, tower = model.vision_backbone, model.vision_backbone.image_vit
    blocks = cast(nn.ModuleList, tower.transformer["resblocks"])
    parts: list[tuple[nn.Module, str]] = [
        (tower.patch_embedding, "act_vit_patch_embed"),
        (backbone.image_pooling_2d, "act_pooled"),
        (backbone.image_projector, "act_image_features"),
        (model.transformer.ln_f, "act_last_hidden"),
        *((block, f"act_vit_block{i}_out") for i, block in enumerate(blocks)),
        *((block, f"act_text_block{i}_out") for i, block in enumerate(model.transformer.blocks)),
    ]
    handles = [module.register_forward_hook(keep(name)) for module, name in parts]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
