"""Released checkpoint folders: loaded by memory map under their published names, saved back to the same bytes.

Nothing is held twice: parameters *are* the mapped file until they are converted, and conversion goes tensor by tensor,
one shard being mapped at a time.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor, nn

from forearm.errors import CheckpointError, ConfigError, listing
from forearm.files import whole
from forearm.model.config import ModelConfig, TextConfig
from forearm.model.layers import inverse_frequencies
from forearm.model.published import read_config, read_json
from forearm.model.released import MolmoAct2
from forearm.model.rotary import RopeScaling

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
SUMS = "SHA256SUMS"
_ROTARY = "model.transformer.rotary"  # how the names of buffers with rotary frequencies begin
_DTYPES = ("F32", "BF16", "F16")  # types of weights, as safetensors names them
_LARGEST = 1e6  # no weight comes near; bytes of anything else, read as floats, nearly always exceed it
_DIGEST = re.compile(r"[0-9a-f]{64}")  # SHA-256: how the hub's cache names a file's content
_IGNORED = ("model.action_expert.state_encoder.", "cross_attn.kv_proj.")  # unused leftovers of training checkpoints


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A loaded model and what its folder stored beside its parameters: `extra` tensors, and the shards' `metadata`."""

    model: MolmoAct2
    extra: Mapping[str, Tensor]
    metadata: Mapping[str, str]


def published_name(name: str) -> str:
    """A parameter's name in released files: everything but the output head is below `model.`."""
    return name if name.startswith("lm_head.") else f"model.{name}"


def build(config: ModelConfig) -> MolmoAct2:
    """The model without storage (meta device): names, shapes and wiring, in milliseconds."""
    with torch.device("meta"):
        return MolmoAct2(config)


def shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every published tensor name of a configuration and its shape."""
    return {published_name(name): tuple(each.shape) for name, each in build(config).named_parameters()}


def load(folder: Path, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Checkpoint:
    """The model in a released folder, in evaluation mode.

    Args:
        folder: with config.json and model.safetensors, or an index and its shards.
        dtype: to convert to; None keeps what is stored, mapped and not read until it is used.
        device: where to.

    Raises:
        CheckpointError: when a file is missing, truncated or damaged, or a tensor is missing, unknown or of another
            shape.
        ConfigError: when config.json says something this code cannot obey.
    """
    config = read_config(folder)
    model = build(config)
    expected = {published_name(name): parameter for name, parameter in model.named_parameters()}
    stored = _open(folder)
    _check(stored, expected, config, folder)
    kinds = sorted({stored[name].dtype for name in expected})
    if dtype is None and len(kinds) > 1:
        raise CheckpointError(
            f"weights: got types {listing(kinds)}, allowed is one for all unless they are converted; "
            "load with a dtype, or convert the files to one"
        )
    tensors: dict[str, Tensor] = {}
    for path in sorted({each.path for each in stored.values()}):
        with _opened(path) as file:
            for name in (name for name, each in stored.items() if each.path == path):
                tensor = _read(file, path, name)
                tensors[name] = tensor.to(device=device, dtype=dtype) if name in expected else tensor.clone()
    for name, parameter in list(model.named_parameters()):
        _assign(model, name, tensors.pop(published_name(name)), requires_grad=parameter.requires_grad)
    metadata = dict(next(iter(stored.values())).metadata) if stored else {}
    return Checkpoint(model.eval(), tensors, metadata)


def save(checkpoint: Checkpoint, folder: Path, *, source: Path | None = None) -> None:
    """Writes one model.safetensors under the published names, beside config.json and the other small files of `source`.

    Tensors come out byte for byte as they were loaded when neither type nor value changed.

    Raises:
        CheckpointError: when the folder cannot be written.
    """
    tensors = {published_name(name): _plain(each.detach()) for name, each in checkpoint.model.named_parameters()}
    try:
        with whole(folder / SINGLE) as partial:
            save_file({**tensors, **checkpoint.extra}, partial, metadata=dict(checkpoint.metadata) or {"format": "pt"})
            with partial.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            (folder / SUMS).unlink(missing_ok=True)
        (folder / SUMS).write_text(f"{digest}  {SINGLE}\n")
        for each in sorted(source.iterdir()) if source is not None else ():
            if each.suffix in (".json", ".txt", ".md") and each.name != INDEX:
                (folder / each.name).write_bytes(each.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{folder}: {error}; choose a folder that can be written") from error


def _plain(tensor: Tensor) -> Tensor:
    return tensor.to_dense() if tensor.is_mkldnn else tensor.contiguous()  # the former: packed


@dataclass(frozen=True, slots=True, eq=False)
class _Stored:
    """What a shard's header says of one tensor."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: str
    metadata: Mapping[str, str]


def _read(file: Any, path: Path, name: str) -> Tensor:
    """A tensor of an opened shard, in its mapped bytes."""
    try:
        tensor = cast(Tensor, file.get_tensor(name))
        low, high = tensor.aminmax() if tensor.numel() else (tensor.sum(), tensor.sum())
        if not -_LARGEST < float(low) <= float(high) < _LARGEST:  # false for NaN as well
            raise ValueError(
                f"got values from {float(low):g} to {float(high):g}, allowed are weights within {_LARGEST:g}"
            )
        return tensor
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path.name} {name}: {error}; the file is damaged, download it again") from error


def _open(folder: Path) -> dict[str, _Stored]:
    if not folder.is_dir():
        raise CheckpointError(
            f"checkpoint: got {folder}, allowed is a folder with config.json and weights; check the path"
        )
    if (folder / INDEX).is_file():
        weights = read_json(folder / INDEX).get("weight_map")
        if not isinstance(weights, dict):
            raise CheckpointError(
                f"{INDEX} weight_map: got {type(weights).__name__}, allowed is an object; download it again"
            )
        index = {str(name): str(file) for name, file in cast(dict[str, Any], weights).items()}
        files = sorted(set(index.values()))
    else:
        index, files = None, [SINGLE]
    stored: dict[str, _Stored] = {}
    for file in files:
        if Path(file).name != file:
            raise CheckpointError(
                f"{INDEX}: got shard {file!r}, allowed are names of files beside it; do not trust this folder"
            )
        for each in _open_shard(folder / file):
            if each.name in stored:
                raise CheckpointError(
                    f"{each.name}: got it in {file} and in {stored[each.name].path.name}, allowed is once; "
                    "download it again"
                )
            stored[each.name] = each
    if index is not None and set(index) != set(stored):
        odd = sorted(set(index) ^ set(stored))
        raise CheckpointError(
            f"{INDEX}: {_some(odd)} stand in the index or in the shards, not in both; download it again"
        )
    for name, file in (index or {}).items():
        if stored[name].path.name != file:
            raise CheckpointError(f"{INDEX} {name}: got {file}, it is in {stored[name].path.name}; download them again")
    return stored


def _open_shard(path: Path) -> list[_Stored]:
    if not path.is_file():
        raise CheckpointError(
            f"{path.name}: not found in {path.parent}; the checkpoint is incomplete, download it again"
        )
    _check_digest(path)
    with _opened(path) as file:
        _check_once(path)
        metadata = cast("dict[str, str] | None", file.metadata()) or {}
        slices = [(name, file.get_slice(name)) for name in cast(list[str], list(file.keys()))]
        return [_Stored(path, name, tuple(each.get_shape()), str(each.get_dtype()), metadata) for name, each in slices]


def _opened(path: Path) -> Any:
    """The mapped shard; its header was checked against the file's size."""
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}; the file is truncated or damaged, download it again") from error


def _check_once(path: Path) -> None:
    """Reads the header again, which names each tensor once; the library takes the last of several."""
    with path.open("rb") as file:
        header = file.read(int.from_bytes(file.read(8), "little"))

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise CheckpointError(f"{path}: got {twice} twice, allowed is once; the file is damaged, download it again")
        return dict(pairs)

    json.loads(header, object_pairs_hook=once)


def _check_digest(path: Path) -> None:
    """Compares the whole file with its SHA-256 where that is known: from SHA256SUMS, or as a hub's name for it."""
    sums = path.parent / SUMS
    lines = sums.read_text().split("\n") if sums.is_file() else []
    known = [digest for digest, _, name in (line.partition("  ") for line in lines) if name == path.name]
    if path.is_symlink() and _DIGEST.fullmatch(path.resolve().name):
        known.append(path.resolve().name)
    if not known:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if any(digest != found for digest in known):
        raise CheckpointError(
            f"{path}: got SHA-256 {found}, allowed is {known[0]}; the file is damaged, download it again"
        )


def _check(stored: Mapping[str, _Stored], expected: Mapping[str, Tensor], config: ModelConfig, folder: Path) -> None:
    missing = sorted(set(expected) - set(stored))
    if missing:
        raise CheckpointError(f"{folder}: {_some(missing)} missing, config.json needs them; download it again")
    ignored = {name for name in stored if any(each in name for each in _IGNORED)}
    unknown = sorted(set(stored) - set(expected) - set(_rotary(config.text)) - ignored)
    if unknown:
        raise CheckpointError(f"{folder}: {_some(unknown)} unknown to config.json's model; they do not belong together")
    for name, tensor in expected.items():
        if stored[name].shape != tuple(tensor.shape):
            raise CheckpointError(
                f"{name}: got shape {stored[name].shape}, config.json needs {tuple(tensor.shape)}; "
                "they do not belong together"
            )
        if stored[name].dtype not in _DTYPES:
            raise CheckpointError(
                f"{name}: got type {stored[name].dtype}, allowed is {listing(_DTYPES)}; use the released weights"
            )
    for name, scaling in _rotary(config.text).items():
        if name not in stored or config.text.rope_theta is None:
            continue
        with _opened(stored[name].path) as file:
            given = _read(file, stored[name].path, name).float()
        own = inverse_frequencies(config.text.head_dim, config.text.rope_theta, scaling)
        if given.shape != own.shape or not torch.allclose(given, own, rtol=1e-2):  # stored in bf16 by some exports
            raise ConfigError(
                f"{name}: got other frequencies than config.json's rope_theta {config.text.rope_theta} with "
                f"{scaling or 'no scaling'} gives; do not trust it"
            )


def _rotary(text: TextConfig) -> dict[str, RopeScaling | None]:
    """Buffers of rotary frequencies that may be stored, and how each is stretched: all follow from `text`."""
    if text.scaled_layers is None:
        return {f"{_ROTARY}_emb.inv_freq": text.rope_scaling}
    return {f"{_ROTARY}_embs.default.inv_freq": None, f"{_ROTARY}_embs.scaling.inv_freq": text.rope_scaling}


def _assign(model: nn.Module, name: str, tensor: Tensor, *, requires_grad: bool) -> None:
    owner, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(owner), leaf, nn.Parameter(tensor, requires_grad=requires_grad))


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more


def digest(folder: Path) -> str:
    """SHA-256 over the SHA-256 of each of a folder's weight files, by name. Reads them all."""
    whole_of_them = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            whole_of_them.update(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n".encode())
    return whole_of_them.hexdigest()


def parts(config: ModelConfig) -> dict[str, int]:
    """Parameters of each part of a configuration."""
    totals: dict[str, int] = {}
    for name, each in build(config).named_parameters():
        part = name.split(".")[0]
        totals[part] = totals.get(part, 0) + each.numel()
    return totals


def stored_sizes(folder: Path, config: ModelConfig) -> tuple[int, list[str]]:
    """Bytes of all weight files of a folder and the types they hold, once its tensors were found to fit `config`.

    Raises:
        CheckpointError: when a file is missing or damaged, or does not belong to the configuration.
    """
    stored = _open(folder)
    expected = {published_name(name): parameter for name, parameter in build(config).named_parameters()}
    _check(stored, expected, config, folder)
    types = sorted({each.dtype for each in stored.values()})
    return sum(path.stat().st_size for path in {each.path for each in stored.values()}), types
