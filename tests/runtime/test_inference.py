import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from runtime_stubs import HOME, LIMITS, J, ObedientRobot, Wave, ns

from forearm.clock import RealClock, SimulatedClock
from forearm.errors import InstructionError
from forearm.messages import Decision, Image, Observation, Outcome, Request
from forearm.runtime.inference import SimulatedInference, ThreadedInference, is_time, think
from forearm.safety.freshness import AGES
from forearm.safety.vetting import Vetting


def seen(stamp_s: float, image_s: float | None = None) -> Observation:
    image = Image(stamp_ns=ns(stamp_s if image_s is None else image_s), pixels=np.zeros((4, 4, 3), dtype=np.uint8))
    return Observation(
        stamp_ns=ns(stamp_s), sequence=1, epoch=1, positions=HOME, velocities=np.zeros(J), efforts=np.zeros(J),
        images=dict.fromkeys(("top", "left", "right"), image), depths={}, instruction="wave",
    )  # fmt: skip


def broken(number: int, decision: Decision) -> Decision:
    raise RuntimeError("out of memory")


def refusing(number: int, decision: Decision) -> Decision:
    raise InstructionError("instruction: got 'wave', allowed is nothing; go home")


def test_a_simulated_answer_is_ready_exactly_its_latency_later() -> None:
    inference = SimulatedInference(Wave(), Vetting(LIMITS), latency_s=0.05)
    inference.offer(seen(1.0), 0)
    assert inference.take(ns(1.0499)) is None
    answer = inference.take(ns(1.05))
    assert answer is not None
    assert answer.verdict.outcome is Outcome.ALLOW
    assert answer.verdict.vetted is not None
    assert inference.take(ns(1.06)) is None


def test_while_an_answer_is_under_way_nothing_else_is_begun() -> None:
    policy = Wave()
    inference = SimulatedInference(policy, Vetting(LIMITS))
    inference.offer(seen(1.0), 0)
    inference.offer(seen(1.01), 0)
    assert policy.asked == 1


def test_it_begins_early_enough_and_waits_a_little_for_fresh_images() -> None:
    needed, latency = ns(1.0), ns(0.05)
    assert not is_time(seen(0.82), needed, latency)
    assert is_time(seen(0.85), needed, latency)
    assert not is_time(seen(0.85, image_s=0.80), needed, latency)
    assert is_time(seen(0.93, image_s=0.80), needed, latency)


def test_a_policy_that_raises_becomes_a_hold_that_says_what_happened() -> None:
    inference = SimulatedInference(Wave(broken), Vetting(LIMITS))
    inference.offer(seen(1.0), 0)
    answer = inference.take(ns(2.0))
    assert answer is not None
    assert answer.decision is None
    assert answer.verdict.outcome is Outcome.HOLD
    assert "RuntimeError: out of memory" in answer.verdict.findings[0].text


def test_a_refused_instruction_is_raised_where_the_session_can_end() -> None:
    inference = SimulatedInference(Wave(refusing), Vetting(LIMITS))
    inference.offer(seen(1.0), 0)
    with pytest.raises(InstructionError, match="go home"):
        inference.take(ns(2.0))


def test_threaded_inference_answers_beside_the_caller() -> None:
    clock = RealClock()
    robot = ObedientRobot(clock)
    robot.connect(1)
    inference = ThreadedInference(Wave(), Vetting(LIMITS), clock)
    inference.offer(robot.read(), 0)
    answer, patience_s = None, time.monotonic() + 60.0
    while answer is None and time.monotonic() < patience_s:
        time.sleep(0.005)
        answer = inference.take(clock.now_ns())
    inference.close()
    assert answer is not None
    assert answer.verdict.vetted is not None


def test_a_policy_that_hangs_blocks_neither_the_loop_nor_the_end() -> None:
    release, begun = threading.Event(), threading.Event()

    def hanging(number: int, decision: Decision) -> Decision:
        begun.set()
        release.wait(10.0)
        return decision

    policy = Wave(hanging)
    inference = ThreadedInference(policy, Vetting(LIMITS), SimulatedClock(ns(1.0)), abandon_after_s=0.2)
    inference.offer(seen(1.0), 0)
    assert begun.wait(10.0)
    inference.offer(seen(1.1), 0)
    assert inference.take(ns(1.2)) is None
    inference.close()
    assert policy.asked == 1
    release.set()


def test_a_request_says_what_is_followed_how_late_its_answer_will_be_and_why_the_last_ones_were_refused() -> None:
    policy = Wave(lambda number, decision: replace(decision, epoch=7) if number < 3 else decision)
    inference = SimulatedInference(policy, Vetting(LIMITS), latency_s=0.05)
    followed = None
    for second in (1.0, 2.0, 3.0, 4.0):
        inference.offer(seen(second), 0, followed)
        answer = inference.take(ns(second + 0.05))
        assert answer is not None
        followed = answer.verdict.vetted
    assert [request.attempt for request in policy.requests] == [0, 1, 2, 0]
    assert [[finding.check for finding in request.refusals] for request in policy.requests] == [
        [],
        ["epoch"],
        ["epoch"],
        [],
    ]
    assert [request.following is None for request in policy.requests] == [True, True, True, False]
    assert {request.delay_s for request in policy.requests} == {0.05}


def test_an_observation_that_waited_too_long_is_not_thought_about() -> None:
    policy = Wave()
    request = Request(observation=seen(1.0))
    late = think(policy, Vetting(LIMITS), request, lambda: ns(1.0) + ns(AGES.request_s) + 1)
    assert (late.decision, [finding.check for finding in late.verdict.findings]) == (None, ["age"])
    assert late.verdict.vetted is None
    assert policy.asked == 0
    assert think(policy, Vetting(LIMITS), request, lambda: ns(1.0) + ns(AGES.request_s)).verdict.vetted


def test_thinking_goes_by_the_ages_of_its_session() -> None:
    patient = replace(AGES, request_s=3.0, decision_s=3.0)
    vetting = Vetting(LIMITS, ages=patient)
    clock = SimulatedClock(ns(3.0))
    threaded = ThreadedInference(Wave(), vetting, clock, ages=patient)
    simulated = SimulatedInference(Wave(), vetting, latency_s=2.0, ages=patient)
    impatient = SimulatedInference(Wave(), vetting, latency_s=2.0)
    for inference in (threaded, simulated, impatient):
        inference.offer(seen(1.0), 0)
    threaded.close()
    answers = [inference.take(ns(3.0)) for inference in (threaded, simulated, impatient)]
    assert [answer is not None and answer.decision is not None for answer in answers] == [True, True, False]


def test_a_jittery_answer_comes_later_than_anybody_was_told() -> None:
    late = iter([0.03, 0.0])
    inference = SimulatedInference(Wave(), Vetting(LIMITS), latency_s=0.05, jitter=lambda: next(late))
    for stamp_s, ready_s in ((1.0, 1.08), (2.0, 2.05)):
        inference.offer(seen(stamp_s), 0)
        assert inference.take(ns(ready_s - 0.001)) is None
        assert inference.take(ns(ready_s)) is not None
