from dataclasses import replace

import numpy as np
import pytest

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import NANOSECONDS, SimulatedClock
from forearm.messages import ActionChunk, Floats, Observation, Request, VettedChunk
from forearm.policy.acting import PERIOD_S
from forearm.policy.continuation import continuation, rows_at
from forearm.policy.reasoning import ReasoningPolicy

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


def test_where_nothing_is_followed_nothing_is_continued() -> None:
    assert continuation(asked(None, at_s=1.3, delay_s=0.1), period_s=0.1, rows=16) is None


@pytest.mark.parametrize("at_s", [1.3, 1.337])
@pytest.mark.parametrize("period_s", [0.1, 0.17])
def test_rows_are_where_the_followed_chunk_is_at_their_instants(at_s: float, period_s: float) -> None:
    before = continuation(asked(ramp(16, period_s=period_s), at_s=at_s, delay_s=0.1), period_s=0.1, rows=16)
    assert before is not None
    wanted = np.minimum(at_s - 1.0 + 0.1 * np.arange(1, 17), 16 * period_s)
    np.testing.assert_allclose(before.rows, np.tile(wanted[:, None], JOINTS), atol=1e-9)


@pytest.mark.parametrize(("delay_s", "frozen"), [(0.0, 0), (0.05, 1), (0.3, 3), (0.31, 4)])
def test_the_rows_begun_when_the_answer_comes_are_frozen(delay_s: float, frozen: int) -> None:
    before = continuation(asked(ramp(16), at_s=1.3, delay_s=delay_s), period_s=0.1, rows=16)
    assert before is not None
    assert (before.frozen, before.known) == (frozen, 13)


def test_no_more_is_frozen_than_the_followed_chunk_has_left() -> None:
    before = continuation(asked(ramp(5), at_s=1.3, delay_s=0.6), period_s=0.1, rows=16)
    assert before is not None
    assert (before.frozen, before.known) == (2, 2)


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
