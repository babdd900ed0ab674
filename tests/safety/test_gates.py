"""Gates that are made together keep the same limits and ages, and say what they keep."""

from dataclasses import replace

import pytest

from forearm.clock import NANOSECONDS
from forearm.safety.freshness import AGES
from forearm.safety.gates import Gates
from forearm.safety.limits import Limits
from forearm.safety.workspace import Workspace

from .scenes import BOTH_HOME, NOW_NS, asked, decided, resting, seen

LIMITS = Limits.of()


def test_gates_say_what_they_keep() -> None:
    ages, workspace = replace(AGES, request_s=2.0), Workspace(table_m=-0.2)
    gates = Gates.of(LIMITS, workspace=workspace, ages=ages, model_digest="a")
    assert gates.limits is LIMITS
    assert gates.ages is ages
    assert gates.workspace is workspace
    assert gates.model_digest == "a"


def test_the_vetting_of_a_session_follows_the_model_that_it_began_with() -> None:
    of_a = replace(decided(resting()), model_digest="a")
    assert Gates.of(LIMITS, model_digest="a").vetting.vet(of_a, seen(), NOW_NS).vetted is not None
    assert Gates.of(LIMITS).vetting.vet(of_a, seen(), NOW_NS).vetted is None


@pytest.mark.parametrize(("age_s", "acted_on"), [(0.5, False), (0.9, True)])
def test_every_gate_acts_on_what_is_as_old_as_the_given_ages_allow(age_s: float, acted_on: bool) -> None:
    old_ns = NOW_NS - round(0.7 * NANOSECONDS)
    images_s = dict.fromkeys(AGES.images_s, age_s)
    ages = replace(AGES, images_s=images_s, state_s=age_s, command_s=age_s, decision_s=age_s)
    gates = Gates.of(LIMITS, ages=ages)
    decision, observation = decided(resting(), stamp_ns=old_ns), seen(stamp_ns=old_ns)
    for vetting in (gates.vetting, gates.helm_vetting):
        assert (vetting.vet(decision, observation, NOW_NS).vetted is not None) == acted_on
    command = asked(BOTH_HOME, stamp_ns=old_ns)
    assert (gates.guard.review(command, observation, NOW_NS).command is not None) == acted_on
