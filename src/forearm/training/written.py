"""What a released decoder should write behind a prompt: a depth map, then a chunk as action tokens, then the end.

The order is that in which the released models are served: `<depth_start>` codes `<depth_end>` where depth was asked
for, `<action_start>` tokens `<action_end>` `<|im_end|>` where the checkpoint writes actions. All of it is learned and
nothing of the prompt. Which tokens the released training counts is not published; these are what has to be written.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forearm.errors import ConfigError, InputError
from forearm.model.action_tokenizer import ActionTokenizer
from forearm.model.config import ModelConfig
from forearm.model.losses import IGNORED

Ids = NDArray[np.int64]
CODE_NOISE = 0.1  # share of the depth codes that are read wrongly while they are learned; released recipe


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Written:
    """What follows a prompt: `ids` (n,) as they are read, and `labels` (n,) as they should be written."""

    ids: Ids
    labels: Ids


class Writer:
    """Puts depth codes and chunks into a model's tokens.

    Args:
        config: of the model.
        actions: its action tokenizer; None writes no actions.

    Raises:
        InputError: when the model does not write actions, or not with as many tokens as the tokenizer has.
    """

    def __init__(self, config: ModelConfig, actions: ActionTokenizer | None) -> None:
        self._tokens, self._depth, self.actions = config.tokens, config.depth, actions
        if actions is None:
            return
        if not writes_actions(config):
            raise InputError(
                "action tokenizer: got one for a checkpoint that writes no actions, allowed is none; leave it out"
            )
        if actions.vocabulary > config.tokens.action_count:
            raise InputError(
                f"action tokenizer: got {actions.vocabulary} tokens, allowed are the {config.tokens.action_count} that "
                "the checkpoint knows; use the one that was released with it"
            )

    def write(self, chunk: NDArray[np.float32], codes: Ids | None, rng: np.random.Generator) -> Written:
        """What should follow one prompt.

        Args:
            chunk: (rows, channels) normalised: those that the robot has. What lies behind an episode's end is its last
                row, because a chunk of fewer rows cannot be read back.
            codes: (N,) of the depth map, row by row, as many as the model writes; None where depth is not asked for.
            rng: decides which of them are read wrongly.

        Raises:
            ConfigError: for codes of a checkpoint without depth tokens.
        """
        parts = [] if codes is None else [self._map(codes, rng)]
        if self.actions is not None:
            parts.append(self._chunk(self.actions, chunk))
        ids, labels = ([pair[i] for pair in parts] or [np.zeros(0, np.int64)] for i in (0, 1))
        return Written(ids=np.concatenate(ids), labels=np.concatenate(labels))

    def _map(self, codes: Ids, rng: np.random.Generator) -> tuple[Ids, Ids]:
        depth, tokens = self._depth, self._tokens
        if depth is None or tokens.depth_start is None or tokens.depth_end is None or tokens.depth_first is None:
            raise ConfigError(
                "depth codes: got some for a checkpoint without depth tokens, allowed are none; leave out"
            )
        read = np.where(rng.random(len(codes)) < CODE_NOISE, rng.integers(depth.codebook, size=len(codes)), codes)
        ids, labels = (
            np.array([tokens.depth_start, *(each + tokens.depth_first), tokens.depth_end]) for each in (read, codes)
        )
        return ids, labels

    def _chunk(self, actions: ActionTokenizer, chunk: NDArray[np.float32]) -> tuple[Ids, Ids]:
        tokens = self._tokens
        assert tokens.action_first is not None  # checked when this was made
        written = [tokens.action_first + each for each in actions.encode(chunk.astype(np.float64))]
        ids = np.array([tokens.action_start, *written, tokens.action_end, tokens.eos], dtype=np.int64)
        return ids, ids


def writes_actions(config: ModelConfig) -> bool:
    """Whether a checkpoint was taught to write actions as tokens."""
    ids = (config.tokens.action_start, config.tokens.action_end, config.tokens.action_first)
    return config.action_mode == "both" and None not in ids


def writes_depth(config: ModelConfig) -> bool:
    """Whether a checkpoint was taught to write a depth map."""
    ids = (config.tokens.depth_start, config.tokens.depth_end, config.tokens.depth_first)
    return config.depth is not None and config.depth.reasoning and None not in ids


def label_rows(written: list[Written], length: int) -> Ids:
    """(B, length) labels of prompts that are padded on the left to `length`, with what was written at their ends."""
    rows = np.full((len(written), length), IGNORED, dtype=np.int64)
    for row, each in zip(rows, written, strict=True):
        row[length - len(each.labels) :] = each.labels
    return rows
