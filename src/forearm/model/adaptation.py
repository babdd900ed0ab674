"""What of a model is trained: everything, the action expert alone, or small matrices beside frozen ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from forearm.errors import ConfigError, InputError
from forearm.model.language import PreNormBlock
from forearm.model.released import MolmoAct2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Learning rates of the parts, per step, as the released recipes set them."""

    language: float = 1e-5
    vision: float = 5e-6
    connector: float = 5e-6
    expert: float = 5e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRank:
    """Low-rank adaptation (Hu et al. 2021, arXiv 2106.09685).

    The update has rank `rank` and is scaled by `alpha / rank`; its input loses a share `dropout` while training.
    `expert` adapts the action expert this way as well; otherwise it is trained in full.
    """

    rank: int = 64
    alpha: float = 16.0
    dropout: float = 0.05
    expert: bool = False

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0 or not 0 <= self.dropout < 1:
            raise ConfigError(f"low rank: got {self}, allowed are rank ≥ 1, alpha > 0, dropout in [0, 1); correct it")


# Matrices that are adapted: all of decoder and vision, none of embeddings, head and gates; as in the released recipes.
_LANGUAGE = re.compile(
    r"(transformer|vision_backbone)\.(.*\.)?(w[123]|w[qkvo]|att_proj|attn_out|ff_proj|ff_out|patch_embedding)$"
)
_EXPERT = re.compile(r"action_expert\.")


class AdaptedLinear(nn.Module):
    """A frozen linear layer and a trained low-rank addition to it, which starts at zero."""

    def __init__(self, base: nn.Linear, config: LowRank) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        like: dict[str, Any] = {"dtype": base.weight.dtype, "device": base.weight.device}
        self.down = nn.Parameter(torch.empty(config.rank, base.in_features, **like))
        self.up = nn.Parameter(torch.zeros(base.out_features, config.rank, **like))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)
        self.scale = config.alpha / config.rank
        self._dropout = config.dropout
        self.train(base.training)

    @property
    def weight(self) -> Float[Tensor, "o i"]:
        """The weight that the two are together."""
        return self.base.weight + self.scale * (self.up @ self.down)

    @property
    def bias(self) -> Tensor | None:
        """The frozen layer's bias."""
        return self.base.bias

    def forward(self, x: Float[Tensor, "... i"]) -> Float[Tensor, "... o"]:
        dropped = functional.dropout(x, self._dropout, self.training)
        added = functional.linear(functional.linear(dropped, self.down), self.up)
        return self.base(x) + self.scale * added


def train_everything(model: MolmoAct2, *, embeddings: bool = False) -> None:
    """Makes all parameters trainable; the token embeddings only if asked, as the released recipes freeze them."""
    model.requires_grad_(True)
    model.transformer.wte.requires_grad_(embeddings)


def train_expert_only(model: MolmoAct2) -> None:
    """Freezes all but the action expert and its depth gate."""
    model.requires_grad_(False)
    for part in (model.expert, model.action_expert_depth_gate):
        if part is not None:
            part.requires_grad_(True)


def freeze_unread(model: MolmoAct2) -> None:
    """Freezes what the action expert reads nothing of: all that follows the last layer's keys and values.

    Only what the decoder writes could teach it; where nothing written is learned from, it would take an optimiser's
    memory for nothing.
    """
    last, text = cast(PreNormBlock, model.transformer.blocks[-1]), model.config.text
    unread = [last.self_attn.attn_out, last.mlp, last.ff_norm, model.transformer.ln_f, model.lm_head]
    if text.qk_norm is not None:
        unread.append(last.self_attn.q_norm)
    if text.norm_after:
        unread.append(last.attn_norm)
    for module in unread:
        module.requires_grad_(False)


def trains_decoder(model: MolmoAct2) -> bool:
    """Whether anything that decides what the decoder writes is trained."""
    parts = (model.transformer, model.vision_backbone, model.lm_head)
    return any(each.requires_grad for part in parts for each in part.parameters())


def adapt(model: MolmoAct2, config: LowRank) -> int:
    """Puts low-rank additions beside the decoder's and the vision tower's matrices and freezes the rest; how many.

    Raises:
        InputError: when the model is adapted already.
    """
    train_expert_only(model)
    return adapt_layers(model, lambda name: _adapted(name, config), config)


def _adapted(name: str, config: LowRank) -> bool:
    return _LANGUAGE.match(name) is not None or (config.expert and _EXPERT.match(name) is not None)


def adapt_layers(model: nn.Module, wanted: Callable[[str], bool], config: LowRank) -> int:
    """Puts low-rank additions beside the linear layers whose names are `wanted`; how many. Freezes those layers alone.

    Raises:
        InputError: when the model is adapted already.
    """
    if any(isinstance(module, AdaptedLinear) for module in model.modules()):
        raise InputError("adaptation: got a model that is adapted already, allowed is one that is not; merge it first")
    names = [name for name, module in _named(model) if isinstance(module, nn.Linear) and wanted(name)]
    for name in names:
        _replace(model, name, AdaptedLinear(cast(nn.Linear, model.get_submodule(name)), config))
    return len(names)


@torch.no_grad()
def merge(model: nn.Module) -> None:
    """Adds every low-rank addition to its matrix, so that the model is saved under the published names again."""
    for name, module in list(_named(model)):
        if isinstance(module, AdaptedLinear):
            base = module.base
            base.weight.copy_(module.weight)
            _replace(model, name, base)


@torch.no_grad()
def merged(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` as the model would hold it once `merge` had run; the model itself trains on.

    Args:
        model: adapted or not.
        state: its own state, or a copy of it, wherever that lies.
    """
    plain = dict(state)
    for name, module in _named(model):
        if isinstance(module, AdaptedLinear):
            down, up = plain.pop(f"{name}.down"), plain.pop(f"{name}.up")
            plain[f"{name}.weight"] = plain.pop(f"{name}.base.weight") + module.scale * (up @ down)
            if f"{name}.base.bias" in plain:
                plain[f"{name}.bias"] = plain.pop(f"{name}.base.bias")
    return plain


def parameter_groups(model: MolmoAct2, rates: Rates) -> list[dict[str, Any]]:
    """Trainable parameters by part, with `lr` and a `name` each, for an optimizer; empty parts are left out."""
    groups: dict[str, list[nn.Parameter]] = {"language": [], "vision": [], "connector": [], "expert": []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[_part(name)].append(parameter)
    return [{"name": part, "params": each, "lr": getattr(rates, part)} for part, each in groups.items() if each]


def _part(name: str) -> str:
    if "action_expert" in name:
        return "expert"
    if "image_pooling_2d" in name or "image_projector" in name:
        return "connector"
    return "vision" if name.startswith("vision_backbone") else "language"


def _named(model: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    return cast(Iterable[tuple[str, nn.Module]], model.named_modules())


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    owner, _, leaf = name.rpartition(".")
    parent = model.get_submodule(owner)
    if isinstance(parent, nn.ModuleDict):
        parent[leaf] = module
    else:
        setattr(parent, leaf, module)
