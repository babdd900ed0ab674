"""What the session does with both arms when something is wrong, and what it says of every stop."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from runtime_stubs import HOME, LIMITS, Bench, Blocked, J, ObedientRobot, Wave

from forearm.errors import RobotError
from forearm.events import Commanded, Judged, SessionEnded, Stopped
from forearm.messages import Command, Decision, Finding, Observation, Outcome, SafeCommand, Verdict
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.operator import HandBack, Script, TakeOver
from forearm.runtime.trail import Trail
from forearm.safety.guard import Guard
from forearm.safety.vetting import Vetting


class DiesWhenStopped(ObedientRobot):
    """Cannot be read any more once it was told to stop."""

    def read(self) -> Observation:
        if "stop" in self.calls:
            raise RobotError("bus: got silence, an answer is needed; check the cable")
        return super().read()


class Drifting(ObedientRobot):
    """Goes on after it was told to stop."""

    def stop(self) -> None:
        super().stop()
        self._drift_from_ns = self._clock.now_ns()

    def read(self) -> Observation:
        observation = super().read()
        since_ns = observation.stamp_ns - getattr(self, "_drift_from_ns", observation.stamp_ns)
        return replace(observation, positions=observation.positions + 0.3 * since_ns / 1e9 * (np.arange(J) == 8))


class Stuck(ObedientRobot):
    """Says the same thing again and again once it was told to stop."""

    def stop(self) -> None:
        super().stop()
        self._last = super().read()

    def read(self) -> Observation:
        return getattr(self, "_last", None) or super().read()


def stops(bench: Bench) -> list[Stopped]:
    return [event for event in bench.events if isinstance(event, Stopped)]


@pytest.mark.slow
def test_a_session_that_is_done_was_measured_standing_before_it_said_so() -> None:
    bench = Bench()
    bench.session.run()
    (stopped,) = stops(bench)
    assert (stopped.verdict, stopped.how, stopped.cause) == ("standing", "hold", "The task is done.")
    assert bench.events.index(stopped) < bench.events.index(bench.events[-1])
    assert bench.robot.calls[-2:] == ["stop", "close"]


@pytest.mark.parametrize(
    ("robot", "verdict"),
    [
        (Drifting, "moving"),
        pytest.param(Stuck, "unknown", marks=pytest.mark.slow),
        pytest.param(DiesWhenStopped, "unknown", marks=pytest.mark.slow),
    ],
)
def test_an_end_that_was_not_seen_standing_is_not_called_stopped(robot: type[ObedientRobot], verdict: str) -> None:
    bench = Bench(robot=robot, goal_s=1.0)
    ended = bench.session.run()
    (stopped,) = stops(bench)
    assert (stopped.verdict, stopped.standing_ns) == (verdict, None)
    assert ended.outcome == "done"
    assert (bench.clock.now_ns() - stopped.commanded_ns) / 1e9 < 1.1


def test_a_hold_says_what_it_measured_and_a_protective_stop_after_it_too() -> None:
    bench = Bench(robot=partial(ObedientRobot, blind_after_s=0.6))
    bench.session.run()
    held, ended = stops(bench)
    assert (held.how, held.verdict, ended.how, ended.verdict) == ("hold", "standing", "protective", "standing")
    assert "camera" in held.cause
    assert held.commanded_ns / 1e9 == pytest.approx(1.1, abs=0.03)
    assert len(held.joints_rad) == len(held.tools_m) == 2


@pytest.mark.slow
def test_a_hold_that_ends_before_the_arms_stood_is_not_said_to_have_stopped_them() -> None:
    def spoiled(number: int, decision: Decision) -> Decision:
        if number == 4:
            raise RuntimeError("a moment please")
        return decision

    bench = Bench(Wave(spoiled), robot=Drifting)
    bench.session.run()
    assert all(stopped.verdict == "moving" for stopped in stops(bench))


def left_joint(bench: Bench, first_s: float, last_s: float) -> np.ndarray:
    sent = [event for event in bench.events if isinstance(event, Commanded)]
    return np.array([event.positions[0] for event in sent if first_s <= event.stamp_ns / 1e9 <= last_s])


def test_an_arm_that_touches_something_with_empty_fingers_goes_back_the_way_it_came_and_the_other_stands() -> None:
    bench = Bench(robot=Blocked, goal_s=2.5)
    bench.session.run()
    assert bench.modes()[:4] == ["engaged", "holding", "recovering", "engaged"]
    first = stops(bench)[0]
    assert first.how == "retreat"
    assert "left_joint1 has strained" in first.cause
    began_s = first.commanded_ns / 1e9
    back = left_joint(bench, began_s + 0.02, began_s + 0.7)
    assert back[0] == pytest.approx(0.2)
    assert back[-1] < 0.175
    assert np.diff(back).max() < 1e-4
    others = [event.positions[7:] for event in bench.events if isinstance(event, Commanded)]
    assert np.ptp(np.array(others), axis=0).max() < 1e-9
    judged = [event for event in bench.events if isinstance(event, Judged) and event.stamp_ns == first.commanded_ns]
    assert [event.gate for event in judged] == ["guard", "vetting"]


@pytest.mark.parametrize(
    "held",
    [
        {"left_n": -15.0},
        pytest.param({"right_n": -15.0}, marks=pytest.mark.slow),
        pytest.param({"left_n": -15.0, "right_n": -15.0}, marks=pytest.mark.slow),
    ],
)
def test_an_arm_stays_where_it_is_while_anything_is_held(held: dict[str, float]) -> None:
    bench = Bench(robot=partial(Blocked, **held), goal_s=2.5)
    bench.session.run()
    assert "recovering" not in bench.modes()
    assert {stopped.how for stopped in stops(bench)[:-1]} == {"hold"}


@pytest.mark.slow
def test_a_way_back_that_is_held_too_does_not_begin_another_one() -> None:
    class AlwaysBlocked(Blocked):
        def read(self) -> Observation:
            observation = super().read()
            strains = observation.stamp_ns > 0.6e9
            return replace(observation, efforts=20.0 * strains * (np.arange(J) == 0))

    bench = Bench(robot=AlwaysBlocked, goal_s=9.0)
    ended = bench.session.run()
    assert bench.modes() == ["engaged", "holding", "recovering", "holding", "protective_stop"]
    assert [stopped.how for stopped in stops(bench)] == ["retreat", "protective"]
    assert ended.outcome == "stopped"


@pytest.mark.slow
def test_a_person_takes_over_an_arm_that_goes_back_and_gives_it_back() -> None:
    alone = Bench(robot=Blocked, goal_s=2.5)
    alone.session.run()
    began_s = stops(alone)[0].commanded_ns / 1e9
    acting = Script([(began_s + 0.3, TakeOver(who="Ada")), (began_s + 1.3, HandBack(who="Ada"))])
    bench = Bench(robot=Blocked, goal_s=began_s + 1.5, operator=acting)
    assert bench.session.run().outcome == "done"
    assert bench.modes() == ["engaged", "holding", "recovering", "operator", "holding", "engaged", "idle"]
    stood = left_joint(bench, began_s + 0.7, began_s + 1.3)
    assert np.ptp(stood) < 1e-9


class RefusesOnce:
    """A guard that finds an approach too quick at one instant."""

    def __init__(self, at_s: float) -> None:
        self._guard, self._at_ns = Guard(LIMITS), at_s * 1e9

    def reset(self, observation: Observation) -> None:
        self._guard.reset(observation)

    def review(self, command: Command, observation: Observation, now_ns: int) -> Verdict:
        verdict = self._guard.review(command, observation, now_ns)
        if now_ns < self._at_ns:
            return verdict
        self._at_ns = np.inf
        self._guard.reset(observation)
        finding = Finding(
            check="stopping", outcome=Outcome.HOLD, subject="left fingers and table", measured=0.0, limit=0.0,
            unit="m", text="The left fingers come too near too fast.",
        )  # fmt: skip
        return Verdict(outcome=Outcome.HOLD, findings=(finding,))


@pytest.mark.slow
def test_an_approach_that_was_too_quick_is_followed_by_a_slow_one() -> None:
    bench = Bench(guard=RefusesOnce(2.0))
    assert bench.session.run().outcome == "done"
    assert stops(bench)[0].how == "slow"
    assert bench.modes() == ["engaged", "holding", "engaged", "idle"]


def test_the_cells_stop_input_ends_the_session_in_its_own_words() -> None:
    bench = Bench(external_stop=lambda: "door 2 is open" if bench.clock.now_ns() > 1e9 else "")
    ended = bench.session.run()
    assert (ended.outcome, ended.reason) == ("stopped", "External stop: door 2 is open")
    assert stops(bench)[0].commanded_ns / 1e9 == pytest.approx(1.0, abs=0.03)
    assert stops(bench)[0].how == "protective"


def test_a_stop_input_that_fails_is_a_stop() -> None:
    def failing() -> str:
        raise OSError("module 3 does not answer")

    bench = Bench(external_stop=failing)
    ended = bench.session.run()
    assert isinstance(ended, SessionEnded)
    assert ended.outcome == "stopped"
    assert "module 3 does not answer" in ended.reason
    assert "engaged" not in bench.modes()


def test_there_is_no_way_back_before_there_was_a_way() -> None:
    trail, robot = Trail(Vetting(LIMITS), BIMANUAL_YAM), ObedientRobot(Bench().clock)
    robot.connect(1)
    assert trail.back(["left"], robot.read(), 0) is None


def test_a_way_back_is_the_way_there_at_half_the_speed_and_given_out_once() -> None:
    trail, robot = Trail(Vetting(LIMITS), BIMANUAL_YAM), ObedientRobot(Bench().clock)
    robot.connect(1)
    for tick in range(60):
        robot.positions = HOME + 0.002 * tick * (np.arange(J) % 7 != 6)
        command = SafeCommand(stamp_ns=0, sequence=tick, epoch=1, positions=robot.positions)  # what a guard would make
        trail.note(Verdict(outcome=Outcome.ALLOW, findings=(), command=command))
    trail.note(Verdict(outcome=Outcome.HOLD, findings=()))
    verdict = trail.back(["right"], robot.read(), 0)
    rows = verdict.vetted.chunk.positions
    np.testing.assert_allclose(rows[:, :6], np.tile(robot.positions[:6], (8, 1)))
    np.testing.assert_allclose(rows[:, 8] - robot.positions[8], [0.0, 0.0, *(-0.04 - 0.01 * np.arange(1, 7))])
    assert (rows[:, 13] == 1.0).all()
    assert trail.back(["right"], robot.read(), 0) is None


class Frozen(ObedientRobot):
    """Its top camera gives the same picture under new stamps from 2 s on."""

    def read(self) -> Observation:
        observation = super().read()
        top = observation.images["top"]
        if top.stamp_ns > 2e9:
            top = replace(top, pixels=np.zeros((4, 4, 3), dtype=np.uint8))
        return replace(observation, images={**observation.images, "top": top})


@pytest.mark.slow
def test_a_camera_that_freezes_under_new_stamps_holds_both_arms_and_ends_in_a_protective_stop() -> None:
    bench = Bench(robot=Frozen, goal_s=9.0)
    ended = bench.session.run()
    assert bench.modes() == ["engaged", "holding", "protective_stop"]
    assert "The top camera gave no new picture" in ended.reason
    held = stops(bench)[0]
    assert held.verdict == "standing"
    assert 2.5 < held.commanded_ns / 1e9 < 3.5  # five captures, and 0.1 rad at the 0.13 rad/s of this motion
