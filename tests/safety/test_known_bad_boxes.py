"""Every thing that stands in a workspace is shown to every gate as a hand that comes too near to it."""

from dataclasses import replace

import numpy as np
import pytest

from forearm.geometry import Box
from forearm.robot.kinematics import tool_poses
from forearm.safety.gates import Gates
from forearm.safety.known_bad_boxes import lowered, of_boxes
from forearm.safety.known_good import READY
from forearm.safety.limits import Limits
from forearm.safety.selftest import prove
from forearm.safety.surroundings import Surroundings
from forearm.safety.workspace import Workspace

from .scenes import NOW_NS, seen

LIMITS = Limits.of()
CRATE = (
    Box(name="crate", centre=(0.3, -0.3, 0.004), half=(0.07, 0.07, 0.004)),
    *(Box(name="crate", centre=(0.3 + side * 0.067, -0.3, 0.03), half=(0.003, 0.07, 0.03)) for side in (-1, 1)),
)
ZONE = Box(name="zone", centre=(0.25, -0.5, 0.02), half=(0.04, 0.03, 0.02), yaw=0.4)
FURNISHED = Workspace(fixtures=CRATE, keep_out=(ZONE,))
CHECKS = ("clearance: fixture", "clearance: keep-out zone")


def unproven(gates: Gates) -> set[tuple[str, str]]:
    return {(proof.gate, proof.check) for proof in prove(gates, seen(), NOW_NS) if not proof.proven}


def test_a_hand_that_comes_too_near_to_what_stands_there_is_refused_by_every_gate() -> None:
    proofs = prove(Gates.of(LIMITS, workspace=FURNISHED), seen(), NOW_NS)
    assert [str(proof) for proof in proofs if not proof.proven] == []
    shown = [(proof.gate, proof.check) for proof in proofs if proof.check in CHECKS]
    assert shown == [("vetting", check) for check in CHECKS * 2] + [("helm vetting", check) for check in CHECKS * 2] + [
        ("guard", check) for check in CHECKS
    ]
    assert {proof.shown for proof in proofs if proof.check in CHECKS} == {
        "a hand lowered to 1 mm from the crate", "a hand lowered to 1 mm from the zone",
        "something that hangs from a hand put down on the crate at 0.6 m/s",
        "something that hangs from a hand put down on the zone at 0.6 m/s",
    }  # fmt: skip


def test_where_nothing_stands_nothing_more_is_shown() -> None:
    assert of_boxes(Workspace()) == ()


@pytest.mark.parametrize(
    ("gate", "changes", "workspace"),
    [
        ("vetting", {"fixture_clearance_m": 1e-6}, FURNISHED),
        ("helm vetting", {}, Workspace()),
        ("guard", {"fixture_clearance_now_m": 1e-6}, FURNISHED),
        ("guard", {}, Workspace()),
    ],
)
def test_a_gate_whose_clearance_was_loosened_or_that_knows_of_no_fixture_is_named(
    gate: str, changes: dict[str, float], workspace: Workspace
) -> None:
    name = gate.replace(" ", "_")
    changed = getattr(Gates.of(replace(LIMITS, **changes), workspace=workspace), name)
    gates = replace(Gates.of(LIMITS, workspace=FURNISHED), **{name: changed})
    assert unproven(gates) == {(gate, check) for check in CHECKS}


@pytest.mark.parametrize(("name", "arm"), [("crate", 0), ("zone", 1)])
def test_the_poses_are_a_millimetre_from_the_thing_and_on_the_way_there_all_is_clear(name: str, arm: int) -> None:
    found = lowered(FURNISHED, name, arm)
    assert found is not None
    clear, near = found
    surroundings = Surroundings(FURNISHED, LIMITS)
    every = np.arange(len(surroundings.pairs))
    apart = [surroundings.at(pose[None]).clearance(every, 0 * every).min() for pose in (clear, near)]
    assert apart[0] > 0.010
    assert apart[1] == pytest.approx(0.001, abs=5e-5)
    joints = slice(7 * arm, 7 * arm + 6)
    assert (np.delete(near, np.arange(14)[joints]) == np.delete(READY, np.arange(14)[joints])).all()
    way = tool_poses(near)[0][arm] - tool_poses(clear)[0][arm]
    assert way == pytest.approx((0.0, 0.0, -0.015), abs=1e-3)


@pytest.mark.parametrize(
    ("centre", "half"),
    [
        ((1.5, -0.3, 0.05), (0.05, 0.05, 0.05)),  # out of reach
        ((0.3, -0.3, -0.05), (0.05, 0.05, 0.01)),  # below the table
        ((0.3, -0.3, 0.3), (0.3, 0.3, 0.3)),  # the arms stand in it
        ((0.3, -0.3, 0.1), (0.002, 0.002, 0.002)),  # it fits between the fingers
        ((0.08, -0.12, 0.2), (0.04, 0.04, 0.02)),  # a joint would go below its range
        ((0.35, -0.46, 0.1), (0.02, 0.02, 0.01)),  # or above
    ],
)
def test_what_no_hand_can_be_lowered_onto_is_left_out(
    centre: tuple[float, float, float], half: tuple[float, float, float]
) -> None:
    thing = Workspace(fixtures=(Box(name="thing", centre=centre, half=half),))
    assert [lowered(thing, "thing", arm) for arm in (0, 1)] == [None, None]
    assert of_boxes(thing) == ()
