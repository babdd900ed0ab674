"""Names of the activations that a configuration may choose. No torch."""

from __future__ import annotations

from typing import Literal, get_args

Activation = Literal[
    "silu",
    "gelu",
    "gelu_pytorch_tanh",
    "gelu_10",
    "quick_gelu",
    "relu",
    "relu2",
    "relu6",
    "leaky_relu",
    "hardswish",
    "mish",
    "laplace",
    "sigmoid",
    "tanh",
    "linear",
]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
