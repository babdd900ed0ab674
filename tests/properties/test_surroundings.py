"""Nothing that passes vetting brings an arm, or what it holds, nearer to fixtures and zones than its margin; nor does a
set-point that passes the guard.

The judge is another one than the accused: spheres strung along every capsule, at dense samples of the path.
"""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from forearm.clock import NANOSECONDS
from forearm.geometry import Box
from forearm.messages import ActionChunk, Command, Decision, Held, Observation, Outcome
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import link_poses, tool_poses
from forearm.safety.capsules import ARMS, CAPSULES
from forearm.safety.guard import Guard
from forearm.safety.in_hand import enclosing
from forearm.safety.limits import TICK_S, Limits
from forearm.safety.sweep import RESOLUTION_M
from forearm.safety.vetting import Vetting
from forearm.safety.workspace import Workspace

LIMITS = Limits.of()
TICK_NS = round(TICK_S * NANOSECONDS)
BETWEEN_M = 0.002  # m, by which our spheres, strung that densely, may miss a capsule's nearest point
HOME = np.array([0.611, 1.467, 1.299, -1.403, 0.0, -1.571, 1.0])
BOTH_HOME = np.concatenate([HOME, HOME * [-1, 1, 1, 1, -1, -1, 1]])
EXAMPLES, ROWS, DENSE, STRUNG = 40, 6, 5, 9
LINK = {name: number for number, name in enumerate(
    ("base", "link1", "link2", "link3", "link4", "link5", "gripper", "tip_left", "tip_right")
)}  # fmt: skip
TICKS = 120  # of a ride
passed = {"whole": 0, "changed": 0, "refused": 0}
ridden = {"to its end": 0, "held for a box": 0, "held otherwise": 0}


def strung(positions: np.ndarray, held: Held) -> tuple[np.ndarray, np.ndarray]:
    """Centres (N, S, 3) and radii (S,) of spheres along both arms' moving capsules and the held one."""
    origins, turns = link_poses(positions)
    shares = np.linspace(0, 1, STRUNG)[:, None]
    centres, radii = [], []
    for capsule in (each for each in CAPSULES if each.link != "base"):
        points = np.array(capsule.start) + shares * (np.array(capsule.end) - capsule.start)
        for arm in range(len(ARMS)):
            turn, origin = turns[:, arm, LINK[capsule.link]], origins[:, arm, LINK[capsule.link]]
            centres.append(np.einsum("nij,pj->npi", turn, points) + origin[:, None])
            radii += [capsule.radius] * STRUNG
    tools, turns = tool_poses(positions)
    (capsule,) = enclosing(held)
    points = np.array(capsule.start) + shares * (np.array(capsule.end) - capsule.start)
    arm = ARMS.index(held.arm)
    centres.append(np.einsum("nij,pj->npi", turns[:, arm], points) + tools[:, arm, None])
    return np.concatenate(centres, axis=1), np.array(radii + [capsule.radius] * STRUNG)


def clearances(positions: np.ndarray, box: Box, held: Held) -> np.ndarray:
    """(N, capsules) m, never below the truth: of a capsule the nearest of its spheres."""
    centres, radii = strung(positions, held)
    away = centres - np.array(box.centre)
    turn = np.array([[np.cos(box.yaw), -np.sin(box.yaw)], [np.sin(box.yaw), np.cos(box.yaw)]])
    away[..., :2] = away[..., :2] @ turn
    beyond = np.abs(away) - np.array(box.half)
    signed = np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(axis=-1), 0)
    return (signed - radii).reshape(len(positions), -1, STRUNG).min(axis=-1)


def slowly(path: np.ndarray, held: Held) -> np.ndarray:
    """(N,) whether what is held moves no faster than things are put down, for every dense sample of the path."""
    corners = np.array(list(product((-1, 1), repeat=3))) * held.half
    tools, turns = (each[:, ARMS.index(held.arm)] for each in tool_poses(path))
    placed = tools[:, None] + corners @ turns.swapaxes(-1, -2)
    ways = np.linalg.norm(np.diff(placed, axis=0), axis=-1).max(axis=1)
    return np.repeat(ways <= LIMITS.placing_speed * np.array([0.155, *[0.1] * (len(ways) - 1)]), DENSE)


def some_scene(generator: np.random.Generator) -> tuple[Workspace, Held, np.ndarray, np.ndarray]:
    """Boxes about the tools, a bar in one hand, a start near home, and rows to somewhere."""
    start = np.clip(BOTH_HOME + generator.normal(0, 0.2, 14), LIMITS.lower, LIMITS.upper)
    start[[6, 13]] = 0.4
    boxes = [
        Box(
            name=name,
            centre=tuple(tool + generator.normal(0, 0.18, 3)),
            half=tuple(generator.uniform(0.005, 0.12, 3)),
            yaw=float(generator.uniform(-3, 3)),
        )
        for name, tool in zip(("post", "zone"), tool_poses(start[None])[0][0], strict=True)
    ]
    held = Held(name="bar", arm=str(generator.choice(ARMS)), centre=(0.0, 0.0, 0.0), half=(0.016, 0.1, 0.016))
    rows = start + np.linspace(0, 1, ROWS + 1)[1:, None] * generator.normal(0, 0.5, 14)
    rows[:, [6, 13]] = 0.4
    rows = np.clip(rows, BIMANUAL_YAM.lower, BIMANUAL_YAM.upper)
    return Workspace(fixtures=(boxes[0],), keep_out=(boxes[1],)), held, start, rows


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, phases=[Phase.generate])
@given(st.integers(0, 2**32 - 1))
def a_scene_is_vetted_safely(seed: int) -> None:
    generator = np.random.default_rng(seed)
    for _ in range(5):
        workspace, held, start, rows = some_scene(generator)
        still = np.zeros(14)
        observation = Observation(
            stamp_ns=0, sequence=1, epoch=1, positions=start, velocities=still, efforts=still, images={}, depths={},
            instruction="", held=(held,),
        )  # fmt: skip
        chunk = ActionChunk(stamp_ns=0, period_s=0.1, positions=rows)
        decision = Decision(sequence=1, epoch=1, plan=None, chunk=chunk, latency_s=0.0, model_digest="")
        verdict = Vetting(LIMITS, cameras=(), workspace=workspace).vet(decision, observation, 0)
        assert verdict.outcome is not Outcome.STOP
        if verdict.vetted is None:
            passed["refused"] += 1
            continue
        passed["whole" if verdict.outcome is Outcome.ALLOW else "changed"] += 1
        path = np.concatenate([start[None], verdict.vetted.chunk.positions])
        dense = np.concatenate([np.linspace(one, other, DENSE) for one, other in pairwise(path)])
        for box in (*workspace.fixtures, *workspace.keep_out):
            apart = clearances(dense, box, held)
            needed = np.minimum(LIMITS.fixture_clearance_m, apart[0] - RESOLUTION_M)
            needed = np.tile(needed, (len(dense), 1))
            if box in workspace.fixtures:
                needed[slowly(path, held), -1] = -np.inf  # it may be put down there
            # What overlaps at the start is told apart by its deepest point, which our spheres need not hit.
            assert (apart >= np.where(apart[0] < 0, -np.inf, needed) - 1e-9).all()


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, phases=[Phase.generate])
@given(st.integers(0, 2**32 - 1))
def a_ride_is_guarded_safely(seed: int) -> None:
    """Smoothly from pose to pose, as far as the guard lets it."""
    generator = np.random.default_rng(seed)
    for _ in range(5):
        workspace, held, start, rows = some_scene(generator)
        guard, sent = Guard(LIMITS, cameras=(), workspace=workspace), [start]
        for tick in range(1, TICKS + 1):
            share, now_ns = tick / TICKS, tick * TICK_NS
            asked = start + (rows[-1] - start) * share**3 * (10 - 15 * share + 6 * share**2)
            still = np.zeros(14)
            observation = Observation(
                stamp_ns=now_ns, sequence=tick, epoch=1, positions=sent[-1], velocities=still, efforts=still, images={},
                depths={}, instruction="",
            )  # fmt: skip
            command = Command(stamp_ns=now_ns, sequence=tick, epoch=1, positions=asked)
            verdict = guard.review(command, observation, now_ns)
            assert verdict.outcome is not Outcome.STOP
            if verdict.command is None:
                break
            sent.append(verdict.command.positions)
        subjects = "".join(finding.subject for finding in verdict.findings)
        boxed = "post" in subjects or "zone" in subjects
        ridden["to its end" if not subjects else "held for a box" if boxed else "held otherwise"] += 1
        for box in (*workspace.fixtures, *workspace.keep_out):
            apart = clearances(np.array(sent), box, held)[:, :-1]  # what is held is vetting's
            before = np.minimum.accumulate(apart, axis=0)[:-1]
            needed = np.minimum(LIMITS.fixture_clearance_now_m, before - BETWEEN_M)
            assert (apart[1:] >= np.where(before < 0, -np.inf, needed) - 1e-9).all()


@pytest.mark.slow
def test_no_set_point_that_passes_the_guard_comes_nearer_to_what_stands_there_than_its_margin() -> None:
    a_ride_is_guarded_safely()
    assert min(ridden.values()) > 10, ridden  # the property was not empty


@pytest.mark.slow
def test_nothing_that_passes_vetting_comes_nearer_to_what_stands_there_than_its_margin() -> None:
    a_scene_is_vetted_safely()
    assert min(passed.values()) > 5  # whole, changed and refused: the property was not empty
