"""The proofs that what is held counts: they are refused by the gates as they are, and name gates that forget it."""

from dataclasses import replace

from forearm.geometry import Box
from forearm.messages import Decision, Observation, Verdict
from forearm.safety.gates import Gates
from forearm.safety.known_bad_in_hand import of_what_is_held
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
    assert [entry.check for entry in of_what_is_held(Workspace(fixtures=(out_of_reach,)))] == [ARM, TABLE]


def test_a_vetting_that_forgets_what_is_held_is_named_for_all_of_them() -> None:
    assert unproven(Forgetful(LIMITS, workspace=FURNISHED), FURNISHED) == EVERY


def test_a_vetting_that_lets_things_be_put_down_too_fast_is_named_but_not_for_zones() -> None:
    hasty = Vetting(replace(LIMITS, placing_speed=0.8), workspace=FURNISHED)
    assert unproven(hasty, FURNISHED) == [TABLE, "clearance: fixture"]
