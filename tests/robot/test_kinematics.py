"""Kinematics against MuJoCo's of the station model it was written from, and against finite differences."""

from importlib.util import find_spec
from pathlib import Path

import mujoco
import numpy as np
import pytest

from forearm.robot.embodiment import BIMANUAL_YAM, GRIPPER_STROKE_M
from forearm.robot.kinematics import LINKS, link_frames, link_poses, tool_jacobian, tool_poses, tools_on
from forearm.robot.mirror import MIRROR_Y_M, mirror_points, mirror_positions


@pytest.fixture(scope="module")
def station() -> mujoco.MjModel:
    package = Path(find_spec("i2rt").submodule_search_locations[0])
    name = "yam_station_linear_4310_d405"
    return mujoco.MjModel.from_xml_path(str(package / "robot_models" / "station" / name / f"{name}.xml"))


def random_positions(count: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.uniform(BIMANUAL_YAM.lower, BIMANUAL_YAM.upper, (count, 14))


def mujoco_at(model: mujoco.MjModel, positions: np.ndarray) -> mujoco.MjData:
    data = mujoco.MjData(model)
    for side, own in (("left", positions[:7]), ("right", positions[7:])):
        for number in range(1, 9):
            value = own[number - 1] if number < 7 else own[6] * GRIPPER_STROKE_M
            data.qpos[model.joint(f"{side}_joint{number}").qposadr[0]] = value
    mujoco.mj_forward(model, data)
    return data


def test_every_link_is_where_mujoco_puts_it_to_a_nanometre(station: mujoco.MjModel) -> None:
    for positions in random_positions(50):
        data = mujoco_at(station, positions)
        translations, rotations = link_poses(positions)
        for arm, side in enumerate(("left", "right")):
            for link, name in enumerate(LINKS):
                body = data.body(f"{side}_{name}")
                np.testing.assert_allclose(translations[arm, link], body.xpos, atol=1e-9)
                np.testing.assert_allclose(rotations[arm, link], body.xmat.reshape(3, 3), atol=1e-9)


def test_both_tool_frames_are_the_stations_sites_to_a_nanometre(station: mujoco.MjModel) -> None:
    for positions in random_positions(50, seed=1):
        data = mujoco_at(station, positions)
        translations, rotations = tool_poses(positions)
        for arm, side in enumerate(("left", "right")):
            site = data.site(f"tcp_{side}")
            np.testing.assert_allclose(translations[arm], site.xpos, atol=1e-9)
            np.testing.assert_allclose(rotations[arm], site.xmat.reshape(3, 3), atol=1e-9)


def test_the_jacobian_is_the_derivative_of_the_tool_position() -> None:
    step = 1e-6
    for positions in random_positions(20, seed=2):
        jacobian = tool_jacobian(positions)
        for arm in range(2):
            for joint in range(6):
                nudge = np.zeros(14)
                nudge[7 * arm + joint] = step
                ahead, behind = tool_poses(positions + nudge)[0], tool_poses(positions - nudge)[0]
                np.testing.assert_allclose(jacobian[arm, :, joint], (ahead - behind)[arm] / (2 * step), atol=1e-8)
                assert np.array_equal(ahead[1 - arm], behind[1 - arm]), "one arm's joint moved the other arm's tool"


def test_a_batch_of_any_shape_gives_what_single_poses_give() -> None:
    positions = random_positions(12, seed=3).reshape(3, 4, 14)
    for function in (link_poses, tool_poses):
        for batched, single in zip(function(positions), function(positions[2, 1]), strict=True):
            np.testing.assert_allclose(batched[2, 1], single, atol=1e-12)
    np.testing.assert_allclose(tool_jacobian(positions)[0, 3], tool_jacobian(positions[0, 3]), atol=1e-12)
    assert tool_jacobian(positions).shape == (3, 4, 2, 3, 6)


def test_not_a_number_in_one_joint_reaches_the_tool_and_not_the_other_arm() -> None:
    positions = random_positions(1, seed=4)[0]
    positions[2] = np.nan
    tools, _ = tool_poses(positions)
    assert np.isnan(tools[0]).all()
    assert np.isfinite(tools[1]).all()


def test_mirrored_joints_put_the_tools_where_the_mirror_shows_them() -> None:
    positions = random_positions(200, seed=5)
    tools, rotations = tool_poses(positions)
    mirrored, mirrored_rotations = tool_poses(mirror_positions(positions))
    np.testing.assert_allclose(mirrored[:, ::-1], mirror_points(tools), atol=3e-4)  # the tool is 0.1 mm off the axis
    flip = np.diag([1.0, -1.0, 1.0])
    np.testing.assert_allclose(
        mirrored_rotations[:, ::-1], flip @ rotations @ flip, atol=2e-5
    )  # the gripper's two fingers change places: its closing axis y turns round


def test_mirroring_twice_gives_the_same_joints_and_points_back() -> None:
    positions = random_positions(5, seed=6)
    np.testing.assert_array_equal(mirror_positions(mirror_positions(positions)), positions)
    points = np.random.default_rng(7).normal(size=(5, 3))
    np.testing.assert_allclose(mirror_points(mirror_points(points)), points, atol=1e-15)
    assert MIRROR_Y_M == -0.305


def test_tools_are_where_they_are_whether_links_were_placed_before_or_not() -> None:
    positions = np.random.default_rng(0).uniform(-1.0, 1.0, (5, 14))
    for one, other in zip(tools_on(link_frames(positions)), tool_poses(positions), strict=True):
        np.testing.assert_array_equal(one, other)
