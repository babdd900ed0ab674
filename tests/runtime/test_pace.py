from dataclasses import replace

import pytest

from forearm.cell.tasks import task_named
from forearm.cell.variation import Pace
from forearm.events import Event, Judged
from forearm.policy.choice import hold
from forearm.runtime.simulation import Simulation


def first_answer_s(pace: Pace) -> float:
    """s into the session at which the first decision was vetted."""
    setup = replace(task_named("lift").sample(1), pace=pace, time_limit_s=0.6)
    events: list[Event] = []
    Simulation(setup, hold).run(seed=0, emit=events.append)
    return next(event.stamp_ns for event in events if isinstance(event, Judged) and event.gate == "vetting") / 1e9


@pytest.mark.slow
def test_decisions_are_as_late_as_the_setup_says() -> None:
    usual = first_answer_s(Pace())
    assert first_answer_s(Pace(answer_s=0.1)) == pytest.approx(usual + 0.1)


@pytest.mark.slow
def test_decisions_are_later_by_chance_and_alike_for_one_seed() -> None:
    jittery = first_answer_s(Pace(answer_jitter_s=0.2))
    assert jittery > first_answer_s(Pace())
    assert jittery == first_answer_s(Pace(answer_jitter_s=0.2))
