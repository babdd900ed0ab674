"""Inputs that are known to be too near to what stands in a workspace, found by lowering a hand onto each thing.

Invariant: how near is written here in absolute numbers, so that clearances which were loosened beyond them show; on the
way and there, everything else is clear. A thing that no hand can be lowered onto from where arms stand ready has none.
"""

from __future__ import annotations

import numpy as np

from forearm.messages import Floats
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses, with_tool_at
from forearm.safety.capsules import ARMS
from forearm.safety.clearance import PAIRS, Bodies
from forearm.safety.known_bad import nearing
from forearm.safety.known_good import READY, Entry
from forearm.safety.limits import Limits
from forearm.safety.surroundings import Surroundings
from forearm.safety.workspace import Workspace

NEAR_M = (0.0005, 0.0015)  # m from a box: less than any gate allows
CLEAR_M = 0.010  # m from all boxes, more than any gate asks for
FREE_M = 0.015  # m that the arms have from each other, themselves and the table; fingers may come down to the latter
OVER_M = 0.12  # m, of the tool above a thing, where lowering begins
APART_M = 0.015  # m, of the tool between the pose that is clear and the one that is near
THERE_M = 0.001  # m, a tool is where it was to be
HALVINGS = 14  # of the way down: to 0.02 mm

_EVERY = np.arange(len(PAIRS))
_FREE_M = np.where([pair.kind == "fingers over table" for pair in PAIRS], 0.0, FREE_M)


def of_boxes(workspace: Workspace) -> tuple[Entry, ...]:
    """One entry for each fixture and zone, for vetting and guard alike. About 30 ms each."""
    entries = list[Entry]()
    for name, kind in kinds_of(workspace).items():
        poses = (lowered(workspace, name, arm) for arm in range(len(ARMS)))
        if (found := next((each for each in poses if each is not None), None)) is not None:
            shown = f"a hand lowered to 1 mm from the {name}"
            entries.append(Entry(check=f"clearance: {kind}", shown=shown, spoil=nearing(*found)))
    return tuple(entries)


def kinds_of(workspace: Workspace) -> dict[str, str]:
    """The kind of every fixture and zone by its name."""
    kinds = {box.name: "fixture" for box in workspace.fixtures}
    return kinds | {box.name: "keep-out zone" for box in workspace.keep_out}


def lowered(workspace: Workspace, name: str, arm: int) -> tuple[Floats, Floats] | None:
    """Poses (J,) of that arm's hand over the thing of that name, clear and too near; None where there are none."""
    boxes = tuple(box for box in (*workspace.fixtures, *workspace.keep_out) if box.name == name)
    extents = np.stack([box.extent for box in boxes])
    low, high = extents.min(axis=(0, 1)), extents.max(axis=(0, 1))
    middle = (low + high)[:2] / 2.0
    thing = Surroundings(Workspace(fixtures=boxes), Limits.of())

    def at(height: float) -> Floats:
        return with_tool_at(READY, arm, np.array([*middle, height]))

    above, below = high[2] + OVER_M, low[2]
    for _ in range(HALVINGS):
        height = (above + below) / 2.0
        if apart(thing, at(height)) > sum(NEAR_M) / 2.0:
            above = height
        else:
            below = height
    clear, near = at(above + APART_M), at(above)
    whole = Surroundings(workspace, Limits.of())
    fits = NEAR_M[0] < apart(thing, near) < NEAR_M[1] and apart(whole, clear) > CLEAR_M
    reached = abs(tool_poses(near)[0][arm][2] - above) < THERE_M
    return (clear, near) if fits and reached and stand_free(np.stack([clear, near])) else None


def apart(things: Surroundings, pose: Floats) -> float:
    """The least clearance of the arms from those boxes, m."""
    placed, every = things.at(pose[None]), np.arange(len(things.pairs))
    return float(placed.clearance(every, np.zeros_like(every)).min())


def stand_free(poses: Floats) -> bool:
    """Whether joints (N, J) are in their range, and the arms clear of each other, themselves and the table."""
    bodies = Bodies.at(poses)
    spare = np.stack([bodies.clearance(_EVERY, np.full(len(_EVERY), row)) for row in range(len(poses))])
    in_range = (np.clip(poses, BIMANUAL_YAM.lower, BIMANUAL_YAM.upper) == poses).all()
    return bool(in_range and (spare > _FREE_M).all())
