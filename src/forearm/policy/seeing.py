"""What a small model is given of an observation: the same for every policy made of one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from forearm.errors import InputError
from forearm.messages import Observation
from forearm.model.reasoner import Sight
from forearm.model.sight import Scales, pixels, tools_at
from forearm.model.words import Words

VIEWS = ("top", "left", "right")


def pictures(observation: Observation, views: Sequence[str] = VIEWS) -> list[NDArray[np.uint8]]:
    """The (H, W, 3) RGB pixels of those cameras.

    Raises:
        InputError: when one is missing.
    """
    missing = set(views) - set(observation.images)
    if missing:
        raise InputError(
            f"observation: got no image of {sorted(missing)}, needed are {', '.join(views)}; check the cameras"
        )
    return [observation.images[name].pixels for name in views]


def see(observation: Observation, words: Words, scales: Scales) -> tuple[Sight, NDArray[np.float32], torch.Tensor]:
    """The model's inputs, the joint positions (1, J) that chunks are relative to, and where the tools are (1, A, 3) m.

    Raises:
        InputError: when a camera's image is missing.
        InstructionError: when the instruction has a word that was not taught, or too many.
    """
    positions = observation.positions[None].astype(np.float32)
    tools = tools_at(positions)
    top, left, right = (pixels(image) for image in pictures(observation))
    sight = Sight(
        top=torch.from_numpy(top[None]),
        wrists=torch.from_numpy(np.stack([left, right])[None]),
        state=torch.from_numpy(scales.state(positions, tools)),
        words=torch.from_numpy(words.encode(observation.instruction)[None]),
    )
    return sight, positions, torch.from_numpy(tools)
