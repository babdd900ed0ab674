"""Matrices laid out the way the CPU's kernels read them: otherwise every product begins by doing that.

It takes a third off a product with few rows and a tenth off a large one. The numbers, shapes, types and names stay, and
`weights.save` writes the same bytes; what goes is learning, and slices of such a matrix.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from forearm.model.layers import Linear, bf16_is_emulated
from forearm.model.released import MolmoAct2

ROWS = 32  # of the products that the layout is best for; others are hardly slower


@torch.no_grad()
def pack(model: MolmoAct2) -> None:
    """Packs every linear layer of `model` but the output head, of which parts are read. For inference only.

    One matrix after the other, so that nothing is held twice; but what was mapped from a file is then held in memory.
    Nothing is done where it would be of no use: on other devices, and where bf16 is emulated.
    """
    for part in (model.transformer, model.vision_backbone, model.action_expert):
        for module in () if part is None else part.modules():
            if isinstance(module, Linear) and _packable(module.weight):
                module.weight = nn.Parameter(packed(module.weight.detach()), requires_grad=False)


def packed(weight: Float[Tensor, "o i"]) -> Float[Tensor, "o i"]:
    """A matrix as the kernels read it, for `layers.product`; itself where that would be of no use."""
    return torch.ops.mkldnn._reorder_linear_weight(weight, ROWS) if _packable(weight) else weight


def _packable(weight: Tensor) -> bool:
    if weight.device.type != "cpu" or weight.is_mkldnn or not torch.backends.mkldnn.is_available():
        return False
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_f")) and (weight.dtype == torch.float32 or not bf16_is_emulated())
