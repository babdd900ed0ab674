import json
from pathlib import Path

import pytest

from forearm.errors import CheckpointError
from forearm.model.description import CONFIG, SHIPPED, read_words


def test_what_the_shipped_model_was_taught_is_read_without_its_weights() -> None:
    words = read_words(SHIPPED)
    assert "lift the tray with both arms" in words.instructions
    assert len(words.instructions) == 13
    assert words.encode("Lift the tray with both arms.").shape == (words.places,)


@pytest.mark.parametrize("config", [{}, {"words": {"instructions": []}}, {"words": {"instructions": 3}}])
def test_a_config_that_says_nothing_of_words_is_refused(tmp_path: Path, config: dict[str, object]) -> None:
    (tmp_path / CONFIG).write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="does not describe words"):
        read_words(tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="name a checkpoint folder"):
        read_words(tmp_path)
