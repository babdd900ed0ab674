from collections.abc import Callable

import numpy as np
import pytest
from runtime_stubs import HOME, LIMITS, ObedientRobot, Wave, ns

from forearm.clock import SimulatedClock
from forearm.runtime.helm import LONGEST_WAIT_NS, Helm, Motion
from forearm.runtime.inference import SimulatedInference
from forearm.safety.freshness import Ages
from forearm.safety.vetting import Vetting

STANDING = Motion(rows=np.tile(HOME, (5, 1)), period_s=0.1)


class Seat:
    """A helm over a policy that waves, asked tick by tick."""

    def __init__(self, latency_s: float = 0.05) -> None:
        self.clock = SimulatedClock()
        self._robot = ObedientRobot(self.clock)
        self._robot.connect(1)
        self.policy = Wave()
        thinking = SimulatedInference(self.policy, Vetting(LIMITS), latency_s=latency_s, ages=Ages(request_s=9.0))
        self.helm = Helm(thinking, Vetting(LIMITS))

    def ticks(self, count: int) -> list[float]:
        """When each answer that came in so many ticks was about, s, and by whom: the policy's turn joint 1."""
        found: list[float] = []
        for _ in range(count):
            self.clock.sleep_until(self.clock.now_ns() + ns(0.01))
            answer = self.helm.take(self.clock.now_ns())
            if answer is not None and answer.decision is not None:
                found.append(answer.decision.chunk.stamp_ns / 1e9)
            self.helm.offer(self._robot.read(), 0)
        return found


def test_the_policy_steers_until_somebody_takes_over() -> None:
    seat = Seat()
    assert seat.ticks(20)
    seat.helm.take_over()
    assert seat.ticks(20) == []


def test_a_motion_comes_out_vetted_once() -> None:
    seat = Seat()
    seat.helm.take_over()
    seat.helm.steer(STANDING)
    assert len(seat.ticks(30)) == 1
    assert seat.helm.taken


def test_what_the_policy_began_before_it_steers_again_is_dropped() -> None:
    seat = Seat()
    seat.ticks(3)  # it is thinking
    seat.helm.take_over()
    seat.ticks(1)
    seat.helm.hand_back(seat.clock.now_ns())
    now = seat.clock.now_ns() / 1e9
    later = seat.ticks(30)
    assert later
    assert min(later) > now


def test_the_very_first_decision_is_followed_though_the_clock_begins_at_nothing() -> None:
    seat = Seat()
    robot = ObedientRobot(seat.clock)
    robot.connect(1)
    seat.helm.offer(robot.read(), 0)
    assert seat.ticks(6) == [0.0]


def steered(seat: Seat) -> None:
    """Somebody has taken over and led the arms somewhere."""
    seat.helm.take_over()
    seat.helm.steer(STANDING)
    seat.ticks(10)


def until_it_may_steer(seat: Seat, left_s: float) -> float:
    """Asks ahead tick by tick; s until the policy may steer again."""
    begun_ns = seat.clock.now_ns()
    while not seat.helm.asks_ahead(seat.clock.now_ns(), left_s - (seat.clock.now_ns() - begun_ns) / 1e9):
        assert seat.ticks(1) == []
    return (seat.clock.now_ns() - begun_ns) / 1e9


def test_a_policy_that_is_asked_ahead_has_its_answer_there_when_it_steers_again() -> None:
    seat = Seat()
    steered(seat)
    begun_s = seat.clock.now_ns() / 1e9
    assert until_it_may_steer(seat, 0.3) == 0.3
    seat.helm.hand_back(seat.clock.now_ns())
    (about_s,) = seat.ticks(1)
    assert begun_s < about_s < seat.clock.now_ns() / 1e9


def test_the_answer_that_was_asked_for_ahead_is_waited_for_but_not_for_ever() -> None:
    for latency_s, expected_s in ((0.5, 0.51), (5.0, 0.3 + LONGEST_WAIT_NS / 1e9)):
        seat = Seat(latency_s)
        steered(seat)
        assert until_it_may_steer(seat, 0.3) == pytest.approx(expected_s, abs=0.011)
        seat.helm.hand_back(seat.clock.now_ns())
        assert len(seat.ticks(1)) == (latency_s < 1.0)
        seat.ticks(500)
        assert not seat.helm.taken


def test_an_answer_that_is_late_is_followed_when_it_comes_though_it_was_asked_for_before() -> None:
    seat = Seat(1.5)
    steered(seat)
    until_it_may_steer(seat, 0.3)
    handed_back_s = seat.clock.now_ns() / 1e9
    seat.helm.hand_back(seat.clock.now_ns())
    (about_s,) = seat.ticks(30)
    assert about_s < handed_back_s


@pytest.mark.parametrize("again", [lambda helm: helm.steer(STANDING), Helm.take_over], ids=["steers", "takes over"])
def test_whoever_moves_the_arms_again_withdraws_what_was_asked_ahead(again: Callable[[Helm], None]) -> None:
    seat = Seat()
    steered(seat)
    until_it_may_steer(seat, 0.3)
    assert not seat.helm.drops
    again(seat.helm)
    assert seat.helm.drops
    seat.ticks(10)
    handed_back_s = seat.clock.now_ns() / 1e9
    seat.helm.hand_back(seat.clock.now_ns())
    assert min(seat.ticks(30)) > handed_back_s
