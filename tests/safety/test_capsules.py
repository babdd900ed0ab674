"""The capsules hold the whole arm: what is judged clear is clear of the real shapes."""

import mujoco
import numpy as np
import pytest

from forearm.robot.kinematics import LINKS
from forearm.safety.capsules import CAPSULES, RADII, capsule_ends, capsule_index

from .station import place, spec, surface, with_capsules

STICKS_OUT_M = 0.0005  # m, of any mesh out of its capsules; far inside every margin


def outside(points: np.ndarray, link: str) -> float:
    """How far the worst point is out of the link's capsules, m."""
    gaps = []
    for capsule in CAPSULES:
        if capsule.link == link:
            start, span = np.array(capsule.start), np.subtract(capsule.end, capsule.start)
            along = np.clip((points - start) @ span / (span @ span), 0, 1)
            gaps.append(np.linalg.norm(points - start - along[:, None] * span, axis=1) - capsule.radius)
    return float(np.min(gaps, axis=0).max())


@pytest.fixture(scope="module")
def meshes() -> mujoco.MjModel:
    return spec().compile()


@pytest.mark.parametrize("link", LINKS)
def test_every_mesh_lies_inside_its_capsules(meshes: mujoco.MjModel, link: str) -> None:
    points = surface(meshes, f"right_{link}", 0.003, np.random.default_rng(1))
    assert outside(points, link) < STICKS_OUT_M


def test_the_wrist_camera_lies_inside_the_grippers_capsules(meshes: mujoco.MjModel) -> None:
    points = surface(meshes, "left_camera", 0.003, np.random.default_rng(2))
    body = meshes.body("left_camera")
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, body.quat)
    assert outside(points @ rotation.reshape(3, 3).T + body.pos, "gripper") < STICKS_OUT_M


def test_capsules_are_named_by_the_link_that_carries_them_and_the_part_they_belong_to() -> None:
    named = [(capsule.link, capsule.part) for capsule in CAPSULES]
    assert named == [
        *[("base", "base")] * 2, ("link1", "shoulder"), *[("link2", "upper arm")] * 2, *[("link3", "forearm")] * 2,
        *[("link4", "wrist")] * 2, ("link5", "wrist"), *[("gripper", "gripper")] * 2, *[("gripper", "camera")] * 2,
        *[("tip_left", "fingers")] * 3, *[("tip_right", "fingers")] * 3,
    ]  # fmt: skip


def test_what_is_written_in_millimetres_is_kept_in_metres() -> None:
    shoulder = CAPSULES[2]
    assert shoulder.start == pytest.approx((-0.0314, -0.0291, -0.0080), rel=1e-9)
    assert shoulder.end == pytest.approx((-0.0325, 0.0276, -0.0062), rel=1e-9)
    assert shoulder.radius == pytest.approx(0.0394, rel=1e-9)


def test_the_two_fingers_are_each_other_turned_about_the_vertical() -> None:
    left, right = CAPSULES[-6:-3], CAPSULES[-3:]
    for one, other, length, radius in zip(left, right, (0.0117, 0.0398, 0.0350), (0.0236, 0.0231, 0.0168), strict=True):
        assert other.start == (-one.start[0], -one.start[1], one.start[2])
        assert other.end == (-one.end[0], -one.end[1], one.end[2])
        assert np.linalg.norm(np.subtract(one.end, one.start)) == pytest.approx(length, abs=5e-5)
        assert one.radius == other.radius == pytest.approx(radius)


def test_no_capsule_is_generous() -> None:
    volume = sum(
        np.pi * c.radius**2 * np.linalg.norm(np.subtract(c.end, c.start)) + 4 / 3 * np.pi * c.radius**3
        for c in CAPSULES
    )
    assert volume < 0.0125  # m³ an arm, bases included; a looser fit would hold back good motions


def test_both_arms_capsules_are_where_mujoco_puts_them() -> None:
    model = with_capsules()
    data = mujoco.MjData(model)
    positions = np.random.default_rng(3).uniform(0, 1, (5, 14))
    starts, ends = capsule_ends(positions)
    for row, each in enumerate(positions):
        place(model, data, each)
        mujoco.mj_forward(model, data)
        for arm, side in enumerate(("left", "right")):
            for number in range(len(CAPSULES)):
                index = capsule_index(number, arm)
                geom = data.geom(f"{side}/{number}")
                middle = (starts[:, index, row] + ends[:, index, row]) / 2
                np.testing.assert_allclose(geom.xpos, middle, atol=1e-9)
                assert RADII[index] == CAPSULES[number].radius
