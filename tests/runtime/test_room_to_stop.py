"""A chunk that was slowed for its stopping distance is followed where the guard holds the same chunk as it was asked."""

import numpy as np
import pytest

from forearm.clock import NANOSECONDS
from forearm.messages import ActionChunk, Decision, Image, Observation, VettedChunk
from forearm.runtime.chunks import ChunkBuffer
from forearm.safety.gates import Gates
from forearm.safety.limits import TICK_S, Limits

LIMITS = Limits.of()
TICK_NS = round(TICK_S * NANOSECONDS)
HOME = np.array([0.611, 1.467, 1.299, -1.403, 0.0, -1.571, 1.0])
START = np.concatenate([HOME, HOME * [-1, 1, 1, 1, -1, -1, 1]])
START[[0, 7]] = -0.1, 0.1
INWARDS = np.where(np.arange(14) == 0, -1.0, np.arange(14) == 7)
TICKS = 400


def seen(positions: np.ndarray, stamp_ns: int) -> Observation:
    pixels = np.full((2, 2, 3), stamp_ns // TICK_NS % 251, dtype=np.uint8)
    still = np.zeros(14)
    return Observation(
        stamp_ns=stamp_ns,
        sequence=stamp_ns // TICK_NS,
        epoch=1,
        positions=positions,
        velocities=still,
        efforts=still,
        images={name: Image(stamp_ns=stamp_ns, pixels=pixels) for name in ("top", "left", "right")},
        depths={},
        instruction="",
    )


def approaching() -> ActionChunk:
    """Both arms swing to where their wrists are 14 mm apart, at 1.6 rad/s, and stay there."""
    rows = START + np.minimum(np.arange(1, 13), 5)[:, None] / 5 * 0.818 * INWARDS
    return ActionChunk(stamp_ns=0, period_s=0.1, positions=rows)


def held(*, paced: bool, late_ticks: int) -> tuple[list[str], float]:
    """What the guard holds for while poses come that late, and how far the arms got, rad, of 0.818."""
    gates, chunks, at = Gates.of(LIMITS), ChunkBuffer(LIMITS), START
    gates.guard.reset(seen(START, 0))
    chunks.start(seen(START, 0))
    for tick in range(1, TICKS):
        now_ns = tick * TICK_NS
        if tick == 10:  # once the latency was measured
            chunk = ActionChunk(stamp_ns=now_ns, period_s=0.1, positions=approaching().positions)
            decision = Decision(sequence=1, epoch=1, plan=None, chunk=chunk, latency_s=0.0, model_digest="")
            verdict = gates.vetting.vet(decision, seen(START, now_ns), now_ns)
            assert [finding.check for finding in verdict.findings] == ["stopping"]
            vetted = verdict.vetted if paced else VettedChunk(chunk=chunk, sequence=1, epoch=1)
            assert vetted is not None
            assert chunks.accept(vetted, now_ns)
        observation = seen(at, max(now_ns - late_ticks * TICK_NS, 0))
        verdict = gates.guard.review(chunks.command_at(now_ns), observation, now_ns)
        if verdict.command is None:
            return [finding.check for finding in verdict.findings], float(START[0] - at[0])
        at = verdict.command.positions
    return [], float(START[0] - at[0])


@pytest.mark.parametrize("late_ticks", [1, 4])
def test_a_slowed_approach_arrives_where_the_same_one_as_asked_is_held(late_ticks: int) -> None:
    checks, moved = held(paced=False, late_ticks=late_ticks)
    assert checks == ["stopping"]
    assert moved < 0.8
    assert held(paced=True, late_ticks=late_ticks) == ([], pytest.approx(0.818, abs=1e-3))
