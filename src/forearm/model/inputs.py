"""What a robot sees and is told, as a model's prompt: one implementation for training and serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from forearm.errors import CheckpointError, ConfigError, InputError
from forearm.model.config import ModelConfig
from forearm.model.images import CropConfig, Pixels, cut
from forearm.model.published import read_json
from forearm.model.released import Prompt
from forearm.model.statistics import Tag
from forearm.model.tokenizer import Tokenizer
from forearm.model.tokens import ImageMarks, expand_images, normalise_instruction, prompt_text, state_levels, state_text


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One prompt on the host, before batching.

    Attributes:
        text: the whole prompt with image tokens written out, without the leading bos.
        ids: (S,) token ids, bos included.
        patches: (N, P, pixels) bytes of all crops.
        windows: (T, w) patches pooled per image token, counted over each image's own crops.
        crops: crops of each image.
        grids: tokens of each image as (low rows, low columns, high rows, high columns).
        main_image: the first camera's image as it came, for adaptive depth.
    """

    text: str
    ids: NDArray[np.int64]
    patches: Pixels
    windows: NDArray[np.int64]
    crops: tuple[int, ...]
    grids: tuple[tuple[int, int, int, int], ...]
    main_image: Pixels | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prompter:
    """Makes prompts for one model and one robot."""

    config: ModelConfig
    tokenizer: Tokenizer
    tag: Tag
    crops: CropConfig
    marks: ImageMarks

    def sample(
        self,
        images: Sequence[Pixels],
        instruction: str,
        state: NDArray[np.float32] | None,
        *,
        depth: bool,
        normalise: bool = True,
    ) -> Sample:
        """The prompt for one observation.

        Args:
            images: (H, W, 3) RGB bytes of each camera, the main one first, in the order of the tag.
            instruction: the person's sentence.
            state: (J,) in the robot's units and the tag's order; None leaves the sentence about it out.
            depth: whether the model is to write a depth map before it acts.
            normalise: whether to strip the sentence to the bare task, as the released models are served.

        Raises:
            InputError: when images, state or prompt are not what the model takes.
        """
        if depth and (self.config.depth is None or not self.config.depth.reasoning):
            raise InputError(
                "depth reasoning: got a checkpoint that was not taught it, allowed is one that was; ask without"
            )
        counts = {len(names) for names in (self.tag.cameras, *self.tag.alternatives)}
        if self.tag.cameras and len(images) not in counts:
            raise InputError(
                f"images: got {len(images)}, allowed are {len(self.tag.cameras)} for {self.tag.name} "
                f"({', '.join(self.tag.cameras)}); give every camera once, in this order"
            )
        text = prompt_text(
            task=normalise_instruction(instruction) if normalise else instruction,
            state="" if state is None else self._state(state),
            setup=self.tag.setup,
            control=self.tag.control,
            images=len(images),
            depth=depth,
            setup_tokens=self.config.setup_tokens,
            control_tokens=self.config.control_tokens,
        )
        cuts = [cut(image, self.crops) for image in images]
        text = expand_images(text, [each.grid for each in cuts], self.marks)
        ids = self.tokenizer.encode(text)
        ids = ids if ids[:1] == [self.config.tokens.bos] else [self.config.tokens.bos, *ids]
        if len(ids) > self.config.text.max_positions:
            raise InputError(
                f"prompt: got {len(ids)} tokens, allowed are {self.config.text.max_positions}; shorten the instruction"
            )
        area, pixels = self.crops.pooling[0] * self.crops.pooling[1], self.crops.patch**2 * 3
        return Sample(
            text=text,
            ids=np.array(ids, dtype=np.int64),
            patches=np.concatenate([each.crops for each in cuts]) if cuts else np.zeros((0, 1, pixels), np.uint8),
            windows=np.concatenate([each.windows for each in cuts]) if cuts else np.zeros((0, area), np.int64),
            crops=tuple(len(each.crops) for each in cuts),
            grids=tuple(each.grid for each in cuts),
            main_image=images[0] if images else None,
        )

    def _state(self, state: NDArray[np.float32]) -> str:
        count = self.config.tokens.state_count
        if count < 1:
            raise InputError("state: got one, allowed is None for a checkpoint without state tokens; leave it out")
        scaled = np.asarray(state, np.float32) if self.tag.state is None else self.tag.state.normalise(state)
        return state_text(state_levels(scaled.reshape(-1), count))


def batch(samples: Sequence[Sample], pad: int, device: torch.device | None = None) -> Prompt:
    """Samples side by side: shorter prompts padded on the left, windows counted over everybody's crops."""
    length = max(len(sample.ids) for sample in samples)
    ids = np.full((len(samples), length), pad, dtype=np.int64)
    valid = np.zeros((len(samples), length), dtype=np.bool_)
    windows: list[NDArray[np.int64]] = []
    offset = 0
    for row, sample in enumerate(samples):
        ids[row, length - len(sample.ids) :] = sample.ids
        valid[row, length - len(sample.ids) :] = True
        start = 0
        for crops, grid in zip(sample.crops, sample.grids, strict=True):
            count = grid[0] * grid[1] + grid[2] * grid[3]
            own = sample.windows[start : start + count]
            windows.append(np.where(own >= 0, own + offset, -1))
            start += count
            offset += crops * sample.patches.shape[1]
    patches = np.concatenate([sample.patches for sample in samples])
    stacked = np.concatenate(windows) if windows else samples[0].windows
    stacked = stacked[(stacked >= 0).any(-1)]  # a window without any patch makes no token
    return Prompt(
        ids=torch.tensor(ids, device=device),
        valid=None if valid.all() else torch.tensor(valid, device=device),
        patches=torch.tensor(patches, device=device),
        windows=torch.tensor(stacked, device=device),
    )


def read_crops(folder: Path, config: ModelConfig) -> tuple[CropConfig, ImageMarks]:
    """How a checkpoint's images are cut, as its processor_config.json says; one resized crop without such a file.

    Raises:
        CheckpointError: when a file is damaged.
        ConfigError: for a value that this code cannot obey.
    """
    found: dict[str, Any] = {}
    try:
        for name in ("preprocessor_config.json", "processor_config.json"):
            if (folder / name).is_file():
                raw = read_json(folder / name)
                inner = raw.get("image_processor") or {}
                if not isinstance(inner, dict):
                    raise ConfigError(f"{name} image_processor: got {inner!r}, allowed is an object; download it again")
                found |= {**raw, **inner}
        if not found:
            return CropConfig.whole(config.vision), ImageMarks()
        crops, marks = _crops(found, config), _marks(found)
    except (ConfigError, CheckpointError):
        raise
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise CheckpointError(f"processor_config.json: {error}; the file is damaged, download it again") from error
    if (crops.size, crops.patch) != (config.vision.image_size, config.vision.patch):
        raise ConfigError(
            f"crop size: got {crops.size} in patches of {crops.patch}, config.json says {config.vision.image_size}"
        )
    return crops, marks


def _crops(found: Mapping[str, Any], config: ModelConfig) -> CropConfig:
    for field, allowed in (("image_mean", 0.5), ("image_std", 0.5), ("resample", 2)):  # 2 is PIL's number for bilinear
        if found.get(field) is not None and not _is(found[field], allowed):
            raise ConfigError(
                f"processor_config.json {field}: got {found[field]!r}, allowed is {allowed}; use another checkpoint"
            )
    size = found.get("size") or {"height": config.vision.image_size[0], "width": config.vision.image_size[1]}
    before, after = found.get("overlap_margins") or (4, 4)
    down, across = found.get("pooling_size") or (2, 2)
    return CropConfig(
        mode=found.get("crop_mode", "overlap-and-resize-c2"),
        size=(size, size) if isinstance(size, int) else (int(size["height"]), int(size["width"])),
        patch=int(found.get("patch_size", config.vision.patch)),
        max_crops=int(found.get("max_crops", 8)),
        margins=(int(before), int(after)),
        pooling=(int(down), int(across)),
    )


def _is(value: Any, allowed: float) -> bool:
    """Whether a number, or each of several, is the allowed one."""
    numbers = cast(list[Any], value) if isinstance(value, list) else [value]
    return bool(numbers) and all(isinstance(each, (int, float)) and np.isclose(each, allowed) for each in numbers)


def _marks(found: Mapping[str, Any]) -> ImageMarks:
    columns = bool(found.get("image_use_col_tokens", True))
    whole = found.get("use_single_crop_col_tokens")
    return ImageMarks(
        columns=columns,
        whole_columns=columns if whole is None else bool(whole),
        low_start=bool(found.get("use_single_crop_start_token", True)),
    )
