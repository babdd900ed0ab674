"""Motions that are known to be bad for what a hand holds, while everything stays clear of the arms themselves.

Invariant: how bad they are is written here in absolute numbers, so that margins which were loosened beyond them show. A
fixture or zone that no hand can be held over from where arms stand ready has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from forearm.messages import Floats, Held, Point
from forearm.robot.kinematics import tool_poses, with_tool_at
from forearm.safety.capsules import ARMS
from forearm.safety.known_bad_boxes import CLEAR_M, THERE_M, apart, kinds_of, stand_free
from forearm.safety.known_bad_motions import OUTWARDS, followed, with_joints
from forearm.safety.known_good import PERIOD_S, READY, ROWS, Asked, Entry
from forearm.safety.limits import Limits
from forearm.safety.surroundings import Surroundings
from forearm.safety.workspace import Workspace

NAME = "known-bad thing"  # none of a workspace's goods: no rule is about it
PLATE: Point = (0.15, 0.15, 0.01)  # m, half sizes of what comes too near to the other arm
INWARDS = (0.6, 0.9)  # rad, both base joints: the plate 49 mm from the other hand, and 15 mm in it
BELOW_M = 0.08  # m, how far what is put down too fast reaches below the tool
THICK_M = 0.01  # m, half its width and height
ENDS_M = (0.07, -0.03)  # m, of its lower end over what it meets, before the first row and in it: at 0.6 m/s


def of_what_is_held(workspace: Workspace) -> tuple[Entry, ...]:
    """Entries for vetting: into the other arm, and slammed onto the table and onto each fixture and zone. 5 ms each."""
    plate = Held(name=NAME, arm=ARMS[0], centre=(0.0, 0.0, 0.0), half=PLATE)
    clear, near = (with_joints({0: -turned, 7: turned}) for turned in INWARDS)
    outwards = with_joints({0: OUTWARDS})
    at = tool_poses(outwards[None])[0][0, 0]
    entries = [
        Entry(
            check="clearance: held object and arm",
            shown="a plate in one hand pushed into the other one",
            spoil=_with(plate, clear, np.stack([(clear + near) / 2.0, *[near] * (ROWS - 1)])),
        ),
        Entry(
            check="clearance: held object and table",
            shown="something that hangs from a hand put down on the table at 0.6 m/s",
            spoil=_lowered(outwards, 0, np.array([at[0], at[1], workspace.table_m])),
        ),
    ]
    for name, kind in kinds_of(workspace).items():
        spots = (_spot(workspace, name, arm) for arm in range(len(ARMS)))
        found = next(((arm, spot) for arm, spot in enumerate(spots) if spot is not None), None)
        if found is not None:
            shown = f"something that hangs from a hand put down on the {name} at 0.6 m/s"
            entries.append(Entry(check=f"clearance: {kind}", shown=shown, spoil=_lowered(READY, *found)))
    return tuple(entries)


def _spot(workspace: Workspace, name: str, arm: int) -> Floats | None:
    """The middle (3,) m of the highest top of that thing, None where that arm's hand is not clear above it."""
    boxes = [box for box in (*workspace.fixtures, *workspace.keep_out) if box.name == name]
    highest = max(boxes, key=lambda box: box.extent[1, 2])
    spot = np.array([*highest.centre[:2], highest.extent[1, 2]])
    poses = _above(READY, arm, spot)
    reached = np.abs(tool_poses(poses)[0][:, arm, 2] - spot[2] - BELOW_M - np.array(ENDS_M)).max() < THERE_M
    whole = Surroundings(workspace, Limits.of())
    clear = all(apart(whole, pose) > CLEAR_M for pose in poses)
    return spot if reached and clear and stand_free(poses) else None


def _above(ready: Floats, arm: int, spot: Floats) -> Floats:
    """Poses (2, J) of that arm with what hangs from its hand over the spot, and in it."""
    return np.stack([with_tool_at(ready, arm, spot + np.array([0.0, 0.0, BELOW_M + end])) for end in ENDS_M])


def _lowered(ready: Floats, arm: int, spot: Floats) -> Callable[[Asked], Asked]:
    above, there = _above(ready, arm, spot)
    turn = tool_poses(there[None])[1][0, arm]
    x, y, z = (turn.T @ np.array([0.0, 0.0, THICK_M - BELOW_M])).tolist()  # the hand may be tilted there
    hanging = Held(name=NAME, arm=ARMS[arm], centre=(x, y, z), half=(THICK_M, THICK_M, THICK_M))
    return _with(hanging, above, np.tile(there, (ROWS, 1)))


def _with(held: Held, start: Floats, rows: Floats) -> Callable[[Asked], Asked]:
    """Rows (H, J) from the pose `start` (J,) with that in hand."""
    spoil = followed(start, rows, PERIOD_S)

    def spoil_in_hand(asked: Asked) -> Asked:
        asked = spoil(asked)
        return replace(asked, observation=replace(asked.observation, held=(held,)))

    return spoil_in_hand
