"""Registering and putting right need a picture of arms; the cell has the cameras."""

from functools import partial

import numpy as np
import pytest

from forearm.cell.drawing import drawn
from forearm.cell.variation import Mount
from forearm.errors import InputError
from forearm.robot.rectification import Rectification
from forearm.robot.registration import LEAST_PIXELS, register
from moved_camera import CAMERA, at_home, moved, seen

MOUNTS = [
    Mount(camera="top"),
    Mount(camera="top", shift=(0.015, -0.010, 0.008)),
    Mount(camera="top", turn=(0.02, -0.01, 0.025)),
    Mount(camera="top", zoom=1.06),
    Mount(camera="top", shift=(-0.010, 0.004, -0.012), turn=(-0.015, 0.020, -0.010), zoom=0.96),
]


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("task", ["put-in-box", "open-the-box"])
def test_a_camera_is_found_where_it_was_put(mount: Mount, task: str) -> None:
    found = register(seen(moved(mount, task=task)).depths["top"].metres, at_home, CAMERA.pinhole)
    assert found.found
    np.testing.assert_allclose(found.shift_m, mount.shift, atol=0.002)
    np.testing.assert_allclose(found.turn_rad, mount.turn, atol=0.002)
    focal = np.tan(CAMERA.fovy / 2.0) / np.tan(CAMERA.fovy * mount.zoom / 2.0)
    assert found.focal == pytest.approx(focal, abs=0.003)


@pytest.mark.parametrize("table_m", [-0.03, -0.012, 0.008, 0.02])
def test_a_table_of_another_height_is_not_taken_for_a_camera_that_was_moved(table_m: float) -> None:
    found = register(seen(moved(table_m=table_m)).depths["top"].metres, at_home, CAMERA.pinhole)
    assert found.table_m == pytest.approx(table_m, abs=0.001)
    assert np.linalg.norm(found.shift_m) < 0.003
    assert np.linalg.norm(found.turn_rad) < 0.0035


def test_noise_and_missing_depth_cost_little() -> None:
    mount, rng = MOUNTS[-1], np.random.default_rng(3)
    metres = seen(moved(mount)).depths["top"].metres + rng.normal(scale=0.003, size=(120, 120)).astype(np.float32)
    metres[rng.random(metres.shape) < 0.4] = np.nan
    found = register(metres, at_home, CAMERA.pinhole)
    assert found.found
    np.testing.assert_allclose(found.shift_m, mount.shift, atol=0.004)
    np.testing.assert_allclose(found.turn_rad, mount.turn, atol=0.004)


def test_a_hose_across_the_arms_hides_them_and_a_cloth_over_them_is_refused() -> None:
    there = seen(moved(MOUNTS[-1])).depths["top"].metres
    hose, cloth = there.copy(), there.copy()
    hose[92:97] = 0.5  # m, nearer than any arm
    cloth[80:] = 0.5
    found = register(hose, at_home, CAMERA.pinhole)
    assert found.found
    np.testing.assert_allclose(found.shift_m, MOUNTS[-1].shift, atol=0.003)
    assert not register(cloth, at_home, CAMERA.pinhole).found


@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_where_no_arm_is_measured_nothing_is_told(nothing: float) -> None:
    found = register(np.full((120, 120), nothing, dtype=np.float32), at_home, CAMERA.pinhole)
    assert not found.told
    assert not found.found


def test_a_depth_image_of_another_size_is_refused_with_the_size_that_is_needed() -> None:
    with pytest.raises(InputError, match=r"got \(60, 80\), allowed is \(120, 120\)"):
        register(np.ones((60, 80), dtype=np.float32), at_home, CAMERA.pinhole)


def test_a_bare_table_tells_of_no_camera() -> None:
    metres, arms = at_home().metres.copy(), at_home().per_table == 0.0
    assert arms.sum() > LEAST_PIXELS
    metres[arms] = np.nanmax(metres)  # the arms are not there
    found = register(metres.astype(np.float32), at_home, CAMERA.pinhole)
    assert found.told
    assert not found.found


def test_a_joint_whose_zero_is_off_is_no_camera_that_was_moved() -> None:
    seen_there = seen(moved())
    said = seen_there.positions.copy()
    said[[0, 7]] += 0.6  # both shoulders say that they are turned, and are not
    assert not register(seen_there.depths["top"].metres, partial(drawn, said), CAMERA.pinhole).found


@pytest.mark.parametrize("mount", MOUNTS[1:])
def test_pictures_are_put_right_to_within_a_pixel(mount: Mount) -> None:
    right, there = seen(moved()), seen(moved(mount))
    found = register(there.depths["top"].metres, at_home, CAMERA.pinhole)
    pixels, metres = Rectification(found, CAMERA.pinhole)(there.images["top"].pixels, there.depths["top"].metres)
    depth = right.depths["top"].metres
    assert np.nanmedian(np.abs(metres - depth)) < 0.001
    assert np.nanquantile(np.abs(metres - depth), 0.9) < 0.003
    wanted = right.images["top"].pixels.astype(float)
    before = np.abs(there.images["top"].pixels - wanted).mean()
    assert np.abs(pixels - wanted).mean() < 0.4 * before
    assert np.abs(pixels - wanted).mean() < 3.0  # of 255


def test_what_is_out_of_the_picture_has_no_depth() -> None:
    there = seen(moved(Mount(camera="top", turn=(-0.03, 0.0, 0.0))))  # looks up: the near border is out of it
    found = register(there.depths["top"].metres, at_home, CAMERA.pinhole)
    _, metres = Rectification(found, CAMERA.pinhole)(there.images["top"].pixels, there.depths["top"].metres)
    unseen = np.isnan(metres).all(axis=1)
    assert 3 <= unseen.sum() <= 6  # 0.03 rad of 46° over 120 rows is 4.5
    assert unseen[-1] or unseen[0]


@pytest.mark.parametrize("broken", [np.nan, 0.0, -1.0, 1e-6, 1e6])
def test_depth_that_makes_no_sense_breaks_nothing(broken: float) -> None:
    there = seen(moved(MOUNTS[1]))
    put_right = Rectification(register(there.depths["top"].metres, at_home, CAMERA.pinhole), CAMERA.pinhole)
    metres = there.depths["top"].metres.copy()
    metres[40:80, 40:80] = broken
    pixels, _ = put_right(there.images["top"].pixels, metres)
    assert pixels.shape == (120, 120, 3)
    wanted, _ = put_right(there.images["top"].pixels, there.depths["top"].metres)
    assert np.abs(pixels[:30].astype(float) - wanted[:30]).mean() < 0.5
    put_right(there.images["top"].pixels, np.full((120, 120), broken, dtype=np.float32))


def test_a_camera_that_is_where_it_is_drawn_keeps_its_pictures() -> None:
    there = seen(moved())
    depth = there.depths["top"].metres
    found = register(depth, at_home, CAMERA.pinhole)
    pixels, metres = Rectification(found, CAMERA.pinhole)(there.images["top"].pixels, depth)
    assert np.abs(pixels.astype(float) - there.images["top"].pixels).mean() < 0.5
    assert np.nanmedian(np.abs(metres - depth)) < 0.0005
