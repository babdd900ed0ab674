import json
from dataclasses import replace
from pathlib import Path

import pytest

from forearm.errors import InputError
from forearm.evaluation.comparison import against_clean, compare, read_results
from forearm.evaluation.trial import TrialResult

DONE = TrialResult(task="lift", seed=0, words="asked", outcome="done", success=True)
FAILED = replace(DONE, outcome="failed", success=False)


def of_seeds(outcomes: str, variation: str = "") -> list[TrialResult]:
    """One result a letter, seeds from 0: d done, f failed, e error."""
    kinds = {"d": DONE, "f": FAILED, "e": replace(FAILED, outcome="error")}
    return [replace(kinds[each], seed=seed, variation=variation) for seed, each in enumerate(outcomes)]


def test_two_sets_are_paired_by_seed_and_what_has_no_partner_is_left_out() -> None:
    first, second = of_seeds("ddffe"), of_seeds("dfddd")[1:]
    (compared,) = compare(first, second)
    assert (compared.pairs, compared.left_out, compared.successes) == (3, 2, (1, 2))
    assert compared.difference is not None
    assert compared.difference.difference == pytest.approx(1 / 3)


def test_order_in_the_files_does_not_matter() -> None:
    first, second = of_seeds("dddfff"), of_seeds("dfdfdf")
    assert compare(first, second) == compare(first, second[::-1])


def test_each_task_and_variation_is_compared_on_its_own() -> None:
    first = of_seeds("dd") + of_seeds("df", "glare:worst")
    second = of_seeds("df") + of_seeds("dd", "glare:worst") + [replace(DONE, task="hand-over")]
    plain, glare, other = compare(first, second)
    assert (plain.variation, plain.successes) == ("", (2, 1))
    assert (glare.variation, glare.successes) == ("glare:worst", (1, 2))
    assert (other.task, other.pairs, other.left_out, other.difference) == ("hand-over", 0, 1, None)


def test_swapped_words_are_no_partner_of_the_scene_s_own() -> None:
    (compared,) = compare([DONE], [replace(DONE, words="swap")])
    assert (compared.pairs, compared.left_out) == (0, 2)


def test_variations_are_held_against_the_clean_trials_of_their_seeds() -> None:
    results = of_seeds("ddddddddd") + of_seeds("ddffffff", "glare:worst") + of_seeds("dd", "noise:mild")
    glare, noise = against_clean(results)
    assert (glare.variation, glare.pairs, glare.left_out, glare.successes) == ("glare:worst", 8, 1, (8, 2))
    assert glare.difference is not None
    assert glare.difference.ci95[1] < 0.0
    assert glare.difference.p == 2 / 2**6
    assert (noise.variation, noise.pairs, noise.successes) == ("noise:mild", 2, (2, 2))


def test_results_come_back_from_a_file_with_their_variation(tmp_path: Path) -> None:
    results, file = of_seeds("df", "glare:mild"), tmp_path / "results.json"
    file.write_text(json.dumps({"policy": "model", "trials": [result.record() for result in results]}))
    assert read_results(file) == ({"policy": "model"}, results)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"trials": [{"taste": 1}]}'])
def test_a_file_that_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(InputError, match="name another"):
        read_results(file)
    with pytest.raises(InputError, match="name another"):
        read_results(tmp_path / "missing.json")
