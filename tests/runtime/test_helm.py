import numpy as np
from runtime_stubs import HOME, LIMITS, ObedientRobot, Wave, ns

from forearm.clock import SimulatedClock
from forearm.runtime.helm import Helm, Motion
from forearm.runtime.inference import SimulatedInference
from forearm.safety.vetting import Vetting

STANDING = Motion(rows=np.tile(HOME, (5, 1)), period_s=0.1)


class Seat:
    """A helm over a policy that waves, asked tick by tick."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self._robot = ObedientRobot(self.clock)
        self._robot.connect(1)
        self.policy = Wave()
        self.helm = Helm(SimulatedInference(self.policy, Vetting(LIMITS), latency_s=0.05), Vetting(LIMITS))

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
