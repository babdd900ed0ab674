"""Text to token ids: a checkpoint's own tokenizer, or plain bytes with a table of special tokens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol, cast

import tokenizers

from forearm.errors import CheckpointError
from forearm.model.config import ModelConfig
from forearm.model.published import read_json


class Tokenizer(Protocol):
    """What the prompt needs of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, special tokens recognised, nothing added."""
        ...

    def token_id(self, token: str) -> int | None:
        """The id of a single token, None where there is no such token."""
        ...


class LearnedTokenizer:
    """A checkpoint's tokenizer.json."""

    def __init__(self, path: Path) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for any damage
            raise CheckpointError(f"{path}: {error}; the tokenizer is damaged, download it again") from error

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def token_id(self, token: str) -> int | None:
        return self._tokenizer.token_to_id(token)


class ByteTokenizer:
    """UTF-8 bytes as ids 0 to 255, and special tokens from a table: exact and small, for tests and tiny models."""

    def __init__(self, table: dict[str, int]) -> None:
        self._table = table
        longest_first = sorted(table, key=len, reverse=True)
        self._special = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for piece in self._special.split(text):
            ids.extend([self._table[piece]] if piece in self._table else piece.encode())
        return ids

    def token_id(self, token: str) -> int | None:
        return self._table.get(token)


def read_tokenizer(folder: Path, config: ModelConfig) -> Tokenizer:
    """The tokenizer of a checkpoint folder: tokenizer.json, or a byte tokenizer's token_table.json.

    Raises:
        CheckpointError: when there is none, when it is damaged, or when it disagrees with config.json about a token.
    """
    if (folder / "tokenizer.json").is_file():
        tokenizer: Tokenizer = LearnedTokenizer(folder / "tokenizer.json")
    elif (folder / "token_table.json").is_file():
        tokenizer = ByteTokenizer(cast(dict[str, int], read_json(folder / "token_table.json")))
    else:
        raise CheckpointError(f"tokenizer.json: not found in {folder}; the checkpoint is incomplete, download it again")
    for token in _worded(config):
        if tokenizer.token_id(token) is None:
            raise CheckpointError(f"tokenizer: got no token {token!r}, which every prompt holds; use the model's own")
    for token, expected in required_tokens(config).items():
        found = tokenizer.token_id(token)
        if found is None:
            raise CheckpointError(
                f"tokenizer: got no token {token!r}, config.json says it is id {expected}; they do not belong together"
            )
        if found != expected:
            raise CheckpointError(
                f"tokenizer token {token!r}: got id {found}, config.json says {expected}; they do not belong together"
            )
    return tokenizer


def _worded(config: ModelConfig) -> list[str]:
    """Tokens of a prompt to which config.json gives no id."""
    marked = {"setup": config.setup_tokens, "control": config.control_tokens}
    pairs = [f"<{name}_{end}>" for name, used in marked.items() if used for end in ("start", "end")]
    return ["<|im_start|>", "<|im_end|>", "<action_output>", *pairs]


def required_tokens(config: ModelConfig) -> dict[str, int]:
    """Every special token that prompts and answers of this model use, with the id that config.json gives it."""
    ids = config.tokens
    named = {
        "<im_start>": ids.image_start,
        "<im_end>": ids.image_end,
        "<im_patch>": ids.image_patch,
        "<im_col>": ids.image_column,
        "<low_res_im_start>": ids.low_image_start,
        "<state_start>": ids.state_start,
        "<state_end>": ids.state_end,
        "<action_output>": ids.action_output,
        "<action_start>": ids.action_start,
        "<action_end>": ids.action_end,
    }
    series = {"state": (ids.state_first, ids.state_count), "action": (ids.action_first, ids.action_count)}
    if config.depth is not None and config.depth.reasoning:
        named |= {"<depth_output>": ids.depth_output, "<depth_start>": ids.depth_start, "<depth_end>": ids.depth_end}
        series["depth"] = (ids.depth_first, config.depth.codebook)
    for name, (first, count) in series.items():
        if first is not None and count > 0:
            named |= {f"<{name}_{i}>": first + i for i in range(count)}
    return {token: each for token, each in named.items() if each is not None}
