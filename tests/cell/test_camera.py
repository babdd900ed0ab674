import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from forearm.cell.camera import Cameras, Capture
from forearm.cell.physics import Physics
from forearm.cell.posture import start_joints
from forearm.cell.setup import Setup
from forearm.cell.solver import task_model
from forearm.cell.tasks import TASKS, task_named
from forearm.cell.tasks.put_in_box import BLOCK_HALF_M
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.mirror import MIRROR_Y_M, mirror_positions

MAGENTA = (1.0, 0.0, 1.0, 1.0)
TOP = BIMANUAL_YAM.camera("top")
CORNERS = BLOCK_HALF_M * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)


def block_at(x: float, y: float, yaw: float) -> Setup:
    setup = task_named("put-in-box").sample(1)
    first, second, box = setup.placements
    first = replace(first, position=(x, y, BLOCK_HALF_M), yaw=yaw, rgba=MAGENTA)
    second = replace(second, position=(0.2, 0.4, BLOCK_HALF_M))  # out of the top view
    home = start_joints(np.random.default_rng(0), frozenset())
    return replace(setup, placements=(first, second, box), start=home)


def look(setup: Setup, *names: str) -> dict[str, Capture]:
    physics = Physics(task_model(setup.task), setup)
    with Cameras(physics.model) as cameras:
        return {name: cameras.capture(physics.model, physics.data, name) for name in names}


def magenta(pixels: np.ndarray) -> np.ndarray:
    r, g, b = (pixels[..., channel].astype(int) for channel in range(3))
    return (r - g > 60) & (b - g > 60)


@pytest.mark.parametrize(("x", "y", "yaw"), [(0.25, -0.05, 0.3), (0.36, -0.55, -0.5), (0.30, -0.16, 0.0)])
def test_a_block_is_seen_where_the_pinhole_projects_its_corners(x: float, y: float, yaw: float) -> None:
    setup = block_at(x, y, yaw)
    rows, columns = np.nonzero(magenta(look(setup, "top")["top"].pixels))
    cell_from_block = Physics(task_model(setup.task), setup).object_pose("block_1")
    assert TOP.cell_from_camera is not None
    corners = TOP.pinhole.project(TOP.cell_from_camera.inverse().apply(cell_from_block.apply(CORNERS)))
    seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    projected = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    np.testing.assert_allclose(seen, projected, atol=1.0)


def test_depth_of_the_table_is_where_the_table_is_to_two_millimetres() -> None:
    metres = look(block_at(0.3, -0.1, 0.0), "top")["top"].metres
    columns, rows = np.meshgrid(np.arange(30, 90) + 0.5, np.arange(4, 30) + 0.5)
    assert TOP.cell_from_camera is not None
    points = TOP.pinhole.unproject(np.stack([columns, rows], axis=-1), metres[4:30, 30:90].astype(np.float64))
    heights = TOP.cell_from_camera.apply(points)[..., 2]
    assert np.abs(heights).max() < 0.002


def test_depth_of_a_block_lies_on_its_surface_to_three_millimetres() -> None:
    setup = block_at(0.30, -0.10, 0.4)
    seen = look(setup, "top")["top"]
    mask = magenta(seen.pixels)
    mask[1:-1, 1:-1] &= mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]  # away from its edges
    rows, columns = np.nonzero(mask)
    assert TOP.cell_from_camera is not None
    pixels = np.stack([columns, rows], axis=-1) + 0.5
    points = TOP.cell_from_camera.apply(TOP.pinhole.unproject(pixels, seen.metres[rows, columns].astype(np.float64)))
    in_block = Physics(task_model(setup.task), setup).object_pose("block_1").inverse().apply(points)
    from_surface = np.abs(np.abs(in_block).max(axis=-1) - BLOCK_HALF_M)
    assert len(points) >= 4
    assert np.median(from_surface) < 0.003


def test_every_camera_of_the_embodiment_has_its_size_and_finite_depth_of_what_it_sees() -> None:
    names = [camera.name for camera in BIMANUAL_YAM.cameras]
    for name, seen in look(block_at(0.3, -0.1, 0.0), *names).items():
        camera = BIMANUAL_YAM.camera(name)
        assert seen.pixels.shape == (camera.height, camera.width, 3)
        assert seen.metres.shape == (camera.height, camera.width)
        assert np.nanmin(seen.metres) > 0.01
        assert np.isfinite(seen.metres).mean() > 0.5


def test_the_sky_has_no_depth() -> None:
    setup = block_at(0.3, -0.1, 0.0)
    level = np.array(setup.start)
    level[:7] = [0.0, 0.0, 0.0, 0.6, 0.0, 0.0, 1.0]  # the left gripper level and tipped up: its camera sees the horizon
    seen = look(replace(setup, start=tuple(level)), "left")["left"]
    assert np.isnan(seen.metres[0]).any()


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_mirrored_scene_renders_as_the_mirrored_image(task) -> None:
    setup = task.sample(7, odd_start=True)
    placements = tuple(
        replace(each, position=(each.position[0], 2 * MIRROR_Y_M - each.position[1], each.position[2]), yaw=-each.yaw)
        for each in setup.placements
    )
    mirrored = replace(setup, placements=placements, start=tuple(mirror_positions(np.array(setup.start))))
    seen, reflected = look(setup, "top", "left", "right"), look(mirrored, "top", "left", "right")
    for name, other in (("top", "top"), ("left", "right"), ("right", "left")):
        difference = np.abs(seen[name].pixels.astype(int) - reflected[other].pixels[:, ::-1].astype(int))
        assert difference.mean() < 3.0, name  # of 255: the arms' castings are not quite symmetric
        assert (difference.max(axis=-1) > 30).mean() < 0.04, name


@pytest.mark.slow
def test_without_egl_the_refusal_says_what_to_install() -> None:
    # A fresh process whose EGL vendor list is empty stands for a machine without Mesa.
    model = "from forearm.cell.solver import task_model as model"
    code = f"from forearm.cell.camera import Cameras; {model}; Cameras(model('lift'))"
    environment = {**os.environ, "__EGL_VENDOR_LIBRARY_DIRS": "/nonexistent"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "RobotError: cell cameras" in ended.stderr
    assert "apt-get install -y libegl1 libgl1-mesa-dri" in ended.stderr
