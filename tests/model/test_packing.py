"""Packed matrices: the same model under the same names. That its answers are the same is for tests/parity to show."""

import shutil
from pathlib import Path
from typing import get_args

import pytest
import torch
from released import REFERENCES, loaded

from forearm.model.config import Activation
from forearm.model.layers import Linear, activated, activation
from forearm.model.packing import pack
from forearm.model.weights import load, save


def test_a_packed_model_is_saved_to_the_same_bytes(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(REFERENCES / "think_gate_layer", tmp_path / "checkpoint"))
    checkpoint = load(folder)
    pack(checkpoint.model)
    save(checkpoint, tmp_path / "copy", source=folder)
    assert (tmp_path / "copy" / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_packed_weights_keep_names_shapes_and_types() -> None:
    model, _ = loaded("base")
    before = {name: (each.shape, each.dtype) for name, each in model.named_parameters()}
    pack(model)
    assert {name: (each.shape, each.dtype) for name, each in model.named_parameters()} == before


def test_packing_again_changes_nothing() -> None:
    model, _ = loaded("base")
    pack(model)
    before = dict(model.named_parameters())
    pack(model)
    assert all(each is before[name] for name, each in model.named_parameters())


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 2, 40])
def test_a_packed_layer_answers_as_before(kind: torch.dtype, rows: int) -> None:
    model, _ = loaded("base")
    model.to(kind)
    layer = model.vision_backbone.image_vit.patch_embedding
    x = torch.randn(1, rows, layer.in_features, generator=torch.Generator().manual_seed(0)).to(kind)
    before = layer(x)
    pack(model)
    close = {"rtol": 1e-5, "atol": 1e-5} if kind == torch.float32 else {"rtol": 1e-2, "atol": 1e-2}
    torch.testing.assert_close(layer(x), before, **close)


@pytest.mark.parametrize("name", get_args(Activation))
def test_an_activation_is_the_same_within_the_product(name: Activation) -> None:
    model, _ = loaded("base")
    layer = model.vision_backbone.image_vit.patch_embedding
    assert isinstance(layer, Linear)
    x = 3 * torch.randn(1, 40, layer.in_features, generator=torch.Generator().manual_seed(0))
    before = activation(name)(layer(x))
    pack(model)
    torch.testing.assert_close(activated(layer, x, name), before, rtol=1e-4, atol=1e-5)
