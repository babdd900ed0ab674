"""Inverse kinematics of one arm: the joint angles that bring its tool frame to a pose.

Damped least squares (Nakamura & Hanafusa 1986) with a step limit, joint ranges by clipping, warm-started by the caller.
"""

from __future__ import annotations

from functools import cache

import mujoco
import numpy as np
from numpy.typing import NDArray

from forearm.cell import scene
from forearm.geometry import Pose
from forearm.robot.embodiment import BIMANUAL_YAM, Arm

Array = NDArray[np.float64]

DAMPING_SQUARED = 1e-4
ORIENTATION_WEIGHT = 0.25  # m/rad, how much a radian counts against a metre
LARGEST_STEP_RAD = 0.25  # per iteration and joint
ITERATIONS = 12
REACHED_M = 2e-4  # m (and rad × weight), close enough to stop


class Reaching:
    """Forward and inverse kinematics of both arms, about 25 µs an iteration. Not shared between threads."""

    def __init__(self) -> None:
        self._model = _station_model()
        self._data = mujoco.MjData(self._model)
        self._sites = {arm.name: self._model.site(f"tcp_{arm.name}").id for arm in BIMANUAL_YAM.arms}
        names = {arm.name: [f"{arm.name}_joint{number}" for number in range(1, 7)] for arm in BIMANUAL_YAM.arms}
        self._joints = {
            arm: np.array([self._model.joint(name).dofadr[0] for name in joints]) for arm, joints in names.items()
        }
        self._arms = {arm.name: arm for arm in BIMANUAL_YAM.arms}

    def tool_pose(self, arm: str, joints: Array) -> Pose:
        """cell_from_tool of `arm` at `joints` (6,) rad."""
        self._data.qpos[self._joints[arm]] = joints
        mujoco.mj_kinematics(self._model, self._data)
        site = self._sites[arm]
        return Pose(
            rotation=self._data.site_xmat[site].reshape(3, 3).copy(), translation=self._data.site_xpos[site].copy()
        )

    def solve(self, arm: str, cell_from_tool: Pose, start: Array) -> tuple[Array, float]:
        """Joint angles (6,) rad within their ranges that bring the tool nearest to the pose, from `start` (6,).

        Returns:
            The angles, and the distance of the tool from where it should be in m.
        """
        lower, upper = _range(self._arms[arm])
        dofs, site = self._joints[arm], self._sites[arm]
        joints = np.clip(start, lower, upper)
        jacobian = np.empty((6, self._model.nv))
        error = np.empty(6)
        for _ in range(ITERATIONS):
            pose = self.tool_pose(arm, joints)
            error[:3] = cell_from_tool.translation - pose.translation
            error[3:] = rotation_vector(cell_from_tool.rotation @ pose.rotation.T) * ORIENTATION_WEIGHT
            if np.abs(error).max() < REACHED_M:
                break
            mujoco.mj_comPos(self._model, self._data)
            mujoco.mj_jacSite(self._model, self._data, jacobian[:3], jacobian[3:], site)
            J = jacobian[:, dofs]
            J[3:] *= ORIENTATION_WEIGHT
            step = J.T @ np.linalg.solve(J @ J.T + DAMPING_SQUARED * np.eye(6), error)
            step *= min(1.0, LARGEST_STEP_RAD / max(float(np.abs(step).max()), 1e-9))
            joints = np.clip(joints + step, lower, upper)
        reached = self.tool_pose(arm, joints).translation
        return joints, float(np.linalg.norm(reached - cell_from_tool.translation))


def rotation_vector(rotation: Array) -> Array:
    """The axis (3,) times the angle in rad of a rotation matrix (3, 3)."""
    quaternion, vector = np.empty(4), np.empty(3)
    mujoco.mju_mat2Quat(quaternion, rotation.ravel())
    mujoco.mju_quat2Vel(vector, quaternion, 1.0)
    return vector


def rotation_about(vector: Array) -> Array:
    """The rotation matrix (3, 3) of an axis times an angle (3,) rad."""
    quaternion, rotation = np.array([1.0, 0.0, 0.0, 0.0]), np.empty(9)
    mujoco.mju_quatIntegrate(quaternion, vector, 1.0)
    mujoco.mju_quat2Mat(rotation, quaternion)
    return rotation.reshape(3, 3)


def between(start: Pose, end: Pose, fraction: float) -> Pose:
    """The pose at `fraction` 0..1 of the way: straight in position, about one axis in rotation."""
    turn = rotation_vector(end.rotation @ start.rotation.T)
    return Pose(
        rotation=rotation_about(turn * fraction) @ start.rotation,
        translation=start.translation + fraction * (end.translation - start.translation),
    )


def _range(arm: Arm) -> tuple[Array, Array]:
    return BIMANUAL_YAM.lower[arm.joints], BIMANUAL_YAM.upper[arm.joints]


@cache
def _station_model() -> mujoco.MjModel:
    return scene.station().compile()
