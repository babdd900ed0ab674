from dataclasses import replace

import numpy as np
import pytest
from recovery_bench import RecoveryBench
from runtime_stubs import LIMITS

from forearm.cell.faults import Nudge
from forearm.cell.setup import Setup
from forearm.cell.tasks import task_named
from forearm.errors import ConfigError
from forearm.events import Commanded, Decided, Event, Judged, ModeChanged, Stopped
from forearm.messages import Decision, Finding, Observation, Outcome, Request, Verdict
from forearm.policy.baselines import Demonstrator
from forearm.robot.kinematics import tool_poses
from forearm.runtime import retreat
from forearm.runtime.conditions import Condition
from forearm.runtime.ladder import LADDER, PERMITTED, STANDING, Rung, next_rung
from forearm.runtime.operator import Script
from forearm.runtime.recovery import Budget
from forearm.runtime.simulation import Simulation
from forearm.safety.known_good import READY
from forearm.safety.limits import TICK_S
from forearm.safety.stops import Holding
from forearm.safety.vetting import Vetting


class Refuses(Vetting):
    """Vetting that proves itself, and then lets no recovery through."""

    def vet(self, decision: Decision, observation: Observation, now_ns: int) -> Verdict:
        verdict = super().vet(decision, observation, now_ns)
        if verdict.vetted is None or (decision.chunk.positions == READY).all():
            return verdict
        finding = Finding(
            check="clearance: arms", outcome=Outcome.HOLD, subject="arms", measured=0.0, limit=0.01, unit="m",
            text="There is no room.",
        )  # fmt: skip
        return Verdict(outcome=Outcome.HOLD, findings=(finding,))


def test_every_condition_has_its_rungs_and_the_last_one_is_a_person() -> None:
    assert set(LADDER) == set(Condition)
    assert all(rungs[-1] is Rung.ASK and Rung.ASK not in rungs[:-1] for rungs in LADDER.values())


def test_whatever_is_held_every_rung_says_whether_it_may_be_taken_and_asking_may_always() -> None:
    assert set(PERMITTED) == set(Rung)
    assert set(Holding) == PERMITTED[Rung.ASK]
    assert all(
        next_rung(condition, 99, held) == len(LADDER[condition]) - 1 for condition in Condition for held in Holding
    )


def test_what_both_may_hold_is_neither_set_down_nor_drawn_back_and_the_next_rung_is_taken() -> None:
    taken = {
        held: [LADDER[Condition.NO_PROGRESS][next_rung(Condition.NO_PROGRESS, number, held)] for number in range(5)]
        for held in Holding
    }
    alone = [Rung.REPLAN, Rung.START_OVER, Rung.REPLAN, Rung.START_OVER, Rung.ASK]
    assert taken[Holding.APART] == taken[Holding.ONE] == alone
    assert taken[Holding.SHARED] == [Rung.REPLAN, Rung.REPLAN, Rung.REPLAN, Rung.ASK, Rung.ASK]
    assert next_rung(Condition.BLOCKED_PATH, 1, Holding.ONE) == 1
    assert next_rung(Condition.BLOCKED_PATH, 1, Holding.SHARED) == 2


def test_a_barred_rung_is_passed_over_and_asking_is_always_left() -> None:
    rungs = LADDER[Condition.MISPERCEPTION]
    moving = frozenset(Rung) - STANDING
    taken = [rungs[next_rung(Condition.MISPERCEPTION, number, Holding.APART, moving)] for number in range(len(rungs))]
    assert set(taken) == {Rung.REPERCEIVE, Rung.REPLAN, Rung.ASK} == set(STANDING)
    assert rungs[next_rung(Condition.MISPERCEPTION, 1, Holding.APART)] is Rung.RETRACE
    assert rungs[next_rung(Condition.MISPERCEPTION, 0, Holding.APART, frozenset(Rung))] is Rung.ASK


@pytest.mark.slow
def test_a_grasp_that_holds_asks_for_nothing() -> None:
    bench = RecoveryBench()
    assert bench.session.run().outcome == "done"
    assert bench.began() == []


def test_a_failed_grasp_is_backed_off_from_and_tried_again_until_something_is_held() -> None:
    bench = RecoveryBench(thing=lambda seconds: 0.39 if seconds > 2.5 else 0.0, goal_s=6.0)
    assert bench.session.run().outcome == "done"
    (began,), (ended,) = bench.began(), bench.ended()
    assert (began.condition, began.arm, began.rung, began.attempt) == ("failed grasp", "left", "back off", 1)
    assert began.evidence["opening"] < 0.1
    assert (ended.recovered, ended.proof) == (True, "The left gripper holds something.")
    assert bench.modes()[:3] == ["engaged", "recovering", "engaged"]


@pytest.mark.parametrize("latency_s", [0.3, pytest.param(0.05, marks=pytest.mark.slow)])
def test_the_policy_is_asked_while_the_arms_settle_and_no_tick_starves_when_they_have(latency_s: float) -> None:
    bench = RecoveryBench(thing=lambda seconds: 0.39 if seconds > 2.5 else 0.0, latency_s=latency_s, goal_s=5.0)
    assert bench.session.run().outcome == "done"
    assert len(bench.began()) == 1
    assert bench.modes() == ["engaged", "recovering", "engaged", "idle"]
    back_ns = next(event.stamp_ns for event in bench.events if isinstance(event, ModeChanged)
                   and event.trigger == "recovered")  # fmt: skip
    answers = [event for event in bench.events if isinstance(event, Decided) and event.stamp_ns > back_ns]
    assert answers[0].stamp_ns - back_ns <= 2e7
    assert back_ns - answers[0].decision.chunk.stamp_ns < (latency_s + 0.15) * 1e9


@pytest.mark.slow
def test_every_take_over_of_the_ladder_is_measured_and_the_arms_stand_before_they_go_anywhere() -> None:
    bench = RecoveryBench(thing=lambda seconds: 0.0, goal_s=99.0)
    bench.session.run()
    stops = {event.commanded_ns: event for event in bench.events if isinstance(event, Stopped)}
    began = bench.began()[:-1]  # behind the last one is the protective stop
    assert len({event.rung for event in began}) == 3
    measured = [stops[event.stamp_ns] for event in began]
    assert [stopped.cause for stopped in measured] == [event.reason for event in began]
    assert {(stopped.how, stopped.verdict) for stopped in measured} == {("hold", "standing")}


@pytest.mark.slow
def test_without_the_ladder_the_same_failure_goes_unnoticed() -> None:
    bench = RecoveryBench(thing=lambda seconds: 0.0, recovers=False)
    bench.session.run()
    assert "recovering" not in bench.modes()


@pytest.mark.slow
def test_an_object_that_is_lost_is_noticed_and_said() -> None:
    bench = RecoveryBench(thing=lambda seconds: 0.0 if 3.0 < seconds < 4.0 else 0.39)
    assert bench.session.run().outcome == "done"
    assert [(event.condition, event.arm) for event in bench.began()] == [("dropped object", "left")]
    assert [event.recovered for event in bench.ended()] == [True]


@pytest.mark.slow
def test_a_grasp_that_fails_again_and_again_ends_in_a_protective_stop_that_says_what_was_tried() -> None:
    bench = RecoveryBench(thing=lambda seconds: 0.0, goal_s=99.0)
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "met nothing" in ended.reason
    assert "Tried: back off, start over, make way" in ended.reason
    assert "A person is needed" in ended.reason
    assert [event.rung for event in bench.began()] == [rung.value for rung in LADDER[Condition.FAILED_GRASP]]
    assert not any(event.recovered for event in bench.ended())
    assert bench.modes()[-1] == "protective_stop"


@pytest.mark.slow
def test_the_budget_of_the_run_ends_it_sooner() -> None:
    bench = RecoveryBench(thing=lambda seconds: 0.0, goal_s=99.0, budget=Budget(attempts=2))
    assert "Tried: back off, start over." in bench.session.run().reason
    assert len(bench.began()) == 3


@pytest.mark.slow
def test_where_a_person_can_be_asked_the_arms_wait_under_power_before_they_stop() -> None:
    budget = Budget(attempts=1, ask_s=3.0)
    bench = RecoveryBench(thing=lambda seconds: 0.0, goal_s=99.0, budget=budget, operator=Script([]))
    assert "A person is needed" in bench.session.run().reason
    assert 3.0 <= bench.ended()[-1].duration_s < 3.1


@pytest.mark.slow
def test_a_person_has_a_minute_and_where_there_is_none_nothing_is_waited_for() -> None:
    assert Budget().ask_s == 60.0
    bench = RecoveryBench(thing=lambda seconds: 0.0, goal_s=99.0, budget=Budget(attempts=1))
    assert "Tried: back off. A person is needed" in bench.session.run().reason
    assert bench.ended()[-1].duration_s == 0.0


def test_a_recovery_that_vetting_refuses_moves_nothing_and_the_next_rung_is_taken() -> None:
    bench = RecoveryBench(thing=lambda seconds: 0.0, goal_s=99.0, vetting=Refuses(LIMITS))
    assert bench.session.run().outcome == "stopped"
    first, second = bench.began()[:2]
    sent = [
        event.positions
        for event in bench.events
        if isinstance(event, Commanded) and first.stamp_ns + 5e8 < event.stamp_ns < second.stamp_ns
    ]
    assert bench.ended()[0].proof == "There is no room."
    assert all(np.ptp(np.array(sent), axis=0) < 0.02) if sent else True
    assert max(event.positions[6] for event in bench.events if isinstance(event, Commanded)
               and event.stamp_ns > first.stamp_ns) < 0.1  # fmt: skip


@pytest.mark.slow
def test_every_motion_of_a_recovery_is_a_decision_that_was_vetted() -> None:
    bench = RecoveryBench(thing=lambda seconds: 0.39 if seconds > 2.5 else 0.0)
    bench.session.run()
    began, ended = bench.began()[0].stamp_ns, bench.ended()[0].stamp_ns
    within = [event for event in bench.events if isinstance(event, Decided) and began <= event.stamp_ns <= ended]
    opening = [event for event in within if event.decision.chunk.positions[-1, 6] == 1.0]
    assert opening


@pytest.mark.slow
def test_no_set_point_breaks_a_limit_when_the_recovery_begins_or_ends() -> None:
    bench = RecoveryBench(thing=lambda seconds: 0.39 if seconds > 2.5 else 0.0)
    bench.session.run()
    sent = np.array([event.positions for event in bench.events if isinstance(event, Commanded)])
    assert (np.abs(np.diff(sent, axis=0)) / TICK_S <= LIMITS.velocity * 1.001).all()


@pytest.mark.slow
def test_stale_images_are_waited_for_longer_than_a_hold_may_last() -> None:
    bench = RecoveryBench(blind=(4.0, 8.0), goal_s=12.0)
    assert bench.session.run().outcome == "done"
    assert [(event.condition, event.rung) for event in bench.began()] == [("stale perception", "perceive again")]
    assert [event.recovered for event in bench.ended()] == [True]
    assert RecoveryBench(blind=(4.0, 8.0), goal_s=12.0, recovers=False).session.run().outcome == "stopped"


@pytest.mark.slow
def test_images_that_stay_stale_end_in_a_stop() -> None:
    ended = RecoveryBench(blind=(4.0, 99.0), goal_s=99.0).session.run()
    assert ended.outcome == "stopped"
    assert "Tried: perceive again." in ended.reason


@pytest.mark.slow
def test_an_arm_that_something_else_holds_is_waited_for_and_then_goes_on() -> None:
    bench = RecoveryBench(stuck=(3.5, 6.0), goal_s=14.0)
    assert bench.session.run().outcome == "done"
    assert {event.condition for event in bench.began()} == {"interrupted"}
    assert bench.ended()[-1].recovered


class Weighed:
    """The demonstrator, as a policy that has weights."""

    name, model_digest = "weighed", "5c1810d4"

    def __init__(self, setup: Setup) -> None:
        self._policy = Demonstrator.rehearse(setup)

    def reset(self, *, seed: int) -> None:
        self._policy.reset(seed=seed)

    def decide(self, request: Request) -> Decision:
        return replace(self._policy.decide(request), model_digest=self.model_digest)


@pytest.mark.slow
def test_a_motion_of_the_ladder_says_that_no_model_made_it_and_is_let_through_where_one_steers() -> None:
    events: list[Event] = []
    setup = replace(task_named("lift").sample(1), time_limit_s=3.5)
    Simulation(setup, lambda robot: Weighed(robot.setup), faults=[Nudge()]).run(seed=1, emit=events.append)
    began = next(index for index, event in enumerate(events) if event.kind == "recovery_began")
    decided = next(index for index, event in enumerate(events) if index > began and event.kind == "decided")
    decision, judged = events[decided], events[decided + 1]
    assert isinstance(decision, Decided)
    assert isinstance(judged, Judged)
    assert decision.decision.model_digest == ""
    assert judged.outcome < Outcome.HOLD, judged.findings


@pytest.mark.parametrize(("attempts", "ask_s"), [(0, 0.0), (1, -1.0)])
def test_a_budget_that_means_nothing_is_refused(attempts: int, ask_s: float) -> None:
    with pytest.raises(ConfigError, match="budget"):
        Budget(attempts=attempts, ask_s=ask_s)


def travelled() -> np.ndarray:
    """(N, J) down with an open gripper, closed there, half way up again: the left arm's."""
    path = np.zeros((40, 14))
    path[:, [1, 8]], path[:, [2, 9]], path[:, [3, 10]] = 1.467, 1.299, -1.403
    path[:, [6, 13]] = 1.0
    path[:, 1] += np.concatenate([np.linspace(0.0, 0.35, 20), np.full(10, 0.35), np.linspace(0.35, 0.2, 10)])
    path[22:, 6] = 0.0
    return path


def heights(rows: np.ndarray) -> np.ndarray:
    return tool_poses(rows)[0][:, 0, 2]


def test_backing_off_opens_first_and_then_only_rises() -> None:
    rows = retreat.back_off(travelled(), [0])
    opened = int(np.argmax(rows[:, 6] == 1.0))
    assert np.ptp(rows[: opened + 1, :6], axis=0).max() == 0.0
    assert (np.diff(heights(rows)) >= -1e-3).all()
    assert heights(rows)[-1] >= retreat.HOVER_Z_M
    assert np.ptp(rows[:, 7:], axis=0).max() == 0.0


def test_setting_down_goes_back_from_a_stand_to_where_it_was_taken_before_it_lets_go() -> None:
    path = travelled()
    rows = retreat.back_off(path, [], [0])
    assert rows[: retreat.STANDING_ROWS] == pytest.approx(np.tile(path[-1], (retreat.STANDING_ROWS, 1)))
    let_go = int(np.argmax(rows[:, 6] > 0.1))
    assert heights(rows)[let_go] == pytest.approx(heights(path).min(), abs=0.005)
    assert heights(rows)[-1] >= retreat.HOVER_Z_M


def test_a_retreat_goes_back_the_same_way_and_keeps_hold() -> None:
    path = travelled()
    rows = retreat.retreat(path)
    assert rows[: retreat.STANDING_ROWS + 1] == pytest.approx(np.tile(path[-1], (retreat.STANDING_ROWS + 1, 1)))
    assert rows[-1, 1] == pytest.approx(path[-1 - round(retreat.BACK_S / retreat.PERIOD_S), 1])
    assert (rows[:, 6] == 0.0).all()


def test_starting_over_sets_down_what_is_held_and_ends_where_the_run_began_with_an_open_hand() -> None:
    path = travelled()
    rows = retreat.make_way(path, [], [0])
    let_go = int(np.argmax(rows[:, 6] > 0.1))
    assert heights(rows)[let_go] == pytest.approx(heights(path).min(), abs=0.005)
    assert rows[-1, :6] == pytest.approx(path[0, :6])
    assert rows[-1, 6] == 1.0


def test_making_way_ends_where_the_run_began_with_an_open_hand() -> None:
    path = travelled()
    rows = retreat.make_way(path, [0])
    assert rows[-1, :6] == pytest.approx(path[0, :6])
    assert rows[-1, 6] == 1.0
    assert np.abs(np.diff(rows[:, :6], axis=0)).max() <= retreat.STEP_RAD + 1e-9
