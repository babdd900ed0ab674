"""`forearm selftest`: whether every safety gate refuses what is known to be bad."""

from __future__ import annotations

from forearm.cli.exits import Exit


def selftest() -> int:
    """Shows every gate one known-bad input per check, and something good; nothing moves. Prints a table.

    The gates are a session's: vetting of the model's decisions, helm vetting of what a person or a recovery asks for,
    and the guard; and what stands round them: an operating-limit card, the chunk buffer, the words that are understood.
    Every session does the same with its own before its first motion.

    Exit codes: 0 all is proven; 3 a check let its bad input pass, or something good was refused.
    """
    from forearm.cell.tasks import TASKS, understood
    from forearm.cli.terminal import say
    from forearm.clock import RealClock
    from forearm.runtime.card import Card, TaskLimits, WithinCard
    from forearm.runtime.chunks import ChunkBuffer
    from forearm.runtime.proofs import prove_card, prove_chunks, prove_words
    from forearm.safety.gates import Gates
    from forearm.safety.known_good import good_command
    from forearm.safety.limits import Limits
    from forearm.safety.selftest import prove

    now_ns, gates = RealClock().now_ns(), Gates.of(Limits.of())
    sentence = TASKS[0].instructions()[0]
    limits = TaskLimits(instructions=(sentence,), refusal="", latency_s=0.2)
    card = Card(model_digest="", rate=0.8, tasks={TASKS[0].name: limits}, light=(80.0, 160.0))  # made up
    proofs = prove(gates, good_command(1, now_ns).observation, now_ns)
    proofs += prove_chunks(ChunkBuffer(gates.limits), gates.vetting, now_ns)
    proofs += prove_card(WithinCard(gates.vetting, card, sentence), now_ns)
    proofs += prove_words(understood, sentence)
    for proof in proofs:
        say(
            f"{'ok' if proof.proven else 'NOT PROVEN':11}{proof.gate:13} {proof.check:31} {proof.shown}: {proof.answer}"
        )
    failed = sum(not proof.proven for proof in proofs)
    say(f"{len(proofs) - failed} of {len(proofs)} proven")
    return Exit.STOPPED if failed else Exit.DONE
