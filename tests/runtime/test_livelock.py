"""What is tried again and again without getting anywhere ends, whatever is accepted in between."""

from dataclasses import replace

import numpy as np
from runtime_stubs import HOME, Bench, Wave

from forearm.events import Judged
from forearm.messages import Decision, Outcome


def with_rows(decision: Decision, rows: np.ndarray) -> Decision:
    return replace(decision, chunk=replace(decision.chunk, positions=rows))


def resting(decision: Decision) -> Decision:
    return with_rows(decision, np.tile(HOME, (16, 1)))


def out_of_reach(decision: Decision) -> Decision:
    return with_rows(decision, decision.chunk.positions + 10.0)


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


def test_refusals_with_accepted_chunks_in_between_end_too_when_nothing_moves() -> None:
    bench = Bench(
        Wave(lambda number, decision: out_of_reach(decision) if number % 2 else resting(decision)),
        goal_s=60.0,
        time_limit_s=60.0,
    )
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "The same objection came 7 times" in ended.reason


def test_refusals_with_progress_in_between_do_not_end_a_session() -> None:
    bench = Bench(Wave(lambda number, decision: out_of_reach(decision) if number % 2 else decision), goal_s=8.0)
    assert bench.session.run().outcome == "done"


def test_a_refusal_is_told_to_the_policy_with_the_number_of_the_attempt() -> None:
    bench = Bench(Wave(lambda number, decision: out_of_reach(decision) if number in (2, 3) else decision))
    bench.session.run()
    assert [request.attempt for request in bench.policy.requests[:5]] == [0, 0, 1, 2, 0]
    assert {found.check for found in bench.policy.requests[2].refusals} == {"position"}
