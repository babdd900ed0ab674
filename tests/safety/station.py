"""The station's own meshes and MuJoCo's distances: what the capsules and clearances are checked against."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import mujoco
import numpy as np

from forearm.robot.embodiment import GRIPPER_STROKE_M
from forearm.safety.capsules import CAPSULES

NAME = "yam_station_linear_4310_d405"


def spec() -> mujoco.MjSpec:
    package = Path(find_spec("i2rt").submodule_search_locations[0])
    return mujoco.MjSpec.from_file(str(package / "robot_models" / "station" / NAME / f"{NAME}.xml"))


@cache
def with_capsules() -> mujoco.MjModel:
    """The station with our capsules instead of its meshes, named `arm/number`, and the table."""
    station = spec()
    for geom in list(station.geoms):
        station.delete(geom)
    for arm in ("left", "right"):
        for number, capsule in enumerate(CAPSULES):
            station.body(f"{arm}_{capsule.link}").add_geom(
                name=f"{arm}/{number}",
                type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                fromto=[*capsule.start, *capsule.end],
                size=[capsule.radius, 0, 0],
            )
    station.worldbody.add_geom(name="table", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2, 2, 0.1])
    return station.compile()


def place(model: mujoco.MjModel, data: mujoco.MjData, positions: np.ndarray) -> None:
    for side, own in (("left", positions[:7]), ("right", positions[7:])):
        for number in range(1, 9):
            value = own[number - 1] if number < 7 else own[6] * GRIPPER_STROKE_M
            data.qpos[model.joint(f"{side}_joint{number}").qposadr[0]] = value
    mujoco.mj_kinematics(model, data)


def surface(model: mujoco.MjModel, body: str, spacing_m: float, rng: np.random.Generator) -> np.ndarray:
    """Vertices and random surface points (n, 3) of a body's meshes, in its frame."""
    found = []
    for geom in np.nonzero(model.geom_bodyid == model.body(body).id)[0]:
        mesh = model.geom_dataid[geom]
        first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        rotation = np.empty(9)
        mujoco.mju_quat2Mat(rotation, model.geom_quat[geom])
        vertices = model.mesh_vert[first : first + count] @ rotation.reshape(3, 3).T + model.geom_pos[geom]
        first, count = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
        a, b, c = vertices[model.mesh_face[first : first + count]].transpose(1, 0, 2)
        areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
        chosen = rng.choice(len(areas), int(areas.sum() / spacing_m**2), p=areas / areas.sum())
        u, v = rng.random((2, len(chosen), 1))
        u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
        found += [vertices, a[chosen] + u * (b - a)[chosen] + v * (c - a)[chosen]]
    return np.concatenate(found)
