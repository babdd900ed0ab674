"""What the arms hold, as shapes that move with their tools.

Invariant: nothing of a held box lies outside the capsules round it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, hypot

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from forearm.messages import Floats, Held, Point
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import LINKS, link_frames, tool_poses
from forearm.safety.capsules import ARMS
from forearm.safety.sweep import reach_of

Tools = tuple[Floats, Floats]  # (N, A, 3) m and (N, A, 3, 3): where they are and how they are turned
BEHIND_S = 0.055  # s, by which moving joints lag behind their set-points: kd/kp of the position loop
LETS_GO = 0.05  # opening; what is held yields to the fingers by less
SHORTEST_M = 0.001  # m, of a capsule's segment: distances need a direction
STRIP_M = 0.02  # m, half the width from which a plate is covered by more than one capsule
_SIGNS = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])  # of a box's corners


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A capsule about the segment `start` to `end` in the tool frame, m, round held thing number `thing`."""

    thing: int
    start: Point
    end: Point
    radius: float


def enclosing(held: Held, thing: int = 0) -> list[Round]:
    """Capsules round a held box, of the least volume; more than one round a plate.

    They lie along its longest side, and beside each other along its second.
    """
    half, centre = held.half, np.array(held.centre)
    small, middle, longest = sorted(range(3), key=lambda axis: half[axis])
    strips = ceil(half[middle] / max(half[small], STRIP_M) - 1e-9)
    wide = half[middle] / strips
    # As long as the box, or so much shorter that the round ends reach as far as it does.
    reaches = (half[longest], max(half[longest] - min(half[small], wide), SHORTEST_M))
    sizes = [(reach, hypot(half[longest] - reach, half[small], wide)) for reach in reaches]
    reach, radius = min(sizes, key=lambda size: (size[0] + 2.0 / 3.0 * size[1]) * size[1] ** 2)
    along, beside = reach * np.eye(3)[longest], wide * np.eye(3)[middle]
    middles = [centre + (2 * strip + 1 - strips) * beside for strip in range(strips)]
    return [Round(thing=thing, start=_point(at - along), end=_point(at + along), radius=radius) for at in middles]


def speeds(ways: Float64[ndarray, "H N"], period_s: float) -> Float64[ndarray, "H N"]:
    """How fast things move that go those ways in one period after the other, m/s.

    They begin where the arms are measured, which is `BEHIND_S` behind where they were told to be.
    """
    times = np.full(ways.shape[1], period_s)
    times[0] += BEHIND_S
    return ways / times


class InHand:
    """What is held, in any number of poses.

    Args:
        held: it, H things.
    """

    def __init__(self, held: Sequence[Held] = ()) -> None:
        self.held = tuple(held)
        self.capsules = [capsule for number, each in enumerate(held) for capsule in enclosing(each, number)]
        self._arms = np.array([ARMS.index(each.arm) for each in held], dtype=np.int64)
        self._corners = np.array([np.array(each.centre) + np.array(each.half) * _SIGNS for each in held])
        self._ends = np.array([[each.start, each.end] for each in self.capsules])
        self._arms_of_capsules = self._arms[[each.thing for each in self.capsules]]
        self._farthest = [float(np.linalg.norm(corners, axis=1).max()) for corners in self._corners]

    def at(self, tools: Tools) -> tuple[Float64[ndarray, "2 3 C N"], Float64[ndarray, "H N"]]:
        """Where the capsules start and end, and how low each thing reaches, m in the cell frame, with the tools there.

        As `tool_poses` and `tools_on` say of N poses.
        """
        ends = _placed(self._ends, self._arms_of_capsules, tools).transpose(1, 2, 0, 3)
        return ends, _placed(self._corners, self._arms, tools)[:, :, 2].min(axis=1)

    def ways(self, path: Float64[ndarray, "N+1 14"]) -> Float64[ndarray, "H N"]:
        """How far the corner of each thing that moves farthest moves on each step of a path, m."""
        ways = np.diff(_placed(self._corners, self._arms, tool_poses(path)), axis=-1)
        return np.sqrt(np.einsum("hcin,hcin->hcn", ways, ways).max(axis=1))

    def let_go(self, path: Float64[ndarray, "N+1 14"]) -> Bool[ndarray, "H N"]:
        """Whether each thing has been let go of on each step of a path that begins with it in hand."""
        openings = path[:, BIMANUAL_YAM.grippers]
        return np.logical_or.accumulate(openings[1:] > openings[0] + LETS_GO, axis=0).T[self._arms]

    def is_one_thing(self, positions: Float64[ndarray, " 14"]) -> bool:
        """Whether each arm's tool is within reach of what the other one holds, whatever it may be that this is."""
        if len({each.arm for each in self.held}) < len(ARMS):
            return False
        left, right = tool_poses(positions)[0]
        return float(np.linalg.norm(left - right)) <= min(self._farthest)

    def reach(self, thing: int) -> Float64[ndarray, " 14"]:
        """How far a unit of each joint can move any point of that thing, m; it encloses the capsules' segments."""
        return reach_of("gripper", int(self._arms[thing]), _TOOL_M + self._farthest[thing])


def _placed(points: Float64[ndarray, "n p 3"], arms: ndarray, at: Tools) -> Floats:
    """(n, p, 3, N) m, p points of the frame of each of n arms' tools, in the cell frame, with the tools there."""
    tools, turns = (each[:, arms].swapaxes(0, 1) for each in at)  # n, N, …
    return (points[:, None] @ turns.swapaxes(-1, -2) + tools[:, :, None]).transpose(0, 2, 3, 1)


def _point(values: Floats) -> Point:
    x, y, z = values.tolist()
    return (x, y, z)


def _tool_length() -> float:
    """Length m from the gripper's origin to the tool's, the same in every pose."""
    zero = np.zeros((1, len(BIMANUAL_YAM.joints)))
    gripper = link_frames(zero)[LINKS.index("gripper"), 0, 0, :3, 3]
    return float(np.linalg.norm(tool_poses(zero)[0][0, 0] - gripper))


_TOOL_M = _tool_length()
