"""What a model of the family is, as frozen values: every size and every choice of layout, checked when it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from forearm.errors import ConfigError, FieldError, listing, unknown
from forearm.model.activations import ACTIVATIONS, Activation
from forearm.model.rotary import RopeScaling
from forearm.model.tokens import TokenIds

# No model comes near these; a damaged number is refused before anything of its size is made.
MOST, _MOST_LAYERS, _MOST_STEPS, _MOST_PX = 2**24, 1024, 1000, 2**14
_WRITTEN = ("eos", "action_start", "action_end", "action_first", "depth_start", "depth_end", "depth_first")


def _require(owner: object, holds: bool, name: str, allowed: str) -> None:
    if not holds:
        raise FieldError(f"{type(owner).__name__}.{name}", getattr(owner, name), allowed)


def _positive(owner: object, *names: str) -> None:
    for name in names:
        _require(owner, 0 < getattr(owner, name) <= MOST, name, f"> 0 and ≤ {MOST}")


def _probability(owner: object, *names: str) -> None:
    for name in names:
        _require(owner, 0 <= getattr(owner, name) < 1, name, "a probability below 1")


def _shared_heads(owner: TextConfig | VisionConfig | AdapterConfig) -> None:
    _require(owner, owner.heads % owner.kv_heads == 0, "kv_heads", f"a divisor of the {owner.heads} query heads")


def _share(owner: VisionConfig | AdapterConfig) -> None:
    share = f"{owner.width / owner.heads:g}: a width of {owner.width} over {owner.heads} heads"
    _require(owner, owner.width == owner.heads * owner.head_dim, "head_dim", share)


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
        extra_vocabulary: rows of the second embedding, whose ids follow the base ones and are never produced; None has
            one plain table instead.
        qk_norm: "qwen3" one learned weight per head channel, "olmo" one over all heads at once, None none.
        norm_after: norms sit on what a branch adds (True) or on what it reads (False).
        qkv_bias: whether the fused query, key and value projection has a bias.
        rope_theta: base of the rotary frequencies; None leaves positions to the caller's vectors.
        rope_scaling: how these frequencies are stretched; None leaves them.
        scaled_layers: where they are; None says everywhere.
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
    extra_vocabulary: int | None = 0
    qk_norm: Literal["qwen3", "olmo"] | None = "qwen3"
    norm_after: bool = False
    qkv_bias: bool = False
    rope_theta: float | None = 5_000_000.0
    rope_scaling: RopeScaling | None = None
    scaled_layers: tuple[int, ...] | None = None
    activation: Activation = "silu"
    eps: float = 1e-6
    max_positions: int = 16_384
    embedding_dropout: float = 0.0
    attention_dropout: float = 0.0
    residual_dropout: float = 0.0
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        _positive(self, "width", "layers", "heads", "kv_heads", "head_dim", "hidden", "max_positions", "eps")
        _shared_heads(self)
        _require(self, self.layers <= _MOST_LAYERS, "layers", f"≤ {_MOST_LAYERS}")
        _require(self, 0 <= self.vocabulary <= MOST, "vocabulary", f"≥ 0 and ≤ {MOST}")
        _require(self, 0 <= (self.extra_vocabulary or 0) <= MOST, "extra_vocabulary", f"≥ 0 and ≤ {MOST}")
        _require(self, self.head_dim % 2 == 0, "head_dim", "even: rotation pairs its halves")
        _require(self, self.rope_theta is None or self.rope_theta > 0, "rope_theta", "> 0")
        inside = all(0 <= layer < self.layers for layer in self.scaled_layers or ())
        _require(self, inside, "scaled_layers", f"within {self.layers} layers")
        _require(self, self.activation in ACTIVATIONS, "activation", listing(ACTIVATIONS))
        _require(self, self.qk_norm in (None, "qwen3", "olmo"), "qk_norm", "None, qwen3 or olmo")
        _probability(self, "embedding_dropout", "attention_dropout", "residual_dropout")

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
        _require(self, self.width % self.heads == 0, "heads", f"a divisor of the width, {self.width}")
        even = not self.rope or (self.width // self.heads) % 2 == 0
        _require(self, even, "heads", f"those that leave an even share of {self.width}: rotation pairs its halves")
        _require(self, self.qk_norm_eps >= 0, "qk_norm_eps", "≥ 0")
        _probability(self, "dropout", "attention_dropout")

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
        _positive(self, "steps", "scale", "alpha", "beta")
        _require(self, self.steps <= _MOST_STEPS, "steps", f"≤ {_MOST_STEPS}")
        _require(self, self.offset >= 0, "offset", "≥ 0")
        _require(self, self.cutoff >= self.offset, "cutoff", f"from the offset, {self.offset}, on")


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionConfig:
    """The vision tower: patches of one crop in, the outputs of some blocks out.

    Attributes:
        width: of the residual stream.
        layers: blocks the released weights were trained with; only those up to the highest tapped one exist here.
        taps: indices into `layers`, negative from the end, whose outputs are concatenated in this order.
        heads, kv_heads, head_dim: of its attention.
        hidden: inner width of the feed-forward.
        image_size: (height, width) of a crop, px.
        patch: side of a square patch, px.
        positions: rows of the learned position table: a square grid, resampled when a crop's grid is another.
        activation: of the feed-forward.
        eps: of the layer norms.
        fp32_attention: scores and softmax in fp32 whatever the weights' type.
        attention_dropout, residual_dropout: probabilities while training.
        initializer_range: standard deviation of fresh weights.
    """

    width: int
    layers: int
    taps: tuple[int, ...]
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    image_size: tuple[int, int] = (378, 378)
    patch: int = 14
    positions: int = 729
    activation: Activation = "gelu_pytorch_tanh"
    eps: float = 1e-6
    fp32_attention: bool = True
    attention_dropout: float = 0.0
    residual_dropout: float = 0.0
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        _positive(self, "width", "layers", "heads", "kv_heads", "head_dim", "hidden", "patch", "positions", "eps")
        _require(self, self.layers <= _MOST_LAYERS, "layers", f"≤ {_MOST_LAYERS}")
        _shared_heads(self)
        _share(self)
        inside = all(-self.layers <= tap < self.layers for tap in self.taps)
        _require(self, bool(self.taps) and inside, "taps", f"one or more within {self.layers} blocks")
        _require(self, self.activation in ACTIVATIONS, "activation", listing(ACTIVATIONS))
        _require(self, math.isqrt(self.positions) ** 2 == self.positions, "positions", "a square number")
        whole = all(0 < side <= _MOST_PX and side % self.patch == 0 for side in self.image_size)
        _require(self, whole, "image_size", f"multiples of the patch, {self.patch} px, up to {_MOST_PX}")
        _probability(self, "attention_dropout", "residual_dropout")

    @property
    def tapped(self) -> tuple[int, ...]:
        """The taps counted from the first block."""
        return tuple(tap % self.layers for tap in self.taps)

    @property
    def kept_layers(self) -> int:
        """Blocks that exist: nothing above the highest tap is stored or run."""
        return max(self.tapped) + 1

    @property
    def grid(self) -> tuple[int, int]:
        """Patches of a crop, down and across."""
        return self.image_size[0] // self.patch, self.image_size[1] // self.patch


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterConfig:
    """From tapped patches to image tokens: one-query attention over each window, then a gated projection.

    Attributes:
        width: of the pooled features.
        heads, kv_heads, head_dim: of the pooling attention.
        hidden: inner width of the projector.
        masked: missing patches are no part of a window's mean.
        hides_missing: nor are they keys, where they are not part of its mean.
        activation: of the projector's gate.
        fp32_attention: scores and softmax in fp32 whatever the weights' type.
        attention_dropout, residual_dropout, feature_dropout: probabilities while training, the last of tapped patches.
    """

    width: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    masked: bool = True
    hides_missing: bool = True
    activation: Activation = "silu"
    fp32_attention: bool = True
    attention_dropout: float = 0.0
    residual_dropout: float = 0.0
    feature_dropout: float = 0.0

    def __post_init__(self) -> None:
        _positive(self, "width", "heads", "kv_heads", "head_dim", "hidden")
        _shared_heads(self)
        _share(self)
        _require(self, self.activation in ACTIVATIONS, "activation", listing(ACTIVATIONS))
        _probability(self, "attention_dropout", "residual_dropout", "feature_dropout")


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthConfig:
    """Depth reasoning: a square map of codes, written before acting.

    Attributes:
        reasoning: whether the weights were taught to write depth; a gate may exist without.
        codes: cells of the map, row-major.
        codebook: values a code can take; 0 for a gate that knows no codes.
        gate: how the expert's view of depth tokens is scaled: not at all, one gate for all layers, or one for each.
        gate_bias: of a fresh gate, before the sigmoid.
    """

    reasoning: bool = True
    codes: int = 100
    codebook: int = 128
    gate: Literal["shared", "layer"] | None = None
    gate_bias: float = -4.0

    def __post_init__(self) -> None:
        _positive(self, "codes", *(["codebook"] if self.reasoning else []))
        _require(self, self.codebook >= 0, "codebook", "≥ 0")
        _require(self, self.gate in (None, "shared", "layer"), "gate", "None, shared or layer")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """A whole action reasoning model of the released layout.

    `action_mode` says what the decoder was taught to write: "continuous" nothing, "both" or "discrete" action tokens
    as well; under "both" the expert does not see written actions and, with `hides_eos`, end-of-text tokens.
    `observations` is how many past observations a chunk starts behind. `mask_padding` keeps action channels beyond a
    robot's own at zero.
    """

    text: TextConfig
    vision: VisionConfig
    adapter: AdapterConfig
    expert: ExpertConfig | None
    tokens: TokenIds
    flow: FlowConfig = FlowConfig()
    depth: DepthConfig | None = None
    action_mode: Literal["both", "continuous", "discrete"] = "both"
    hides_eos: bool = True
    observations: int = 1
    mask_padding: bool = True
    setup_tokens: bool = True
    control_tokens: bool = True
    norm_stats_file: str = "norm_stats.json"

    def __post_init__(self) -> None:
        _positive(self, "observations")
        modes = ("both", "continuous", "discrete")
        _require(self, self.action_mode in modes, "action_mode", listing(modes))
        if self.expert is not None:
            same = f"the decoder's {self.text.layers}: one block reads one layer"
            _require(self.expert, self.expert.layers == self.text.layers, "layers", same)
            fits = self.expert.context_width == self.text.kv_width
            _require(self.expert, fits, "context_width", f"the decoder's, {self.text.kv_width}")
        if self.depth is not None and self.depth.reasoning:
            longest = self.text.max_positions
            _require(self.depth, self.depth.codes < longest, "codes", f"below the longest sequence, {longest}")
        if self.depth is not None and self.depth.gate is not None:
            _require(self.depth, self.expert is not None, "gate", "None without an action expert")
        self._check_ids()

    def _check_ids(self) -> None:
        """Every token has an embedding, and those that the decoder writes have a row of the output head."""
        for count in ("state_count", "action_count"):
            _require(self.tokens, getattr(self.tokens, count) >= 0, count, "≥ 0")
        series = {"state_first": self.tokens.state_count, "action_first": self.tokens.action_count}
        series["depth_first"] = 1 if self.depth is None else self.depth.codebook
        for name in (each.name for each in fields(self.tokens) if not each.name.endswith("_count")):
            first = getattr(self.tokens, name)
            if first is None:
                continue
            _require(self.tokens, type(first) is int and first >= 0, name, "a token id: a whole number from 0 on")
            rows = self.text.vocabulary + (0 if name in _WRITTEN else self.text.extra_vocabulary or 0)
            count = max(series.get(name, 1), 1)
            _require(self.tokens, first + count <= rows, name, f"one that leaves room for {count} in a table of {rows}")

    @classmethod
    def of(cls, size: Literal["molmoact2"]) -> ModelConfig:
        """The configuration of that name.

        Raises:
            ConfigError: for a name that is not one.
        """
        if size != "molmoact2":
            raise ConfigError(unknown("model size", size, ("molmoact2",)))
        return cls(
            text=TextConfig(
                width=2560,
                layers=36,
                heads=32,
                kv_heads=8,
                head_dim=128,
                hidden=9728,
                vocabulary=154_624,
                extra_vocabulary=128,
            ),
            vision=VisionConfig(width=1152, layers=27, taps=(-3, -9), heads=16, kv_heads=16, head_dim=72, hidden=4304),
            adapter=AdapterConfig(width=1152, heads=16, kv_heads=16, head_dim=72, hidden=9728),
            expert=ExpertConfig(
                width=768, layers=36, heads=8, hidden=3072, context_width=1024, action_dim=32, horizon=30
            ),
            tokens=TokenIds(),
        )
