"""The benchmark that takes learning apart: what it compares, and how it says so."""

from dataclasses import asdict
from typing import Any

import ablations
from forearm.evaluation.trial import TrialResult
from forearm.training.recipe import nano

LEARNERS = {"plain-flow", "ACT"}  # other models, which are told less
TAUGHT_OTHERWISE = {"no-point": ".asking", "no-trace": ".shifted"}  # what such a model could make nothing of


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Every number of a recipe by where it stands."""
    if not isinstance(value, dict):
        return {path: value}
    return {name: leaf for key, each in value.items() for name, leaf in leaves(each, f"{path}.{key}").items()}


def test_every_variant_differs_from_the_first_in_one_thing() -> None:
    first = leaves(asdict(nano()))
    for variant in ablations.VARIANTS[1:]:
        changed = {name for name, leaf in leaves(asdict(variant.recipe)).items() if leaf != first[name]}
        if variant.name in LEARNERS:
            assert ".learner" in changed
        else:
            also = {name for name in changed if name.startswith(TAUGHT_OTHERWISE.get(variant.name, "nothing"))}
            assert len(changed - also) + (variant.share < 1.0) == 1, variant.name
    assert leaves(asdict(ablations.VARIANTS[0].recipe)) == first


def test_a_variant_is_said_with_its_intervals_and_its_difference_from_the_first() -> None:
    def done(successes: int) -> list[TrialResult]:
        return [
            TrialResult(task="lift", seed=seed, words="asked", outcome="done", success=seed < successes)
            for seed in range(10)
        ]

    first, own = done(10), done(4)
    row = {"name": "ACT", "steps": 300, "seconds": 90.0, **ablations.outcomes(first, own)}
    said = " ".join(ablations.line(row).split())
    assert said == "ACT 300 steps 1.5 min lift 4/10 [0.17, 0.69] -60% (p 0.031)"
    assert "%" not in ablations.line({**row, **ablations.outcomes(first, first)})
