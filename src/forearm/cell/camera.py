"""Colour and metric depth of the cell's cameras, both from one render pass.

A renderer belongs to the thread that made it: make it, use it and close it there.
"""

from __future__ import annotations

import importlib
import os
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from forearm.cell.decor import decorate, light_up
from forearm.cell.scene import OUTSIDE, OUTSIDE_SIZE, TABLE_HALF_M
from forearm.cell.sensor import exposed, with_glare, with_holes
from forearm.cell.variation import Look
from forearm.errors import RobotError
from forearm.geometry import Pinhole, Pose
from forearm.robot.embodiment import BIMANUAL_YAM

SUPERSAMPLING = {"top": 2, "left": 1, "right": 1, OUTSIDE: 1}  # rendered pixels per image pixel and axis
OUTSIDE_FILL = 0.32  # of full scale: the light at the outside camera, so that people see dark arms
PLAIN = Look()
_OWN = threading.local()  # each thread's OpenGL context: the first renderer in one takes 70 ms, every other 5
MOST_GEOMS = 1500  # that a scene has room for: some 80 of the cell itself, the rest for fields on the table
FAR_M = 4.0  # m, beyond this a depth camera of this kind sees nothing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Capture:
    """One camera's look at the cell: `pixels` (H, W, 3) uint8 RGB, `metres` (H, W) float32, NaN where nothing is."""

    pixels: NDArray[np.uint8]
    metres: NDArray[np.float32]


class Cameras:
    """An off-screen renderer for every model of the cell (they share their meshes), for one thread.

    The top view is the dearest of a robot's own, for its supersampling.

    Raises:
        RobotError: when this machine cannot render off-screen.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self._gl = _context(model.vis.global_.offwidth, model.vis.global_.offheight)
        self._open = True
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._scene = mujoco.MjvScene(model, maxgeom=MOST_GEOMS)
        self._option = mujoco.MjvOption()
        self._view = mujoco.MjvCamera()
        self._view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._sizes = {camera.name: (camera.width, camera.height) for camera in BIMANUAL_YAM.cameras}
        self._sizes[OUTSIDE] = OUTSIDE_SIZE

    def capture(self, model: mujoco.MjModel, data: mujoco.MjData, name: str, look: Look = PLAIN) -> Capture:
        """What camera `name` sees now. Blocks for the render, 1.5 to 8 ms, longer where a lamp throws shadows.

        The outside camera sees what everybody sees, but without glare, noise and holes of its own.
        """
        self._gl.make_current()
        mujoco.mjr_restoreBuffer(self._context)  # another renderer of this thread may have drawn into its own
        scale = SUPERSAMPLING[name]
        width, height = (size * scale for size in self._sizes[name])
        self._view.fixedcamid = model.camera(name).id
        mujoco.mjv_updateScene(
            model, data, self._option, None, self._view, mujoco.mjtCatBit.mjCAT_ALL.value, self._scene
        )
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = name == OUTSIDE
        if name == OUTSIDE:
            self._scene.lights[0].diffuse[:] = OUTSIDE_FILL
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        light_up(self._scene, look.light)
        decorate(self._scene, look, float(model.geom("table").pos[2]) + TABLE_HALF_M[2])
        viewport = mujoco.MjrRect(0, 0, width, height)
        pixels = np.empty((height, width, 3), dtype=np.uint8)
        buffer = np.empty((height, width), dtype=np.float32)
        mujoco.mjr_render(viewport, self._scene, self._context)
        mujoco.mjr_readPixels(pixels, buffer, viewport, self._context)
        metres = _metres(buffer, model)
        if scale == 2:
            pixels, metres = _halve_pixels(pixels), _halve_depth(metres)
        metres = np.where(metres < FAR_M, metres, np.float32(np.nan))
        capture = Capture(pixels=pixels[::-1].copy(), metres=metres[::-1].astype(np.float32))
        return capture if name == OUTSIDE else _sensed(capture, model, data, self._view.fixedcamid, look)

    def close(self) -> None:
        """Frees the renderer; call it in the thread that made it. Safe to call twice."""
        if self._open:
            self._open = False
            self._gl.make_current()
            self._context.free()

    def __enter__(self) -> Cameras:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _sensed(capture: Capture, model: mujoco.MjModel, data: mujoco.MjData, camera: int, look: Look) -> Capture:
    """What the sensors of that camera make of it; the draws of a picture are those of its camera and physics step."""
    height, width, _ = capture.pixels.shape
    pinhole = Pinhole(width=width, height=height, fovy=float(np.radians(model.cam_fovy[camera])))
    rng = np.random.default_rng((look.sensor.seed, camera, round(data.time / model.opt.timestep)))
    # MuJoCo's cameras look along -z with y up; ours along +z with y down.
    rotation = data.cam_xmat[camera].reshape(3, 3) * np.array([1.0, -1.0, -1.0])
    cell_from_camera = Pose(rotation=rotation, translation=data.cam_xpos[camera].copy())
    pixels = with_glare(capture.pixels, look.glares, cell_from_camera, pinhole)
    return Capture(pixels=exposed(pixels, look.sensor, rng), metres=with_holes(capture.metres, look.sensor, rng))


def _context(width: int, height: int) -> Any:
    """This thread's off-screen OpenGL context, made once; no display is needed. It is freed when the thread ends."""
    if hasattr(_OWN, "context"):
        _OWN.context.make_current()
        return _OWN.context
    # Mesa's software rasteriser in the calling thread: at these sizes handing tiles to its own threads does not pay.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    try:
        context = importlib.import_module("mujoco.egl").GLContext(width, height)
        context.make_current()
        _OWN.context = context
    except (ImportError, AttributeError, RuntimeError) as error:  # what PyOpenGL raises without its libraries
        remedy = "install them: apt-get install -y libegl1 libgl1-mesa-dri"
        raise RobotError(f"cell cameras: got {error}, EGL and Mesa are needed to render; {remedy}") from error
    return context


def _metres(buffer: NDArray[np.float32], model: mujoco.MjModel) -> NDArray[np.float32]:
    """Distances along the optical axis from a reversed depth buffer (1 at the near plane, 0 at infinity or nothing)."""
    near, far = (plane * model.stat.extent for plane in (model.vis.map.znear, model.vis.map.zfar))
    return (near * far / (near + buffer * (far - near))).astype(np.float32)


def _halve_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mean of each two by two pixels; slices, because a sum over two axes takes 6 ms here."""
    corners = [pixels[i::2, j::2].astype(np.uint16) for i in (0, 1) for j in (0, 1)]
    return ((corners[0] + corners[1] + corners[2] + corners[3] + 2) >> 2).astype(np.uint8)


def _halve_depth(metres: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of the middle two of each four: exact on slopes, on one side or the other at most edges."""
    a, b, c, d = (metres[i::2, j::2] for i in (0, 1) for j in (0, 1))
    nearest = np.minimum(np.minimum(a, b), np.minimum(c, d))
    farthest = np.maximum(np.maximum(a, b), np.maximum(c, d))
    return ((a + b + c + d - nearest - farthest) / 2).astype(np.float32)
