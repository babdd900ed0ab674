import numpy as np

from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses
from forearm.training import shifts

HOME = np.array([0.6, 1.47, 1.3, -1.4, 0.0, -1.57, 1.0, -0.6, 1.47, 1.3, -1.4, 0.0, 1.57, 1.0], dtype=np.float32)


def standing(posture: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The shifted chunk of an arm that stands, which arms could, and how far each tool went, per row."""
    chunk = np.tile(posture, (1, 16, 1))
    moved, possible = shifts.follow(chunk, np.tile(shift, (1, 2, 1)).astype(np.float32))
    before, _ = tool_poses(chunk.astype(np.float64))
    after, _ = tool_poses(moved.astype(np.float64))
    return moved, possible[0], (after - before)[0]


def test_tools_ramp_to_where_they_are_sent_and_grippers_stay() -> None:
    shift = np.array([0.0, 0.0, 0.04])
    moved, possible, went = standing(HOME, shift)
    assert possible.all()
    np.testing.assert_allclose(went[2:], np.broadcast_to(shift, (14, 2, 3)), atol=0.004)
    np.testing.assert_allclose(went[0], np.broadcast_to(shift / 3, (2, 3)), atol=0.002)
    assert (moved[..., BIMANUAL_YAM.grippers] == 1.0).all()


def test_a_joint_at_its_end_leaves_the_way_to_the_others() -> None:
    upper, lower = BIMANUAL_YAM.upper, BIMANUAL_YAM.lower
    reached = 0
    for sign in (1.0, -1.0):
        for axis in range(3):
            posture = HOME.copy()
            posture[3] = lower[3] + 1e-3  # the left wrist cannot pitch further one way
            moved, possible, went = standing(posture, np.eye(3)[axis] * 0.04 * sign)
            assert (moved >= lower - 1e-6).all()
            assert (moved <= upper + 1e-6).all()
            if possible[0]:
                np.testing.assert_allclose(went[3:, 0] @ np.eye(3)[axis] * sign, 0.04, atol=0.006)
                reached += 1
    assert reached >= 5


def test_what_an_arm_cannot_reach_leaves_its_chunk_as_it_was() -> None:
    posture = HOME.copy()
    posture[:6] = [0.0, 3.6, 0.1, 0.0, 0.0, 0.0]  # stretched out: no way further
    moved, possible, _ = standing(posture, np.array([0.06, 0.0, 0.0]))
    assert not possible[0]
    np.testing.assert_array_equal(moved[0, :, :7], np.tile(posture, (16, 1))[:, :7])
