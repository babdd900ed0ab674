"""Proves what stands round the gates before anything moves: the card, the chunk buffer, the words that are understood.

Invariant: what is known to be bad is shown to the very objects that will judge, and is sent nowhere; how bad it is
stands here, so that what was loosened beyond it shows. The chunk buffer has to be started afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, cast

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.errors import InstructionError
from forearm.messages import Decision, Image, Observation, VettedChunk
from forearm.runtime.card import BESIDE, MAIN, WithinCard
from forearm.safety.gates import Vets
from forearm.safety.known_good import GOOD, READY, SECOND_NS, TICK_NS, Asked, Entry, good_decision, seen_at
from forearm.safety.selftest import NO_SESSION, Proof, proof_of

EPOCH = NO_SESSION - 1000  # of what is shown here: of no session, and of no proof of the gates
LATE_S = 0.1  # s after the card's latency
BESIDE_LIGHT = 2.0 * BESIDE  # of 255, beyond the light that was measured
NONSENSE = ("fly to the moon", "")  # no task of any cell


class Follows(Protocol):
    """What takes vetted chunks to follow; `forearm.runtime.chunks.ChunkBuffer` is one."""

    def start(self, observation: Observation) -> None:
        """Follows only what answers this observation or a later one."""
        ...

    def accept(self, vetted: VettedChunk, now_ns: int) -> bool:
        """Whether this chunk is followed from now on."""
        ...


def prove_around(
    vetting: Vets, model_digest: str, refuse: Callable[[str], object], spoken: str, now_ns: int
) -> tuple[Proof, ...]:
    """Both what holds the policy's `vetting` to a card, if anything does, and what refuses words; `spoken` are good."""
    return prove_card(vetting, now_ns, model_digest=model_digest) + prove_words(refuse, spoken)


def prove_chunks(chunks: Follows, vetting: Vets, now_ns: int, *, model_digest: str = "") -> tuple[Proof, ...]:
    """That the buffer follows what is good, and nothing that is late, of another session, older or a repetition."""

    def vetted(epoch: int, stamp_ns: int) -> VettedChunk | None:
        asked = good_decision(epoch, stamp_ns, model_digest)
        return vetting.vet(cast(Decision, asked.decision), asked.observation, stamp_ns).vetted

    good, before = vetted(EPOCH, now_ns), vetted(EPOCH, now_ns - 10 * TICK_NS)
    of_another = vetted(EPOCH - 1, now_ns)
    shown = (
        (GOOD, "a chunk of now", (good,), now_ns),
        ("late", "a chunk that is wholly past", (good,), now_ns + 60 * SECOND_NS),
        ("epoch", "a chunk of another session", (of_another,), now_ns),
        ("older", "a chunk about less than what is followed", (good, before), now_ns),
        ("older", "a chunk about what was seen before it began", (before,), now_ns),
        ("again", "a chunk a second time", (good, good), now_ns),
    )
    return tuple(_followed(chunks, *each, begun_ns=now_ns - 20 * TICK_NS * (len(each[2]) > 1)) for each in shown)


def _followed(
    chunks: Follows, check: str, shown: str, given: tuple[VettedChunk | None, ...], now_ns: int, *, begun_ns: int
) -> Proof:
    """What the buffer answers to the last of those chunks; the ones before are good."""
    chunks.start(seen_at(READY, EPOCH, begun_ns))
    answers = [each is not None and chunks.accept(each, now_ns) for each in given]
    wanted = [True] * (len(given) - 1) + [check == GOOD]
    proven = answers == wanted and None not in given
    return Proof(
        gate="chunks", check=check, shown=shown, proven=proven, answer="FOLLOWED" if answers[-1] else "DROPPED"
    )


def prove_card(vetting: Vets, now_ns: int, *, model_digest: str = "") -> tuple[Proof, ...]:
    """That a vetting which is held to a card refuses what the card does not allow; nothing of one without a card."""
    if not isinstance(vetting, WithinCard):
        return ()
    entries = of_card(vetting)
    asked = [
        entry.spoil(_lit(good_decision(EPOCH - number, now_ns, model_digest), _usual(vetting)))
        for number, entry in enumerate(entries)
    ]
    verdicts = [vetting.vet(cast(Decision, each.decision), each.observation, each.now_ns) for each in asked]
    return tuple(
        proof_of("card", entry, verdict, passed=verdict.vetted is not None)
        for entry, verdict in zip(entries, verdicts, strict=True)
    ) + prove_words(vetting.card.task_of, vetting.task.instructions[0], gate="card")


def of_card(vetting: WithinCard) -> tuple[Entry, ...]:
    """What a card does not allow: too late by a tenth of a second, darker or brighter than was measured."""
    entries = [Entry(check=GOOD, shown="staying in the light and time of the card", spoil=lambda asked: asked)]
    if vetting.task.latency_s is not None:
        late_ns = round((vetting.task.latency_s + LATE_S) * NANOSECONDS)
        shown = f"an answer {LATE_S:g} s later than the card allows"
        entries.append(
            Entry(check="card latency", shown=shown, spoil=lambda asked: replace(asked, now_ns=asked.now_ns + late_ns))
        )
    darkest, brightest = vetting.card.light or (0.0, 255.0)
    if darkest >= BESIDE_LIGHT:
        entries.append(
            Entry(check="card light", shown="a darker picture", spoil=lambda asked: _lit(asked, darkest - BESIDE_LIGHT))
        )
    if brightest <= 255.0 - BESIDE_LIGHT:
        entries.append(
            Entry(
                check="card light",
                shown="a brighter picture",
                spoil=lambda asked: _lit(asked, brightest + BESIDE_LIGHT),
            )
        )
    return tuple(entries)


def _usual(vetting: WithinCard) -> float:
    """A mean that the card allows, 0..255."""
    return float(np.mean(vetting.card.light or (0.0, 255.0)))


def _lit(asked: Asked, mean: float) -> Asked:
    """With a picture of the main camera of that mean, 0..255."""
    seen = asked.observation
    image = Image(stamp_ns=seen.images[MAIN].stamp_ns, pixels=np.full((2, 2, 3), round(mean), dtype=np.uint8))
    return replace(asked, observation=replace(seen, images={**seen.images, MAIN: image}))


def prove_words(refuse: Callable[[str], object], good: str, *, gate: str = "station") -> tuple[Proof, ...]:
    """That what refuses sentences, by an `InstructionError`, refuses nonsense and lets a good one pass."""
    proofs = list[Proof]()
    for said in (good, *NONSENSE):
        try:
            refuse(said)
            refused = False
        except InstructionError:
            refused = True
        check = GOOD if said is good else "instruction"
        proofs.append(
            Proof(
                gate=gate,
                check=check,
                shown=repr(said),
                proven=refused is (check != GOOD),
                answer="REFUSED" if refused else "UNDERSTOOD",
            )
        )
    return tuple(proofs)
