"""Sessions in the cell say what the arms hold, in the log too, and keep it clear."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forearm.cell.setup import Setup
from forearm.cell.tasks import TASKS, task_named
from forearm.events import Event, Observed
from forearm.messages import Decision, Held, Outcome, Request
from forearm.policy.baselines import Demonstrator
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses, with_tool_at
from forearm.runtime.furnished import workspace_of
from forearm.runtime.simulation import Simulation
from forearm.safety.workspace import SOMETHING
from forearm.telemetry.log import read_events
from forearm.telemetry.writer import LogWriter


@pytest.mark.parametrize("task", [task.name for task in TASKS])
def test_every_task_states_what_may_be_held_in_it(task: str) -> None:
    workspace = workspace_of(task_named(task).sample(0))
    assert workspace.goods
    for goods in workspace.goods:
        (held,) = (each for each in workspace.held_by("left", goods.width_m - 0.003) if each.name == goods.name)
        assert (np.array(held.half) >= goods.half).all()


def test_what_is_held_askew_may_meet_what_whichever_of_the_goods_it_is_may_meet() -> None:
    pegs, blocks, bars = (workspace_of(task_named(name).sample(0)) for name in ("insert-peg", "stack", "hand-over"))
    askew_m = 1.5 * pegs.goods[0].width_m
    (held,) = pegs.held_by("left", askew_m)
    assert held.name == SOMETHING
    assert pegs.may_touch(SOMETHING, "socket")
    assert pegs.may_touch(SOMETHING, SOMETHING)
    assert bars.may_touch(SOMETHING, "fingers")
    assert not any(each.may_touch(SOMETHING, "forearm") for each in (pegs, blocks, bars))
    assert not blocks.may_touch(SOMETHING, "fingers")
    assert not blocks.may_touch(SOMETHING, SOMETHING)


@pytest.mark.slow
def test_a_hand_over_says_who_holds_the_bar_and_nothing_objects_to_it(tmp_path: Path) -> None:
    setup = task_named("hand-over").sample(1000)
    events: list[Event] = []
    ended = Simulation(setup, lambda robot: Demonstrator.rehearse(setup)).run(seed=0, emit=events.append).ended
    assert ended.outcome == "done"
    assert {event.outcome for event in events if event.kind == "judged"} == {Outcome.ALLOW}
    holders = [tuple(each.arm for each in event.observation.held) for event in events if isinstance(event, Observed)]
    giver = next(arms for arms in holders if arms)
    phases = [arms for before, arms in zip([(), *holders], holders, strict=False) if arms != before]
    assert phases[:3] == [giver, ("left", "right"), tuple({"left", "right"} - set(giver))]
    with LogWriter.create(tmp_path / "run.mcap") as log:
        for event in events:
            log.append(event)
    logged = [event.observation.held for event in read_events(tmp_path / "run.mcap") if isinstance(event, Observed)]
    assert logged == [event.observation.held for event in events if isinstance(event, Observed)]
    assert logged[holders.index(giver)] == (
        Held(name="bar", arm=giver[0], centre=(0.0, 0.0, 0.0), half=(0.24, 0.016, 0.021)),
    )


class Slams:
    """The demonstrator, until an arm has lifted something; then its hand goes down at half a metre a second."""

    name, model_digest = "slams", ""

    def __init__(self, setup: Setup) -> None:
        self._demonstrator = Demonstrator.rehearse(setup)

    def reset(self, *, seed: int) -> None:
        self._demonstrator.reset(seed=seed)

    def decide(self, request: Request) -> Decision:
        decision, seen = self._demonstrator.decide(request), request.observation
        arms = [("left", "right").index(each.arm) for each in seen.held]
        tools = tool_poses(seen.positions)[0]
        if not arms or tools[arms[0], 2] < LIFTED_M:
            return decision
        x, y, _ = tools[arms[0]]
        heights = np.maximum(tools[arms[0], 2] - SLAM_M_S * 0.1 * np.arange(1, 9), DOWN_M)
        rows = [with_tool_at(seen.positions, arms[0], np.array([x, y, height])) for height in heights]
        positions = np.array(rows)
        positions[:, BIMANUAL_YAM.grippers[arms]] = 0.0
        return replace(decision, plan=None, chunk=replace(decision.chunk, period_s=0.1, positions=positions))


LIFTED_M, DOWN_M, SLAM_M_S = 0.11, 0.024, 0.5  # m, of the tool; fingers go down farther than that to grasp a block


@pytest.mark.slow
def test_what_a_hand_holds_is_not_slammed_down_by_a_policy_whose_fingers_may_go_there() -> None:
    setup = task_named("put-in-box").sample(1000)
    events: list[Event] = []
    ended = Simulation(setup, lambda robot: Slams(setup), recovers=False).run(seed=0, emit=events.append).ended
    findings = [finding for event in events if event.kind == "judged" for finding in event.findings]
    assert {finding.check for finding in findings} == {"clearance: held object and table"}
    assert {finding.subject for finding in findings} == {"right arm's block and table"}
    assert ended.outcome in ("stopped", "failed")
