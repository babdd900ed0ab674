"""Poses that every task shares: tools pointing straight down, the home posture, odd postures to start from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forearm.cell.reaching import Reaching
from forearm.cell.scene import MIDLINE_Y_M
from forearm.geometry import Pose
from forearm.robot.embodiment import BIMANUAL_YAM

Array = NDArray[np.float64]

OUTWARD = {"left": 1.0, "right": -1.0}  # which way along y is away from the midline
OTHER = {"left": "right", "right": "left"}
BASE_Y = {arm.name: arm.base[1] for arm in BIMANUAL_YAM.arms}  # m

# rad, left arm: tool down at (0.20, 0.14, 0.14) m, beside the working area so that the top camera sees all of it.
HOME = (0.611, 1.467, 1.299, -1.403, 0.0, -1.571)
MIRRORED = np.array([-1.0, 1.0, 1.0, 1.0, -1.0, -1.0])  # the right arm's joints at the mirror image of a left posture

JITTER_RAD = 0.02  # rad, how exactly an arm stands at home
ODD_X_M = (0.20, 0.36)  # m, tools of odd starts; above every object, beside the middle fixtures
ODD_OUT_M = (0.17, 0.38)  # m from the midline
ODD_Z_M = (0.07, 0.14)  # m
ODD_YAW_RAD = 0.45  # rad to either side of radial


def tool_down(arm: str, position: tuple[float, float, float] | Array, yaw: float) -> Pose:
    """cell_from_tool straight down: at yaw 0 the wrist camera is outward and the fingers close along x."""
    side, (c, s) = OUTWARD[arm], (np.cos(yaw), np.sin(yaw))
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    straight = np.array([[0.0, -side, 0.0], [-side, 0.0, 0.0], [0.0, 0.0, -1.0]])
    return Pose(rotation=turn @ straight, translation=np.asarray(position, dtype=np.float64))


def tool_ahead(position: tuple[float, float, float] | Array, heading: float, dip: float) -> Pose:
    """cell_from_tool pointing `heading` rad from x and `dip` rad below the horizontal, the wrist camera on top.

    Fingers close level. At a dip of a right angle the tool points straight down with its camera `heading` rad from x.
    """
    ahead, up = np.array([np.cos(heading), np.sin(heading), 0.0]), np.array([0.0, 0.0, 1.0])
    along = np.cos(dip) * ahead - np.sin(dip) * up
    away = -np.sin(dip) * ahead - np.cos(dip) * up  # from the camera
    rotation = np.stack([away, np.cross(along, away), along], axis=1)
    return Pose(rotation=rotation, translation=np.asarray(position, dtype=np.float64))


def radial_yaw(arm: str, x: float, y: float) -> float:
    """The yaw that leaves joint 6 in the middle of its range over (x, y) m: the arm's own direction."""
    return float(np.arctan2(y - BASE_Y[arm], x))


def nearest_side(y: float) -> str:
    """The arm on whose half of the table `y` m lies."""
    return "left" if y > MIDLINE_Y_M else "right"


def start_joints(rng: np.random.Generator, odd: frozenset[str]) -> tuple[float, ...]:
    """Initial joints (J,): arms in `odd` anywhere above the table with any opening, the others at home and open."""
    reaching = Reaching() if odd else None
    joints: list[float] = []
    for arm in BIMANUAL_YAM.arms:
        home = np.array(HOME) * (1.0 if arm.name == "left" else MIRRORED)
        posture, opening = home + rng.uniform(-JITTER_RAD, JITTER_RAD, size=6), 1.0
        if reaching is not None and arm.name in odd:
            posture, opening = _odd(arm.name, rng, reaching, home)
        joints += [*(float(angle) for angle in posture), opening]
    return tuple(joints)


def begun(rng: np.random.Generator) -> frozenset[str]:
    """The arms that are off home where a task has been begun: both, or as often none, sent home to start over."""
    return frozenset(OTHER) if rng.random() < 0.5 else frozenset()


def _odd(arm: str, rng: np.random.Generator, reaching: Reaching, home: Array) -> tuple[Array, float]:
    x, out, z = rng.uniform(*ODD_X_M), rng.uniform(*ODD_OUT_M), rng.uniform(*ODD_Z_M)
    y = MIDLINE_Y_M + OUTWARD[arm] * out
    yaw = radial_yaw(arm, x, y) + rng.uniform(-ODD_YAW_RAD, ODD_YAW_RAD)
    posture = home
    for _ in range(4):  # home is far: a few warm starts
        posture, _ = reaching.solve(arm, tool_down(arm, (x, y, z), yaw), posture)
    opening = float(rng.choice([0.0, 1.0, rng.uniform(0.2, 0.9)]))
    return posture, opening
