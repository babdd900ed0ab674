"""What is tried again and again without getting anywhere ends, whatever is accepted in between."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from runtime_stubs import HOME, LIMITS, Bench, Blocked, Wave

from forearm.events import Judged, RecoveryBegan, Stopped
from forearm.messages import Command, Decision, Finding, Observation, Outcome, Verdict
from forearm.runtime.conditions import Condition
from forearm.runtime.ladder import LADDER, Rung
from forearm.runtime.recovery import Budget
from forearm.safety.guard import Guard

WITH_AND_WITHOUT_THE_LADDER = pytest.mark.parametrize(
    "budget",
    [pytest.param(None, id="alone"), pytest.param(Budget(), id="with the ladder", marks=pytest.mark.slow)],
)


def with_rows(decision: Decision, rows: np.ndarray) -> Decision:
    return replace(decision, chunk=replace(decision.chunk, positions=rows))


def resting(decision: Decision) -> Decision:
    return with_rows(decision, np.tile(HOME, (16, 1)))


def out_of_reach(decision: Decision) -> Decision:
    return with_rows(decision, decision.chunk.positions + 10.0)


def unspoiled(number: int, decision: Decision) -> Decision:
    return decision


def rests_then_dives(number: int, decision: Decision) -> Decision:
    rows = np.tile(HOME, (16, 1))
    rows[8:, 1] += 0.15 * np.arange(1, 9)
    return with_rows(decision, rows)


def test_a_chunk_that_is_cut_short_again_and_again_ends_in_a_protective_stop_that_names_it() -> None:
    bench = Bench(Wave(rests_then_dives), goal_s=60.0, time_limit_s=60.0)
    ended = bench.session.run()
    judged = [event for event in bench.events if isinstance(event, Judged) and event.gate == "vetting"]
    assert all(event.outcome is Outcome.LIMIT for event in judged)
    assert len(judged) == 7
    assert ended.outcome == "stopped"
    assert ended.reason.startswith("The same objection came 7 times while no tool got more than 20 mm from where")
    assert "and table are" in ended.reason
    assert bench.modes()[-1] == "protective_stop"
    np.testing.assert_allclose(bench.robot.positions, HOME, atol=1e-6)


@pytest.mark.slow
def test_refusals_with_accepted_chunks_in_between_end_too_when_nothing_moves() -> None:
    bench = Bench(
        Wave(lambda number, decision: out_of_reach(decision) if number % 2 else resting(decision)),
        goal_s=60.0,
        time_limit_s=60.0,
    )
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "The same objection came 7 times" in ended.reason


@pytest.mark.slow
def test_refusals_with_progress_in_between_do_not_end_a_session() -> None:
    bench = Bench(Wave(lambda number, decision: out_of_reach(decision) if number % 2 else decision), goal_s=8.0)
    assert bench.session.run().outcome == "done"


def test_a_refusal_is_told_to_the_policy_with_the_number_of_the_attempt() -> None:
    bench = Bench(Wave(lambda number, decision: out_of_reach(decision) if number in (2, 3) else decision))
    bench.session.run()
    assert [request.attempt for request in bench.policy.requests[:5]] == [0, 0, 1, 2, 0]
    assert {found.check for found in bench.policy.requests[2].refusals} == {"position"}


class Flickers:
    """A guard that finds the left base joint straining for one tick every 0.4 s from 1 s on."""

    def __init__(self) -> None:
        self._guard = Guard(LIMITS)

    def reset(self, observation: Observation) -> None:
        self._guard.reset(observation)

    def review(self, command: Command, observation: Observation, now_ns: int) -> Verdict:
        verdict = self._guard.review(command, observation, now_ns)
        if now_ns <= 1e9 or now_ns // 10_000_000 % 40:
            return verdict
        self._guard.reset(observation)
        finding = Finding(
            check="effort", outcome=Outcome.HOLD, subject="left_joint1", measured=25.0, limit=9.0, unit="N m",
            text="left_joint1 has strained.",
        )  # fmt: skip
        return Verdict(outcome=Outcome.HOLD, findings=(finding,))


@WITH_AND_WITHOUT_THE_LADDER
@pytest.mark.parametrize(
    ("spoil", "most_s"),
    [(lambda number, decision: resting(decision), 4.0), pytest.param(unspoiled, 10.0, marks=pytest.mark.slow)],
)
def test_the_same_hold_of_the_guard_again_and_again_ends_in_a_stop_whether_the_arms_rest_or_swing(
    spoil: Callable[[int, Decision], Decision], most_s: float, budget: Budget | None
) -> None:
    bench = Bench(Wave(spoil), guard=Flickers(), goal_s=60.0, time_limit_s=60.0, budget=budget)
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert ended.reason.startswith("The same objection came 7 times")
    assert ended.reason.endswith("left_joint1 has strained.")
    assert bench.clock.now_ns() / 1e9 < most_s
    assert bench.modes()[-1] == "protective_stop"


@pytest.mark.slow
@WITH_AND_WITHOUT_THE_LADDER
def test_an_arm_that_meets_a_wall_again_and_again_goes_back_each_time_and_then_stops_and_says_why(
    budget: Budget | None,
) -> None:
    bench = Bench(robot=partial(Blocked, wall_rad=0.05), goal_s=60.0, time_limit_s=60.0, budget=budget)
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "The same objection came 7 times" in ended.reason
    assert "left_joint1 has strained" in ended.reason
    assert bench.clock.now_ns() / 1e9 < 20.0
    stops = [event for event in bench.events if isinstance(event, Stopped)]
    assert stops[0].how == "retreat"
    assert stops[-1].how == "protective"
    rungs = [event.rung for event in bench.events if isinstance(event, RecoveryBegan)]
    assert rungs == ([] if budget is None else [rung.value for rung in LADDER[Condition.BLOCKED_PATH][:3]])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right_n", "rungs"),
    [(0.0, [Rung.REPLAN, Rung.RETREAT, Rung.REPLAN]), (-15.0, [Rung.REPLAN, Rung.REPLAN, Rung.REPLAN])],
    ids=["one arm holds something", "both may hold it"],
)
def test_an_arm_that_meets_a_wall_with_what_both_may_hold_does_not_draw_back_with_it(
    right_n: float, rungs: list[Rung]
) -> None:
    wall = partial(Blocked, wall_rad=0.05, left_n=-15.0, right_n=right_n)
    bench = Bench(robot=wall, goal_s=60.0, time_limit_s=60.0, budget=Budget())
    assert bench.session.run().outcome == "stopped"
    began = [event.rung for event in bench.events if isinstance(event, RecoveryBegan)]
    assert began == [rung.value for rung in rungs]
    assert "retreat" not in {event.how for event in bench.events if isinstance(event, Stopped)}


def sways_and_dives(number: int, decision: Decision) -> Decision:
    rows = np.tile(HOME, (16, 1))
    rows[:8, 0] = 0.12 * (-1) ** number
    rows[8:, 0] = rows[7, 0]
    rows[8:, 1] += 0.15 * np.arange(1, 9)
    return with_rows(decision, rows)


@pytest.mark.slow
def test_a_chunk_that_is_cut_short_while_a_tool_sways_by_centimetres_ends_too() -> None:
    bench = Bench(Wave(sways_and_dives), goal_s=60.0, time_limit_s=60.0)
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "The same objection came 7 times" in ended.reason
    assert bench.clock.now_ns() / 1e9 < 10.0
