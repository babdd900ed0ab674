"""The proofs that what is held counts: they are refused by the gates as they are, and name gates that forget it."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from forearm.geometry import Box
from forearm.messages import Decision, Held, Observation, Verdict
from forearm.robot.kinematics import tool_poses
from forearm.safety.capsules import ARMS
from forearm.safety.gates import Gates
from forearm.safety.known_bad_in_hand import of_what_is_held
from forearm.safety.known_good import good_decision
from forearm.safety.limits import Limits
from forearm.safety.selftest import prove, prove_vetting
from forearm.safety.vetting import Vetting
from forearm.safety.workspace import Workspace

from .scenes import NOW_NS, seen

LIMITS = Limits.of()
POST = Box(name="post", centre=(0.3, -0.1, 0.05), half=(0.03, 0.03, 0.05))
ZONE = Box(name="zone", centre=(0.25, -0.5, 0.02), half=(0.04, 0.03, 0.02), yaw=0.4)
FURNISHED = Workspace(fixtures=(POST,), keep_out=(ZONE,))
ARM, TABLE = "clearance: held object and arm", "clearance: held object and table"
EVERY = [ARM, TABLE, "clearance: fixture", "clearance: keep-out zone"]


class Forgetful(Vetting):
    """A vetting that does not know what is held."""

    def vet(self, decision: Decision, observation: Observation, now_ns: int) -> Verdict:
        return super().vet(decision, replace(observation, held=()), now_ns)


def unproven(vetting: Vetting, workspace: Workspace) -> list[str]:
    entries = of_what_is_held(workspace)
    shown = {entry.shown for entry in entries}
    proofs = prove_vetting(vetting, NOW_NS, around=entries)
    return [proof.check for proof in proofs if not proof.proven and proof.shown in shown]


def test_the_gates_as_they_are_refuse_every_one_of_them() -> None:
    proofs = prove(Gates.of(LIMITS, workspace=FURNISHED), seen(), NOW_NS)
    assert [str(proof) for proof in proofs if not proof.proven] == []


def test_they_are_about_the_table_where_it_is() -> None:
    lower = Workspace(table_m=-0.02)
    assert unproven(Vetting(LIMITS, workspace=lower), lower) == []


def test_there_is_one_for_the_other_arm_the_table_and_everything_that_a_hand_can_be_held_over() -> None:
    assert [entry.check for entry in of_what_is_held(FURNISHED)] == EVERY
    out_of_reach = Box(name="shelf", centre=(1.5, 0.0, 0.3), half=(0.1, 0.1, 0.1))
    in_the_way = Box(name="post", centre=(0.6, -0.3, 0.05), half=(0.03, 0.03, 0.05))  # of the hand that reaches over it
    for box in (out_of_reach, in_the_way):
        assert [entry.check for entry in of_what_is_held(Workspace(fixtures=(box,)))] == [ARM, TABLE]


def test_a_vetting_that_forgets_what_is_held_is_named_for_all_of_them() -> None:
    assert unproven(Forgetful(LIMITS, workspace=FURNISHED), FURNISHED) == EVERY


def test_a_vetting_that_lets_things_be_put_down_too_fast_is_named_but_not_for_zones() -> None:
    hasty = Vetting(replace(LIMITS, placing_speed=0.8), workspace=FURNISHED)
    assert unproven(hasty, FURNISHED) == [TABLE, "clearance: fixture"]


def corners(held: Held, poses: np.ndarray) -> np.ndarray:
    """(N, 8, 3) m, where a box's corners are in those poses."""
    tools, turns = (each[:, ARMS.index(held.arm)] for each in tool_poses(poses))
    own = np.array(held.centre) + np.array(list(product((-1, 1), repeat=3))) * held.half
    return tools[:, None] + own @ turns.swapaxes(1, 2)


# What is shown, how large it is, how far it goes to the first and second row, and all that is objected to.
TOLD = [
    "a plate in one hand pushed into the other one: 150 150 10 mm, 63 63 mm, "
    "clearance: held object and arm of left arm's known-bad thing and right fingers: 6 mm",
    "something that hangs from a hand put down on the table at 0.6 m/s: 10 10 10 mm, 106 0 mm, "
    "clearance: held object and table of left arm's known-bad thing and table: -32 mm",
    "something that hangs from a hand put down on the post at 0.6 m/s: 10 10 10 mm, 109 0 mm, "
    "clearance: fixture of left arm's known-bad thing and post: -38 mm",
    "something that hangs from a hand put down on the zone at 0.6 m/s: 10 10 10 mm, 107 0 mm, "
    "clearance: keep-out zone of right arm's known-bad thing and zone: -37 mm",
]


def test_each_is_so_bad_and_in_no_other_way() -> None:
    vetting, lines = Vetting(LIMITS, workspace=FURNISHED), []
    for epoch, entry in enumerate(of_what_is_held(FURNISHED)):
        asked = entry.spoil(good_decision(epoch, NOW_NS, ""))
        (held,), chunk = asked.observation.held, asked.decision.chunk
        path = np.stack([asked.observation.positions, *chunk.positions])
        assert (asked.decision.plan, chunk.period_s, chunk.positions.shape) == (None, 0.1, (6, 14))
        assert (asked.observation.stamp_ns, asked.observation.epoch) == (NOW_NS, epoch)
        first, second, *rest = 1e3 * np.linalg.norm(np.diff(corners(held, path), axis=0), axis=2).max(axis=1)
        assert not any(rest)
        size = " ".join(f"{1e3 * side:.0f}" for side in held.half)
        (found,) = vetting.vet(asked.decision, asked.observation, asked.now_ns).findings
        objection = f"{found.check} of {found.subject}: {1e3 * found.measured:.0f} mm"
        lines.append(f"{entry.shown}: {size} mm, {first:.0f} {second:.0f} mm, {objection}")
    assert lines == TOLD


def lowest_and_middle(workspace: Workspace, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the lower end and the middle (3,) of what hangs there is, before its first row and in it, m."""
    asked = of_what_is_held(workspace)[number].spoil(good_decision(1, NOW_NS, ""))
    (held,) = asked.observation.held
    poses = np.stack([asked.observation.positions, asked.decision.chunk.positions[0]])
    at = corners(held, poses)
    return at[:, :, 2].min(axis=1), at.mean(axis=1)


@pytest.mark.parametrize(("number", "top_m", "spot"), [(1, 0.0, None), (2, 0.1, POST.centre), (3, 0.04, ZONE.centre)])
def test_what_hangs_from_a_hand_begins_over_what_it_is_put_down_on(
    number: int, top_m: float, spot: tuple[float, float, float] | None
) -> None:
    lows, middles = lowest_and_middle(FURNISHED, number)
    np.testing.assert_allclose(lows - top_m, [0.07, -0.033], atol=0.004)
    if spot is not None:
        np.testing.assert_allclose(middles[:, :2], [spot[:2]] * 2, atol=0.02)


def test_of_what_is_made_of_several_boxes_the_highest_is_what_things_are_put_down_on() -> None:
    low = replace(POST, centre=(0.3, -0.1, 0.02), half=(0.05, 0.05, 0.02))
    for boxes in ((low, POST), (POST, low)):
        lows, _ = lowest_and_middle(Workspace(fixtures=boxes), 2)
        assert lows[1] == pytest.approx(0.067, abs=0.004)
