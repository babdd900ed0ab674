"""What the main camera would measure of the empty cell from where it is drawn, the arms as their joints say."""

from __future__ import annotations

from functools import cache

import mujoco
import numpy as np
from numpy.typing import NDArray

from forearm.cell import scene
from forearm.cell.camera import Cameras
from forearm.messages import Floats
from forearm.robot.embodiment import BIMANUAL_YAM, GRIPPER_STROKE_M
from forearm.robot.registration import Drawn

HIGHER_M = 0.01  # m, how much the table is raised to see what that changes

_MAIN = BIMANUAL_YAM.cameras[0].name


def drawn(positions: Floats) -> Drawn:
    """With the joints at `positions` (J,). About 20 ms, 0.2 s the first time in a process.

    Raises:
        RobotError: when this machine cannot render off-screen.
    """
    model, table = _empty_cell(), _empty_cell().geom("table").id
    data = mujoco.MjData(model)
    for arm in BIMANUAL_YAM.arms:
        joints = [model.joint(f"{arm.name}_joint{number}").qposadr[0] for number in range(1, 9)]
        data.qpos[joints[:6]] = positions[arm.joints]
        data.qpos[joints[6:]] = positions[arm.gripper] * GRIPPER_STROKE_M
    opaque, is_table = model.geom_rgba[:, 3].copy(), np.arange(model.ngeom) == table
    with Cameras(model) as cameras:

        def measured(shown: NDArray[np.bool_], table_m: float) -> Floats:
            model.geom_rgba[:, 3] = np.where(shown, opaque, 0.0)  # what is transparent is not drawn at all
            model.geom_pos[table, 2] = table_m - scene.TABLE_HALF_M[2]
            mujoco.mj_forward(model, data)
            return cameras.capture(model, data, _MAIN).metres.astype(np.float64)

        arms, low, high = (
            measured(shown, at) for shown, at in ((~is_table, 0.0), (is_table, 0.0), (is_table, HIGHER_M))
        )
        model.geom_rgba[:, 3] = opaque
    return Drawn(arms=arms, table=low, per_table=(high - low) / HIGHER_M)


@cache
def _empty_cell() -> mujoco.MjModel:
    def no_floor(spec: mujoco.MjSpec) -> None:
        spec.geom("floor").rgba[3] = 0.0  # nobody knows what is beyond the table

    return scene.build(no_floor)
