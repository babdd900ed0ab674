"""What a model of the family is, as frozen values: every size and every choice of layout, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from forearm.errors import ConfigError, listing

Activation = Literal["silu", "gelu", "gelu_pytorch_tanh", "relu"]
ACTIVATIONS: tuple[Activation, ...] = ("silu", "gelu", "gelu_pytorch_tanh", "relu")


def _require(holds: bool, what: str, got: object, allowed: str) -> None:
    if not holds:
        raise ConfigError(f"{what}: got {got!r}, allowed is {allowed}; correct the configuration")


def _positive(owner: object, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        _require(value > 0, f"{type(owner).__name__}.{name}", value, "> 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """The causal decoder.

    Attributes:
        width: d, of the residual stream.
        layers: L.
        heads: query heads.
        kv_heads: key and value heads; `heads` is a multiple of it.
        head_dim: channels of one head.
        hidden: inner width of the SwiGLU.
        vocabulary: rows of the base embedding and of the output head; 0 for a decoder fed with vectors only.
        extra_vocabulary: rows of the second embedding, whose ids follow the base ones and are never produced.
        qk_norm: "qwen3" one learned weight per head channel, "olmo" one over all heads at once, None none.
        norm_after: norms sit on what a branch adds (True) or on what it reads (False).
        qkv_bias: whether the fused query, key and value projection has a bias.
        rope_theta: base of the rotary frequencies; None leaves positions to the caller's vectors.
        activation: of the SwiGLU's gate.
        eps: of every norm.
        max_positions: the longest sequence the weights were made for, tokens.
        embedding_dropout, attention_dropout, residual_dropout: probabilities while training.
        initializer_range: standard deviation of fresh weights.
    """

    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    vocabulary: int = 0
    extra_vocabulary: int = 0
    qk_norm: Literal["qwen3", "olmo"] | None = "qwen3"
    norm_after: bool = False
    qkv_bias: bool = False
    rope_theta: float | None = 5_000_000.0
    activation: Activation = "silu"
    eps: float = 1e-6
    max_positions: int = 16_384
    embedding_dropout: float = 0.0
    attention_dropout: float = 0.0
    residual_dropout: float = 0.0
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        _positive(self, "width", "layers", "heads", "kv_heads", "head_dim", "hidden", "max_positions", "eps")
        _require(self.heads % self.kv_heads == 0, "heads per key head", self.heads / self.kv_heads, "a whole number")
        _require(self.head_dim % 2 == 0, "head_dim", self.head_dim, "even: rotation pairs its halves")
        _require(self.activation in ACTIVATIONS, "activation", self.activation, listing(ACTIVATIONS))
        _require(self.qk_norm in (None, "qwen3", "olmo"), "qk_norm", self.qk_norm, "None, qwen3 or olmo")

    @property
    def kv_width(self) -> int:
        """Channels of one position's keys (or values) over all key heads."""
        return self.kv_heads * self.head_dim


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertConfig:
    """The action expert.

    Attributes:
        width: of its residual stream.
        layers: blocks; each reads one layer of the decoder.
        heads: of both attentions; `width` is a multiple of it.
        hidden: inner width of the SwiGLU.
        time_channels: sinusoids of the flow time.
        context_width: channels of the keys (or values) that condition it: the decoder's `kv_width`.
        action_dim: D, channels of an action row, padding included.
        horizon: H, the most rows of a chunk.
        context_norm: parameter-free RMS over each projected key and value.
        qk_norm: parameter-free RMS over each head of queries and keys.
        qk_norm_eps: of that norm.
        rope: rotary positions in self-attention over the rows.
        causal: a row sees only earlier rows.
        dropout, attention_dropout: probabilities while training.
    """

    width: int
    layers: int
    heads: int
    hidden: int
    context_width: int
    action_dim: int
    horizon: int
    time_channels: int = 256
    context_norm: bool = True
    qk_norm: bool = True
    qk_norm_eps: float = 1e-6
    rope: bool = True
    causal: bool = False
    dropout: float = 0.0
    attention_dropout: float = 0.0

    def __post_init__(self) -> None:
        _positive(self, "width", "layers", "heads", "hidden", "context_width", "action_dim", "horizon", "time_channels")
        _require(self.width % self.heads == 0, "expert head width", self.width / self.heads, "a whole number")
        even = not self.rope or (self.width // self.heads) % 2 == 0
        _require(even, "expert head width", self.width // self.heads, "even: rotation pairs its halves")

    @property
    def head_dim(self) -> int:
        """Channels of one head."""
        return self.width // self.heads


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowConfig:
    """Flow matching: noise at time 0 becomes an action at time 1.

    Training times are `offset + (min(cutoff, offset + scale) - offset) * u` with u ~ Beta(alpha, beta).
    """

    steps: int = 10
    cutoff: float = 1.0
    offset: float = 0.001
    scale: float = 0.999
    alpha: float = 1.0
    beta: float = 1.5

    def __post_init__(self) -> None:
        _positive(self, "steps", "alpha", "beta")
