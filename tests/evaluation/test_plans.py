import pytest

from forearm.cell.perturbations import PERTURBATIONS
from forearm.cell.perturbations.cells import CELL
from forearm.errors import InputError
from forearm.evaluation.plans import planned
from forearm.evaluation.trial import Trial

SEEDS = range(1000, 1002)


def variations(trials: list[Trial]) -> list[str]:
    return list(dict.fromkeys(trial.variation for trial in trials))


def test_a_clean_suite_varies_nothing() -> None:
    trials = planned("clean", ["lift", "put-in-box"], SEEDS)
    assert trials == [Trial(task=task, seed=seed) for task in ("lift", "put-in-box") for seed in SEEDS]


def test_together_the_suites_try_every_level_of_everything_once_and_clean_scenes_each() -> None:
    suites = [
        variations(planned(suite, ["put-in-box"], SEEDS)) for suite in ("perturbed", "cells", "latency", "language")
    ]
    assert all(names[0] == "" for names in suites)
    tried = [name for names in suites for name in names[1:]]
    assert sorted(tried) == sorted(f"{each.name}:{level}" for each in PERTURBATIONS for level in each.levels)


def test_trials_of_a_suite_are_all_different() -> None:
    trials = planned("perturbed", ["lift", "put-in-box", "hand-over"], SEEDS)
    assert len(set(trials)) == len(trials)


def test_a_task_without_a_fixture_has_none_shifted() -> None:
    trials = planned("perturbed", ["lift", "hand-over"], SEEDS, only=["fixture-shift:mild"])
    assert {trial.task for trial in trials if trial.variation} == {"hand-over"}
    with pytest.raises(InputError, match="leave one of them out"):
        planned("perturbed", ["lift"], SEEDS, only=["fixture-shift"])


def test_only_what_is_named_is_tried() -> None:
    trials = planned("perturbed", ["lift"], SEEDS, only=["glare:worst", "mass"])
    assert variations(trials) == ["", "glare:worst", "mass:mild", "mass:strong", "mass:worst"]
    assert variations(planned("cells", ["lift"], SEEDS, only=["cell:slate"])) == ["", "cell:slate"]
    assert variations(planned("cells", ["lift"], SEEDS))[1:] == [f"cell:{name}" for name in CELL.levels]


def test_the_language_suite_asks_in_other_words_and_where_colours_are_named_for_what_is_not_there() -> None:
    trials = planned("language", ["lift", "stack"], SEEDS)
    assert variations(trials) == ["", "phrasing:taught", "phrasing:held-out", "absent:colour"]
    assert {trial.task for trial in trials if trial.variation == "absent:colour"} == {"stack"}


@pytest.mark.parametrize(
    ("suite", "name"),
    [("clean", "glare"), ("latency", "glare"), ("perturbed", "latency:mild"), ("perturbed", "phrasing:taught")],
)
def test_a_variation_of_another_suite_is_refused(suite, name: str) -> None:
    with pytest.raises(InputError, match="name another suite"):
        planned(suite, ["lift"], SEEDS, only=[name])
