"""Before anything moves every gate refuses, check by check, what is known to be bad; a broken one is named."""

import ast
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from forearm.errors import SafetyError
from forearm.messages import (
    ActionChunk,
    Command,
    Decision,
    Finding,
    Observation,
    Outcome,
    SafeCommand,
    Verdict,
    VettedChunk,
)
from forearm.robot.kinematics import tool_poses
from forearm.safety import guard as guard_module
from forearm.safety.clearance import PAIRS, Bodies, Kind
from forearm.safety.gates import Gates
from forearm.safety.guard import Guard
from forearm.safety.known_bad import OF_GUARD, OF_VETTING, TOO_NEAR
from forearm.safety.known_bad_in_hand import of_what_is_held
from forearm.safety.known_good import GOOD, READY, good_command, good_decision
from forearm.safety.limits import Limits
from forearm.safety.selftest import Proof, prove, prove_guard, prove_vetting, refuse_unproven
from forearm.safety.sweep import Sweep
from forearm.safety.vetting import Vetting, _Blocked
from forearm.safety.workspace import Workspace

from .scenes import BOTH_HOME, NOW_NS, TICK_NS, asked, seen

IN_HAND = of_what_is_held(Workspace())

LIMITS = Limits.of()
SAFETY = Path(guard_module.__file__).parent

# A check that has no bad input, and why. Empty: every one has.
WITHOUT_INPUT: dict[str, str] = {}


def unproven(proofs: tuple[Proof, ...]) -> set[tuple[str, str]]:
    return {(proof.gate, proof.check) for proof in proofs if not proof.proven}


def of_vetting(limits: Limits) -> set[str]:
    return {check for _, check in unproven(prove_vetting(Vetting(limits), NOW_NS))}


def of_guard(limits: Limits) -> set[str]:
    return {check for _, check in unproven(prove_guard(Guard(limits), seen(), NOW_NS))}


class LetsAllPass:
    """A guard and a vetting that object to nothing."""

    def reset(self, observation: Observation) -> None: ...

    def review(self, command: Command, observation: Observation, now_ns: int) -> Verdict:
        safe = SafeCommand(stamp_ns=now_ns, sequence=1, epoch=1, positions=BOTH_HOME)
        return Verdict(outcome=Outcome.ALLOW, findings=(), command=safe)

    def vet(self, decision: Decision, observation: Observation, now_ns: int) -> Verdict:
        vetted = VettedChunk(chunk=decision.chunk, sequence=1, epoch=1) if decision else None
        return Verdict(outcome=Outcome.ALLOW, findings=(), vetted=vetted)


class LetsNothingPass(LetsAllPass):
    """One that refuses without a reason, good and bad alike."""

    def review(self, command: Command, observation: Observation, now_ns: int) -> Verdict:
        return Verdict(outcome=Outcome.STOP, findings=())

    def vet(self, decision: Decision, observation: Observation, now_ns: int) -> Verdict:
        return Verdict(outcome=Outcome.STOP, findings=())


def all_three(gate: LetsAllPass) -> Gates:
    return Gates(limits=LIMITS, vetting=gate, helm_vetting=gate, guard=gate)


def test_the_gates_as_they_are_prove_every_check() -> None:
    proofs = prove(Gates.of(LIMITS), seen(), NOW_NS)
    assert [str(proof) for proof in proofs if not proof.proven] == []
    assert len(proofs) == 2 * (len(OF_VETTING) + len(IN_HAND)) + len(OF_GUARD)
    refuse_unproven(proofs)


def test_what_is_shown_to_the_gates_has_pictures_as_cameras_give_them() -> None:
    ticks = [good_command(1, NOW_NS + number * TICK_NS).observation.images for number in range(3)]
    for images in ticks:
        assert list(images) == ["top", "left", "right"]
        assert {(image.pixels.shape, image.pixels.dtype.name) for image in images.values()} == {((2, 2, 3), "uint8")}
    assert len({images["top"].pixels.tobytes() for images in ticks}) == 3  # none is that of the tick before


def test_what_is_good_is_whole() -> None:
    asked = good_decision(4, NOW_NS, "a")
    decision, plan, seen_then = asked.decision, asked.decision.plan, asked.observation
    assert (decision.sequence, decision.epoch, decision.latency_s, decision.model_digest) == (1, 4, 0.0, "a")
    assert (decision.chunk.stamp_ns, decision.chunk.period_s, asked.now_ns) == (NOW_NS, 0.1, NOW_NS)
    np.testing.assert_array_equal(decision.chunk.positions, np.tile(READY, (6, 1)))
    assert (plan.subtask, plan.confidence) == ("", 1.0)
    assert (plan.depth_tokens.shape, plan.depth_tokens.dtype) == ((0,), np.int64)
    np.testing.assert_array_equal(plan.depth_map, np.ones((10, 10)))
    assert set(seen_then.depths) == {"top"}
    np.testing.assert_array_equal(seen_then.depths["top"].metres, np.ones((20, 20), dtype=np.float32))
    assert (seen_then.depths["top"].stamp_ns, seen_then.depths["top"].metres.dtype) == (NOW_NS, np.float32)
    np.testing.assert_array_equal(plan.points, np.full((2, 2), np.nan))
    np.testing.assert_array_equal(plan.trace, np.repeat(tool_poses(READY[None])[0][0][:, None], 2, axis=1))
    np.testing.assert_array_equal(plan.trace_grippers, np.ones((2, 2)))
    np.testing.assert_allclose(plan.trace_times_s, [0.2, 0.5])
    assert (seen_then.stamp_ns, seen_then.epoch, seen_then.instruction) == (NOW_NS, 4, "")
    assert seen_then.sequence == NOW_NS // TICK_NS == good_command(4, NOW_NS + 1).observation.sequence
    np.testing.assert_array_equal(seen_then.positions, READY)
    assert not seen_then.velocities.any()
    assert not seen_then.efforts.any()
    command = good_command(4, NOW_NS).command
    assert (command.stamp_ns, command.sequence, command.epoch) == (NOW_NS, 1, 4)


def test_a_proof_says_what_was_shown_and_what_the_gate_answered() -> None:
    proofs = prove(Gates.of(LIMITS, model_digest="a"), seen(), NOW_NS)
    assert [proof.shown for proof in proofs] == [
        entry.shown for entry in (*OF_VETTING, *IN_HAND, *OF_VETTING, *IN_HAND, *OF_GUARD)
    ]
    answers = {str(proof): proof.answer for proof in proofs}
    assert answers[f"vetting: {GOOD} (staying where the arms are)"] == "ALLOW"
    assert answers["vetting: dtype (single precision)"] == "STOP by dtype"
    assert answers["vetting: jerk (a wrist at 32000 rad/s³ and more)"] == "HOLD by speed, acceleration or jerk"


def test_every_proof_is_of_a_session_of_its_own_that_there_never_is() -> None:
    epochs = list[int]()

    class Notes(LetsAllPass):
        def vet(self, decision: Decision, observation: Observation, now_ns: int) -> Verdict:
            epochs.extend([decision.epoch] if decision else [])
            return super().vet(decision, observation, now_ns)

    prove_vetting(Notes(), NOW_NS)
    assert max(epochs) < 0
    assert len(set(epochs)) == len(OF_VETTING) - 1  # one is no decision


def test_a_gate_that_changes_what_is_good_is_not_proven() -> None:
    class Trims(LetsAllPass):
        def vet(self, decision: Decision, observation: Observation, now_ns: int) -> Verdict:
            return replace(super().vet(decision, observation, now_ns), outcome=Outcome.LIMIT)

    proofs = prove_vetting(Trims(), NOW_NS)
    assert not any(proof.proven for proof in proofs)
    assert {proof.answer for proof in proofs} == {"LIMIT"}


@pytest.mark.slow
def test_a_vetting_that_follows_a_model_is_proven_with_that_models_digest() -> None:
    gates = Gates.of(LIMITS, model_digest="a")
    assert not unproven(prove(gates, seen(), NOW_NS))
    assert unproven(prove(replace(gates, model_digest=""), seen(), NOW_NS)) >= {("vetting", GOOD)}


@pytest.mark.parametrize("broken", ["vetting", "helm_vetting", "guard"])
def test_every_gate_of_a_session_is_shown_and_the_one_that_is_broken_is_the_one_that_is_named(broken: str) -> None:
    proofs = prove(replace(Gates.of(LIMITS), **{broken: LetsAllPass()}), seen(), NOW_NS)
    assert {gate for gate, _ in unproven(proofs)} == {broken.replace("_", " ")}
    assert {proof.gate for proof in proofs} == {"vetting", "helm vetting", "guard"}


@pytest.mark.parametrize("epoch", [0, 7])
@pytest.mark.parametrize("now_ns", [0, 10**15])
def test_they_do_so_in_every_session_and_at_every_time(epoch: int, now_ns: int) -> None:
    assert not unproven(prove(Gates.of(LIMITS), seen(stamp_ns=now_ns, epoch=epoch), now_ns))


def test_gates_that_let_everything_pass_fail_every_proof_but_that_of_what_is_good() -> None:
    proofs = prove(all_three(LetsAllPass()), seen(), NOW_NS)
    assert {proof.check for proof in proofs if proof.proven} == {GOOD}
    with pytest.raises(SafetyError) as caught:
        refuse_unproven(proofs)
    assert re.fullmatch(
        r"self-test: got no proof of .*vetting: speed .*guard: clearance: arms.*, allowed are gates whose every check "
        "refuses its known-bad input; restore the limits and checks that were loosened",
        str(caught.value),
    )


def test_gates_that_let_nothing_pass_or_refuse_without_their_reason_fail_too() -> None:
    assert not any(proof.proven for proof in prove(all_three(LetsNothingPass()), seen(), NOW_NS))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "vetting", "guard"),
    [
        ({"velocity": LIMITS.velocity * 1e6}, {"speed", "first row"}, {"speed"}),
        ({"acceleration": LIMITS.acceleration * 1e6}, {"acceleration"}, {"acceleration"}),
        ({"jerk": LIMITS.jerk * 1e9}, {"jerk"}, {"jerk", "stopping"}),
        ({"upper": LIMITS.upper + 9.0}, {"position"}, {"position"}),
        ({"tracking_error": LIMITS.tracking_error * 9.0}, {"first row"}, {"tracking"}),
        ({"arm_clearance_m": 1e-6}, {"clearance: arms"}, set()),
        ({"arm_clearance_now_m": 1e-6}, set(), {"clearance: arms"}),
        ({"self_clearance_m": 1e-6}, {"clearance: self"}, {"clearance: self"}),
        ({"link_height_m": 1e-6}, {"clearance: links over table"}, {"clearance: links over table"}),
        ({"finger_height_m": -0.5}, {"clearance: fingers over table"}, {"clearance: fingers over table", "stopping"}),
        ({"sag_m": 0.5}, set(), {"clearance: links over table"}),
        ({"trace_error_m": 9.0}, {"trace"}, set()),
        ({"slowing": 1e6}, {"speed", "acceleration", "jerk"}, set()),
        ({"most_rows": 10**6}, {"shape"}, set()),
        ({"longest_period_s": 60.0}, {"period"}, set()),
        ({"longest_chunk_s": 60.0}, {"duration", "stopping"}, set()),
        ({"depth_cells": 0.6}, {"depth"}, set()),
        ({"position_excess": LIMITS.position_excess * 50.0}, {"position", "plan"}, {"position"}),
    ],
)
def test_a_limit_that_cannot_reject_is_found_and_its_check_named(
    changes: dict[str, object], vetting: set[str], guard: set[str]
) -> None:
    loosened = replace(LIMITS, **changes)
    assert of_vetting(loosened) == vetting
    assert of_guard(loosened) == guard


class ForgetsLateArms(Vetting):
    """A vetting that takes both arms to be on time."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._late = np.full(len(PAIRS), -np.inf)


class LooksAtRowsAlone(Vetting):
    """A vetting that does not see what is between two rows."""

    def _in_the_way(self, chunk: ActionChunk, observation: Observation) -> _Blocked | None:
        rows = chunk.positions
        bodies, every = Bodies.at(rows), np.arange(len(PAIRS))
        for number in range(len(rows)):
            spare = bodies.clearance(every, np.full(len(PAIRS), number)) - self._required
            if spare.min() < 0.0:
                worst = int(spare.argmin())
                needed = float(self._required[worst])
                swept = Sweep(
                    clear_rows=number, pair=worst, clearance_m=needed, required_m=needed, late_m=np.zeros(len(PAIRS))
                )
                return _Blocked(pair=PAIRS[worst], swept=swept)
        return None


class NeverSlows(Vetting):
    """A vetting that does not ask whether the arms could stop."""

    def _can_stop(self, chunk: ActionChunk, observation: Observation) -> tuple[ActionChunk, tuple[Finding, ...]]:
        return chunk, ()


class Without(Guard):
    """A guard that keeps quiet about those of one check's findings that say `subject`."""

    def __init__(self, check: str, subject: str = "") -> None:
        super().__init__(LIMITS)
        self._silent = check, subject

    def _judge(self, *asked: Any) -> tuple[Any, tuple[Finding, ...]]:
        path, findings = super()._judge(*asked)
        check, subject = self._silent
        return path, tuple(each for each in findings if each.check != check or subject not in each.subject)


@pytest.mark.parametrize(
    ("vetting", "shown"),
    [
        (ForgetsLateArms(LIMITS), ["arms in step, too close for one to be late"]),
        (LooksAtRowsAlone(LIMITS), [
            "arms in step, too close for one to be late", "a hand that swings through the table between two rows",
        ]),
        (NeverSlows(LIMITS), ["hands too fast to stop beside each other"]),
    ],
)  # fmt: skip
def test_a_vetting_that_overlooks_late_arms_what_is_between_rows_or_the_way_to_rest_is_not_armed(
    vetting: Vetting, shown: list[str]
) -> None:
    proofs = prove_vetting(vetting, NOW_NS)
    assert [proof.shown for proof in proofs if not proof.proven] == shown
    with pytest.raises(SafetyError, match=shown[-1]):
        refuse_unproven(proofs)


@pytest.mark.parametrize(
    ("guard", "shown"),
    [
        (Without("stopping"), "fingers too fast to stop over the table"),
        (Without("backwards", "image"), "pictures older than the last ones"),
        (Without("backwards", "pose"), "a pose measured before the last one"),
        (Without("clock", "both clocks"), "all clocks that jumped by a second together"),
    ],
)
def test_a_guard_that_overlooks_the_way_to_rest_or_what_goes_back_in_time_is_not_armed(
    guard: Guard, shown: str
) -> None:
    proofs = prove_guard(guard, seen(), NOW_NS)
    assert [proof.shown for proof in proofs if not proof.proven] == [shown]
    with pytest.raises(SafetyError, match=shown):
        refuse_unproven(proofs)


@pytest.mark.parametrize(
    "check", sorted({entry.check for entry in OF_GUARD} - {GOOD, "dtype", "shape", "finite", "fault"})
)
def test_every_check_of_the_guard_that_keeps_quiet_is_named(check: str) -> None:
    assert check in {name for _, name in unproven(prove_guard(Without(check), seen(), NOW_NS))}


def test_gates_that_watch_no_camera_are_not_proven() -> None:
    assert of_vetting(LIMITS) | of_guard(LIMITS) == set()
    blind = replace(Gates.of(LIMITS), vetting=Vetting(LIMITS, cameras=()), guard=Guard(LIMITS, cameras=()))
    assert unproven(prove(blind, seen(), NOW_NS)) == {
        ("vetting", "camera"), ("vetting", "age"), ("guard", "camera"), ("guard", "age"), ("guard", "frozen"),
        ("guard", "backwards"),
    }  # fmt: skip


def rides(guard: Guard) -> list[tuple[Outcome, list[str]]]:
    """What the guard answers to a few ticks: to begin with sequence 0, to glide, to repeat, to jump."""
    answers = []
    at = BOTH_HOME.copy()
    for tick, step in enumerate([0.0, 4e-4, 8e-4, 1.2e-3, 0.3, 0.0]):
        now_ns = NOW_NS + (tick + 1) * TICK_NS
        goal = at + step * (np.arange(14) == 0)
        verdict = guard.review(asked(goal, sequence=tick, stamp_ns=now_ns), seen(at, stamp_ns=now_ns), now_ns)
        answers.append((verdict.outcome, [finding.check for finding in verdict.findings]))
        at = goal if verdict.command is not None else at
    return answers


def test_a_proven_guard_remembers_nothing_of_its_proof() -> None:
    fresh, proven = Guard(LIMITS), Guard(LIMITS)
    fresh.reset(seen())
    prove_guard(proven, seen(), NOW_NS)
    answers = rides(fresh)
    assert rides(proven) == answers
    assert [outcome for outcome, _ in answers].count(Outcome.ALLOW) >= 4


def test_the_poses_that_are_too_near_are_so_by_millimetres_and_begin_where_all_is_clear() -> None:
    every = np.arange(len(PAIRS))
    required = {"arms": 0.012, "self": 0.005, "links over table": 0.010, "fingers over table": -0.006}
    needed = np.array([required[pair.kind] for pair in PAIRS])
    for kind, joints in TOO_NEAR.items():
        poses = np.tile(READY, (2, 1))
        for joint, both in joints.items():
            poses[:, joint] = both
        bodies = Bodies.at(poses)
        spare = [bodies.clearance(every, np.full(len(every), row)) - needed for row in (0, 1)]
        of_kind = np.array([pair.kind == kind for pair in PAIRS])
        assert spare[0].min() > 0.002, kind
        assert -0.009 < spare[1][of_kind].min() < -0.002, kind
        assert spare[1][~of_kind].min() > 0.002, kind


def renames(call: ast.Call, word: ast.keyword) -> bool:
    return ast.unparse(call.func) == "replace" and word.arg == "check" and isinstance(word.value, ast.Constant)


def named_in_the_code() -> set[str]:
    """Every check that a finding of the gates can name: first arguments of `finding`, `within` and the like."""
    names = {f"clearance: {kind}" for kind in get_args(Kind)}
    names |= {check for check, _, _ in guard_module._RATES}
    for path in SAFETY.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):  # a finding that goes by another name
                names |= {word.value.value for word in node.keywords if renames(node, word)}
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if called in ("finding", "within", "Finding"):
                    names.add(node.args[0].value)
    return names


def test_every_check_has_an_input_that_it_must_refuse() -> None:
    shown = {entry.check for entry in (*OF_VETTING, *OF_GUARD)} - {GOOD}
    assert shown | set(WITHOUT_INPUT) == named_in_the_code()
    assert not shown & set(WITHOUT_INPUT)
