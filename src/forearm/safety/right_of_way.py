"""Which arm waits where both are bound for the same place, and what waiting is.

The rule: the arm whose hand, the wrist included, is farther from where they would meet waits; where neither is nearer
by more than `TIE_M`, the right one does. It brakes and stands still for the whole chunk, and the other goes on as it
wanted to. A meeting that is `SOON_ROWS` or more ahead makes nobody wait: the next decision comes before it.

Why nobody waits for ever: the rule looks at measured poses alone, so it chooses the same arm again until the other has
passed; whoever is nearer is the one that moves, so it stays the nearer one until it is through. An arm that stands in
the way and wants nothing makes the other wait without end; that is for whoever counts refusals to notice.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from forearm.messages import ActionChunk, Observation
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.safety.capsules import CAPSULES, RADII
from forearm.safety.clearance import Bodies, Pair
from forearm.safety.limits import Limits

SOON_ROWS = 8  # rows of a chunk that are followed before the next one is there: runtime/chunks.py
TIE_M = 0.02  # m, nearer by less than that counts as equally near: the capsules of mirrored arms differ by so much
BRAKING = 0.5  # of the greatest acceleration: what the chase surely keeps up with
ARMS = BIMANUAL_YAM.arms
HAND = np.repeat([capsule.part in ("wrist", "gripper", "camera", "fingers") for capsule in CAPSULES], len(ARMS))


def who_waits(start: Float64[ndarray, " 14"], clash: Float64[ndarray, " 14"], pair: Pair) -> int:
    """The index of the arm that waits when the two bodies of `pair` would meet at the row `clash`."""
    there = Bodies.at(clash[None])
    middles = (there.starts[..., 0] + there.ends[..., 0]) / 2.0
    place = middles[:, [index for index in (pair.first, pair.second) if index is not None]].mean(axis=1)
    left, right = (float(distance) for distance in _distances(Bodies.at(start[None]), place))
    return 1 if left <= right + TIE_M else 0


def waiting(chunk: ActionChunk, observation: Observation, arm: int, limits: Limits) -> ActionChunk:
    """The chunk with one arm braking from its measured speed and then standing; its gripper keeps the first row's."""
    joints = ARMS[arm].joints
    times = chunk.period_s * np.arange(1, len(chunk.positions) + 1)[:, None]
    speed, brake = observation.velocities[joints], BRAKING * limits.acceleration[joints]
    braked = np.minimum(times, np.abs(speed) / brake)
    rows = chunk.positions.copy()
    stands = observation.positions[joints] + speed * braked - np.sign(speed) * brake * braked**2 / 2.0
    rows[:, joints] = np.clip(stands, limits.lower[joints], limits.upper[joints])
    rows[:, ARMS[arm].gripper] = chunk.positions[0, ARMS[arm].gripper]  # what it holds is not let go of on the way
    return replace(chunk, positions=rows)


def late(
    start: Float64[ndarray, " 14"], rows: Float64[ndarray, "N 14"], arm: int
) -> tuple[Float64[ndarray, " 14"], Float64[ndarray, "N 14"]]:
    """The same path with one arm a row behind the other."""
    own = slice(7 * arm, 7 * arm + 7)
    behind = rows.copy()
    behind[1:, own] = rows[:-1, own]
    behind[0, own] = start[own]
    return start, behind


def _distances(bodies: Bodies, place: Float64[ndarray, " 3"]) -> Float64[ndarray, " 2"]:
    """How far each arm's hand is from a place, m; below zero where it is inside."""
    starts, ends = bodies.starts[:, HAND, 0], bodies.ends[:, HAND, 0]
    way, to = ends - starts, place[:, None] - starts
    share = np.clip((to * way).sum(axis=0) / (way * way).sum(axis=0), 0.0, 1.0)
    apart = np.linalg.norm(to - share * way, axis=0) - RADII[HAND]
    return apart.reshape(-1, len(ARMS)).min(axis=0)
