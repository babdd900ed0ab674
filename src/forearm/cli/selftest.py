"""`forearm selftest`: whether every safety gate refuses what is known to be bad."""

from __future__ import annotations

from forearm.cli.exits import Exit


def selftest() -> int:
    """Shows every gate one known-bad input per check, and something good; nothing moves. Prints a table.

    The gates are a session's: vetting of the model's decisions, helm vetting of what a person or a recovery asks for,
    and the guard. Every session does the same with its own before its first motion.

    Exit codes: 0 all is proven; 3 a check let its bad input pass, or something good was refused.
    """
    from forearm.cli.terminal import say
    from forearm.clock import RealClock
    from forearm.safety.gates import Gates
    from forearm.safety.known_good import good_command
    from forearm.safety.limits import Limits
    from forearm.safety.selftest import prove

    now_ns = RealClock().now_ns()
    proofs = prove(Gates.of(Limits.of()), good_command(1, now_ns).observation, now_ns)
    for proof in proofs:
        say(
            f"{'ok' if proof.proven else 'NOT PROVEN':11}{proof.gate:13} {proof.check:31} {proof.shown}: {proof.answer}"
        )
    failed = sum(not proof.proven for proof in proofs)
    say(f"{len(proofs) - failed} of {len(proofs)} proven")
    return Exit.STOPPED if failed else Exit.DONE
