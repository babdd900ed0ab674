"""Proves every gate before anything moves: what is known to be bad is shown to the very objects that will judge.

Invariant: nothing in here is sent anywhere, and the guard is left as after its own `reset`.

A check is proven when its bad input is refused *by that check*. What is good is shown too: a gate that refuses
everything is broken as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from forearm.errors import SafetyError, listing
from forearm.messages import Command, Decision, Observation, Outcome, Verdict
from forearm.safety.gates import Gates, Guards, Vets
from forearm.safety.known_bad import OF_GUARD, OF_VETTING
from forearm.safety.known_bad_boxes import of_boxes
from forearm.safety.known_bad_in_hand import of_what_is_held
from forearm.safety.known_good import GOOD, Entry, good_command, good_decision

NO_SESSION = -1  # the first epoch of proofs, each has its own: nothing that is remembered of them is of a session


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Whether one check of one gate refused what it is there for.

    Attributes:
        gate: vetting, helm vetting, guard, or what stands round them: card, chunks, station.
        check: as findings name it.
        shown: the input, in words.
        proven: whether the check refused it, or, of what is good, whether all checks let it pass.
        answer: what the gate answered.
    """

    gate: str
    check: str
    shown: str
    proven: bool
    answer: str

    def __str__(self) -> str:
        return f"{self.gate}: {self.check} ({self.shown})"


def prove(gates: Gates, observation: Observation, now_ns: int) -> tuple[Proof, ...]:
    """Every gate's proofs; the guard then expects what begins at `observation`. About 0.1 s, and 0.02 per fixture."""
    digest, around = gates.model_digest, of_boxes(gates.workspace)
    in_hand = of_what_is_held(gates.workspace)
    proofs = prove_vetting(gates.vetting, now_ns, model_digest=digest, around=around + in_hand)
    proofs += prove_vetting(gates.helm_vetting, now_ns, gate="helm vetting", around=around + in_hand)
    return proofs + prove_guard(gates.guard, observation, now_ns, around=around)


def prove_vetting(
    vetting: Vets,
    now_ns: int,
    *,
    model_digest: str = "",
    gate: str = "vetting",
    around: tuple[Entry, ...] = (),
) -> tuple[Proof, ...]:
    """One proof per entry of `OF_VETTING`, for a vetting that follows `model_digest`.

    Its workspace adds those `around` the arms and what they hold.
    """
    proofs = list[Proof]()
    for number, entry in enumerate((*OF_VETTING, *around)):
        asked = entry.spoil(good_decision(NO_SESSION - number, now_ns, model_digest))
        if asked.earlier is not None:
            vetting.vet(asked.earlier, asked.observation, asked.now_ns)
        verdict = vetting.vet(cast(Decision, asked.decision), asked.observation, asked.now_ns)
        proofs.append(proof_of(gate, entry, verdict, passed=verdict.vetted is not None))
    return tuple(proofs)


def prove_guard(
    guard: Guards, observation: Observation, now_ns: int, *, around: tuple[Entry, ...] = ()
) -> tuple[Proof, ...]:
    """One proof per entry of `OF_GUARD` and `around`; the guard is reset to `observation` afterwards."""
    good = good_command(observation.epoch, now_ns)
    proofs = list[Proof]()
    for entry in (*OF_GUARD, *around):
        asked = entry.spoil(good)
        guard.reset(asked.before[0][1] if asked.before else asked.observation)
        for command, seen in asked.before:
            guard.review(command, seen, command.stamp_ns)
        verdict = guard.review(cast(Command, asked.command), asked.observation, asked.now_ns)
        proofs.append(proof_of("guard", entry, verdict, passed=verdict.command is not None))
    guard.reset(observation)
    return tuple(proofs)


def refuse_unproven(proofs: tuple[Proof, ...]) -> None:
    """Nothing where all is proven.

    Raises:
        SafetyError: that names the checks which failed.
    """
    failed = [proof for proof in proofs if not proof.proven]
    if failed:
        raise SafetyError(
            f"self-test: got no proof of {listing(failed)}, allowed are gates whose every check refuses its known-bad "
            "input; restore the limits and checks that were loosened"
        )


def proof_of(gate: str, entry: Entry, verdict: Verdict, *, passed: bool) -> Proof:
    """Whether the verdict is the one that the entry is there for; `passed` says whether anything may be followed."""
    refused = [each.check for each in verdict.findings if each.outcome >= Outcome.HOLD]
    good = entry.check == GOOD
    proven = passed and verdict.outcome is Outcome.ALLOW if good else not passed and entry.check in refused
    answer = " ".join([verdict.outcome.name, *(["by " + listing(dict.fromkeys(refused))] if refused else [])])
    return Proof(gate=gate, check=entry.check, shown=entry.shown, proven=proven, answer=answer)
