"""The bimanual YAM station as a MuJoCo model: vendor's kinematics, our actuators, contacts, cameras, table and light.

The world frame is the cell frame (left arm's base). Table, floor, lights and fixtures are symmetric about the plane
y = MIDLINE_Y_M, as the station is, so that a mirrored recording is a recording of the mirrored scene.
"""

from __future__ import annotations

from collections.abc import Callable
from math import degrees

import mujoco
import numpy as np

from forearm.cell import meshes
from forearm.robot.embodiment import ARM_SPACING_M, BIMANUAL_YAM, GRIPPER_STROKE_M

STATION = "station/yam_station_linear_4310_d405/yam_station_linear_4310_d405.xml"
MIDLINE_Y_M = -ARM_SPACING_M / 2  # m, the station's plane of symmetry
STEP_S = 0.002  # s, physics step

# Position servos, chosen so that a 0.1 s target is followed without overshoot; joints 1..6.
STIFFNESS = (400.0, 400.0, 400.0, 120.0, 80.0, 40.0)  # N m / rad
DAMPING = (22.0, 22.0, 20.0, 5.0, 3.0, 1.2)  # N m s / rad
ARMATURE = (0.02, 0.02, 0.02, 0.006, 0.006, 0.004)  # kg m², rotors seen through their gears
TORQUE = (60.0, 60.0, 60.0, 20.0, 20.0, 20.0)  # N m
GRIPPER_STIFFNESS = 1500.0  # N / m
GRIPPER_DAMPING = 8.0  # N s / m
GRIPPER_ARMATURE = 0.1  # kg
GRIPPER_FORCE = 30.0  # N

FINGER_FRICTION = (1.5, 0.02, 0.001)  # rubber tips: sliding, torsional m, rolling m
FINGER_SOLREF = (0.004, 1.0)  # s, damping ratio
FINGER_SOLIMP = (0.95, 0.99, 0.001, 0.5, 2.0)
OBJECT_FRICTION = (0.9, 0.005, 0.0001)
TABLE_FRICTION = (0.8, 0.005, 0.0001)

TABLE_HALF_M = (0.75, 0.80, 0.02)  # m
TABLE_X_M = 0.40  # m, centre
FLOOR_Z_M = -0.75  # m, a table's height below the bases
OUTSIDE = "outside"  # the camera for people
OUTSIDE_SIZE = (320, 240)  # px
OUTSIDE_FOVY = 46.0  # degrees

GRAPHITE = (0.16, 0.17, 0.19, 1.0)
ALUMINIUM = (0.66, 0.68, 0.70, 1.0)
RUBBER = (0.08, 0.08, 0.09, 1.0)
CAMERA_BLACK = (0.11, 0.11, 0.12, 1.0)
PAINT = {
    "base": GRAPHITE,
    "link1": ALUMINIUM,
    "link2": GRAPHITE,
    "link3": GRAPHITE,
    "link4": ALUMINIUM,
    "link5": GRAPHITE,
    "gripper": ALUMINIUM,
    "tip_left": RUBBER,
    "tip_right": RUBBER,
    "d405_wrist_linear_4310": CAMERA_BLACK,
    "d405_top": CAMERA_BLACK,
}

# Contact boxes (centre, half size) m in the tool frame with closed fingers, read off the meshes: z along the approach,
# y the way the fingers close, the camera on the -x side. Right fingers are the left ones mirrored in y.
FINGERTIP = ((0.0, 0.004, -0.009), (0.009, 0.004, 0.011))
FINGER = ((0.0, 0.010, -0.040), (0.018, 0.006, 0.020))
PALM = ((0.0, 0.0, -0.110), (0.034, 0.050, 0.045))
WRIST_CAMERA = ((-0.0655, 0.0, -0.092), (0.0355, 0.030, 0.034))

Furnish = Callable[[mujoco.MjSpec], None]


def build(furnish: Furnish) -> mujoco.MjModel:
    """The compiled cell with what `furnish` adds to it. About 0.1 s, 2 s when the meshes are made for the first time.

    Raises:
        RobotError: when the vendor's model is not installed or not readable.
    """
    spec = station()
    _surroundings(spec)
    furnish(spec)
    return spec.compile()


def station() -> mujoco.MjSpec:
    """Both arms with actuators (embodiment order), contact boxes and cameras, and nothing to work on."""
    spec = mujoco.MjSpec.from_file(str(meshes.vendor_folder() / STATION))
    _replace_meshes(spec)
    spec.option.timestep = STEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10.0
    for body in spec.bodies[1:]:
        body.gravcomp = 1.0  # the real arms compensate their own weight too
    for geom in spec.geoms:
        geom.contype = geom.conaffinity = 0
        geom.rgba = PAINT[geom.meshname]
    for site in spec.sites:
        site.group = 5  # not drawn: it would mark the tool in the wrist views
    for arm in BIMANUAL_YAM.arms:
        _actuate(spec, arm.name)
        _give_contacts(spec, arm.name)
    _mount_cameras(spec)
    return spec


def _replace_meshes(spec: mujoco.MjSpec) -> None:
    for mesh in spec.meshes:
        light = meshes.load((meshes.vendor_folder() / STATION).parent / mesh.file)
        mesh.file = ""
        mesh.uservert = light.vertices.ravel()
        mesh.userface = light.faces.ravel()
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL  # open shells have no volume


def _actuate(spec: mujoco.MjSpec, side: str) -> None:
    for number in range(1, 7):
        joint = spec.joint(f"{side}_joint{number}")
        joint.damping = (DAMPING[number - 1], 0.0, 0.0)  # linear term alone
        joint.armature = ARMATURE[number - 1]
        actuator = spec.add_actuator(
            name=joint.name, target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT, forcelimited=True
        )
        actuator.forcerange = (-TORQUE[number - 1], TORQUE[number - 1])
        actuator.set_to_position(kp=STIFFNESS[number - 1])
    for number in (7, 8):
        finger = spec.joint(f"{side}_joint{number}")
        finger.damping = (GRIPPER_DAMPING, 0.0, 0.0)
        finger.armature = GRIPPER_ARMATURE
        finger.range = (0.0, GRIPPER_STROKE_M)
    gripper = spec.add_actuator(
        name=f"{side}_gripper", target=f"{side}_joint7", trntype=mujoco.mjtTrn.mjTRN_JOINT, forcelimited=True
    )
    gripper.forcerange = (-GRIPPER_FORCE, GRIPPER_FORCE)
    gripper.set_to_position(kp=GRIPPER_STIFFNESS)


def _give_contacts(spec: mujoco.MjSpec, side: str) -> None:
    # (body, box, how the tool frame's x, y, z map into the body frame): frames of the station's model, fingers closed
    def finger_frame(origin: tuple[float, float, float]) -> Callable[[np.ndarray], np.ndarray]:
        return lambda point: (point - np.array(origin)) * np.array([1.0, -1.0, -1.0])

    def palm_frame(point: np.ndarray) -> np.ndarray:
        return np.array([-point[1], point[0], point[2] + 0.14465])

    left, right = finger_frame((-0.0241, -0.0445, -0.088)), finger_frame((0.0239, 0.0446, -0.088))
    mirror = np.array([1.0, -1.0, 1.0])
    for name, (centre, half) in (("fingertip", FINGERTIP), ("finger", FINGER)):
        _add_box(spec, f"{side}_tip_left", f"{side}_left_{name}", left(np.array(centre)), half)
        _add_box(spec, f"{side}_tip_right", f"{side}_right_{name}", right(np.array(centre) * mirror), half)
    for name, (centre, half) in (("palm", PALM), ("wrist_camera", WRIST_CAMERA)):
        turned = (half[1], half[0], half[2])
        _add_box(spec, f"{side}_gripper", f"{side}_{name}", palm_frame(np.array(centre)), turned)


def _add_box(spec: mujoco.MjSpec, body: str, name: str, centre: np.ndarray, half: tuple[float, float, float]) -> None:
    spec.body(body).add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=centre,
        size=half,
        group=3,  # contact only, not drawn
        friction=FINGER_FRICTION,
        condim=4,
        solref=FINGER_SOLREF,
        solimp=FINGER_SOLIMP,
        mass=0.0,
    )


def _mount_cameras(spec: mujoco.MjSpec) -> None:
    for camera in BIMANUAL_YAM.cameras:
        body = spec.body(camera.mount)
        # MuJoCo's cameras look along -z with y up; ours along +z with y down: half a turn about x.
        body.add_camera(name=camera.name, quat=(0.0, 1.0, 0.0, 0.0), fovy=degrees(camera.fovy))
    position = np.array([1.10, MIDLINE_Y_M - 0.55, 0.66])
    target = np.array([0.17, MIDLINE_Y_M, 0.11])
    back = (position - target) / np.linalg.norm(position - target)
    right = np.cross((0.0, 0.0, 1.0), back)
    right /= np.linalg.norm(right)
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, np.stack([right, np.cross(back, right), back], axis=1).ravel())
    spec.worldbody.add_camera(name=OUTSIDE, pos=position, quat=quaternion, fovy=OUTSIDE_FOVY)


def _surroundings(spec: mujoco.MjSpec) -> None:
    spec.visual.quality.offsamples = 0  # no multisampling: slow on a processor, and depth has none
    spec.visual.quality.shadowsize = 1024
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 640, 480
    spec.visual.headlight.ambient = (0.38, 0.38, 0.38)
    spec.visual.headlight.diffuse = (0.16, 0.16, 0.16)
    spec.visual.headlight.specular = (0.0, 0.0, 0.0)
    spec.stat.extent = 1.0
    spec.visual.map.znear = 0.015  # m (× extent): a wrist camera sees its own fingers
    spec.visual.map.zfar = 5.0
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=(0.86, 0.88, 0.90),
        rgb2=(0.55, 0.58, 0.62),
        width=32,
        height=192,
    )
    world = spec.worldbody
    world.add_light(
        name="ceiling",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=(0.3, MIDLINE_Y_M, 2.0),
        dir=(0.25, 0.0, -1.0),
        diffuse=(0.5, 0.5, 0.5),
        specular=(0.12, 0.12, 0.12),
        castshadow=True,  # drawn in the outside view only
    )
    world.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=(TABLE_X_M, MIDLINE_Y_M, -TABLE_HALF_M[2]),
        size=TABLE_HALF_M,
        friction=TABLE_FRICTION,
        rgba=(0.78, 0.77, 0.74, 1.0),
    )
    world.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        pos=(TABLE_X_M, MIDLINE_Y_M, FLOOR_Z_M),
        size=(4.0, 4.0, 0.1),
        contype=0,
        conaffinity=0,
        rgba=(0.36, 0.37, 0.39, 1.0),
    )
