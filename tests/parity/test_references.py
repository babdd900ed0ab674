"""Every array that the genuine implementation stored is computed again from the raw images on."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from forearm.model.verify import Report, verify

BUNDLED = Path(__file__).parent / "references"
ELSEWHERE = os.environ.get("FOREARM_REFERENCES")  # a folder of more, and larger, reference folders
FOLDERS = sorted(BUNDLED.iterdir()) + (
    sorted(each for each in Path(ELSEWHERE).iterdir() if each.is_dir()) if ELSEWHERE else []
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_everything_agrees_with_the_reference(folder: Path) -> None:
    report = verify(folder)
    assert report.agrees, report.text()


def test_a_wrong_weight_is_noticed(tmp_path: Path) -> None:
    assert not verified_with(tmp_path, "model.action_expert.blocks.1.mlp.up_proj.bias", 1.001).agrees


@pytest.mark.parametrize("file", ["inputs", "outputs"])
def test_an_array_that_nobody_computes_counts_as_differing(tmp_path: Path, file: str) -> None:
    for each in (BUNDLED / "base_continuous").iterdir():
        (tmp_path / each.name).write_bytes(each.read_bytes())
    with np.load(tmp_path / f"{file}.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    np.savez(tmp_path / f"{file}.npz", **arrays, new_thing=np.zeros(3))
    odd = [row for row in verify(tmp_path).rows if not row.agrees]
    assert [row.name.rpartition("/")[2] for row in odd] == ["new_thing"]


def verified_with(folder: Path, name: str, factor: float) -> Report:
    from safetensors.torch import load_file, save_file

    for each in (BUNDLED / "base_continuous").iterdir():
        (folder / each.name).write_bytes(each.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    tensors[name] = tensors[name] * factor
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return verify(folder)
