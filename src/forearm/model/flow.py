"""Flow matching: straight paths from noise (time 0) to actions (time 1), as Lipman et al. 2023 (arXiv 2210.02747)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from forearm.model.action_expert import ActionExpert, Context
from forearm.model.config import FlowConfig
from forearm.model.inpainting import Known


def sample(
    expert: ActionExpert,
    context: Context,
    noise: Float[Tensor, "N H D"],
    steps: int,
    valid_dims: Bool[Tensor, "#N D"] | None = None,
    known: Known | None = None,
) -> Float[Tensor, "N H D"]:
    """Actions: `noise` carried along the velocity field in `steps` Euler steps.

    `valid_dims` is False at padded action channels, which are kept at zero; None has none. `known` rows draw the chunk
    towards them on its way; None leaves it free.
    """
    keep = None if valid_dims is None else valid_dims[:, None, :]
    times = torch.arange(steps, device=noise.device, dtype=torch.float32) / steps
    modulation = expert.modulations(times)
    x = noise if keep is None else noise * keep
    for step in range(steps):
        velocity = expert.field(x, modulation.at(step), context)
        if known is not None:
            velocity = velocity + known.pull(x, velocity, step / steps, steps)
        x = x + velocity / steps
        x = x if keep is None else x * keep
    return x


def sample_times(
    count: tuple[int, ...],
    config: FlowConfig,
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
) -> Float[Tensor, "*count"]:
    """Training times: a Beta draw stretched over `offset` to `min(cutoff, offset + scale)`.

    Beta from two gamma draws, so that one generator decides them all.
    """
    a = _gamma(config.alpha, count, generator, device)
    b = _gamma(config.beta, count, generator, device)
    end = min(config.cutoff, config.offset + config.scale)
    return config.offset + (end - config.offset) * a / (a + b)


def _gamma(
    shape: float, count: tuple[int, ...], generator: torch.Generator | None, device: torch.device | None
) -> Tensor:
    # The public distribution takes no generator.
    draw = torch._standard_gamma  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    return draw(torch.full(count, shape, device=device), generator=generator)


def path(
    actions: Float[Tensor, "*N H D"], noise: Float[Tensor, "*N H D"], t: Float[Tensor, "*N"]
) -> tuple[Float[Tensor, "*N H D"], Float[Tensor, "*N H D"]]:
    """The training pair: the point `(1 - t) noise + t actions`, and the velocity `actions - noise` wanted there."""
    share = t[..., None, None]
    return (1 - share) * noise + share * actions, actions - noise
