"""Camera images to the patches and pooling windows that the vision backbone reads, bit for bit as the weights saw them.

Everything stays in bytes until the model scales it: no rounding happens twice, and a batch takes a quarter of the
    memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from forearm.errors import ConfigError, InputError, listing
from forearm.model.config import VisionConfig

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
CROP_MODES = ("resize", "overlap-and-resize-c2", "overlap-and-resize")


@dataclass(frozen=True, slots=True, kw_only=True)
class CropConfig:
    """How an image is cut up before the vision tower.

    Attributes:
        mode: "resize" makes one crop of the whole image, aspect ratio not kept; the others add overlapping crops of a
            larger version of it.
        size: (height, width) of a crop, px.
        patch: side of a square patch, px.
        max_crops: most overlapping crops of one image.
        margins: patches at the left/top and right/bottom of a crop that only give context.
        pooling: patches, down and across, that one image token stands for.
    """

    mode: Literal["resize", "overlap-and-resize-c2", "overlap-and-resize"] = "resize"
    size: tuple[int, int] = (378, 378)
    patch: int = 14
    max_crops: int = 8
    margins: tuple[int, int] = (4, 4)
    pooling: tuple[int, int] = (2, 2)

    def __post_init__(self) -> None:
        if self.mode not in CROP_MODES:
            raise ConfigError(
                f"crop mode: got {self.mode!r}, allowed are {listing(CROP_MODES)}; use another checkpoint"
            )
        if min(*self.pooling, self.max_crops) < 1:
            raise ConfigError(
                f"pooling {self.pooling} and {self.max_crops} crops: allowed are 1 or more; correct the configuration"
            )
        if self.mode != "resize":
            if self.size[0] != self.size[1]:
                raise ConfigError(f"crop size: got {self.size}, allowed are squares; overlapping crops are square")
            if min(self.margins) < 0 or sum(self.margins) >= self.size[0] // self.patch:
                raise ConfigError(
                    f"crop margins: got {self.margins}, allowed are 0 or more with a sum below "
                    f"{self.size[0] // self.patch} patches; "
                    "nothing of a crop would be left"
                )

    @classmethod
    def whole(cls, vision: VisionConfig) -> CropConfig:
        """One resized crop per image, as all robot checkpoints are served."""
        return cls(size=vision.image_size, patch=vision.patch)


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """One image, ready for the vision backbone.

    Attributes:
        crops: (N, P, patch * patch * 3) bytes, crops' patches row-major, pixels of a patch as row, column, channel.
        windows: (T, pooling area) patches that each token pools, counted over this image's crops; -1 for none.
        grid: tokens as (low rows, low columns, high rows, high columns), the latter 0 without overlapping crops.
    """

    crops: Pixels
    windows: NDArray[np.int64]
    grid: tuple[int, int, int, int]


def resize(image: Pixels, size: tuple[int, int]) -> Pixels:
    """(H, W, 3) bytes resampled bilinearly, without antialiasing, pixel centres at halves, rounded half to even.

    Torch's interpolation rounds values near a half differently from one CPU to the next. Those alone are computed
    again, with the fp32 operations in the order, and with the fused multiply-adds, of the kernel that made the
    weights' training images.
    """
    if image.shape[:2] == size:
        return image
    planes = torch.tensor(image).permute(2, 0, 1)[None].float()
    estimate = functional.interpolate(planes, size=size, mode="bilinear", align_corners=False, antialias=False)
    out = estimate[0].permute(1, 2, 0).numpy()
    tie = np.nonzero(np.abs(out - np.floor(out) - 0.5) < 1e-2)  # fp32 error here is below 1e-4
    out[tie] = _exact(image, size, *tie)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def _exact(
    image: Pixels, size: tuple[int, int], row: NDArray[np.intp], column: NDArray[np.intp], channel: NDArray[np.intp]
) -> Floats:
    """Resampled values at some places of the target."""
    rows, columns = _taps(image.shape[0], size[0]), _taps(image.shape[1], size[1])
    out = np.zeros(len(row), dtype=np.float32)
    for i, j in ((0, 1), (0, 0), (1, 0), (1, 1)):
        (y, down), (x, across) = rows[i], columns[j]
        out = _fused(image[y[row], x[column], channel].astype(np.float32), down[row] * across[column], out)
    return out


def _taps(given: int, wanted: int) -> tuple[tuple[NDArray[np.int64], Floats], tuple[NDArray[np.int64], Floats]]:
    """The two source pixels of each target pixel along one axis, and their weights."""
    scale = np.float32(given) / np.float32(wanted)
    place = _fused(np.arange(wanted, dtype=np.float32) + np.float32(0.5), scale, np.float32(-0.5))
    place = np.maximum(place, np.float32(0))
    first = np.minimum(np.floor(place).astype(np.int64), given - 1)
    far = np.clip(place - first.astype(np.float32), np.float32(0), np.float32(1))
    return (first, np.float32(1) - far), (np.minimum(first + 1, given - 1), far)


def _fused(a: Floats, b: Floats | np.float32, c: Floats | np.float32) -> Floats:
    """`a * b + c` rounded once to fp32: a product of two fp32 numbers is exact in fp64."""
    return (a.astype(np.float64) * b + c).astype(np.float32)


def cut(image: Pixels, config: CropConfig) -> Patches:
    """The patches and windows of one (H, W, 3) RGB image.

    Raises:
        InputError: when `image` is not (H, W, 3) bytes.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"image: got {image.dtype} {image.shape}, allowed is uint8 (H, W, 3); convert it to RGB bytes")
    whole = resize(image, config.size)
    rows, columns = config.size[0] // config.patch, config.size[1] // config.patch
    low = _windows(np.arange(rows * columns).reshape(rows, columns), config.pooling)
    if config.mode == "resize":
        return Patches(_patches(whole[None], config.patch), _flat(low), (*low.shape[:2], 0, 0))
    crops, order = _overlapping(image, config)
    # The whole image is crop 0, so that the others' patches count on from its own.
    high = _windows(np.where(order >= 0, order + rows * columns, -1), config.pooling)
    patches = _patches(np.concatenate([whole[None], crops]), config.patch)
    return Patches(patches, np.concatenate([_flat(low), _flat(high)]), (*low.shape[:2], *high.shape[:2]))


def _patches(crops: Pixels, patch: int) -> Pixels:
    count, height, width, channels = crops.shape
    split = crops.reshape(count, height // patch, patch, width // patch, patch, channels).transpose(0, 1, 3, 2, 4, 5)
    return split.reshape(count, (height // patch) * (width // patch), patch * patch * channels)


def _windows(order: NDArray[np.int64], pooling: tuple[int, int]) -> NDArray[np.int64]:
    """(rows, columns, area) windows over `order`, padded with -1, the odd padding at the end."""
    height, width = pooling
    down, across = -order.shape[0] % height, -order.shape[1] % width
    edges = ((down // 2, (down + 1) // 2), (across // 2, (across + 1) // 2))
    padded = np.pad(order, edges, constant_values=-1)
    rows, columns = padded.shape[0] // height, padded.shape[1] // width
    return padded.reshape(rows, height, columns, width).transpose(0, 2, 1, 3).reshape(rows, columns, height * width)


def _flat(windows: NDArray[np.int64]) -> NDArray[np.int64]:
    return windows.reshape(-1, windows.shape[-1]).astype(np.int64)


def _overlapping(image: Pixels, config: CropConfig) -> tuple[Pixels, NDArray[np.int64]]:
    """Crops (N, size, size, 3) of an enlarged image, and which crop's patch shows each of its places best."""
    size, (before, after) = config.size[0], config.margins
    patches = size // config.patch
    window = (patches - before - after) * config.patch
    margin = (before + after) * config.patch
    down, across = tiling(image.shape[0] - margin, image.shape[1] - margin, window, config.max_crops)
    large = resize(image, (down * window + margin, across * window + margin))
    crops: list[Pixels] = []
    order = np.zeros((down, across, patches, patches), dtype=np.int64)
    for i in range(down):
        for j in range(across):
            crops.append(large[i * window : i * window + size, j * window : j * window + size])
            own = np.arange(patches * patches).reshape(patches, patches) + (i * across + j) * patches * patches
            # Margins towards a neighbour are the neighbour's to show.
            own[: before if i > 0 else 0] = -1
            own[:, : before if j > 0 else 0] = -1
            own[patches - after if i < down - 1 else patches :] = -1
            own[:, patches - after if j < across - 1 else patches :] = -1
            order[i, j] = own
    rows = order.transpose(0, 2, 1, 3).reshape(-1)
    shape = (large.shape[0] // config.patch, large.shape[1] // config.patch)
    return np.stack(crops), rows[rows >= 0].reshape(shape)


def tiling(height: int, width: int, window: int, max_crops: int) -> tuple[int, int]:
    """The windows down and across that fit an image best: least enlarging, else least shrinking, then fewest."""
    sides = range(1, max_crops + 1)
    candidates = sorted(
        ((i, j) for i in sides for j in sides if i * j <= max_crops), key=lambda each: (each[0] * each[1], each[0])
    )
    with np.errstate(divide="ignore"):
        scales = np.array(candidates, dtype=np.int32) * window
        needed = np.min(scales.astype(np.float32) / np.array([height, width], dtype=np.float32), axis=-1)
    best = np.argmax(needed) if np.all(needed < 1) else np.argmin(np.where(needed < 1.0, 10e9, needed))
    return candidates[int(best)]
