import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from forearm.errors import CheckpointError
from forearm.model import checkpoint
from forearm.model.reasoner import Reasoner
from forearm.model.sight import Scales
from forearm.model.sizes import NANO
from forearm.model.words import Words


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    words = Words.taught_by(("lift the tray",), ("lift",))
    config = NANO.config(vocabulary=3, places=words.places, subtasks=1)
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(20, 14)).astype(np.float32)
    scales = Scales.of(positions, rng.normal(size=(20, 16, 14)).astype(np.float32))
    checkpoint.write(tmp_path, Reasoner(config).state_dict(), config, words, scales, {"commit": "abc"})
    return tmp_path


def test_what_is_written_is_read_back(folder: Path) -> None:
    made = checkpoint.read(folder)
    stored = load_file(folder / checkpoint.WEIGHTS)
    for name, tensor in made.model.state_dict().items():
        assert torch.equal(tensor, stored[name]), name
    assert made.recipe == {"commit": "abc"}
    assert made.words.encode("lift the tray").tolist() == [1, 2, 3]
    assert len(made.digest) == 64


def test_other_scales_or_words_make_another_model_of_the_same_weights(folder: Path) -> None:
    path, before = folder / checkpoint.CONFIG, checkpoint.read(folder)
    assert checkpoint.write(
        folder, before.model.state_dict(), before.model.config, before.words, before.scales, {}
    ) == (before.digest)
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config))  # the same in one line
    assert checkpoint.read(folder).digest == before.digest
    scales, words = config["scales"], config["words"]
    scaled = {**config, "scales": {**scales, "chunk_std": scales["chunk_std"][::-1]}}
    worded = {**config, "words": {**words, "vocabulary": words["vocabulary"][::-1]}}
    for changed in (scaled, worded):
        path.write_text(json.dumps(changed))
        assert checkpoint.read(folder).digest != before.digest


def test_one_flipped_bit_is_noticed(folder: Path) -> None:
    path = folder / checkpoint.WEIGHTS
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="corrupt"):
        checkpoint.read(folder)


def test_truncated_weights_are_noticed(folder: Path) -> None:
    path = folder / checkpoint.WEIGHTS
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="SHA-256"):
        checkpoint.read(folder)


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, checkpoint.CONFIG, checkpoint.RECIPE])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        checkpoint.read(folder)


def test_a_config_of_another_format_is_refused(folder: Path) -> None:
    path = folder / checkpoint.CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": "forearm.reasoner.v9"}))
    with pytest.raises(CheckpointError, match=r"reasoner\.v9"):
        checkpoint.read(folder)


def test_a_tensor_that_does_not_fit_is_named(folder: Path) -> None:
    weights = load_file(folder / checkpoint.WEIGHTS)
    weights["no_point"] = torch.zeros(3)
    made = checkpoint.read(folder)
    checkpoint.write(folder, weights, made.model.config, made.words, made.scales, made.recipe)
    with pytest.raises(CheckpointError, match="no_point"):
        checkpoint.read(folder)


def test_a_config_that_is_not_json_is_refused(folder: Path) -> None:
    (folder / checkpoint.CONFIG).write_text("{")
    with pytest.raises(CheckpointError, match="not JSON"):
        checkpoint.read(folder)


def test_weights_outside_safetensors_are_refused(folder: Path) -> None:
    save_file({"x": torch.zeros(1)}, folder / checkpoint.WEIGHTS)
    with pytest.raises(CheckpointError):
        checkpoint.read(folder)
