import numpy as np
import pytest

from forearm.clock import NANOSECONDS
from forearm.messages import ActionChunk, Decision, Floats, Observation, Request, VettedChunk
from forearm.policy.ensembling import Ensembling, Splicing, ensemble
from forearm.robot.embodiment import BIMANUAL_YAM

J = len(BIMANUAL_YAM.joints)
PERIOD_S = 0.1


def ns(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def chunk(stamp_s: float, *, offset: float = 0.0) -> ActionChunk:
    """Every joint at t² / 2 + offset, t in s."""
    times = stamp_s + PERIOD_S * np.arange(1, 17)
    positions = np.tile((times**2 / 2 + offset)[:, None], J)
    return ActionChunk(stamp_ns=ns(stamp_s), period_s=PERIOD_S, positions=positions)


def test_an_ensemble_weighs_the_oldest_most_and_only_chunks_that_reach_that_far() -> None:
    old, new = chunk(1.0, offset=0.1), chunk(1.6)
    rows = ensemble([old, new]).positions - new.positions
    shared = 0.1 / (1.0 + np.exp(-0.01))
    np.testing.assert_allclose(rows[:10], shared)
    np.testing.assert_allclose(rows[10:], 0.0, atol=1e-12)


def request(at_s: float, following: ActionChunk | None, attempt: int = 0, delay_s: float = 0.0) -> Request:
    zeros = np.zeros(J)
    observation = Observation(
        stamp_ns=ns(at_s), sequence=1, epoch=1, positions=zeros, velocities=zeros, efforts=zeros, images={},
        depths={}, instruction="",
    )  # fmt: skip
    vetted = None if following is None else VettedChunk(chunk=following, sequence=0, epoch=1)
    return Request(observation=observation, following=vetted, attempt=attempt, delay_s=delay_s)


class Steps:
    """Answers each request with a chunk that stands 1 rad further on; remembers what it was told."""

    name = "steps"
    model_digest = ""

    def __init__(self) -> None:
        self.told: list[Request] = []

    def reset(self, *, seed: int) -> None:
        self.told = []

    def decide(self, request: Request) -> Decision:
        self.told.append(request)
        rows = np.full((16, J), float(len(self.told)))
        made = ActionChunk(stamp_ns=request.observation.stamp_ns, period_s=PERIOD_S, positions=rows)
        return Decision(sequence=1, epoch=1, plan=None, chunk=made, latency_s=0.0, model_digest="")


def answers(policy: Splicing | Ensembling, *, followed: bool) -> list[Floats]:
    first = policy.decide(request(1.0, None)).chunk
    second = policy.decide(request(1.8, first if followed else None)).chunk
    return [first.positions, second.positions]


def test_splicing_is_not_told_what_is_followed() -> None:
    steps = Steps()
    assert answers(Splicing(steps), followed=True)[1].tolist() == np.full((16, J), 2.0).tolist()
    assert [each.following for each in steps.told] == [None, None]


def test_splicing_takes_the_arms_to_stand_until_the_answer_only_where_they_do() -> None:
    steps = Steps()
    policy = Splicing(steps)
    first = policy.decide(request(1.0, None, delay_s=0.3)).chunk
    policy.decide(request(1.8, first, delay_s=0.3))
    assert [each.delay_s for each in steps.told] == [0.3, 0.0]


def test_ensembling_averages_while_something_is_followed_and_begins_anew_after_a_hold() -> None:
    followed, held = (answers(Ensembling(Steps()), followed=each)[1] for each in (True, False))
    assert followed[:8] == pytest.approx((1.0 + 2.0 * np.exp(-0.01)) / (1.0 + np.exp(-0.01)))
    assert followed[8:] == pytest.approx(2.0)
    assert held == pytest.approx(2.0)


def test_what_was_refused_is_averaged_with_nothing() -> None:
    policy = Ensembling(Steps())
    first = policy.decide(request(1.0, None)).chunk
    policy.decide(request(1.8, first))
    again = policy.decide(request(1.9, first, attempt=1)).chunk
    assert again.positions == pytest.approx(3.0)
