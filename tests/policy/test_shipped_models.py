"""Whatever models come with the package: each loads, is what its folder is called, and knows what its recipe says."""

from collections.abc import Mapping
from typing import Any

import pytest

from forearm.model import checkpoint
from forearm.model.description import MODEL, MODELS, SHIPPED, shipped
from forearm.policy.choice import checkpoint_named, tasks_for

MOST_BYTES = 60_000_000  # of one model: git carries the file whole, and everybody downloads it


@pytest.mark.parametrize("name", MODELS)
def test_every_model_that_ships_loads_and_knows_the_tasks_of_its_recipe(name: str) -> None:
    made = checkpoint_named(name)
    assert made is not None
    recipe: Mapping[str, Any] = made.recipe["recipe"]
    assert recipe["name"].startswith(name)  # its last stretch may be one of its own
    assert {task.name for task in tasks_for(name)} == set(recipe["recording"]["counts"])


@pytest.mark.parametrize("name", MODELS)
def test_every_model_that_ships_is_one_file_of_bearable_size(name: str) -> None:
    stored = checkpoint.stored(MODELS[name])
    assert stored.size <= MOST_BYTES
    assert sum(each.stat().st_size for each in MODELS[name].iterdir()) < stored.size + 2_000_000


def test_models_are_listed_from_the_smallest_on() -> None:
    sizes = [checkpoint.stored(folder).count for folder in MODELS.values()]
    assert sizes == sorted(sizes)
    assert shipped(MODEL) == SHIPPED == next(iter(MODELS.values()))
    assert shipped("hold") is None
