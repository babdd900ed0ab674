import pytest

from forearm.cell.perturbations import PERTURBATIONS
from forearm.cell.perturbations.cells import CELL
from forearm.cell.tasks import TASKS, task_named
from forearm.cell.tasks.interface import Staged
from forearm.errors import InputError
from forearm.evaluation.plans import planned, tasks_of
from forearm.evaluation.suites import SUITES, Suite, suite_named
from forearm.evaluation.trial import Trial

SEEDS = range(1000, 1002)
CLEAN, PERTURBED, CELLS, LATENCY, LANGUAGE = map(suite_named, ("clean", "perturbed", "cells", "latency", "language"))
LONG = suite_named("long-horizon")
TAUGHT = [task_named(name) for name in ("put-in-box", "lift")]


def variations(trials: list[Trial]) -> list[str]:
    return list(dict.fromkeys(trial.variation for trial in trials))


def test_a_clean_suite_varies_nothing() -> None:
    trials = planned(CLEAN, ["lift", "put-in-box"], SEEDS)
    assert trials == [Trial(task=task, seed=seed) for task in ("lift", "put-in-box") for seed in SEEDS]


def test_together_the_suites_try_every_level_of_everything_once_and_clean_scenes_each() -> None:
    suites = [variations(planned(suite, ["put-in-box"], SEEDS)) for suite in (PERTURBED, CELLS, LATENCY, LANGUAGE)]
    assert all(names[0] == "" for names in suites)
    tried = [name for names in suites for name in names[1:]]
    assert sorted(tried) == sorted(f"{each.name}:{level}" for each in PERTURBATIONS for level in each.levels)


def test_trials_of_a_suite_are_all_different() -> None:
    trials = planned(PERTURBED, ["lift", "put-in-box", "hand-over"], SEEDS)
    assert len(set(trials)) == len(trials)


def test_a_task_without_a_fixture_has_none_shifted() -> None:
    trials = planned(PERTURBED, ["lift", "hand-over"], SEEDS, only=["fixture-shift:mild"])
    assert {trial.task for trial in trials if trial.variation} == {"hand-over"}
    with pytest.raises(InputError, match="leave one of them out"):
        planned(PERTURBED, ["lift"], SEEDS, only=["fixture-shift"])


def test_only_what_is_named_is_tried() -> None:
    trials = planned(PERTURBED, ["lift"], SEEDS, only=["glare:worst", "mass"])
    assert variations(trials) == ["", "glare:worst", "mass:mild", "mass:strong", "mass:worst"]
    assert variations(planned(CELLS, ["lift"], SEEDS, only=["cell:slate"])) == ["", "cell:slate"]
    assert variations(planned(CELLS, ["lift"], SEEDS))[1:] == [f"cell:{name}" for name in CELL.levels]


def test_the_language_suite_asks_in_other_words_and_where_colours_are_named_for_what_is_not_there() -> None:
    trials = planned(LANGUAGE, ["lift", "stack"], SEEDS)
    assert variations(trials) == ["", "phrasing:taught", "phrasing:held-out", "absent:colour", "another-task:absent"]
    assert {trial.task for trial in trials if trial.variation == "absent:colour"} == {"stack"}


@pytest.mark.parametrize(
    ("suite", "name"),
    [(CLEAN, "glare"), (LATENCY, "glare"), (PERTURBED, "latency:mild"), (PERTURBED, "phrasing:taught")],
)
def test_a_variation_of_another_suite_is_refused(suite: Suite, name: str) -> None:
    with pytest.raises(InputError, match="name another suite"):
        planned(suite, ["lift"], SEEDS, only=[name])


def test_every_suite_says_what_it_tries() -> None:
    assert [suite_named(suite.name) for suite in SUITES] == list(SUITES)
    assert all(suite.tries for suite in SUITES)
    with pytest.raises(InputError, match="did you mean 'perturbed'"):
        suite_named("pertubed")


def test_a_suite_tries_what_the_policy_can_do_unless_it_is_told_what() -> None:
    assert tasks_of(CLEAN, (), TAUGHT) == ("put-in-box", "lift")
    assert tasks_of(CLEAN, ("lift",), TAUGHT) == ("lift",)
    with pytest.raises(InputError, match="allowed are put-in-box or lift"):
        tasks_of(CLEAN, ("stack",), TAUGHT)


def test_the_long_horizon_is_of_tasks_whose_parts_are_counted() -> None:
    tasks = tasks_of(LONG, (), TASKS)
    assert "put-everything-in-box" in tasks
    assert all(isinstance(task_named(task), Staged) for task in tasks)
    with pytest.raises(InputError, match="got lift, allowed are tasks of many parts; leave it out"):
        tasks_of(LONG, ("lift", "put-everything-in-box"), TASKS)
    with pytest.raises(InputError, match=r"got put-in-box or lift, .* a policy that was taught one of them"):
        tasks_of(LONG, (), TAUGHT)
