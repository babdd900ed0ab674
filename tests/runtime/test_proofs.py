"""Before anything moves the card, the chunk buffer and the words show that they refuse what is bad, or are named."""

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from runtime_stubs import HOME, LIMITS, Bench

from forearm.errors import InstructionError, SafetyError
from forearm.events import SelfTested
from forearm.messages import Decision, Observation, Outcome, Verdict, VettedChunk
from forearm.runtime import card as card_module
from forearm.runtime.card import BESIDE, Card, TaskLimits, WithinCard
from forearm.runtime.chunks import ChunkBuffer
from forearm.runtime.proofs import of_card, prove_around, prove_card, prove_chunks, prove_words
from forearm.safety.known_good import GOOD
from forearm.safety.selftest import Proof, refuse_unproven
from forearm.safety.vetting import Vetting

NOW_NS = 10**10
WAVE = TaskLimits(instructions=("wave",), refusal="", latency_s=0.2)
CARD = Card(model_digest="", rate=0.8, tasks={"wave": WAVE}, light=(80.0, 140.0))


def unproven(proofs: tuple[Proof, ...]) -> list[str]:
    return [proof.shown for proof in proofs if not proof.proven]


def carded(card: Card = CARD, kind: type[WithinCard] = WithinCard) -> WithinCard:
    return kind(Vetting(LIMITS), card, "wave")


@pytest.mark.parametrize("now_ns", [0, NOW_NS, 10**15])
def test_buffer_and_card_as_they_are_prove_every_check(now_ns: int) -> None:
    chunks = prove_chunks(ChunkBuffer(LIMITS), Vetting(LIMITS), now_ns)
    assert [proof.check for proof in chunks] == [GOOD, "late", "epoch", "older", "older", "again"]
    of_the_card = prove_card(carded(), now_ns)
    assert [proof.check for proof in of_the_card] == [
        GOOD, "card latency", "card light", "card light", GOOD, "instruction", "instruction",
    ]  # fmt: skip
    assert unproven(chunks + of_the_card) == []
    refuse_unproven(chunks + of_the_card)


class Follows(ChunkBuffer):
    """A buffer that follows too much: `spoil` makes what was asked for look good."""

    def __init__(self, spoil: Callable[["Follows", VettedChunk, int], tuple[VettedChunk, int]]) -> None:
        super().__init__(LIMITS)
        self._spoil = spoil

    def accept(self, vetted: VettedChunk, now_ns: int) -> bool:
        return super().accept(*self._spoil(self, vetted, now_ns))


@pytest.mark.parametrize(
    ("spoil", "shown"),
    [
        (lambda buffer, vetted, now_ns: (vetted, vetted.chunk.stamp_ns), ["a chunk that is wholly past"]),
        (
            lambda buffer, vetted, now_ns: (replace(vetted, epoch=buffer._epoch), now_ns),
            ["a chunk of another session"],
        ),
        (
            lambda buffer, vetted, now_ns: (
                replace(vetted, chunk=replace(vetted.chunk, stamp_ns=max(buffer._stamp_ns + 1, vetted.chunk.stamp_ns))),
                now_ns,
            ),
            [
                "a chunk about less than what is followed",
                "a chunk about what was seen before it began",
                "a chunk a second time",
            ],
        ),
    ],
    ids=["late", "epoch", "order"],
)
def test_a_buffer_that_follows_what_it_should_not_is_named(
    spoil: Callable[[Follows, VettedChunk, int], tuple[VettedChunk, int]], shown: list[str]
) -> None:
    proofs = prove_chunks(Follows(spoil), Vetting(LIMITS), NOW_NS)
    assert unproven(proofs) == shown
    with pytest.raises(SafetyError, match=f"chunks: .*{shown[0]}"):
        refuse_unproven(proofs)


def test_a_buffer_that_follows_nothing_or_everything_is_not_proven() -> None:
    class FollowsAll(ChunkBuffer):
        def accept(self, vetted: VettedChunk, now_ns: int) -> bool:
            return True

    class FollowsNone(ChunkBuffer):
        def accept(self, vetted: VettedChunk, now_ns: int) -> bool:
            return False

    assert len(unproven(prove_chunks(FollowsAll(LIMITS), Vetting(LIMITS), NOW_NS))) == 5
    assert "a chunk of now" in unproven(prove_chunks(FollowsNone(LIMITS), Vetting(LIMITS), NOW_NS))


def test_without_a_vetted_chunk_to_show_nothing_is_proven() -> None:
    proofs = prove_chunks(ChunkBuffer(LIMITS), Vetting(LIMITS, model_digest="another"), NOW_NS)
    assert not any(proof.proven for proof in proofs)


def test_a_session_shows_its_own_buffer_what_it_must_not_follow_before_it_moves() -> None:
    bench = Bench(goal_s=0.1)
    bench.session.run()
    (tested,) = [event for event in bench.events if isinstance(event, SelfTested)]
    assert sum(proof.startswith("chunks: ") for proof in tested.proven) == 6
    assert bench.events.index(tested) < next(n for n, event in enumerate(bench.events) if event.kind == "commanded")


class Blind(WithinCard):
    """Objects to nothing about light."""

    def _in_light(self, observation: Observation) -> tuple[()]:
        return ()


class Patient(WithinCard):
    """Objects to no latency."""

    def _timely(self, observation: Observation, now_ns: int) -> tuple[()]:
        return ()


class Forgets(WithinCard):
    """Says what is wrong, and lets it pass."""

    def vet(self, decision: Decision, observation: Observation, now_ns: int) -> Verdict:
        verdict = super().vet(decision, observation, now_ns)
        vetted = VettedChunk(chunk=decision.chunk, sequence=1, epoch=1)
        return Verdict(outcome=Outcome.ALLOW, findings=verdict.findings, vetted=vetted)


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (Blind, ["a darker picture", "a brighter picture"]),
        (Patient, ["an answer 0.1 s later than the card allows"]),
        (Forgets, ["an answer 0.1 s later than the card allows", "a darker picture", "a brighter picture"]),
    ],
)
def test_a_card_that_lets_one_pass_is_named(kind: type[WithinCard], shown: list[str]) -> None:
    proofs = prove_card(carded(kind=kind), NOW_NS)
    assert unproven(proofs) == shown
    with pytest.raises(SafetyError, match=f"card: .*{shown[-1]}"):
        refuse_unproven(proofs)


def test_what_a_card_says_nothing_of_is_not_asked_for_and_without_a_card_nothing_is() -> None:
    bare = replace(CARD, light=None, tasks={"wave": replace(WAVE, latency_s=None)})
    assert [entry.check for entry in of_card(carded(bare))] == [GOOD]
    assert unproven(prove_card(carded(bare), NOW_NS)) == []
    dark = replace(CARD, light=(0.0, 255.0))
    assert [entry.check for entry in of_card(carded(dark))] == [GOOD, "card latency"]
    edge = replace(CARD, light=(2 * BESIDE, 255.0 - 2 * BESIDE))
    assert [entry.check for entry in of_card(carded(edge))] == [GOOD, "card latency", "card light", "card light"]
    assert unproven(prove_card(carded(edge), NOW_NS)) == []
    assert prove_card(Vetting(LIMITS), NOW_NS) == ()


def test_every_check_of_a_card_has_an_input_that_it_must_refuse() -> None:
    calls = [node for node in ast.walk(ast.parse(Path(card_module.__file__).read_text())) if isinstance(node, ast.Call)]
    named = {
        call.args[0].value
        for call in calls
        if getattr(call.func, "id", "") == "finding" and isinstance(call.args[0], ast.Constant)
    }
    assert named == {entry.check for entry in of_card(carded())} - {GOOD} != set()


def test_words_that_are_refused_wholly_or_not_at_all_are_no_proof() -> None:
    def refuses(said: str) -> None:
        raise InstructionError(said)

    assert unproven(prove_words(refuses, "wave")) == ["'wave'"]
    assert unproven(prove_words(lambda said: None, "wave")) == ["'fly to the moon'", "''"]


def test_a_session_whose_card_or_words_are_not_proven_moves_nothing_and_says_which() -> None:
    bench = Bench(prove_also=lambda now_ns: prove_around(carded(kind=Blind), "", str, "wave", now_ns))
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "card: card light (a darker picture)" in ended.reason
    assert "station: instruction ('fly to the moon')" in ended.reason
    np.testing.assert_array_equal(bench.robot.positions, HOME)
    assert "send" not in bench.robot.calls
