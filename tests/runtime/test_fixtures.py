"""Sessions in the cell keep the arms clear of what stands in their scene."""

from dataclasses import replace

import numpy as np
import pytest

from forearm.cell.tasks import task_named
from forearm.cell.tasks.put_in_box import BOX_HALF_M
from forearm.cell.variation import Placement
from forearm.events import Event
from forearm.policy.baselines import Demonstrator
from forearm.runtime.simulation import Simulation
from forearm.safety.limits import Limits
from forearm.safety.surroundings import Surroundings
from forearm.safety.workspace import Workspace

NEAR_M = 0.03  # m, about as near as fingers come to the box where a block is let go


@pytest.mark.slow
def test_a_policy_that_does_not_know_of_the_box_does_not_get_its_fingers_into_it() -> None:
    task = task_named("put-in-box")
    setup = replace(task.sample(0), time_limit_s=4.0)
    box, block = setup.placement("box"), setup.placement("block_1")
    where_the_wall_is = (box.position[0] + BOX_HALF_M, box.position[1], block.position[2])
    swapped = {
        "box": Placement(name="box", position=(*block.position[:2], 0.0)),
        "block_1": replace(block, position=where_the_wall_is),
    }
    imagined = replace(
        setup,
        instruction=f"put the {block.colour} block in the box",
        placements=tuple(swapped.get(each.name, each) for each in setup.placements),
    )
    events: list[Event] = []
    Simulation(setup, lambda robot: Demonstrator.rehearse(imagined)).run(seed=0, emit=events.append)

    found = [finding for event in events if event.kind == "judged" for finding in event.findings]
    assert "left fingers and box" in {finding.subject for finding in found if finding.check == "clearance: fixture"}
    told = np.array([event.positions for event in events if event.kind == "commanded"])
    surroundings = Surroundings(Workspace(fixtures=task.fixtures(setup)), Limits.of())
    placed = surroundings.at(told)
    near = np.nonzero(placed.at_least() < NEAR_M)
    assert Limits.of().fixture_clearance_now_m <= placed.clearance(*near).min() < NEAR_M
