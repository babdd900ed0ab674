"""The shipped model's own depth map, in the cell, against the right world and three wrong ones."""

from dataclasses import replace

import numpy as np
import pytest

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import SimulatedClock
from forearm.messages import DepthImage, Observation, Outcome, Request, Verdict
from forearm.policy.reasoning import ReasoningPolicy
from forearm.safety.limits import Limits
from forearm.safety.vetting import Vetting


def at_start(task: str, seed: int, *, turned: float = 0.0) -> Observation:
    """What is seen of a task's scene before anything moves, the arms turned inwards by so much."""
    setup = task_named(task).sample(seed)
    start = np.array(setup.start)
    start[[0, 7]] += (-turned, turned)
    robot = CellRobot(setup=replace(setup, start=tuple(start.tolist())), clock=SimulatedClock())
    robot.connect(1)
    try:
        return robot.read()
    finally:
        robot.close()


@pytest.fixture(scope="module")
def policy() -> ReasoningPolicy:
    policy = ReasoningPolicy.load()
    policy.reset(seed=0)
    return policy


def vet(policy: ReasoningPolicy, seen: Observation, depth: DepthImage | None = None) -> Verdict:
    decision = policy.decide(Request(observation=seen))
    judged = seen if depth is None else replace(seen, depths={**seen.depths, "top": depth})
    return Vetting(Limits.of(), model_digest=policy.model_digest).vet(decision, judged, judged.stamp_ns)


@pytest.mark.parametrize(
    "task", ["hand-over", *(pytest.param(name, marks=pytest.mark.slow) for name in ("put-in-box", "lift"))]
)
def test_the_model_sees_the_world_that_is_there(policy: ReasoningPolicy, task: str) -> None:
    assert vet(policy, at_start(task, 7)).outcome < Outcome.HOLD


def test_the_depth_of_another_moment_is_held_and_said_in_words(policy: ReasoningPolicy) -> None:
    frozen = at_start("lift", 7).depths["top"]
    verdict = vet(policy, at_start("lift", 7, turned=0.8), frozen)
    assert verdict.outcome is Outcome.HOLD
    assert [found.check for found in verdict.findings] == ["depth"]
    assert "of the top camera's view the plan sees a surface at" in verdict.findings[0].text


@pytest.mark.slow
def test_the_depth_of_another_scene_is_held(policy: ReasoningPolicy) -> None:
    elsewhere = at_start("hand-over", 8, turned=1.0).depths["top"]
    assert [found.check for found in vet(policy, at_start("put-in-box", 7), elsewhere).findings] == ["depth"]


def test_an_object_that_the_model_does_not_see_is_held(policy: ReasoningPolicy) -> None:
    seen = at_start("lift", 7)
    metres = seen.depths["top"].metres.copy()
    metres[60:90, 45:75] -= 0.2  # as of a box 0.2 m high and as wide
    verdict = vet(policy, seen, DepthImage(stamp_ns=seen.stamp_ns, metres=metres))
    assert [found.check for found in verdict.findings] == ["depth"]
    assert "nearer than the plan knows" in verdict.findings[0].text
