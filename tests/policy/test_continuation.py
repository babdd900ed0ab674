from dataclasses import replace

import numpy as np
import pytest
import torch

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import NANOSECONDS, SimulatedClock
from forearm.events import Event, Judged
from forearm.messages import ActionChunk, Floats, Observation, Outcome, Request, VettedChunk
from forearm.model import checkpoint
from forearm.policy.acting import PERIOD_S
from forearm.policy.continuation import Continuation, continuation, rows_at
from forearm.policy.reasoning import ReasoningPolicy
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses
from forearm.runtime.simulation import Simulation

SHIFT = 3  # rows, between the observation of one chunk and that of the next
JOINTS = 14


def ns(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def ramp(rows: int, *, stamp_s: float = 1.0, period_s: float = 0.1) -> ActionChunk:
    """Every joint moves at 1 /s: it is where its instant says, s after the stamp."""
    steady = period_s * np.arange(1, rows + 1)
    return ActionChunk(stamp_ns=ns(stamp_s), period_s=period_s, positions=np.tile(steady[:, None], JOINTS))


def asked(following: ActionChunk | None, *, at_s: float, delay_s: float) -> Request:
    observation = Observation(
        stamp_ns=ns(at_s), sequence=1, epoch=1, positions=np.zeros(JOINTS), velocities=np.zeros(JOINTS),
        efforts=np.zeros(JOINTS), images={}, depths={}, instruction="",
    )  # fmt: skip
    vetted = None if following is None else VettedChunk(chunk=following, sequence=0, epoch=1)
    return Request(observation=observation, following=vetted, delay_s=delay_s)


def continued(following: ActionChunk | None, *, at_s: float, delay_s: float) -> Continuation:
    return continuation(asked(following, at_s=at_s, delay_s=delay_s), period_s=0.1, rows=16)


def test_where_nothing_is_followed_nothing_is_known_and_the_arms_stand_where_they_are() -> None:
    before = continued(None, at_s=1.3, delay_s=0.1)
    assert (before.frozen, before.known) == (0, 0)
    assert before.rows.tolist() == np.zeros((16, JOINTS)).tolist()
    scales = checkpoint.read(checkpoint.SHIPPED).scales
    assert (
        before.known_rows(scales.encode(before.rows[None].astype(np.float32), np.zeros((1, JOINTS), np.float32)))
        is None
    )


@pytest.mark.parametrize("at_s", [1.3, 1.337])
@pytest.mark.parametrize("period_s", [0.1, 0.17])
def test_rows_are_where_the_followed_chunk_is_at_their_instants(at_s: float, period_s: float) -> None:
    before = continued(ramp(16, period_s=period_s), at_s=at_s, delay_s=0.1)
    wanted = np.minimum(at_s - 1.0 + 0.1 * np.arange(1, 17), 16 * period_s)
    np.testing.assert_allclose(before.rows, np.tile(wanted[:, None], JOINTS), atol=1e-9)


@pytest.mark.parametrize(("delay_s", "frozen"), [(0.0, 1), (0.05, 1), (0.29, 3), (0.3, 4), (0.31, 4)])
def test_the_rows_past_or_under_way_when_the_answer_comes_are_frozen(delay_s: float, frozen: int) -> None:
    before = continued(ramp(16), at_s=1.3, delay_s=delay_s)
    assert (before.frozen, before.known) == (frozen, 13)


def test_no_more_is_frozen_than_the_followed_chunk_has_left() -> None:
    before = continued(ramp(5), at_s=1.3, delay_s=0.6)
    assert (before.frozen, before.known) == (2, 2)


@pytest.mark.parametrize(("delay_s", "standing"), [(0.0, 0), (0.05, 0), (0.3, 3), (0.39, 3), (9.0, 16)])
def test_arms_that_follow_nothing_stand_for_every_whole_row_of_the_delay(delay_s: float, standing: int) -> None:
    assert continued(None, at_s=1.3, delay_s=delay_s).standing == standing


@pytest.mark.parametrize(("left", "standing"), [(0, 6), (2, 4), (6, 0), (13, 0)])
def test_arms_stand_from_the_end_of_what_they_follow_until_the_answer(left: int, standing: int) -> None:
    before = continued(ramp(3 + left), at_s=1.3, delay_s=0.6)
    assert (before.known, before.standing) == (left, standing)


def test_a_motion_waits_for_as_long_as_the_arms_stand_and_none_of_its_rows_is_lost() -> None:
    before, motion = continued(ramp(5), at_s=1.3, delay_s=0.6), ramp(16, stamp_s=1.3)
    waited = before.after_standing(motion).positions
    assert waited[:2].tolist() == motion.positions[:2].tolist()
    np.testing.assert_allclose(np.delete(waited[2:6], BIMANUAL_YAM.grippers, axis=1), 0.5)  # where that ended
    assert waited[6:].tolist() == motion.positions[2:].tolist()
    assert before.times_s((1, 2, 3, 10), 0.1) == pytest.approx([0.1, 0.2, 0.7, 1.4])


def test_a_motion_that_comes_in_time_is_left_as_it_is() -> None:
    before, motion = continued(ramp(16), at_s=1.3, delay_s=0.6), ramp(16, stamp_s=1.3)
    assert before.after_standing(motion) is motion
    assert before.times_s((3, 6), 0.1).tolist() == (np.array((3, 6)) * 0.1).tolist()


@pytest.mark.parametrize(("told", "waits"), [(0.0, 0.0), (1.0, 0.4)])
def test_while_the_arms_stand_a_gripper_that_holds_something_is_not_loosened(told: float, waits: float) -> None:
    request = asked(None, at_s=1.0, delay_s=0.3)
    pose = np.full(JOINTS, 0.4)
    request = replace(request, observation=replace(request.observation, positions=pose))
    motion = replace(ramp(16), positions=np.full((16, JOINTS), told))
    waited = continuation(request, period_s=0.1, rows=16).after_standing(motion).positions[:3]
    np.testing.assert_allclose(waited[:, BIMANUAL_YAM.grippers], waits)
    np.testing.assert_allclose(np.delete(waited, BIMANUAL_YAM.grippers, axis=1), 0.4)


def test_a_plan_begins_with_where_the_frozen_rows_take_the_tools() -> None:
    before, traces = continued(ramp(16), at_s=1.3, delay_s=0.6), torch.zeros(1, 2, 4, 4)
    led = before.led(traces, (3, 7, 8, 10))
    for waypoint, tick in enumerate((3, 7)):
        row = before.rows[tick - 1]
        np.testing.assert_allclose(led[0, :, waypoint, :3], tool_poses(row)[0], atol=1e-6)
        np.testing.assert_allclose(led[0, :, waypoint, 3], row[BIMANUAL_YAM.grippers], atol=1e-6)
    assert not led[:, :, 2:].any()
    assert not traces.any()


def test_a_plan_whose_first_waypoint_is_not_frozen_is_left_as_it_is() -> None:
    traces = torch.zeros(1, 2, 4, 4)
    assert continued(ramp(16), at_s=1.3, delay_s=0.19).led(traces, (3, 6, 7, 10)) is traces


def test_times_of_a_clock_that_runs_since_long_ago_are_told_apart() -> None:
    late = replace(ramp(16), stamp_ns=ns(1e9))
    rows = rows_at(late, np.array([late.stamp_ns + ns(0.25)]))
    np.testing.assert_allclose(rows, 0.25, atol=1e-9)


@pytest.fixture(scope="module")
def seen() -> Observation:
    robot = CellRobot(setup=task_named("lift").sample(7100), clock=SimulatedClock())
    robot.connect(epoch=1)
    observation = robot.read()
    robot.close()
    return observation


def chunk_rows(policy: ReasoningPolicy, request: Request) -> Floats:
    return policy.decide(request).chunk.positions


def test_the_shipped_model_begins_with_the_rows_that_will_have_been_carried_out(seen: Observation) -> None:
    policy = ReasoningPolicy.load()
    first = policy.decide(Request(observation=seen)).chunk
    later = replace(seen, sequence=seen.sequence + 1, stamp_ns=seen.stamp_ns + ns(SHIFT * PERIOD_S))
    followed = VettedChunk(chunk=first, sequence=0, epoch=1)
    continued = chunk_rows(policy, Request(observation=later, following=followed, delay_s=0.3))
    free = chunk_rows(policy, Request(observation=later))
    wanted = first.positions[SHIFT : SHIFT + 3]
    assert np.abs(continued[:3] - wanted).max() < 0.02  # rad or opening
    assert np.abs(free[:3] - wanted).max() > 0.04


def test_what_the_shipped_model_says_begins_with_what_the_arms_do_until_its_answer_comes(seen: Observation) -> None:
    policy = ReasoningPolicy.load()
    first = policy.decide(Request(observation=seen)).chunk
    astray = replace(first, positions=first.positions + 0.2 * (np.arange(JOINTS) == 0))
    followed = VettedChunk(chunk=astray, sequence=0, epoch=1)
    plan = policy.decide(Request(observation=seen, following=followed, delay_s=0.6)).plan
    assert plan is not None
    tools = tool_poses(astray.positions[[2, 5]])[0].swapaxes(0, 1)  # 0.3 and 0.6 s after the observation
    np.testing.assert_allclose(plan.trace[:, :2], tools, atol=1e-6)


def test_the_shipped_model_says_and_does_the_same_from_rest_however_long_it_thinks_only_later(
    seen: Observation,
) -> None:
    policy = ReasoningPolicy.load()
    soon, late = (policy.decide(Request(observation=seen, delay_s=delay_s)) for delay_s in (0.0, 0.6))
    assert soon.plan is not None
    assert late.plan is not None
    assert late.chunk.positions[6:].tolist() == soon.chunk.positions.tolist()
    assert late.plan.trace.tolist() == soon.plan.trace.tolist()
    np.testing.assert_allclose(late.plan.trace_times_s, soon.plan.trace_times_s + 0.6)


@pytest.mark.slow
def test_answers_that_take_six_rows_are_all_let_through_and_the_task_is_done() -> None:
    refused: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, Judged) and event.gate == "vetting" and event.outcome >= Outcome.HOLD:
            refused.append(event.findings[0].text)

    run = Simulation(task_named("lift").sample(9000), lambda _: ReasoningPolicy.load(), latency_s=0.6, recovers=False)
    assert run.run(seed=9000, emit=note).ended.outcome == "done"
    assert refused == []
