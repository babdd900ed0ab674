from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime_stubs import HOME, LIMITS, Bench, ObedientRobot, Wave

from forearm.clock import SimulatedClock
from forearm.errors import InstructionError
from forearm.messages import Decision, Floats, Image, Observation, Outcome, Plan, Request, VettedChunk
from forearm.robot.kinematics import tool_poses
from forearm.runtime.inference import Answer, SimulatedInference, think
from forearm.runtime.understanding import LOOKS, Understanding
from forearm.safety.vetting import Vetting

NOWHERE: Floats = np.full((2, 2), np.nan)
SOMEWHERE: Floats = np.array([[np.nan, np.nan], [0.4, 0.6]])
HALF: Floats = np.array([[np.nan, 0.5], [np.inf, 0.6]])


def pointing(decision: Decision, points: Floats) -> Decision:
    """With a plan that says what its chunk does, and points there."""
    plan = Plan(
        subtask="wave",
        depth_tokens=np.zeros(0, dtype=np.int64),
        depth_map=np.ones((10, 10)),
        points=points,
        trace=tool_poses(decision.chunk.positions[[1, 4]])[0].transpose(1, 0, 2),
        trace_grippers=np.ones((2, 2)),
        trace_times_s=np.array([0.2, 0.5]),
        confidence=1.0,
    )
    return replace(decision, plan=plan)


def session(*points: Floats) -> tuple[Bench, Wave]:
    """A session with a policy whose plans point there in turn, and at last always as the last one."""
    policy = Wave(lambda number, decision: pointing(decision, points[min(number, len(points)) - 1]))
    return Bench(policy, inference=Understanding(SimulatedInference(policy, Vetting(LIMITS)))), policy


@pytest.mark.parametrize(
    "nothing", [NOWHERE, *(pytest.param(each, marks=pytest.mark.slow) for each in (HALF, np.zeros((0, 2))))]
)
def test_what_is_not_seen_in_three_looks_is_refused_before_any_motion(nothing: Floats) -> None:
    bench, policy = session(nothing)
    ended = bench.session.run()
    assert ended.outcome == "refused"
    assert "I do not see what 'wave' asks for" in ended.reason
    assert policy.asked == LOOKS
    np.testing.assert_array_equal(bench.robot.positions, HOME)
    assert all((event.positions == HOME).all() for event in bench.events if event.kind == "commanded")
    assert bench.modes() == []  # never engaged


def test_looks_are_in_the_log_with_the_reason_and_each_is_at_newer_images() -> None:
    bench, policy = session(NOWHERE)
    bench.session.run()
    judged = [event for event in bench.events if event.kind == "judged" and event.gate == "vetting"]
    decided = [event for event in bench.events if event.kind == "decided"]
    assert {event.outcome for event in judged} == {Outcome.HOLD}
    assert {event.findings[-1].check for event in judged} == {"instruction"}
    assert len(decided) == len(judged) > 0
    captured = [min(image.stamp_ns for image in each.observation.images.values()) for each in policy.requests]
    asked = [each.observation.stamp_ns for each in policy.requests]
    assert all(before < after for before, after in zip(asked, captured[1:], strict=False))


@pytest.mark.slow
def test_what_is_seen_at_the_second_look_is_done_and_later_plans_may_name_nothing() -> None:
    bench, policy = session(NOWHERE, SOMEWHERE, NOWHERE)
    assert bench.session.run().outcome == "done"
    assert policy.asked > LOOKS + 2
    assert not np.array_equal(bench.robot.positions, HOME)


@pytest.mark.slow
def test_a_policy_without_plans_is_followed() -> None:
    policy = Wave()
    bench = Bench(policy, inference=Understanding(SimulatedInference(policy, Vetting(LIMITS))))
    assert bench.session.run().outcome == "done"


class Flags(ObedientRobot):
    """Sees a grey table, what is red on its left and what is blue on its right, and is asked for the red."""

    def read(self) -> Observation:
        seen = super().read()
        pixels = np.full((40, 40, 3), 180, dtype=np.uint8)
        pixels[16:25, 6:15], pixels[16:25, 26:35] = (200, 40, 30), (35, 75, 195)
        pixels[0, 0] = seen.stamp_ns // 100_000_000 % 251  # never the picture before it
        image = Image(stamp_ns=seen.images["top"].stamp_ns, pixels=pixels)
        return replace(seen, images={**seen.images, "top": image}, instruction="wave the red flag")


RED: Floats = np.array([[np.nan, np.nan], [0.25, 0.5]])
BLUE: Floats = np.array([[0.75, 0.5], [np.nan, np.nan]])
BOTH: Floats = np.array([[0.75, 0.5], [0.25, 0.5]])
TABLE: Floats = np.array([[0.5, 0.9], [np.nan, np.nan]])


def among_flags(*points: Floats, goes_by_colour: bool = True) -> Bench:
    policy = Wave(lambda number, decision: pointing(decision, points[min(number, len(points)) - 1]))
    thinking = SimulatedInference(policy, Vetting(LIMITS))
    return Bench(policy, robot=Flags, inference=Understanding(thinking, goes_by_colour=goes_by_colour))


@pytest.mark.parametrize("elsewhere", [BLUE, TABLE])
def test_a_plan_that_points_at_what_was_not_said_is_refused_before_any_motion(elsewhere: Floats) -> None:
    bench = among_flags(elsewhere)
    ended = bench.session.run()
    assert ended.outcome == "refused"
    assert "no plan named a place that is red" in ended.reason
    np.testing.assert_array_equal(bench.robot.positions, HOME)


@pytest.mark.parametrize(
    "points", [(BLUE, RED, BLUE), *(pytest.param(each, marks=pytest.mark.slow) for each in ((RED,), (BOTH,)))]
)
def test_a_plan_that_points_at_what_was_said_is_followed_and_may_point_elsewhere_later(
    points: tuple[Floats, ...],
) -> None:
    assert among_flags(*points).session.run().outcome == "done"


@pytest.mark.slow
def test_a_test_may_point_elsewhere_on_purpose() -> None:
    assert among_flags(BLUE, goes_by_colour=False).session.run().outcome == "done"


class Answers:
    """An inference that gives these, one at each `take`."""

    def __init__(self, answers: list[Answer]) -> None:
        self._answers = answers
        self.closed = False

    def offer(self, observation: Observation, needed_ns: int, following: VettedChunk | None = None) -> None:
        """Nothing to think about."""

    def take(self, now_ns: int) -> Answer | None:
        return self._answers.pop(0) if self._answers else None

    def close(self) -> None:
        self.closed = True


def answer(points: Floats, outcome: Outcome) -> Answer:
    robot = ObedientRobot(SimulatedClock())
    robot.connect(1)
    policy = Wave(lambda number, decision: pointing(decision, points))
    given_ = think(policy, Vetting(LIMITS), Request(observation=robot.read()), lambda: 0)
    vetted = given_.verdict.vetted if outcome is Outcome.ALLOW else None
    return replace(given_, verdict=replace(given_.verdict, outcome=outcome, vetted=vetted))


ANSWERS = {(name, outcome): answer(points, outcome)
           for name, points in (("nowhere", NOWHERE), ("somewhere", SOMEWHERE))
           for outcome in (Outcome.ALLOW, Outcome.HOLD, Outcome.STOP)}  # fmt: skip


@given(st.lists(st.sampled_from(sorted(ANSWERS)), max_size=12))
def test_nothing_gets_through_before_a_plan_that_names_a_place_and_stops_always_do(
    kinds: list[tuple[str, Outcome]],
) -> None:
    inference = Understanding(Answers([ANSWERS[kind] for kind in kinds]))
    blank, begun = 0, False
    for name, outcome in kinds:
        blank += not begun and name == "nowhere" and outcome is not Outcome.STOP
        if blank == LOOKS:
            with pytest.raises(InstructionError, match="I do not see"):
                inference.take(0)
            return
        given_ = inference.take(0)
        assert given_ is not None
        begun |= name == "somewhere" and outcome is Outcome.ALLOW
        assert (given_.verdict.vetted is not None) == (begun and outcome is Outcome.ALLOW)
        assert given_.verdict.outcome is (Outcome.HOLD if not begun and outcome is Outcome.ALLOW else outcome)


def test_the_end_reaches_the_thinking_side() -> None:
    inside = Answers([])
    Understanding(inside).close()
    assert inside.closed
