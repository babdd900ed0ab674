"""What a checkpoint's folder says of itself, read without its weights. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from forearm.errors import CheckpointError
from forearm.model.words import Words

CONFIG = "config.json"
_WEIGHTS = Path(__file__).parent.parent / "weights"
MODELS: Mapping[str, Path] = (
    MappingProxyType(  # that come with the package, smallest first; a package may leave one out
        {name: _WEIGHTS / name for name in ("nano", "station") if (_WEIGHTS / name).is_dir()}
    )
)
SHIPPED = MODELS["nano"]  # the smallest of them
_PUBLISHED = frozenset({"text_config", "vit_config", "adapter_config", "action_expert_config"})  # in released configs
MODEL = "model"  # names the smallest of them that can be asked what is asked


def shipped(name: str) -> Path | None:
    """The folder of the model that came with the package under that name, None for any other.

    Where nothing is asked, "model" is the smallest of all.
    """
    return SHIPPED if name == MODEL else MODELS.get(name)


def is_released(folder: Path) -> bool:
    """Whether what a folder holds is a released MolmoAct2, or what was fine-tuned from one.

    Raises:
        CheckpointError: when it says nothing.
    """
    return not _PUBLISHED.isdisjoint(read_json(folder / CONFIG))


def read_words(folder: Path) -> Words:
    """What the model in a folder was taught to read and say.

    Raises:
        CheckpointError: when its config is missing, corrupt or says nothing of words.
    """
    config = read_json(folder / CONFIG)
    try:
        return words_from_json(config.get("words"))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / CONFIG}: does not describe words ({error}); take it again") from error


def words_from_json(words: Any) -> Words:
    """A vocabulary from its fields.

    Raises:
        KeyError, TypeError, ValueError: for anything else.
    """
    return Words(
        instructions=tuple(words["instructions"]),
        subtasks=tuple(words["subtasks"]),
        places=int(words["places"]),
        vocabulary=tuple(words["vocabulary"]),
    )


def read_json(path: Path) -> dict[str, Any]:
    """The object that one of a checkpoint's files holds.

    Raises:
        CheckpointError: when it cannot be read, or holds none.
    """
    try:
        value = json.loads(path.read_text())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); name a checkpoint folder") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: is not JSON ({error}); take the checkpoint from its source again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: holds no object; take the checkpoint from its source again")
    return value
