"""Every array that the genuine implementation stored is computed again from the raw images on."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from forearm.errors import CheckpointError, InputError
from forearm.model.images import CropConfig, cut
from forearm.model.packing import pack
from forearm.model.reproduce import Reproduction
from forearm.model.verify import Report, compare, verify
from forearm.model.weights import load

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


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_packed_weights_agree_with_the_reference_too(folder: Path) -> None:
    inputs, outputs = (dict(np.load(folder / name)) for name in ("inputs.npz", "outputs.npz"))
    meta = json.loads((folder / "meta.json").read_text()) if (folder / "meta.json").is_file() else {}
    model = load(folder).model
    pack(model)
    reproduction = Reproduction(model, folder, inputs, meta, free="decode_logit_targets" in outputs)
    for suffix in ("", "_step2"):
        if f"input_ids{suffix}" in inputs:
            computed = reproduction.frame(suffix).outputs
            rows = [
                compare(name, computed[name], outputs[name + suffix]) for name in computed if name + suffix in outputs
            ]
            assert rows
            assert all(row.agrees for row in rows), [row for row in rows if not row.agrees]


def test_a_wrong_weight_is_noticed(tmp_path: Path) -> None:
    assert not verified_with(tmp_path, "model.action_expert.blocks.1.mlp.up_proj.bias", 1.001).agrees


@pytest.mark.parametrize("file", ["inputs", "outputs"])
def test_an_array_that_nobody_computes_counts_as_differing(tmp_path: Path, file: str) -> None:
    copied(tmp_path)
    with np.load(tmp_path / f"{file}.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    np.savez(tmp_path / f"{file}.npz", **arrays, new_thing=np.zeros(3))
    odd = [row for row in verify(tmp_path).rows if not row.agrees]
    assert [row.name.rpartition("/")[2] for row in odd] == ["new_thing"]


def copied(tmp_path: Path, name: str = "base_continuous") -> Path:
    for each in (BUNDLED / name).iterdir():
        (tmp_path / each.name).write_bytes(each.read_bytes())
    return tmp_path


def changed_inputs(folder: Path, **changes: np.ndarray) -> Path:
    with np.load(folder / "inputs.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    np.savez(folder / "inputs.npz", **(arrays | changes))
    return folder


def test_the_prompt_tells_which_of_several_tags_was_asked_for(tmp_path: Path) -> None:
    file = copied(tmp_path) / "norm_stats.json"
    raw = json.loads(file.read_text())
    right = raw["metadata_by_tag"]["tiny_dual"]
    raw["metadata_by_tag"] = {"another": right | {"setup_type": "one arm"}, "tiny_dual": right}
    file.write_text(json.dumps(raw))
    assert verify(tmp_path).agrees
    (tmp_path / "meta.json").write_text('{"norm_tag": "another"}')
    assert not verify(tmp_path).agrees
    (tmp_path / "meta.json").write_text('{"norm_tag": "absent"}')
    with pytest.raises(InputError, match="embodiment tag: got 'absent', allowed are another or tiny_dual"):
        verify(tmp_path)


@pytest.mark.parametrize(
    "crops",
    [
        CropConfig(size=(42, 42), pooling=(1, 3)),
        CropConfig(size=(42, 42), pooling=(3, 1), mode="overlap-and-resize-c2", margins=(0, 1), max_crops=3),
    ],
)
def test_a_cropping_that_nothing_states_is_found_from_what_it_made(tmp_path: Path, crops: CropConfig) -> None:
    folder = copied(tmp_path)
    with np.load(folder / "inputs.npz") as stored:
        made = [cut(stored[f"image{i}_raw"], crops) for i in range(2)]
    windows, grids = np.concatenate([each.windows for each in made]), np.array([each.grid for each in made])
    changed_inputs(folder, image_token_pooling=windows, image_grids=grids)
    (folder / "meta.json").write_text(json.dumps({"crop_mode": crops.mode}))
    rows = {row.name: row.agrees for row in verify(folder).rows}
    assert rows["inputs/image_token_pooling"]
    assert rows["inputs/image_grids"]


def test_bf16_weights_are_compared_too(tmp_path: Path) -> None:
    file = copied(tmp_path) / "model.safetensors"
    save_file({name: each.bfloat16() for name, each in load_file(file).items()}, file, metadata={"format": "pt"})
    report = verify(tmp_path)
    assert {row.name: row.agrees for row in report.rows}["inputs/input_ids"]
    assert not report.agrees  # rounded weights compute something else


def test_noise_of_another_shape_is_refused(tmp_path: Path) -> None:
    changed_inputs(copied(tmp_path), noise=np.zeros((1, 6, 3), np.float32))
    with pytest.raises(
        CheckpointError, match=r"inputs\.npz noise: got shape \(1, 6, 3\), allowed is up to \(1, 6, 8\)"
    ):
        verify(tmp_path)


def test_a_gradient_of_a_parameter_that_is_not_ours_counts_as_differing(tmp_path: Path) -> None:
    file = copied(tmp_path, "base") / "train.npz"
    with np.load(file) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["grad_flow/model.action_expert.router.weight"] = np.zeros((2, 2), np.float32)
    del arrays["velocity_flow"]
    np.savez(file, **arrays)
    odd = [row.name for row in verify(tmp_path).rows if not row.agrees]
    assert odd == ["train/grad_flow/model.action_expert.router.weight"]


def test_a_reference_without_outputs_is_refused(tmp_path: Path) -> None:
    np.savez(copied(tmp_path) / "outputs.npz")
    with pytest.raises(CheckpointError, match=r"outputs\.npz: got no arrays"):
        verify(tmp_path)


def test_a_tag_that_wants_more_rows_than_the_model_makes_is_refused(tmp_path: Path) -> None:
    file = copied(tmp_path) / "norm_stats.json"
    raw = json.loads(file.read_text())
    raw["metadata_by_tag"]["tiny_dual"]["action_horizon"] = 99
    file.write_text(json.dumps(raw))
    with pytest.raises(InputError, match="rows of tiny_dual: got action_horizon 99"):
        verify(tmp_path)


def verified_with(folder: Path, name: str, factor: float) -> Report:
    copied(folder)
    tensors = load_file(folder / "model.safetensors")
    tensors[name] = tensors[name] * factor
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return verify(folder)
