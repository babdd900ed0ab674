"""The cell's physics and its truth: what MuJoCo moves, and what is really where.

Time here is the number of physics steps taken; nothing reads a clock, so equal commands give equal bytes.
"""

from __future__ import annotations

import copy

import mujoco
import numpy as np
from numpy.typing import NDArray

from forearm.cell.setup import Setup
from forearm.cell.variation import Mount, Placement
from forearm.geometry import Pose
from forearm.robot.embodiment import BIMANUAL_YAM, GRIPPER_STROKE_M

Array = NDArray[np.float64]

GREASE = 2  # priority of a greased surface, above every other's
GREASED = 0.01  # coefficient of friction of a surface that fingers cannot hold
RIGID = 0.9999  # impedance of that friction: MuJoCo's usual 0.9 lets a pushed joint creep
JAMMED = 200.0  # N m, friction in a jammed joint: more than three times what its motor gives


class Physics:
    """One cell in motion: the task's `model` as `setup` starts it, with the joints held there.

    `model` and `data` are MuJoCo's own, for rendering with `look`; only this class changes them.

    Args:
        model: `solver.cell_model` of the setup.
        setup: the scene.
    """

    def __init__(self, model: mujoco.MjModel, setup: Setup) -> None:
        self.model = copy.copy(model)  # colours, fixtures and cameras below are this cell's alone
        self.look = setup.look
        self.model.geom("table").rgba[:] = setup.look.table
        for mount in setup.look.mounts:
            self._move_camera(mount)
        for placement in setup.placements:
            self._place_fixture(placement, setup.matter.table_m)
        self._surfaces = self.model.geom_friction.copy(), self.model.geom_priority.copy()
        self.data = mujoco.MjData(self.model)
        for placement in setup.placements:
            self._place_free(placement, setup.matter.size, setup.matter.table_m)
        arms = BIMANUAL_YAM.arms
        names = [f"{arm.name}_joint{number}" for arm in arms for number in range(1, 8)]
        joints = [self.model.joint(name) for name in names]
        self._positions = np.array([joint.qposadr[0] for joint in joints])
        self._velocities = np.array([joint.dofadr[0] for joint in joints])
        self._scale = np.ones(len(names))
        self._scale[BIMANUAL_YAM.grippers] = GRIPPER_STROKE_M
        self._sites = {arm.name: self.model.site(f"tcp_{arm.name}").id for arm in arms}
        self._geom_arm, self._geom_finger = _owners(self.model)
        start = np.array(setup.start)
        start[BIMANUAL_YAM.grippers] = np.minimum(start[BIMANUAL_YAM.grippers], setup.matter.opening)
        self.data.qpos[self._positions] = start * self._scale
        for arm in arms:
            follower = self.model.joint(f"{arm.name}_joint8").qposadr[0]
            self.data.qpos[follower] = start[arm.gripper] * GRIPPER_STROKE_M
        self.target(start)
        mujoco.mj_forward(self.model, self.data)

    def target(self, positions: Array) -> None:
        """Joint targets (J,) from the next step on."""
        self.data.ctrl[:] = positions * self._scale

    def advance(self, steps: int) -> None:
        """Takes `steps` physics steps of `STEP_S`, about 25 µs each."""
        if steps > 0:
            mujoco.mj_step(self.model, self.data, nstep=steps)
            mujoco.mj_kinematics(self.model, self.data)  # poses at the new time, not the last step's
            mujoco.mj_camlight(self.model, self.data)

    @property
    def positions(self) -> Array:
        """(J,) measured positions in embodiment order and units."""
        return self.data.qpos[self._positions] / self._scale

    @property
    def velocities(self) -> Array:
        """(J,) rad/s, grippers 1/s."""
        return self.data.qvel[self._velocities] / self._scale

    @property
    def efforts(self) -> Array:
        """(J,) what the motors give now: N m, grippers N."""
        return self.data.actuator_force.copy()

    def object_pose(self, name: str) -> Pose:
        """cell_from_object of a task's object, the truth.

        Raises:
            KeyError: for a name the scene does not have.
        """
        body = self.data.body(name)
        return Pose(rotation=body.xmat.reshape(3, 3).copy(), translation=body.xpos.copy())

    def tool_pose(self, arm: str) -> Pose:
        """cell_from_tool of arm "left" or "right", the truth."""
        site = self._sites[arm]
        return Pose(
            rotation=self.data.site_xmat[site].reshape(3, 3).copy(), translation=self.data.site_xpos[site].copy()
        )

    def holders(self, name: str) -> frozenset[str]:
        """The arms that have both fingers on the object `name`."""
        fingers = {self._geom_finger[geom] for geom in self._against(name)}
        return frozenset(arm.name for arm in BIMANUAL_YAM.arms if {(arm.name, "left"), (arm.name, "right")} <= fingers)

    def touching(self, name: str) -> frozenset[str]:
        """The arms that touch the object `name` with anything."""
        arms = {self._geom_arm[geom] for geom in self._against(name)}
        return frozenset(arm.name for arm in BIMANUAL_YAM.arms if arm.name in arms)

    def arms_touch(self) -> bool:
        """Whether the two arms' hands touch each other now."""
        pairs = self.data.contact.geom.tolist()
        return any({self._geom_arm[one], self._geom_arm[other]} == {"left", "right"} for one, other in pairs)

    def is_free(self, name: str) -> bool:
        """Whether the object `name` can be moved."""
        return bool(self.model.body(name).jntnum[0])

    def surrounds(self, name: str, point: Array, margin: float) -> bool:
        """Whether `point` m (3,) is in one of the object's boxes, each grown by `margin` m."""
        inside = self.object_pose(name).inverse().apply(point)
        body = self.model.body(name)
        boxes = range(body.geomadr[0], body.geomadr[0] + body.geomnum[0])
        return any(
            bool(np.all(np.abs(inside - self.model.geom_pos[geom]) <= self.model.geom_size[geom] + margin))
            for geom in boxes
        )

    def shift(self, name: str, by: Array) -> None:
        """Moves the free object `name` by m (3,) at once."""
        start = self.model.jnt_qposadr[self.model.body(name).jntadr[0]]
        self.data.qpos[start : start + 3] += by
        mujoco.mj_forward(self.model, self.data)

    def grease(self, name: str, greased: bool) -> None:
        """Takes nearly all friction from the object `name`, or gives it back."""
        body = self.model.body(name)
        frictions, priorities = self._surfaces
        for geom in range(body.geomadr[0], body.geomadr[0] + body.geomnum[0]):
            # Of two surfaces MuJoCo takes the greater friction, unless one has priority.
            self.model.geom_priority[geom] = GREASE if greased else priorities[geom]
            self.model.geom_friction[geom, 0] = GREASED if greased else frictions[geom, 0]

    def jam(self, arm: str, jammed: bool) -> None:
        """Jams the six joints of arm "left" or "right", or frees them."""
        for number in range(1, 7):
            dof = self.model.joint(f"{arm}_joint{number}").dofadr[0]
            self.model.dof_frictionloss[dof] = JAMMED if jammed else 0.0
            self.model.dof_solimp[dof, :2] = RIGID  # only friction uses it, and only a jammed joint has any

    def _against(self, name: str) -> list[int]:
        """The geoms in contact with the object `name`."""
        body = self.model.body(name).id
        pairs: list[tuple[int, int]] = self.data.contact.geom.tolist()
        both_ways = pairs + [(other, one) for one, other in pairs]
        return [other for one, other in both_ways if self.model.geom_bodyid[one] == body]

    def _move_camera(self, mount: Mount) -> None:
        camera = self.model.camera(mount.camera)
        shift, turn = np.array(mount.shift), np.array(mount.turn)
        camera.pos[:] += shift  # a camera's body is its optical frame
        angle = float(np.linalg.norm(turn))
        if angle > 0.0:
            turned, drawn = np.empty(4), camera.quat.copy()
            mujoco.mju_axisAngle2Quat(turned, turn / angle, angle)
            mujoco.mju_mulQuat(camera.quat, turned, drawn)
        camera.fovy[:] *= mount.zoom

    def _place_fixture(self, placement: Placement, table_m: float) -> None:
        body = self.model.body(placement.name)
        if placement.rgba is not None:
            first = body.geomadr[0]
            self.model.geom_rgba[first : first + body.geomnum[0]] = placement.rgba
        if body.jntnum[0] == 0:
            body.pos[:] = placement.position
            body.pos[2] += table_m
            body.quat[:] = _about_z(placement.yaw)

    def _place_free(self, placement: Placement, size: float, table_m: float) -> None:
        body = self.model.body(placement.name)
        if body.jntnum[0]:
            start = self.model.jnt_qposadr[body.jntadr[0]]
            x, y, z = placement.position
            self.data.qpos[start : start + 3] = x, y, z * size + table_m  # a larger thing lies as much higher
            self.data.qpos[start + 3 : start + 7] = _about_z(placement.yaw)


def _about_z(yaw: float) -> Array:
    return np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])


def _owners(model: mujoco.MjModel) -> tuple[list[str | None], list[tuple[str, str] | None]]:
    """For each geom: the arm it belongs to, and for a finger's contact box which finger of that arm."""
    arms: list[str | None] = []
    fingers: list[tuple[str, str] | None] = []
    for geom in range(model.ngeom):
        side, _, rest = model.body(model.geom_bodyid[geom]).name.partition("_")
        arms.append(side if side in ("left", "right") else None)
        fingers.append((side, rest.removeprefix("tip_")) if rest.startswith("tip_") else None)
    return arms, fingers
