"""Checkpoint folders: loaded whole or not at all, saved back to the same bytes."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from released import REFERENCES
from safetensors.torch import load_file, save_file

from forearm.errors import CheckpointError, ConfigError
from forearm.model.describe import describe
from forearm.model.weights import load, save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(REFERENCES / "think_gate_layer", tmp_path / "checkpoint"))


def rewritten(folder: Path, change: dict[str, torch.Tensor | None]) -> Path:
    tensors = load_file(folder / "model.safetensors")
    for name, value in change.items():
        if value is None:
            del tensors[name]
        else:
            tensors[name] = value
    save_file(tensors, folder / "model.safetensors")
    return folder


def sharded(folder: Path) -> Path:
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    index: dict[str, str] = {}
    for i, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-0000{i}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file)
        index |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (folder / "model.safetensors").unlink()
    return folder


def test_saving_what_was_loaded_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    save(load(folder), tmp_path / "copy", source=folder)
    for file in ("model.safetensors", "config.json", "norm_stats.json", "token_table.json"):
        assert (tmp_path / "copy" / file).read_bytes() == (folder / file).read_bytes()


def test_shards_load_like_one_file(folder: Path) -> None:
    whole = load(folder).model.state_dict()
    parts = load(sharded(folder)).model.state_dict()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_weights_become_bf16_while_they_are_loaded(folder: Path) -> None:
    model = load(folder, dtype=torch.bfloat16).model
    assert {each.dtype for each in model.parameters()} == {torch.bfloat16}


def test_no_shard_stays_mapped_behind_converted_weights(folder: Path) -> None:
    checkpoint = load(sharded(folder), dtype=torch.bfloat16)
    assert {each.dtype for each in checkpoint.model.parameters()} == {torch.bfloat16}
    assert "model-00001" not in Path("/proc/self/maps").read_text()


def test_parameters_are_the_mapped_file_itself(folder: Path) -> None:
    model = load(folder).model
    mapped = Path("/proc/self/maps").read_text().splitlines()
    ranges = [tuple(int(each, 16) for each in line.split()[0].split("-")) for line in mapped if str(folder) in line]
    assert all(any(low <= each.data_ptr() < high for low, high in ranges) for each in model.parameters())


NAME = "model.transformer.blocks.1.mlp.ff_out.weight"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({NAME: None}, f"{NAME} missing"),
        ({NAME: torch.zeros(3, 3)}, f"{NAME}: got shape"),
        (
            {"model.transformer.blocks.9.mlp.ff_out.weight": torch.zeros(1)},
            "model.transformer.blocks.9.mlp.ff_out.weight unknown",
        ),
    ],
)
def test_tensors_that_do_not_fit_the_config_are_named(
    folder: Path, change: dict[str, torch.Tensor | None], says: str
) -> None:
    with pytest.raises(CheckpointError, match=says):
        load(rewritten(folder, change))


@pytest.mark.parametrize("kind", [torch.int8, torch.float64, torch.float8_e4m3fn])
def test_a_type_that_weights_do_not_have_is_named(folder: Path, kind: torch.dtype) -> None:
    with pytest.raises(CheckpointError, match=f"{NAME}: got type"):
        load(rewritten(folder, {NAME: torch.zeros(32, 48).to(kind)}))


def test_weights_of_several_types_load_only_where_they_are_converted(folder: Path) -> None:
    rewritten(folder, {NAME: torch.zeros(32, 48, dtype=torch.bfloat16)})
    with pytest.raises(CheckpointError, match="got types BF16 or F32"):
        load(folder)
    assert {each.dtype for each in load(folder, dtype=torch.float32).model.parameters()} == {torch.float32}


def test_rotary_frequencies_of_another_base_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="inv_freq"):
        load(rewritten(folder, {"model.transformer.rotary_emb.inv_freq": torch.tensor([1.0, 0.5, 0.2, 0.1])}))


def test_frequencies_of_stretched_layers_lie_in_buffers_of_their_own(folder: Path) -> None:
    raw = json.loads((folder / "config.json").read_text())
    raw["text_config"] |= {"rope_scaling": {"rope_type": "linear", "factor": 2.0}, "rope_scaling_layers": [1]}
    (folder / "config.json").write_text(json.dumps(raw))
    plain = load_file(folder / "model.safetensors")["model.transformer.rotary_emb.inv_freq"]
    buffers = {"default": plain, "scaling": plain / 2}
    named = {f"model.transformer.rotary_embs.{name}.inv_freq": each for name, each in buffers.items()}
    rewritten(folder, {"model.transformer.rotary_emb.inv_freq": None, **named})
    load(folder)
    with pytest.raises(ConfigError, match=r"rotary_embs\.scaling\.inv_freq: got other frequencies"):
        load(rewritten(folder, {"model.transformer.rotary_embs.scaling.inv_freq": plain}))


def test_an_index_that_puts_a_tensor_into_the_wrong_shard_is_refused(folder: Path) -> None:
    index = sharded(folder) / "model.safetensors.index.json"
    raw = json.loads(index.read_text())
    other = next(file for file in raw["weight_map"].values() if file != raw["weight_map"][NAME])
    raw["weight_map"][NAME] = other
    index.write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match=rf"index\.json {NAME}: got {other}, it is in model-0000"):
        load(folder)


def test_a_header_that_names_a_tensor_twice_is_refused(folder: Path) -> None:
    file = folder / "model.safetensors"
    content = file.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = content[8:end].decode().rstrip()
    header = header[:-1] + f',"{NAME}":{json.dumps(json.loads(header)[NAME])}}}'
    header += " " * (-len(header) % 8)
    file.write_bytes(len(header).to_bytes(8, "little") + header.encode() + content[end:])
    with pytest.raises(CheckpointError, match=f"got {NAME} twice, allowed is once"):
        load(folder)


def test_leftovers_of_training_checkpoints_are_ignored(folder: Path) -> None:
    load(rewritten(folder, {"model.action_expert.blocks.0.cross_attn.kv_proj.weight": torch.zeros(2, 2)}))


@pytest.mark.parametrize("keep", [0, 7, 5000, -1])
def test_a_truncated_file_is_a_checkpoint_error(folder: Path, keep: int) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="damaged"):
        load(folder)
    with pytest.raises(CheckpointError, match="damaged"):
        describe(folder)


def test_a_damaged_header_is_a_checkpoint_error(folder: Path) -> None:
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[40:60] = b"\xff" * 20
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load(folder)


def test_bytes_damaged_in_the_middle_are_noticed(folder: Path) -> None:
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 256] = bytes(range(256))
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load(folder)


def test_one_flipped_bit_is_noticed_where_the_digest_is_known(folder: Path, tmp_path: Path) -> None:
    save(load(folder), tmp_path / "copy", source=folder)
    file = tmp_path / "copy" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="SHA-256"):
        load(tmp_path / "copy")


def test_a_file_that_a_hub_named_by_its_digest_is_compared_with_it(folder: Path, tmp_path: Path) -> None:
    file, blob = folder / "model.safetensors", tmp_path / ("0" * 64)
    file.rename(blob)
    file.symlink_to(blob)
    with pytest.raises(CheckpointError, match="SHA-256"):
        load(folder)


def test_a_missing_shard_is_named(folder: Path) -> None:
    (sharded(folder) / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002\.safetensors: not found"):
        load(folder)


def test_an_index_that_disagrees_with_its_shards_is_refused(folder: Path) -> None:
    path = sharded(folder) / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    del index["weight_map"][NAME]
    path.write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=NAME):
        load(folder)


def test_an_index_cannot_point_out_of_its_folder(folder: Path) -> None:
    path = sharded(folder) / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {NAME: "../elsewhere.safetensors"}}))
    with pytest.raises(CheckpointError, match=r"elsewhere\.safetensors"):
        load(folder)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1e30])
def test_values_that_are_no_weights_are_named(folder: Path, value: float) -> None:
    with pytest.raises(CheckpointError, match=f"{NAME}: got values from"):
        load(rewritten(folder, {NAME: torch.full((32, 48), value)}))


def test_a_description_says_sizes_parts_tags_and_ids() -> None:
    text = describe(REFERENCES / "think_gate_layer")
    for fact in (
        "action_expert_depth_gate",
        "9 codes of 8, gate layer",
        "tiny_dual",
        "horizon 6",
        "depth_start",
        "F32",
    ):
        assert fact in text
