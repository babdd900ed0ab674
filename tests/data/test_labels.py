import numpy as np

from forearm.data.labels import TRACE_TICKS, free_space, gripper_events, names, points, traces, waiting
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses

HOME = np.array([0.0, 1.0, 1.0, 0.2, 0.0, 0.0, 1.0] * 2, dtype=np.float32)


def motion(length: int = 60) -> np.ndarray:
    """The left arm swings; its gripper closes at tick 20 and opens at tick 40. The right arm stands."""
    actions = np.tile(HOME, (length, 1))
    actions[:, 1] += np.linspace(0, 0.5, length, dtype=np.float32)
    actions[20:40, 6] = 0.0
    return actions


def test_gripper_events_are_where_the_target_crosses_half_open() -> None:
    assert gripper_events(motion()) == [[20, 40], []]


def test_a_trace_is_where_future_targets_put_the_tool() -> None:
    actions = motion()
    made = traces(actions)
    tools, _ = tool_poses(actions.astype(np.float64))
    for waypoint, ahead in enumerate(TRACE_TICKS):
        np.testing.assert_allclose(made[10, :, waypoint, :3], tools[10 + ahead - 1])
    np.testing.assert_allclose(made[-1, :, :, :3], np.repeat(tools[-1][:, None], len(TRACE_TICKS), axis=1))
    assert made[18, 0, 0, 3] == 0.0  # closed three ticks on
    assert made[10, 0, 0, 3] == 1.0


def test_a_point_is_where_the_gripper_next_acts_and_none_afterwards() -> None:
    actions = motion()
    made = points(actions)
    camera = BIMANUAL_YAM.cameras[0]
    assert camera.cell_from_camera is not None
    tools, _ = tool_poses(actions.astype(np.float64))
    seen = camera.pinhole.project(camera.cell_from_camera.inverse().apply(tools[[20, 40], 0])) / camera.width
    np.testing.assert_allclose(made[0, 0], seen[0])
    np.testing.assert_allclose(made[20, 0], seen[0])
    np.testing.assert_allclose(made[21, 0], seen[1])
    assert np.isnan(made[41:, 0]).all()
    assert np.isnan(made[:, 1]).all()


def test_what_is_held_or_taken_next_goes_by_the_word_it_was_called_by_when_taken() -> None:
    actions = motion(90)
    actions[60:80, 6] = 0.0
    actions[30:70, 13] = 0.0
    subtasks = ["reach"] * 90
    subtasks[20], subtasks[60] = "grasp the red block", "grasp the tray"
    subtasks[30] = "left: carry the red block; right: grasp the blue block"
    made = names(actions, subtasks, ["blue", "red"])
    assert made[:, 0].tolist() == [2] * 41 + [0] * 49  # until it is let go of; a tray goes by none of the words
    assert made[:, 1].tolist() == [1] * 71 + [0] * 19


def test_what_is_held_from_the_beginning_nobody_has_spoken_of() -> None:
    actions = motion()
    actions[:40, 6] = 0.0
    assert names(actions, ["grasp the red block"] * 60, ["red"])[:, 0].tolist() == [-1] * 41 + [0] * 19


def test_an_arm_waits_while_neither_its_tool_nor_its_gripper_is_about_to_move() -> None:
    actions = np.concatenate([np.tile(motion()[:1], (30, 1)), motion()])
    waits = waiting(actions)
    assert waits[:20].all()
    assert not waits[24:60, 0].any()
    assert waits[:, 1].all()


def test_an_arm_is_free_only_away_from_grasps_and_the_table() -> None:
    free = free_space(motion(), horizon=5)
    assert free[2, 0]
    assert not free[12:24, 0].any()  # the window or the margin holds a gripper event
    low = motion()
    low[:, 1] = 2.2  # leans forward and down
    tools, _ = tool_poses(low.astype(np.float64))
    assert (free_space(low, horizon=1)[:, 0] <= (tools[:, 0, 2] >= 0.05)).all()
