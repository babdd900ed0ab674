"""A small part of `benchmarks/escape_rate.py`: nothing that is known to be bad reaches the robot, and demonstrations do."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bad_commands import CHUNKS, COMMANDS, Places, corpus, is_bad
from escape_oracle import Oracle
from escape_rate import Chain, Score, false_holds, ours
from forearm.safety.limits import Limits
from forearm.safety.workspace import Workspace

LIMITS = Limits.of()
CHUNK_COUNT, COMMAND_COUNT = 240, 1000


@cache
def tried(limits: Limits, chunks: int, commands: int) -> Score:
    """What escapes from gates with those limits, by the oracle's own."""
    oracle = Oracle(LIMITS)
    places = Places(oracle, np.random.default_rng(2), 50)
    return ours(corpus(places, 2, chunks=chunks, commands=commands), Chain(limits), oracle)[0]


@pytest.mark.slow
def test_nothing_that_is_known_to_be_bad_reaches_the_robot() -> None:
    score = tried(LIMITS, CHUNK_COUNT, COMMAND_COUNT)
    assert dict(score.wrong) == {}
    assert score.tried.total() == CHUNK_COUNT + COMMAND_COUNT
    assert set(score.tried) == {f"chunk: {kind}" for kind in CHUNKS} | {f"command: {kind}" for kind in COMMANDS}


@pytest.mark.slow
def test_what_escapes_from_gates_that_were_opened_is_seen() -> None:
    opened = replace(
        LIMITS,
        velocity=LIMITS.velocity * 30,
        acceleration=LIMITS.acceleration * 1e4,
        jerk=LIMITS.jerk * 1e6,
        arm_clearance_m=1e-6,
        arm_clearance_now_m=1e-6,
        link_height_m=1e-6,
        finger_height_m=-0.2,
    )
    wrong = {text.rsplit(": ", 1)[-1] for text in tried(opened, 60, 120).wrong}
    assert {"speed", "acceleration", "jerk", "clearance"} <= wrong


@pytest.mark.slow
def test_what_escapes_from_gates_that_do_not_know_the_furniture_is_seen_and_from_those_that_do_nothing() -> None:
    oracle = Oracle(LIMITS)
    places = Places(oracle, np.random.default_rng(3), 25)
    kinds = [draw for kind, draw in (*CHUNKS.items(), *COMMANDS.items()) if "furniture" in kind]
    generator = np.random.default_rng(4)
    items = [bad for draw in kinds for bad in (draw(places, generator) for _ in range(8)) if is_bad(bad, oracle)]
    unknowing, _ = ours(items, Chain(LIMITS, furnished=Workspace()), oracle)
    assert {text.rsplit(": ", 1)[-1] for text in unknowing.wrong} == {"clearance"}
    assert all(unknowing.escaped[kind] for kind in unknowing.tried)
    assert dict(ours(items, Chain(LIMITS), oracle)[0].wrong) == {}


@pytest.mark.slow
def test_demonstrations_are_not_held() -> None:
    holds = false_holds(3, LIMITS)
    assert holds["ticks"] > 1000
    assert holds["held_ticks"] == 0, holds["objections"]
