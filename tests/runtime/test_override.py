import io
import os
import pty
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from recovery_bench import Grasps, RecoveryBench
from runtime_stubs import HOME, LIMITS

from forearm.cell.tasks import task_named
from forearm.errors import InputError
from forearm.events import Commanded, Decided, Event, Judged, ModeChanged, OperatorActed, Stopped
from forearm.messages import Decision, Request
from forearm.policy.choice import policy_named
from forearm.policy.reasoning import Intervention
from forearm.robot.kinematics import tool_poses
from forearm.runtime.operator import (
    Act,
    EditTrace,
    HandBack,
    Hold,
    JogJoint,
    JogTool,
    Keyboard,
    Resume,
    Script,
    StepOnce,
    TakeOver,
    TraceDesk,
    keys,
    script,
)
from forearm.runtime.simulation import Simulation
from forearm.safety.limits import TICK_S

ME = "Ada"
ANYTHING = SimpleNamespace(stamp_ns=7)


def played(*acts: tuple[float, Act], goal_s: float = 8.0) -> RecoveryBench:
    bench = RecoveryBench(operator=Script(acts), goal_s=goal_s)
    ended = bench.session.run()
    assert ended.outcome == "done", ended.reason
    return bench


def sent(bench: RecoveryBench, begin_s: float = 0.0, end_s: float = np.inf) -> np.ndarray:
    """(T, J) set-points between those times."""
    events = [event for event in bench.events if isinstance(event, Commanded)]
    return np.array([event.positions for event in events if begin_s <= event.stamp_ns / 1e9 < end_s])


def acts(bench: RecoveryBench) -> list[OperatorActed]:
    return [event for event in bench.events if isinstance(event, OperatorActed)]


@pytest.mark.slow
def test_a_hold_stands_for_as_long_as_the_person_wants_and_then_goes_on() -> None:
    bench = played((1.0, Hold(who=ME)), (6.0, Resume(who=ME)))
    assert np.ptp(sent(bench, 1.6, 6.0), axis=0).max() < 1e-6
    assert np.ptp(sent(bench, 6.0)[:, 0]) > 0.1
    assert bench.modes() == ["engaged", "holding", "engaged", "idle"]
    assert [(event.who, event.act, event.accepted) for event in acts(bench)] == [
        (ME, "Hold", True),
        (ME, "Resume", True),
    ]


def odd_from_one_second_on(events: list[Event]) -> str:
    """A monitor that nobody has answered yet."""
    asked = events[-1].stamp_ns >= 1e9 and not any(isinstance(event, OperatorActed) for event in events)
    return "The plan is 90 mm off." if asked else ""


@pytest.mark.slow
def test_a_suspicion_holds_the_arms_until_the_person_who_is_there_has_looked() -> None:
    bench = RecoveryBench(operator=Script([(5.0, Resume(who=ME))]), question=odd_from_one_second_on)
    assert bench.session.run().outcome == "done"
    assert np.ptp(sent(bench, 1.6, 5.0), axis=0).max() < 1e-6
    assert np.ptp(sent(bench, 5.0)[:, 0]) > 0.1
    assert bench.modes() == ["engaged", "holding", "engaged", "idle"]
    reasons = [event.reason for event in bench.events if isinstance(event, ModeChanged)]
    assert reasons[1] == "The plan is 90 mm off."


@pytest.mark.slow
def test_a_step_follows_one_decision_and_stands_again() -> None:
    bench = played((1.0, Hold(who=ME)), (2.0, StepOnce(who=ME)))
    assert np.ptp(sent(bench, 2.0, 3.6)[:, 0]) > 0.05
    assert np.ptp(sent(bench, 4.3, 8.0), axis=0).max() < 1e-6
    assert bench.modes() == ["engaged", "holding", "engaged", "holding", "idle"]


@pytest.mark.slow
def test_a_person_jogs_the_tool_where_it_should_be_and_hands_back_without_a_jump() -> None:
    by = (0.0, 0.02, 0.02)
    bench = played(
        (1.0, TakeOver(who=ME)), (2.0, JogTool(who=ME, arm="right", by_m=by)), (4.0, HandBack(who=ME)), goal_s=6.0
    )
    before, after = (tool_poses(sent(bench, at, at + 0.02)[0])[0][1] for at in (1.9, 3.9))
    assert after - before == pytest.approx(by, abs=1e-3)
    assert (np.abs(np.diff(sent(bench), axis=0)) / TICK_S <= LIMITS.velocity * 1.001).all()
    assert bench.modes() == ["engaged", "operator", "holding", "engaged", "idle"]


@pytest.mark.slow
def test_a_person_moves_one_joint_within_its_range() -> None:
    bench = played(
        (1.0, TakeOver(who=ME)),
        (2.0, JogJoint(who=ME, joint="right_joint1", by=0.2)),
        (3.0, JogJoint(who=ME, joint="right_gripper", by=9.0)),
    )
    last = sent(bench)[-1]
    assert last[7] == pytest.approx(HOME[7] + 0.2, abs=1e-3)
    assert last[13] == 1.0


@pytest.mark.slow
def test_a_hold_while_the_person_steers_stands_at_once_and_goes_on_with_the_next_jog() -> None:
    far, near = (0.0, 0.2, 0.0), (0.0, 0.0, 0.02)
    bench = played(
        (1.0, TakeOver(who=ME)),
        (1.5, JogTool(who=ME, arm="left", by_m=far)),
        (1.8, Hold(who=ME)),
        (4.0, JogTool(who=ME, arm="left", by_m=near)),
        (6.0, HandBack(who=ME)),
    )
    assert np.ptp(sent(bench, 1.5, 1.8), axis=0).max() > 0.01
    assert np.ptp(sent(bench, 2.1, 4.0), axis=0).max() < 1e-9
    before, after = (tool_poses(sent(bench, at, at + 0.02)[0])[0][0] for at in (3.9, 5.9))
    assert after - before == pytest.approx(near, abs=1e-3)
    assert [event.accepted for event in acts(bench)] == [True] * 5
    assert bench.modes() == ["engaged", "operator", "holding", "engaged", "idle"]


@pytest.mark.slow
def test_every_time_a_person_makes_the_arms_stand_it_is_measured_whether_they_do() -> None:
    bench = played((1.0, Hold(who=ME)), (2.0, StepOnce(who=ME)), (5.0, TakeOver(who=ME)), (6.0, Hold(who=ME)))
    stops = [event for event in bench.events if isinstance(event, Stopped)]
    assert [(event.cause, event.how, event.verdict) for event in stops] == [
        ("Ada: Hold", "hold", "standing"),
        ("the operator holds", "hold", "standing"),  # the one step is done
        ("Ada: TakeOver", "hold", "standing"),
        ("Ada: Hold", "hold", "standing"),
        ("The task is done.", "hold", "standing"),
    ]
    assert [event.commanded_ns / 1e9 for event in stops[:1]] == [1.0]


@pytest.mark.slow
def test_a_person_who_is_refused_again_and_again_is_no_livelock() -> None:
    down = JogTool(who=ME, arm="left", by_m=(0.0, 0.0, -0.6))
    pressed = [(2.0 + 0.4 * press, down) for press in range(12)]
    bench = played((1.0, TakeOver(who=ME)), *pressed, (7.5, HandBack(who=ME)), goal_s=9.0)
    refused = [
        event for event in bench.events if isinstance(event, Judged) and event.gate == "vetting" and event.findings
    ]
    assert len(refused) > 7


@pytest.mark.slow
def test_what_it_is_not_the_time_for_is_refused_and_written_down() -> None:
    bench = played(
        (1.0, JogTool(who=ME, arm="left", by_m=(0.1, 0.0, 0.0))),
        (1.1, Resume(who=ME)),
        (1.2, HandBack(who=ME)),
        (1.3, StepOnce(who=ME)),
        (1.4, EditTrace(who=ME, arm="left", by_m=(0.1, 0.0, 0.0))),
        goal_s=3.0,
    )
    assert [event.accepted for event in acts(bench)] == [False] * 5
    assert all("Not now" in event.details for event in acts(bench)[:4])
    assert "no trace can be edited" in acts(bench)[4].details
    assert bench.modes() == ["engaged", "idle"]


@pytest.mark.slow
def test_the_ladder_leaves_a_person_alone() -> None:
    bench = RecoveryBench(
        thing=lambda seconds: 0.0, operator=Script([(0.5, TakeOver(who=ME)),
        (1.0, JogJoint(who=ME, joint="left_gripper", by=-1.0))]), goal_s=9.0,
    )  # fmt: skip
    assert bench.session.run().outcome == "done"
    assert bench.began() == []


def test_a_way_that_vetting_refuses_is_not_gone_though_a_person_wants_it() -> None:
    bench = played((0.5, TakeOver(who=ME)), (1.0, JogTool(who=ME, arm="left", by_m=(0.0, 0.0, -0.6))), goal_s=3.0)
    assert tool_poses(sent(bench)[-1])[0][0, 2] > -0.01


def test_keys_are_acts_and_other_keys_are_nothing() -> None:
    keyboard = Keyboard(io.StringIO(" ?tW"), keys(ME))
    found: list[Act] = []
    until = time.monotonic() + 60.0
    while len(found) < 3 and time.monotonic() < until:
        if (act := keyboard.poll(0)) is not None:
            found.append(act)
    assert found == [Hold(who=ME), TakeOver(who=ME), JogTool(who=ME, arm="right", by_m=(0.01, 0.0, 0.0))]


def test_a_keyboard_that_ends_says_so_after_what_was_pressed() -> None:
    keyboard = Keyboard(io.StringIO(" "), keys(ME))
    until, found = time.monotonic() + 60.0, None
    while found is None and time.monotonic() < until:
        found = keyboard.poll(0)
    assert found == Hold(who=ME)
    with pytest.raises(InputError, match=r"keyboard: got its end, .*; start again in a terminal"):
        listen(keyboard)
    with pytest.raises(InputError, match="keyboard"):  # and it stays so
        keyboard.poll(0)


def test_a_terminal_that_closes_under_its_keyboard_says_so() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as stream:
        keyboard = Keyboard(stream, keys(ME))
        assert keyboard.poll(0) is None
        os.close(ours)
        with pytest.raises(InputError, match=r"keyboard: got .*has to be there while it is used"):
            listen(keyboard)


def test_a_keyboard_that_is_lost_while_its_person_steers_ends_the_session_in_a_stop() -> None:
    bench = RecoveryBench(operator=Keyboard(io.StringIO("t"), keys(ME)), goal_s=60.0)
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "keyboard" in ended.reason


def listen(keyboard: Keyboard) -> None:
    for _ in range(1000):
        keyboard.poll(0)
        time.sleep(0.005)


def test_a_capital_letter_is_the_right_arm_and_its_small_one_the_left() -> None:
    meaning = keys(ME)
    for letter in "wxadecopikjlun":
        small, capital = meaning[letter], meaning[letter.upper()]
        if isinstance(small, JogTool | EditTrace):
            assert isinstance(capital, type(small))
            assert (small.arm, capital.arm) == ("left", "right")
            assert small.by_m == capital.by_m
        else:
            assert isinstance(small, JogJoint)
            assert isinstance(capital, JogJoint)
            assert (small.joint, capital.joint) == ("left_gripper", "right_gripper")


def test_a_script_is_parsed_line_by_line() -> None:
    written = ["# a visit", "1 hold", "2.5 jog right 0 0.01 -0.02  # aside", "3 move left_joint1 0.1",
               "3.5 edit left 0 -0.06 0.08", "4 step"]  # fmt: skip
    parsed = script(written, ME)
    assert [parsed.poll(round(at * 1e9)) for at in (0.0, 0.9, 1.0, 2.5, 3.0, 3.5, 4.0, 9.0)] == [
        None,
        None,
        Hold(who=ME),
        JogTool(who=ME, arm="right", by_m=(0.0, 0.01, -0.02)),
        JogJoint(who=ME, joint="left_joint1", by=0.1),
        EditTrace(who=ME, arm="left", by_m=(0.0, -0.06, 0.08)),
        StepOnce(who=ME),
        None,
    ]


@pytest.mark.parametrize(
    "line",
    ["hold", "1", "1 halt", "1 hold fast", "-1 hold", "nan hold", "1 jog middle 0 0 0", "1 jog left 0 0", "1 jog left 0 0 nan",
     "1 move elbow 1", "0.4 hold", "1 edit left 0 0", "1 edit left 0 0 inf"],
)  # fmt: skip
def test_a_line_that_is_no_act_is_refused_with_what_is_allowed(line: str) -> None:
    with pytest.raises(InputError, match=r"script line 2: got .*, allowed is SECONDS hold"):
        script(["0.5 hold", line], ME)


@pytest.mark.parametrize("line", ["1 edit left 0 0 0.2", "1 edit right 0.08 0.08 0"])
def test_a_line_that_asks_for_too_much_says_how_much_is_allowed(line: str) -> None:
    with pytest.raises(
        InputError, match=r"script line 1: edit: got \(0.*\) m, allowed are at most 0.1 m .*; ask for less"
    ):
        script([line], ME)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: JogTool(who=ME, arm="left", by_m=(np.nan, 0.0, 0.0)), "jog: got .*nan.*at most 1 m"),
        (lambda: JogTool(who=ME, arm="left", by_m=(0.0, 1e308, 1e308)), "jog: got .*at most 1 m"),
        (
            lambda: JogTool(who=ME, arm="middle", by_m=(0.0, 0.0, 0.0)),
            "jog: arm: got 'middle', allowed are left or right",
        ),
        (lambda: JogJoint(who=ME, joint="left_joint9", by=0.1), "joint: got 'left_joint9', allowed are left_joint1"),
        (lambda: JogJoint(who=ME, joint="left_joint1", by=np.inf), "left_joint1: got inf, allowed is a finite number"),
        (lambda: EditTrace(who=ME, arm="left", by_m=(0.0, np.nan, 0.0)), "edit: got .*nan.*at most 0.1 m"),
        (lambda: EditTrace(who=ME, arm="Left", by_m=(0.0, 0.0, 0.0)), "edit: arm: got 'Left'.*did you mean 'left'"),
    ],
)
def test_an_act_cannot_be_made_of_no_number_no_arm_and_no_joint(make: Callable[[], Act], says: str) -> None:
    with pytest.raises(InputError, match=says):
        make()


def test_edits_that_wait_add_up_to_a_tenth_of_a_metre_and_no_more() -> None:
    desk, step = TraceDesk(), keys(ME)["u"]
    assert isinstance(step, EditTrace)
    for _ in range(10):
        desk.put(step)
    with pytest.raises(InputError, match=r"edit, with those that wait: got \(0.0, 0.0, 0.1.*at most 0.1 m"):
        desk.put(step)
    desk.put(keys(ME)["U"])  # pyright: ignore[reportArgumentType]  # the other arm has its own tenth
    edited = desk(ANYTHING, np.zeros((2, 5, 4)))  # pyright: ignore[reportArgumentType]  # it looks at the trace alone
    assert edited[:, :, 2] == pytest.approx(np.tile([[0.1], [0.01]], 5))


def test_an_edit_that_goes_too_far_is_refused_and_written_down() -> None:
    edit = EditTrace(who=ME, arm="left", by_m=(0.0, 0.0, 0.08))
    bench = RecoveryBench(operator=Script([(1.0, edit), (1.1, edit)]), desk=TraceDesk(), goal_s=2.0)
    assert bench.session.run().outcome == "done"
    first, second = acts(bench)
    assert (first.who, first.accepted, second.accepted) == (ME, True, False)
    assert "Not that far: edit, with those that wait: got (0.0, 0.0, 0.16) m" in second.details


class Edited(Grasps):
    """Has its trace edited at a desk; says so by a latency of a second, and is refused then if `refused`."""

    def __init__(self, desk: TraceDesk, *, refused: bool = False, broken: bool = False) -> None:
        super().__init__()
        self._desk, self._refused, self._broken = desk, refused, broken

    def decide(self, request: Request) -> Decision:
        decision, seen = super().decide(request), request.observation
        if not self._desk(seen, np.zeros((2, 5, 4))).any():
            return decision
        if self._broken:
            raise RuntimeError("out of memory")
        return replace(decision, latency_s=1.0, epoch=seen.epoch + self._refused)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["refused", "broken"])
def test_an_edit_whose_decision_is_refused_holds_the_arms_and_the_person_is_told(how: str) -> None:
    desk = TraceDesk()
    edit = EditTrace(who=ME, arm="left", by_m=(0.0, 0.0, 0.08))
    acting = Script([(1.0, edit), (4.0, edit), (4.1, Resume(who=ME)), (7.0, Resume(who=ME))])
    bench = RecoveryBench(
        operator=acting, desk=desk, policy=Edited(desk, refused=how == "refused", broken=how == "broken")
    )
    assert bench.session.run().outcome == "done"
    assert [(event.act, event.accepted) for event in acts(bench)] == [
        ("EditTrace", True), ("EditTrace", False), ("EditTrace", True), ("Resume", True), ("EditTrace", False), ("Resume", True),
    ]  # fmt: skip
    assert acts(bench)[1].who == ME
    assert "The decision that was made with the edit was refused" in acts(bench)[1].details
    assert np.ptp(sent(bench, 3.0, 4.1), axis=0).max() < 1e-6
    assert np.ptp(sent(bench, 7.0)[:, 0]) > 0.01


@pytest.mark.parametrize(
    "late_s", [0.56, *(pytest.param(at, marks=pytest.mark.slow) for at in (0.0, 0.05, 0.3, 0.55, 0.58, 0.6, 0.65, 0.7))]
)
def test_an_edit_is_followed_once_whenever_its_person_holds(late_s: float) -> None:
    desk = TraceDesk()
    edit = EditTrace(who=ME, arm="left", by_m=(0.0, 0.0, 0.08))
    acting = Script([(1.0, edit), (1.0 + late_s, Hold(who=ME)), (3.0, Resume(who=ME))])
    bench = RecoveryBench(operator=acting, desk=desk, policy=Edited(desk), goal_s=4.5)
    assert bench.session.run().outcome == "done"
    edited = [event for event in bench.events if isinstance(event, Decided) and event.decision.latency_s == 1.0]
    assert len(edited) == 1


def test_an_edit_of_the_decision_that_is_asked_for_ahead_of_a_recoverys_end_is_followed_once() -> None:
    desk = TraceDesk()
    acting = Script([(2.6, EditTrace(who=ME, arm="left", by_m=(0.0, 0.0, 0.08)))])
    bench = RecoveryBench(
        thing=lambda seconds: 0.39 if seconds > 2.5 else 0.0,
        operator=acting, desk=desk, policy=Edited(desk), latency_s=0.3, goal_s=6.0,
    )  # fmt: skip
    assert bench.session.run().outcome == "done"
    edited = [event for event in bench.events if isinstance(event, Decided) and event.decision.latency_s == 1.0]
    recovered_ns = next(event.stamp_ns for event in bench.events if isinstance(event, ModeChanged)
                        and event.trigger == "recovered")  # fmt: skip
    assert [event.decision.chunk.stamp_ns < recovered_ns < event.stamp_ns for event in edited] == [True]


def test_an_edit_waits_for_the_one_before_it_to_be_settled_and_one_that_nobody_took_is_made_again() -> None:
    desk, lift = TraceDesk(), EditTrace(who=ME, arm="left", by_m=(0.0, 0.0, 0.03))

    def height() -> float:
        return float(desk(ANYTHING, np.zeros((2, 5, 4)))[0, 0, 2])  # pyright: ignore[reportArgumentType]

    desk.put(lift)
    assert (height(), desk.made_ns) == (0.03, 7)
    desk.put(lift)
    assert height() == 0.0
    desk.restore()
    assert height() == pytest.approx(0.06)
    desk.settle()
    assert (height(), desk.made_ns) == (0.0, None)


def test_an_edit_is_made_to_one_trace_alone() -> None:
    desk, traces = TraceDesk(), np.zeros((2, 5, 4))
    desk.put(EditTrace(who=ME, arm="right", by_m=(0.0, 0.0, 0.03)))
    edited = desk(ANYTHING, traces)  # pyright: ignore[reportArgumentType]  # it looks at the trace alone
    assert (edited[1, :, 2] == 0.03).all()
    assert edited.sum() == pytest.approx(5 * 0.03)
    assert (desk(ANYTHING, traces) == traces).all()  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_a_person_takes_over_in_the_cell_jogs_three_centimetres_hands_back_and_the_task_is_done() -> None:
    acting = Script(
        [
            (0.5, Hold(who=ME)),
            (1.0, TakeOver(who=ME)),
            (1.5, JogTool(who=ME, arm="left", by_m=(0.0, 0.03, 0.0))),
            (2.5, HandBack(who=ME)),
        ]
    )
    setup, seen = task_named("put-in-box").sample(1), list[OperatorActed]()
    simulation = Simulation(setup, policy_named("model"), operator=acting)
    run = simulation.run(seed=1, emit=lambda event: seen.append(event) if isinstance(event, OperatorActed) else None)
    assert [event.accepted for event in seen] == [True] * 4
    assert run.ended.outcome == "done"


@pytest.mark.slow
def test_an_edited_trace_is_what_the_next_decision_says_and_where_the_arms_go() -> None:
    ended_at: list[np.ndarray] = []
    stated: list[np.ndarray] = []
    for edits in ([], [(0.6, EditTrace(who=ME, arm="left", by_m=(0.0, 0.0, 0.04)))]):
        desk = TraceDesk()
        acting = Script([(0.3, Hold(who=ME)), *edits, (0.8, StepOnce(who=ME))])
        policy = policy_named("model", intervene=lambda robot, desk=desk: Intervention(trace=desk))
        setup = replace(task_named("put-in-box").sample(1), time_limit_s=2.6)
        plans: list[np.ndarray] = []
        sent_last = [np.empty(0)]

        def see(event: Event, plans: list[np.ndarray] = plans, sent_last: list[np.ndarray] = sent_last) -> None:
            if isinstance(event, Decided) and event.decision.plan is not None:
                plans.append(event.decision.plan.trace)
            elif isinstance(event, Commanded):
                sent_last[0] = np.array(event.positions)

        Simulation(setup, policy, operator=acting, desk=desk).run(seed=1, emit=see)
        stated.append(plans[-1])
        ended_at.append(tool_poses(sent_last[0])[0][0])
    assert stated[1][0] - stated[0][0] == pytest.approx(np.tile([0.0, 0.0, 0.04], (5, 1)), abs=1e-6)
    assert stated[1][1] == pytest.approx(stated[0][1], abs=1e-6)
    assert ended_at[1][2] - ended_at[0][2] > 0.015
