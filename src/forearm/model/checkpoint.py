"""A small model on disk: weights, the config that rebuilds it, the recipe that made it. Read and written whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save_file
from torch import Tensor

from forearm.errors import CheckpointError, ForearmError
from forearm.files import whole, write_json
from forearm.model.act import ACT
from forearm.model.config import ExpertConfig, FlowConfig, TextConfig
from forearm.model.description import CONFIG, read_json, words_from_json
from forearm.model.description import SHIPPED as SHIPPED
from forearm.model.reactive import Reactive
from forearm.model.reasoner import Reasoner, ReasonerConfig
from forearm.model.sight import Scales
from forearm.model.words import Words

WEIGHTS, RECIPE = "model.safetensors", "recipe.json"
Kind = type[Reasoner] | type[Reactive] | type[ACT]
FORMATS: Mapping[Kind, str] = MappingProxyType(
    {Reasoner: "forearm.reasoner.v1", Reactive: "forearm.reactive.v1", ACT: "forearm.act.v1"}
)


Model = TypeVar("Model", Reasoner, Reactive, ACT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A weights file: how many parameters, bytes of the whole file, and the safetensors types that it holds."""

    count: int
    size: int
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint(Generic[Model]):
    """Everything needed to decide: the network, its words, its scales, and who made it.

    `digest` is of all that decides what the model does: other scales or words make another model of the same weights.
    """

    model: Model
    words: Words
    scales: Scales
    recipe: Mapping[str, Any]
    digest: str


def write(
    folder: Path,
    weights: Mapping[str, Tensor],
    config: ReasonerConfig,
    words: Words,
    scales: Scales,
    recipe: Mapping[str, Any],
    *,
    kind: Kind = Reasoner,
) -> str:
    """Writes a checkpoint; each file replaces the old one only when it is whole. Answers its digest."""
    with whole(folder / WEIGHTS) as partial:
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, partial, metadata={"format": "pt"})
        stored_as = hashlib.sha256(partial.read_bytes()).hexdigest()
    model, vocabulary = asdict(config), asdict(words)
    described = {
        "format": FORMATS[kind],
        "model": model,
        "words": vocabulary,
        "scales": scales.to_json(),
        "sha256": stored_as,
    }
    write_json(folder / CONFIG, described)
    write_json(folder / RECIPE, dict(recipe))
    return _digest(described)


def read(folder: Path) -> Checkpoint[Reasoner]:
    """The reasoner in a folder, ready to decide.

    Raises:
        CheckpointError: when a file is missing, truncated, corrupt, of another format, or does not fit its config.
    """
    return _read(folder, Reasoner)


def read_reactive(folder: Path) -> Checkpoint[Reactive]:
    """The model without reasoning in a folder, ready to act.

    Raises:
        CheckpointError: as `read`.
    """
    return _read(folder, Reactive)


def read_act(folder: Path) -> Checkpoint[ACT]:
    """The Action Chunking Transformer in a folder, ready to act.

    Raises:
        CheckpointError: as `read`.
    """
    return _read(folder, ACT)


def kind_of(folder: Path) -> Kind | None:
    """What kind of model a folder says it holds, None for none of ours.

    Raises:
        CheckpointError: when it says nothing.
    """
    found = read_json(folder / CONFIG).get("format")
    return next((kind for kind, name in FORMATS.items() if name == found), None)


def stored(folder: Path) -> Stored:
    """How the weights in a folder are stored; only the file's header is read.

    Raises:
        CheckpointError: when it is missing or damaged.
    """
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            tensors = [file.get_slice(name) for name in file.keys()]  # noqa: SIM118  # it is no mapping
        return Stored(
            count=sum(prod(each.get_shape()) for each in tensors),
            size=(folder / WEIGHTS).stat().st_size,
            types=tuple(sorted({each.get_dtype() for each in tensors})),
        )
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder / WEIGHTS}: got {error}, weights are needed; take them again") from error


def _read(folder: Path, kind: type[Model]) -> Checkpoint[Model]:
    config = read_json(folder / CONFIG)
    if config.get("format") != FORMATS[kind]:
        raise CheckpointError(
            f"{folder / CONFIG}: got format {config.get('format')!r}, allowed is {FORMATS[kind]!r}; convert it"
        )
    try:
        content = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{folder / WEIGHTS}: cannot be read ({error.strerror}); install the package again"
        ) from error
    stored_as = hashlib.sha256(content).hexdigest()
    if stored_as != config.get("sha256"):
        raise CheckpointError(
            f"{folder / WEIGHTS}: got SHA-256 {stored_as[:12]}…, its config says {str(config.get('sha256'))[:12]}…; "
            "the file is corrupt or of another training: take both from one source again"
        )
    try:
        sizes, words = dict(config["model"]), dict(config["words"])
        sizes |= {
            "decoder": TextConfig(**sizes["decoder"]),
            "expert": ExpertConfig(**sizes["expert"]),
            "flow": FlowConfig(**sizes["flow"]),
        }
        model = kind(ReasonerConfig(**sizes))
        vocabulary = words_from_json(words)
        scales = Scales.from_json(config["scales"])
        weights = load(content)
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        if isinstance(error, ForearmError):
            raise
        raise CheckpointError(f"{folder}: its config does not describe a reasoner ({error}); take it again") from error
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if expected != found:
        wrong = sorted(expected.items() ^ found.items())[0][0]
        raise CheckpointError(
            f"{folder / WEIGHTS}: tensor {wrong!r}: got shape {found.get(wrong)}, needed is {expected.get(wrong)}; "
            "weights and config are of different models"
        )
    model.load_state_dict(weights)
    model.eval().requires_grad_(False)
    recipe = read_json(folder / RECIPE)
    return Checkpoint(model=model, words=vocabulary, scales=scales, recipe=recipe, digest=_digest(config))


def _digest(config: Mapping[str, Any]) -> str:
    """SHA-256 of a config, however it is written; the weights' own is in it."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
