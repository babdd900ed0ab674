"""What the main camera would measure of the empty cell from where it is drawn, the arms as their joints say."""

from __future__ import annotations

from functools import cache

import mujoco
import numpy as np

from forearm.cell import scene
from forearm.cell.camera import Cameras
from forearm.messages import Floats
from forearm.robot.embodiment import BIMANUAL_YAM, GRIPPER_STROKE_M
from forearm.robot.registration import Drawn

HIGHER_M = 0.004  # m, how much the table is raised to see what that changes: less than the arms' bases stand out
CHANGES = 0.1  # m for each m: what changes less is no table, but rounding

_MAIN = BIMANUAL_YAM.cameras[0].name


def drawn(positions: Floats, table_m: float = 0.0) -> Drawn:
    """With the joints at `positions` (J,) and the table so much higher. About 20 ms, 0.2 s the first time in a process.

    Raises:
        RobotError: when this machine cannot render off-screen.
    """
    model = _empty_cell()
    data = mujoco.MjData(model)
    for arm in BIMANUAL_YAM.arms:
        joints = [model.joint(f"{arm.name}_joint{number}").qposadr[0] for number in range(1, 9)]
        data.qpos[joints[:6]] = positions[arm.joints]
        data.qpos[joints[6:]] = positions[arm.gripper] * GRIPPER_STROKE_M
    measured = list[Floats]()
    with Cameras(model) as cameras:
        for height in (table_m, table_m + HIGHER_M):
            model.geom("table").pos[2] = height - scene.TABLE_HALF_M[2]
            mujoco.mj_forward(model, data)
            measured.append(cameras.capture(model, data, _MAIN).metres.astype(np.float64))
    metres, higher = measured
    change = (higher - metres) / HIGHER_M
    return Drawn(metres=metres, per_table=np.where(np.abs(change) > CHANGES, change, 0.0), table_m=table_m)


@cache
def _empty_cell() -> mujoco.MjModel:
    def no_floor(spec: mujoco.MjSpec) -> None:
        spec.geom("floor").rgba[3] = 0.0  # nobody knows what is beyond the table

    return scene.build(no_floor)
