"""Ways out, made of where the arms have been: rows of joint targets for vetting to judge.

Invariant: every way leads from the newest set-point back over poses that were commanded before, opening grippers before
their arms move; nothing in here is sent anywhere.

`path` is (N, J) always: the set-points of the run, `PERIOD_S` apart, the oldest first.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

import numpy as np

from forearm.messages import Floats
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses

PERIOD_S = 0.1  # s, between rows
HOVER_Z_M = 0.11  # m, tool above the table; where policies learned to look at things before they reach for them
STANDING_ROWS = 3  # in which arms that were moving come to rest, and are measured, before they go anywhere
STEP_RAD = 0.12  # rad between rows at the most: 1.2 rad/s, less than half of what the slowest joint may
OPENING = (0.5, 1.0, 1.0)  # a gripper opens in two rows and stands for one
MOST_ROWS = 64  # of one chunk
PASSING_Z_M = (
    0.08  # m, tool above the table; things that lie there are at most 0.05 m high, fingers reach 0.015 m lower
)
ROUNDING_M = 0.001  # m, by which a tool may be lower
BACK_S = 1.5  # s of path that a retreat goes back
LOOK_BACK = 200  # rows of path that are searched for a way up

_ARMS = BIMANUAL_YAM.arms


def standing(positions: Floats, rows: int = 10) -> Floats:
    """(H, J) this pose, again and again."""
    return np.tile(positions, (rows, 1))


def retreat(path: Floats) -> Floats:
    """(H, J) back the way both arms came, for `BACK_S`, from a stand; grippers keep what they were told last."""
    rows = path[::-1][: round(BACK_S / PERIOD_S) + 1].copy()
    rows[:, BIMANUAL_YAM.grippers] = path[-1, BIMANUAL_YAM.grippers]
    return np.concatenate([standing(path[-1], STANDING_ROWS), _dense(rows)])[:MOST_ROWS]


def along(path: Floats, rows: Floats) -> Floats:
    """(H, J) through rows (K, J) that were travelled, from a stand; grippers keep what they were told last."""
    way = np.concatenate([path[-1:], rows])
    way[:, BIMANUAL_YAM.grippers] = path[-1, BIMANUAL_YAM.grippers]
    return np.concatenate([standing(path[-1], STANDING_ROWS), _dense(_moving(way))])[:MOST_ROWS]


def passing(rows: Floats) -> int:
    """How many of the rows (N, J), from the first on, keep every tool over what lies about, or as high as it was."""
    heights = tool_poses(rows)[0][..., 2]
    low = (heights < np.minimum(PASSING_Z_M, heights[0]) - ROUNDING_M).any(axis=1)
    return int(low.argmax()) if low.any() else len(rows)


def back_off(path: Floats, arms: Collection[int], setting_down: Collection[int] = ()) -> Floats:
    """(H, J) in which those arms open and then rise along their paths to hover; the others stand.

    Args:
        path: what was travelled.
        arms: indices of the arms that have nothing and back off.
        setting_down: indices of arms that first go back to where they took what they hold, and let go of it there.
    """
    ways: dict[int, Floats] = {}
    for index in {*arms, *setting_down}:
        down = _set_down(path, index) if index in setting_down else path[-1:, _columns(index)]
        ways[index] = standing(down[0], STANDING_ROWS * (index in setting_down))  # who opens first stands for that
        here = down[-1]
        opened = np.tile(here, (len(OPENING), 1))
        opened[:, -1] = np.maximum(here[-1], OPENING)
        rise = _rise(path[: len(path) - len(down) + 1], index)
        rise[:, -1] = 1.0
        ways[index] = np.concatenate([ways[index], _dense(down), opened, _dense(rise)])
    return _together(path[-1], ways)[:MOST_ROWS]


def make_way(path: Floats, arms: Collection[int], setting_down: Collection[int] = ()) -> Floats:
    """(H, J) in which those arms open, rise, and go all the way back to where the run began; the others stand.

    Args:
        path: what was travelled.
        arms: indices of the arms that have nothing.
        setting_down: indices of arms that first go back to where they took what they hold, and let go of it there.
    """
    up = back_off(path, arms, setting_down)
    home = up[-1].copy()
    for index in {*arms, *setting_down}:
        joints = _ARMS[index].joints
        home[joints] = path[0, joints]
    return np.concatenate([up, _dense(np.stack([up[-1], home]))])[:MOST_ROWS]


def _columns(index: int) -> slice:
    """The arm's joints with its gripper."""
    return slice(_ARMS[index].joints.start, _ARMS[index].gripper + 1)


def _set_down(path: Floats, index: int) -> Floats:
    """(K, 7) from now back to the row at which the arm had just closed its gripper."""
    openings = path[:, _ARMS[index].gripper]
    was_open = np.flatnonzero(openings > 0.5)
    first = int(was_open[-1]) + 1 if len(was_open) else 0
    rows = path[first:, _columns(index)][::-1].copy()
    if not len(rows):
        return path[-1:, _columns(index)]
    rows[:, -1] = openings[-1]
    return _moving(rows)


def _moving(rows: Floats) -> Floats:
    """The rows without those that hardly differ from the one before: a way back need not stand still where it did."""
    kept = [0]
    for at in range(1, len(rows)):
        if at == len(rows) - 1 or np.abs(rows[at] - rows[kept[-1]]).max() > STEP_RAD / 2:
            kept.append(at)
    return rows[kept]


def _rise(path: Floats, index: int) -> Floats:
    """(K, 7) backwards along the path to hovering height, leaving out where it was lower than it is already."""
    recent = path[-LOOK_BACK:]
    tools, _ = tool_poses(recent)
    heights, rows = tools[::-1, index, 2], recent[::-1, _columns(index)]
    way, highest = [rows[0]], float(heights[0])
    for height, row in zip(heights, rows, strict=True):
        if highest >= HOVER_Z_M:
            break
        if height > highest:
            way.append(row)
            highest = float(height)
    return np.array(way)


def _dense(rows: Floats) -> Floats:
    """The rows with others put between them where a joint would move by more than `STEP_RAD`."""
    dense = [rows[:1]]
    for before, after in pairwise(rows):
        count = max(1, int(np.ceil(np.abs(after - before).max() / STEP_RAD)))
        shares = np.arange(1, count + 1)[:, None] / count
        dense.append(before + shares * (after - before))
    return np.concatenate(dense)


def _together(now: Floats, ways: dict[int, Floats]) -> Floats:
    """(H, J) from the arms' own ways (K, 7): who is there first waits, who has none stands."""
    count = max((len(way) for way in ways.values()), default=1)
    rows = standing(now, count)
    for index, way in ways.items():
        rows[:, _columns(index)] = np.concatenate([way, standing(way[-1], count - len(way))])
    return rows
