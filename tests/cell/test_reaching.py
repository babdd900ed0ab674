import numpy as np
import pytest

from forearm.cell.posture import HOME, MIRRORED, OUTWARD, tool_ahead, tool_down
from forearm.cell.reaching import Reaching, between, rotation_about, rotation_vector
from forearm.geometry import Pose
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses


def test_tool_poses_agree_with_the_numpy_kinematics_of_the_station() -> None:
    rng = np.random.default_rng(0)
    reaching = Reaching()
    for _ in range(20):
        positions = rng.uniform(BIMANUAL_YAM.lower, BIMANUAL_YAM.upper)
        translations, rotations = tool_poses(positions)
        for index, arm in enumerate(BIMANUAL_YAM.arms):
            pose = reaching.tool_pose(arm.name, positions[arm.joints])
            np.testing.assert_allclose(pose.translation, translations[index], atol=1e-6)
            np.testing.assert_allclose(pose.rotation, rotations[index], atol=1e-5)


@pytest.mark.parametrize(("arm", "mirrored"), [("left", np.ones(6)), ("right", MIRRORED)])
def test_a_pose_over_the_table_is_reached_to_half_a_millimetre_within_the_ranges(
    arm: str, mirrored: np.ndarray
) -> None:
    reaching = Reaching()
    base = next(each for each in BIMANUAL_YAM.arms if each.name == arm)
    wanted = tool_down(arm, (0.30, base.base[1], 0.05), 0.1)
    joints = np.array(HOME) * mirrored
    for _ in range(4):
        joints, missed_m = reaching.solve(arm, wanted, joints)
    assert missed_m < 5e-4
    assert np.linalg.norm(rotation_vector(wanted.rotation @ reaching.tool_pose(arm, joints).rotation.T)) < 2e-3
    assert (BIMANUAL_YAM.lower[base.joints] <= joints).all()
    assert (joints <= BIMANUAL_YAM.upper[base.joints]).all()


def test_a_pose_out_of_reach_says_by_how_much_it_is_missed() -> None:
    _, missed_m = Reaching().solve("left", tool_down("left", (1.5, 0.0, 0.1), 0.0), np.array(HOME))
    assert missed_m > 0.5


def test_half_way_between_two_poses_is_half_the_way_and_half_the_turn() -> None:
    start = tool_down("left", (0.2, 0.0, 0.1), 0.0)
    end = Pose(
        rotation=rotation_about(np.array([0.0, 0.0, 0.8])) @ start.rotation, translation=np.array([0.4, 0.2, 0.1])
    )
    middle = between(start, end, 0.5)
    np.testing.assert_allclose(middle.translation, [0.3, 0.1, 0.1])
    np.testing.assert_allclose(rotation_vector(middle.rotation @ start.rotation.T), [0.0, 0.0, 0.4], atol=1e-12)
    np.testing.assert_allclose(between(start, end, 1.0).rotation, end.rotation, atol=1e-12)


@pytest.mark.parametrize("arm", list(OUTWARD))
def test_a_tool_dips_from_level_to_straight_down_with_its_camera_on_top_and_fingers_level(arm: str) -> None:
    at, heading = (0.3, -0.2, 0.1), 0.7
    level = tool_ahead(at, heading, 0.0).rotation
    np.testing.assert_allclose(level[:, 2], [np.cos(heading), np.sin(heading), 0.0], atol=1e-12)
    np.testing.assert_allclose(-level[:, 0], [0.0, 0.0, 1.0], atol=1e-12)  # the camera's side
    slanted = tool_ahead(at, heading, 0.4).rotation
    np.testing.assert_allclose(rotation_vector(slanted @ level.T), 0.4 * level[:, 1], atol=1e-12)
    down = tool_down(arm, at, heading - OUTWARD[arm] * np.pi / 2)
    np.testing.assert_allclose(tool_ahead(at, heading, np.pi / 2).rotation, down.rotation, atol=1e-12)
