"""What a demonstration teaches about reasoning, read off its own future actions: traces and points.

Neither needs an annotator: the trace is the forward kinematics of the targets to come, a point is where the tool will
be when its gripper next opens or closes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses
from forearm.sentence import words_of

Floats = NDArray[np.float64]

WAIT_TICKS = 10  # 1 s, most of what is done of a chunk before the next one
STILL_M = 0.005  # m, from where it is
STILL_OPENING = 0.05
TRACE_TICKS = (3, 6, 10, 16, 24)  # ticks of 0.1 s ahead: dense where the arms are now, sparse where they are going


def traces(actions: NDArray[np.float32]) -> Floats:
    """(T, A, W, 4): x, y, z in m (cell frame) and gripper opening of each arm's tool at `TRACE_TICKS` after each tick.

    Past the end of the recording the last target stands.
    """
    positions = actions.astype(np.float64)
    tools, _ = tool_poses(positions)
    rows = np.concatenate([tools, positions[:, BIMANUAL_YAM.grippers, None]], axis=-1)
    # The target of tick t is reached at t + 1, so the waypoint k ticks ahead is row t + k - 1.
    ahead = np.arange(len(rows))[:, None] + np.array(TRACE_TICKS) - 1
    return rows[np.minimum(ahead, len(rows) - 1)].transpose(0, 2, 1, 3)


def gripper_events(actions: NDArray[np.float32]) -> list[list[int]]:
    """For each arm the ticks at which its gripper's target crosses half open, in order."""
    half_open = actions[:, BIMANUAL_YAM.grippers] > 0.5
    return [[int(tick) + 1 for tick in np.flatnonzero(np.diff(arm))] for arm in half_open.T]


def points(actions: NDArray[np.float32]) -> Floats:
    """(T, A, 2): where in the main image each gripper will next open or close, fractions from the top left, or NaN."""
    camera = BIMANUAL_YAM.cameras[0]
    assert camera.cell_from_camera is not None  # the main camera does not move
    tools, _ = tool_poses(actions.astype(np.float64))
    pixels = camera.pinhole.project(camera.cell_from_camera.inverse().apply(tools))
    fractions = pixels / np.array([camera.width, camera.height])
    result = np.full((len(actions), len(BIMANUAL_YAM.arms), 2), np.nan)
    for arm, events in enumerate(gripper_events(actions)):
        for first, event in zip([0, *[tick + 1 for tick in events]], events, strict=False):
            result[first : event + 1, arm] = fractions[event, arm]
    return result


def names(actions: NDArray[np.float32], subtasks: Sequence[str], known: Sequence[str]) -> NDArray[np.int64]:
    """(T, A): by which of the `known` words what each gripper holds, or takes next, is called as it is taken.

    Word k is k + 1; 0 is what goes by none of them, and nothing at all; -1 is what was held from the beginning on, of
    which nobody spoke.
    """
    result = np.zeros((len(actions), len(BIMANUAL_YAM.arms)), dtype=np.int64)
    for arm, events in enumerate(gripper_events(actions)):
        side, until = f"{BIMANUAL_YAM.arms[arm].name}: ", [*events[1:], len(actions) - 1]
        for place, event in enumerate(events):
            opens = actions[event, BIMANUAL_YAM.grippers[arm]] > 0.5
            if opens and place == 0:
                result[: event + 1, arm] = -1
            elif not opens:
                spoken = [part for part in subtasks[event].split("; ") if part.startswith(side)] or [subtasks[event]]
                called = [word for word in words_of(spoken[0]) if word in known]
                since = events[place - 1] + 1 if place else 0
                result[since : until[place] + 1, arm] = known.index(called[0]) + 1 if called else 0
    return result


def waiting(actions: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(T, A) ticks from which an arm neither moves its tool nor its gripper for `WAIT_TICKS`: it is the other's turn.

    Once an arm has nothing more to do it waits too.
    """
    tools, _ = tool_poses(actions.astype(np.float64))
    rows = np.minimum(np.arange(len(actions))[:, None] + np.arange(WAIT_TICKS + 1), len(actions) - 1)
    moved = np.linalg.norm(tools[rows] - tools[:, None], axis=-1).max(1)
    gripped = np.ptp(actions[:, BIMANUAL_YAM.grippers][rows], axis=1)
    return np.asarray((moved < STILL_M) & (gripped < STILL_OPENING))


def clear_of_table(actions: NDArray[np.float32], *, horizon: int, clearance: float = 0.05) -> NDArray[np.bool_]:
    """(T, A) ticks from which an arm's tool stays ≥ `clearance` m above the table for `horizon` ticks."""
    tools, _ = tool_poses(actions.astype(np.float64))
    return _throughout(tools[..., 2] >= clearance, horizon)


def free_space(
    actions: NDArray[np.float32], *, horizon: int, margin: int = 4, clearance: float = 0.05
) -> NDArray[np.bool_]:
    """(T, A) ticks from which an arm moves free of contact for `horizon` ticks.

    Free means: clear of the table, and no gripper event within `margin` ticks of the window.
    """
    away = np.ones((len(actions), len(BIMANUAL_YAM.arms)), dtype=bool)
    for arm, events in enumerate(gripper_events(actions)):
        for event in events:
            away[max(0, event - margin) : event + margin, arm] = False
    return _throughout(away, horizon) & clear_of_table(actions, horizon=horizon, clearance=clearance)


def _throughout(holds: NDArray[np.bool_], horizon: int) -> NDArray[np.bool_]:
    """(T, A) ticks from which `holds` (T, A) is true for `horizon` ticks; past the end, the last one counts."""
    steps = len(holds)
    ahead = holds[np.minimum(np.arange(steps)[:, None] + np.arange(horizon), steps - 1)]
    return np.asarray(ahead.all(axis=1))
