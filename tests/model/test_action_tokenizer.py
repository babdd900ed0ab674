"""Chunks to tokens and back, or an error."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from forearm.errors import CheckpointError, InputError, ModelError
from forearm.model.action_tokenizer import ActionTokenizer, cosine_basis
from forearm.model.tokens import TokenIds

LEAST = -60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small vocabulary, trained the way FAST's is."""
    rng = np.random.default_rng(0)
    texts = [
        "".join(
            chr(i)
            for i in np.clip(np.around(cosine_basis(8) @ smooth(rng) * 10).reshape(-1) - LEAST, 0, 120).astype(int)
        )
        for _ in range(200)
    ]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=400, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()),
    )
    made = tmp_path_factory.mktemp("fast")
    tokenizer.save(str(made / "tokenizer.json"))
    (made / "processor_config.json").write_text(json.dumps({"scale": 10, "min_token": LEAST, "vocab_size": 400}))
    return made


def smooth(rng: np.random.Generator) -> np.ndarray:
    return np.cumsum(rng.normal(size=(8, 3)), axis=0) * 0.15


def test_the_basis_is_orthonormal() -> None:
    np.testing.assert_allclose(cosine_basis(30) @ cosine_basis(30).T, np.eye(30), atol=1e-12)


def test_a_chunk_comes_back_within_half_a_step_of_every_coefficient(folder: Path) -> None:
    tokenizer = ActionTokenizer.read(folder)
    chunk = smooth(np.random.default_rng(5))
    tokens = tokenizer.encode(chunk)
    assert len(tokens) < 24
    error = cosine_basis(8) @ (tokenizer.decode(tokens, 8, 3) - chunk)
    assert np.abs(error).max() <= 0.05 + 1e-9


def test_a_chunk_is_read_from_what_a_decoder_wrote(folder: Path) -> None:
    tokenizer, ids = ActionTokenizer.read(folder), TokenIds(action_start=7, action_end=8, action_first=100)
    codes = tokenizer.encode(smooth(np.random.default_rng(5)))
    written = [7, *(100 + code for code in codes), 8, 2]
    np.testing.assert_array_equal(tokenizer.read_chunk(written, ids, 8, 3), tokenizer.decode(codes, 8, 3))
    with pytest.raises(ModelError, match="got 0 coefficients"):
        tokenizer.read_chunk([7, 8, 2], ids, 8, 3)
    with pytest.raises(InputError, match="act by the flow"):
        tokenizer.read_chunk(written, TokenIds(action_start=None), 8, 3)


@pytest.mark.parametrize("change", ["fewer", "more"])
def test_tokens_of_another_length_are_an_error_and_never_zeros(folder: Path, change: str) -> None:
    tokenizer = ActionTokenizer.read(folder)
    tokens = tokenizer.encode(smooth(np.random.default_rng(5)))
    with pytest.raises(ModelError, match="action tokens"):
        tokenizer.decode(tokens[:-1] if change == "fewer" else [*tokens, tokens[0]], 8, 3)


def test_tokens_that_are_no_text_are_an_error(folder: Path) -> None:
    tokenizer = ActionTokenizer.read(folder)
    lone = tokenizer._bpe.token_to_id("Ã")  # the first of two bytes
    with pytest.raises(ModelError, match="action tokens"):
        tokenizer.decode([lone] * 24, 8, 3)


def test_values_that_are_not_numbers_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="chunk"):
        ActionTokenizer.read(folder).encode(np.full((8, 3), np.nan))


def test_a_damaged_tokenizer_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "processor_config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text("nothing")
    with pytest.raises(CheckpointError, match="download the action tokenizer again"):
        ActionTokenizer.read(tmp_path)
