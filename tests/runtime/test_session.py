from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from runtime_stubs import HOME, LIMITS, Bench, Elapsed, J, ObedientRobot, Wave

from forearm.clock import Clock
from forearm.errors import InstructionError
from forearm.events import Commanded, Decided, Emit, Event, Judged, SelfTested, SessionEnded, SessionStarted, Stopped
from forearm.messages import Command, Decision, Finding, Observation, SafeCommand, Verdict, VettedChunk
from forearm.runtime.inference import Answer, SimulatedInference
from forearm.runtime.recovery import Budget
from forearm.safety.guard import Guard
from forearm.safety.vetting import Vetting


class HangsAfter:
    """Thinking that begins and never comes to an answer, from some instant on."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._inner = seconds, SimulatedInference(Wave(), Vetting(LIMITS))

    def offer(self, observation: Observation, needed_ns: int, following: VettedChunk | None = None) -> None:
        if observation.stamp_ns < self._seconds * 1e9:
            self._inner.offer(observation, needed_ns, following)

    def take(self, now_ns: int) -> Answer | None:
        return self._inner.take(now_ns)

    def close(self) -> None: ...


def not_a_number(number: int, decision: Decision) -> Decision:
    rows = decision.chunk.positions.copy()
    rows[3, 2] = np.nan
    return replace(decision, chunk=replace(decision.chunk, positions=rows))


def out_of_reach(number: int, decision: Decision) -> Decision:
    return replace(decision, chunk=replace(decision.chunk, positions=decision.chunk.positions + 10.0))


@pytest.fixture(scope="module")
def done() -> Bench:
    """A session in which nothing went wrong, once it has ended."""
    bench = Bench(goal_s=2.0)
    bench.session.run()
    return bench


def test_a_session_goes_from_idle_through_engaged_to_done(done: Bench) -> None:
    bench, ended = done, done.events[-1]
    assert isinstance(ended, SessionEnded)
    assert (ended.outcome, ended.progress) == ("done", 1.0)
    assert bench.modes() == ["engaged", "idle"]
    assert isinstance(bench.events[0], SessionStarted)
    assert ended.ticks == 201
    assert bench.robot.calls[0] == "connect"
    assert bench.robot.calls[-2:] == ["stop", "close"]


def test_the_robot_follows_the_policy(done: Bench) -> None:
    sent = [event for event in done.events if isinstance(event, Commanded)]
    errors = [event.positions[0] - 0.3 * np.sin(event.stamp_ns / 1e9) for event in sent[50:]]
    assert np.abs(errors).max() < 0.005


@pytest.mark.slow
def test_a_new_decision_comes_before_the_execution_horizon_ends() -> None:
    bench = Bench()
    bench.session.run()
    stamps = [event.decision.chunk.stamp_ns / 1e9 for event in bench.events if isinstance(event, Decided)]
    assert np.diff(stamps)[1:] == pytest.approx(0.7)  # the helm takes no answer to the instant of its own beginning


@pytest.mark.slow
def test_equal_runs_leave_equal_events() -> None:
    one, other = Bench(), Bench()
    one.session.run()
    other.session.run()
    told = [[(event.kind, event.stamp_ns) for event in bench.events] for bench in (one, other)]
    assert told[0] == told[1]
    sent = [[event.positions for event in bench.events if isinstance(event, Commanded)] for bench in (one, other)]
    assert sent[0] == sent[1]


def test_a_task_that_is_not_done_in_time_failed() -> None:
    ended = Bench(goal_s=9.0, time_limit_s=1.0).session.run()
    assert ended.outcome == "failed"
    assert "within 1 s" in ended.reason
    assert ended.progress < 0.3


def test_a_chunk_with_a_nan_moves_nothing() -> None:
    bench = Bench(Wave(not_a_number))
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "not finite" in ended.reason
    assert (bench.robot.positions == HOME).all()
    assert "engaged" not in bench.modes()


@pytest.mark.slow
def test_chunks_that_are_refused_again_and_again_end_in_a_protective_stop_and_move_nothing() -> None:
    bench = Bench(Wave(out_of_reach), goal_s=60.0, time_limit_s=60.0)
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "refused" in ended.reason
    assert (bench.robot.positions == HOME).all()
    assert bench.policy.asked > 3


@pytest.mark.slow
def test_refused_decisions_within_the_budget_are_simply_made_again() -> None:
    bench = Bench(Wave(lambda number, decision: out_of_reach(number, decision) if number in (3, 4) else decision))
    assert bench.session.run().outcome == "done"
    assert bench.modes() == ["engaged", "idle"]


def test_a_policy_that_raises_in_the_middle_makes_the_arms_hold_and_the_session_say_why() -> None:
    def dying(number: int, decision: Decision) -> Decision:
        if number > 1:
            raise RuntimeError("weights gone")
        return decision

    bench = Bench(Wave(dying))
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "RuntimeError: weights gone" in ended.reason
    assert bench.modes() == ["engaged", "holding", "protective_stop"]


@pytest.mark.slow
def test_a_policy_that_comes_back_is_followed_again_after_the_hold() -> None:
    def faltering(number: int, decision: Decision) -> Decision:
        if 3 <= number < 20:
            raise RuntimeError("a moment please")
        return decision

    bench = Bench(Wave(faltering))
    assert bench.session.run().outcome == "done"
    assert bench.modes() == ["engaged", "holding", "engaged", "idle"]


@pytest.mark.slow
def test_an_inference_that_hangs_makes_the_arms_hold_when_the_last_chunk_is_spent() -> None:
    bench = Bench(inference=HangsAfter(2.0), goal_s=60.0)
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "no new decision came" in ended.reason
    assert bench.modes() == ["engaged", "holding", "protective_stop"]
    last_answer_s = max(event.stamp_ns for event in bench.events if isinstance(event, Decided)) / 1e9
    sent = [event for event in bench.events if isinstance(event, Commanded)]
    late = [event.positions for event in sent if event.stamp_ns / 1e9 > last_answer_s + 1.6]
    assert late
    assert np.ptp(np.array(late), axis=0).max() < 0.01  # it brakes, then stands


@pytest.mark.slow
def test_an_inference_that_never_answers_moves_nothing() -> None:
    bench = Bench(inference=HangsAfter(0.0), goal_s=60.0)
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "No decision has come yet" in ended.reason
    assert (bench.robot.positions == HOME).all()
    assert bench.modes() == ["protective_stop"]


@pytest.mark.slow
def test_a_camera_that_stops_makes_the_arms_hold_within_its_age_limit() -> None:
    bench = Bench(robot=partial(ObedientRobot, blind_after_s=2.0))
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "camera" in ended.reason
    last_sent = [event for event in bench.events if isinstance(event, Commanded)][-1]
    assert last_sent.stamp_ns / 1e9 <= 2.0 + 0.5 + 0.02
    assert bench.modes() == ["engaged", "holding", "protective_stop"]


def test_a_robot_that_does_not_answer_is_a_stop_that_says_so() -> None:
    bench = Bench(robot=partial(ObedientRobot, silent_after_s=0.5))
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "check the cable" in ended.reason
    assert bench.robot.calls[-2:] == ["stop", "close"]


def test_an_instruction_the_policy_does_not_know_is_refused_without_a_motion() -> None:
    def refusing(number: int, decision: Decision) -> Decision:
        raise InstructionError("instruction: got 'wave', allowed is nothing; go home")

    bench = Bench(Wave(refusing))
    ended = bench.session.run()
    assert ended.outcome == "refused"
    assert (bench.robot.positions == HOME).all()


def test_what_nobody_foresaw_ends_safely_is_logged_and_raised() -> None:
    def breaking() -> str:
        raise ZeroDivisionError("somewhere else")

    bench = Bench(interrupted=breaking)
    with pytest.raises(ZeroDivisionError):
        bench.session.run()
    ended = bench.events[-1]
    assert isinstance(ended, SessionEnded)
    assert (ended.outcome, ended.reason) == ("error", "ZeroDivisionError: somewhere else")
    assert bench.robot.calls[-2:] == ["stop", "close"]


@pytest.mark.slow
def test_a_robot_that_cannot_even_stop_does_not_keep_the_log_from_ending() -> None:
    class Unstoppable(ObedientRobot):
        def stop(self) -> None:
            raise OSError("bus off")

    bench = Bench(robot=Unstoppable)
    ended = bench.session.run()
    assert ended.outcome == "error"
    assert "bus off" in ended.reason
    assert bench.robot.calls[-1] == "close"


class Unreadable(Elapsed):
    """A goal that cannot say how far it is."""

    def progress(self) -> float:
        raise RuntimeError("the board is torn")


@pytest.mark.slow
def test_a_goal_that_cannot_say_how_far_it_is_keeps_nothing_from_being_stopped_closed_and_logged() -> None:
    bench = Bench(goal=Unreadable)
    ended = bench.session.run()
    assert bench.robot.calls[-3:] == ["send", "stop", "close"]
    assert (ended.outcome, ended.progress) == ("error", 0.0)
    assert ended.reason == "The task is done. Then ending failed: RuntimeError: the board is torn"
    assert any(isinstance(event, Stopped) for event in bench.events)
    assert bench.events[-1] is ended


def test_the_robot_is_told_to_stop_before_the_goal_is_asked_how_far_it_is() -> None:
    asked_after: list[str] = []

    class Asked(Elapsed):
        def progress(self) -> float:
            asked_after.append(bench.robot.calls[-1])
            return 1.0

    bench = Bench(goal=Asked, goal_s=0.3)
    bench.session.run()
    assert asked_after == ["stop"]


def test_a_log_that_takes_nothing_more_does_not_keep_the_robot_from_being_stopped_and_closed() -> None:
    def full(events: list[Event]) -> Emit:
        def emit(event: Event) -> None:
            if event.stamp_ns > 0.5e9:
                raise OSError("no space left")
            events.append(event)

        return emit

    bench = Bench(emit=full, budget=Budget())
    with pytest.raises(OSError, match="no space left"):
        bench.session.run()
    assert bench.robot.calls[-3:] == ["send", "stop", "close"]


def test_the_robot_is_told_to_stop_before_a_recovery_under_way_is_written_off() -> None:
    emitted_at: list[str] = []

    def watched(events: list[Event]) -> Emit:
        def emit(event: Event) -> None:
            if event.kind == "recovery_ended":
                emitted_at.append(bench.robot.calls[-1])
            events.append(event)

        return emit

    bench = Bench(robot=partial(ObedientRobot, blind_after_s=1.0), goal_s=2.0, budget=Budget(), emit=watched)
    ended = bench.session.run()
    assert ended.outcome == "done"
    assert emitted_at == ["stop"]


def test_an_interruption_ends_the_session_at_the_next_tick() -> None:
    asked: list[None] = []

    def interrupted() -> str:
        asked.append(None)
        return "SIGTERM" if len(asked) == 100 else ""

    bench = Bench(interrupted=interrupted)
    ended = bench.session.run()
    assert (ended.outcome, ended.reason, ended.ticks) == ("stopped", "SIGTERM", 100)


@pytest.mark.slow
def test_every_objection_of_the_guard_is_in_the_events() -> None:
    bench = Bench(robot=partial(ObedientRobot, blind_after_s=2.0))
    bench.session.run()
    objections = [event for event in bench.events if isinstance(event, Judged) and event.gate == "guard"]
    assert objections
    assert all(event.findings for event in objections)


class LetsFastCommandsPass(Guard):
    """Of what is wrong with a command it overlooks its rates."""

    def _smooth(self, positions: np.ndarray) -> tuple[Finding, ...]:
        return ()


def test_the_gates_prove_themselves_before_anything_moves_and_the_log_says_so(done: Bench) -> None:
    tested = [number for number, event in enumerate(done.events) if isinstance(event, SelfTested)]
    moved = [number for number, event in enumerate(done.events) if isinstance(event, Commanded)]
    assert len(tested) == 1
    assert tested[0] < moved[0]
    event = done.events[tested[0]]
    assert event.failed == ()
    assert len(event.proven) > 40


NEAR_ARMS = ("wrists 4 mm apart", "arms in step")


@pytest.mark.parametrize(
    ("gates", "named"),
    [
        ({"guard": LetsFastCommandsPass(LIMITS)}, ("guard: speed", "guard: acceleration", "guard: jerk")),
        (
            {"vetting": Vetting(replace(LIMITS, arm_clearance_m=1e-6))},
            tuple(f"vetting: clearance: arms ({shown}" for shown in NEAR_ARMS),
        ),
        (
            {"helm_vetting": Vetting(replace(LIMITS, arm_clearance_m=1e-6))},
            tuple(f"helm vetting: clearance: arms ({shown}" for shown in NEAR_ARMS),
        ),
    ],
)
def test_a_gate_that_lets_what_is_known_to_be_bad_pass_is_not_armed_and_is_named(
    gates: dict[str, object], named: tuple[str, ...]
) -> None:
    bench = Bench(**gates)
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert all(name in ended.reason for name in named)
    assert bench.policy.asked == 0
    assert bench.robot.calls == ["connect", "stop", "close"]
    tested = [event for event in bench.events if isinstance(event, SelfTested)]
    assert [len(event.failed) for event in tested] == [len(named)]
    assert bench.modes() == ["protective_stop"]


class Gripping(ObedientRobot):
    """Its left gripper has a block between its fingers, which keeps them 0.4 open."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.told: list[float] = []

    def read(self) -> Observation:
        observation = super().read()
        positions, efforts = observation.positions.copy(), np.zeros(J)
        efforts[6] = -20.0 if positions[6] < 0.4 else 0.0
        positions[6] = max(positions[6], 0.4)
        return replace(observation, positions=positions, efforts=efforts)

    def send(self, command: SafeCommand) -> None:
        super().send(command)
        self.told.append(float(command.positions[6]))


class StaleOnce(Guard):
    """A guard that one command reaches too late."""

    def review(self, command: Command, observation: Observation, now_ns: int) -> Verdict:
        late = 2.0 <= now_ns / 1e9 < 2.01
        return super().review(replace(command, stamp_ns=0) if late else command, observation, now_ns)


@pytest.mark.slow
def test_a_hold_does_not_loosen_what_a_gripper_holds() -> None:
    def grips(number: int, decision: Decision) -> Decision:
        rows = decision.chunk.positions.copy()
        rows[:, 6] = 0.0
        return replace(decision, chunk=replace(decision.chunk, positions=rows))

    robots: list[Gripping] = []

    def make(clock: Clock) -> Gripping:
        robots.append(Gripping(clock))
        return robots[0]

    bench = Bench(Wave(grips), robot=make, guard=StaleOnce(LIMITS), goal_s=4.0)
    assert bench.session.run().outcome == "done"
    assert bench.robot.calls.count("stop") > 1
    closed = next(index for index, opening in enumerate(robots[0].told) if opening < 0.01)
    assert len(robots[0].told) > closed + 200
    assert max(robots[0].told[closed:]) < 0.01
