import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forearm.cell.perturbations import PERTURBATIONS
from forearm.errors import InputError, InstructionError
from forearm.evaluation.card import CONDITIONS, OTHER, card_of, in_markdown
from forearm.evaluation.trial import TrialResult
from forearm.files import write_json
from forearm.runtime.card import read_card

HEAD: dict[str, Any] = {"model_digest": "e" * 64, "commit": "abc", "intervene": None}
DONE = TrialResult(task="lift", seed=0, words="asked", outcome="done", success=True, darkest=90.0, brightest=110.0)


def tried(successes: int, failures: int = 0, **changes: Any) -> list[TrialResult]:
    results = [replace(DONE, seed=seed, **changes) for seed in range(successes)]
    return results + [
        replace(DONE, seed=1000 + seed, outcome="failed", success=False, **changes) for seed in range(failures)
    ]


def card(*results: list[TrialResult], rate: float = 0.8) -> dict[str, Any]:
    return card_of([(HEAD, [trial for part in results for trial in part])], rate)


def test_a_condition_holds_up_to_the_worst_severity_whose_lower_bound_is_good_enough() -> None:
    glare = [
        tried(40, variation="glare:mild"),
        tried(39, 1, variation="glare:strong"),
        tried(20, 20, variation="glare:worst"),
    ]
    graded = card(tried(40), *glare)["tasks"]["lift"]["conditions"]["light"]["glare"]
    assert (graded["up_to"], graded["amount"]) == ("strong", 0.8)
    assert graded["levels"]["worst"]["successes"] == 20


def test_a_severity_counts_only_where_every_milder_one_does() -> None:
    mass = [tried(10, 30, variation="mass:mild"), tried(40, variation="mass:strong"), tried(40, variation="mass:worst")]
    graded = card(tried(40), *mass)["tasks"]["lift"]["conditions"]["payload"]["mass"]
    assert (graded["up_to"], graded["amount"]) == (None, None)
    skipped = card(tried(40), tried(40, variation="mass:worst"))["tasks"]["lift"]["conditions"]["payload"]["mass"]
    assert skipped["up_to"] is None


def test_few_trials_without_a_failure_are_not_enough() -> None:
    assert (
        card(tried(40), tried(10, variation="size:mild"))["tasks"]["lift"]["conditions"]["size"]["size"]["up_to"]
        is None
    )


def test_what_nobody_tried_is_listed_as_not_measured() -> None:
    document = card(tried(40), tried(40, variation="glare:mild"))
    assert document["tasks"]["lift"]["conditions"]["payload"]["mass"] is None
    assert "glare" not in document["not_measured"]
    assert {"mass", "latency", "language"} <= set(document["not_measured"])
    said = in_markdown(document)
    assert "| light | glare, of white | 0.4 (mild, 40 of 40) |" in said
    assert "mass, " in said.split("Not measured: ")[1]
    assert "mass" not in said.split("Not measured: ")[0]


def test_a_card_of_clean_scenes_alone_has_one_table_and_one_of_several_tasks_only_those_that_were_tried() -> None:
    assert "| condition |" not in in_markdown(card(tried(40)))
    both = in_markdown(card(tried(40), tried(40, task="stack"), tried(20, task="stack", variation="cell:hall")))
    assert "| condition | what | stack |" in both
    assert "| cell | hall | 20 of 20 |" in both
    assert "others" not in both


def test_a_task_that_is_not_good_enough_on_clean_scenes_is_refused(tmp_path: Path) -> None:
    document = card(tried(40), tried(12, 8, task="stack"))
    write_json(tmp_path / "limits.json", document)
    read = read_card(tmp_path / "limits.json")
    assert read is not None
    assert read.task_of("lift the tray with both arms").refusal == ""
    with pytest.raises(InstructionError, match="the card has stack at 12 of 20"):
        read.task_of(document["tasks"]["stack"]["instructions"][0])
    with pytest.raises(InstructionError, match="allows lift"):
        read.task_of("put the red block in the box")


def test_the_latency_limit_is_the_usual_and_what_was_measured_on_top() -> None:
    def late(*results: list[TrialResult]) -> float | None:
        return card(tried(40), *results)["tasks"]["lift"]["latency_s"]

    assert late() is None
    assert late(tried(40, variation="latency:mild"), tried(5, 35, variation="latency:strong")) == 0.1
    assert late(tried(5, 35, variation="latency:mild")) == 0.05


def test_the_light_is_what_was_seen_within_the_limits_alone() -> None:
    document = card(
        tried(40),
        tried(40, variation="brightness:mild", darkest=70.0, brightest=140.0),
        tried(10, 30, variation="brightness:strong", darkest=40.0, brightest=200.0),
    )
    assert document["light"] == [70.0, 140.0]
    assert card(tried(40, darkest=None, brightest=None))["light"] is None


def test_other_cells_and_makes_are_counted_by_name() -> None:
    document = card(tried(40), tried(9, 1, variation="cell:window"))
    assert document["tasks"]["lift"]["kinds"]["cell:window"]["successes"] == 9
    assert "| cell | window | 9 of 10 |" in in_markdown(document)


def test_errors_say_nothing_and_a_trial_in_two_files_counts_once() -> None:
    broken = replace(DONE, seed=77, outcome="error", success=False)
    document = card_of([(HEAD, tried(40)), (HEAD, [*tried(40), broken])], 0.8)
    assert document["tasks"]["lift"]["clean"]["trials"] == 40


def test_swapped_words_are_the_language_column() -> None:
    document = card(tried(40), tried(30, 10, words="swap"))
    assert document["tasks"]["lift"]["language"]["successes"] == 30
    assert document["tasks"]["lift"]["clean"]["trials"] == 40
    assert "| lift | 40 of 40 | 91% – 100% | 30 of 40 | yes |" in in_markdown(document)


@pytest.mark.parametrize("change", [{"model_digest": "f" * 64}, {"intervene": "erase"}])
def test_results_of_several_models_or_changed_plans_make_no_card(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="name other files"):
        card_of([(HEAD, tried(4)), (HEAD | change, tried(4))], 0.8)


def test_results_without_clean_scenes_or_with_no_rate_make_no_card() -> None:
    with pytest.raises(InputError, match="clean scenes"):
        card(tried(40, variation="glare:mild"))
    with pytest.raises(InputError, match=r"rate: got 1\.0"):
        card(tried(40), rate=1.0)


def test_every_perturbation_has_its_place_on_the_card() -> None:
    listed = {name for names in CONDITIONS.values() for name in names}
    assert {each.name for each in PERTURBATIONS} == listed | set(OTHER)
    assert all(each.amounts for each in PERTURBATIONS if each.name in listed)


def test_a_card_is_json() -> None:
    document = card(tried(40), tried(40, variation="glare:mild"))
    assert json.loads(json.dumps(document)) == document
