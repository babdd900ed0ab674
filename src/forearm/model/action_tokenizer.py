"""Action chunks as a few tokens: a cosine transform along time, rounded, as text, through byte-pair encoding.

FAST (Pertsch et al. 2025, arXiv 2501.09747). Decoding that fails is an error: zeros would be a command to drive
somewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray

from forearm.errors import CheckpointError, InputError, ModelError
from forearm.model.published import read_json
from forearm.model.tokens import TokenIds, codes_between

Floats = NDArray[np.float64]


def cosine_basis(count: int) -> Floats:
    """(count, count) orthonormal DCT-II, frequency by frequency: `basis @ x` transforms, `basis.T @ c` goes back."""
    k, n = np.arange(count)[:, None], np.arange(count)[None, :]
    basis = np.sqrt(2.0 / count) * np.cos(np.pi * k * (2 * n + 1) / (2 * count))
    basis[0] /= np.sqrt(2.0)
    return basis


class ActionTokenizer:
    """FAST with a learned vocabulary.

    Args:
        bpe: the byte-pair encoder over characters that stand for rounded coefficients.
        scale: coefficients are multiplied by this before they are rounded.
        least: the smallest rounded coefficient, which is character 0.
    """

    def __init__(self, bpe: tokenizers.Tokenizer, scale: float, least: int) -> None:
        self._bpe = bpe
        self._scale = scale
        self._least = least

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return self._bpe.get_vocab_size()

    @classmethod
    def read(cls, folder: Path) -> ActionTokenizer:
        """From a folder with tokenizer.json and processor_config.json.

        Raises:
            CheckpointError: when a file is missing or damaged.
        """
        raw = read_json(folder / "processor_config.json")
        try:
            bpe = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the library raises bare Exception for any damage
            raise CheckpointError(f"{folder}/tokenizer.json: {error}; download the action tokenizer again") from error
        try:
            scale, least = float(raw.get("scale", 10)), int(raw.get("min_token", 0))
            if not scale > 0:
                raise ValueError(f"scale {scale} is not above 0")
            return cls(bpe, scale, least)
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"processor_config.json: {error}; download the action tokenizer again") from error

    def read_chunk(self, written: Sequence[int], ids: TokenIds, horizon: int, channels: int) -> Floats:
        """The normalised chunk (horizon, channels) in token ids that a decoder wrote.

        Raises:
            InputError: for a checkpoint without action tokens.
            ModelError: when the ids do not hold one whole chunk.
        """
        if ids.action_start is None or ids.action_end is None or ids.action_first is None:
            raise InputError("action tokens: got a checkpoint without, allowed is one with; act by the flow")
        codes = codes_between(written, ids.action_start, ids.action_end, ids.action_first, ids.action_count)
        return self.decode(codes, horizon, channels)

    def encode(self, chunk: Floats) -> list[int]:
        """Tokens of a normalised chunk (H, D). Coefficients below the smallest known one are raised to it.

        Raises:
            InputError: for another number of axes or values that are not finite.
        """
        if chunk.ndim != 2 or not np.isfinite(chunk).all():
            raise InputError(
                f"chunk: got shape {chunk.shape}, allowed are finite (rows, channels); encode one at a time"
            )
        coefficients = np.around(cosine_basis(len(chunk)) @ chunk * self._scale)
        characters = np.maximum(coefficients.reshape(-1) - self._least, 0).astype(np.int64)
        return self._bpe.encode("".join(map(chr, characters))).ids

    def decode(self, tokens: list[int], horizon: int, channels: int) -> Floats:
        """The normalised chunk (horizon, channels) that `tokens` say.

        Raises:
            ModelError: when they say anything else.
        """
        text = self._bpe.decode(tokens, skip_special_tokens=False)
        if "�" in text or len(text) != horizon * channels:
            raise ModelError(
                f"action tokens: got {len(text)} coefficients, allowed are {horizon} x {channels}; "
                "discard the chunk and hold"
            )
        coefficients = np.array([ord(each) for each in text], dtype=np.float64).reshape(horizon, channels) + self._least
        return cosine_basis(horizon).T @ (coefficients / self._scale)
