"""A plan that overlooks an arm, in the real cell: what the arms hide is not strange, and everything else still is."""

from dataclasses import replace

import numpy as np
import pytest

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import SimulatedClock
from forearm.messages import DepthImage, Finding, Observation
from forearm.robot.embodiment import BIMANUAL_YAM, Camera
from forearm.safety.capsules import RADII, capsule_ends
from forearm.safety.depth_agreement import depth_agrees, depth_gaps
from forearm.safety.limits import Limits
from forearm.safety.own_arms import of_the_arms, points_measured

from .scenes import plan_of, resting

LIMITS = Limits.of()
TOP = BIMANUAL_YAM.cameras[0]
SETUP = task_named("hand-over").sample(7)
AT_HOME = np.array(SETUP.start)
INWARDS = AT_HOME.copy()
INWARDS[[0, 7]] += (-0.8, 0.8)  # into the main camera's view


def seen_at(positions: np.ndarray) -> Observation:
    robot = CellRobot(setup=replace(SETUP, start=tuple(positions.tolist())), clock=SimulatedClock())
    robot.connect(1)
    try:
        return robot.read()
    finally:
        robot.close()


@pytest.fixture(scope="module")
def home() -> Observation:
    return seen_at(AT_HOME)


@pytest.fixture(scope="module")
def inwards() -> Observation:
    return seen_at(INWARDS)


def said_of(seen: Observation) -> np.ndarray:
    """(10, 10) m, the map of somebody who sees just that."""
    return depth_gaps(np.ones((10, 10)), seen.depths["top"].metres.astype(np.float64), LIMITS.depth_pixels)[0]


def judged(said: np.ndarray, seen: Observation, camera: Camera = TOP) -> tuple[Finding, ...]:
    return depth_agrees(replace(plan_of(resting()), depth_map=said), seen, camera, LIMITS, age_s=0.5)


def with_a_box(seen: Observation, rows: slice, columns: slice, nearer_m: float) -> Observation:
    metres = seen.depths["top"].metres.copy()
    height, width = (size // 10 for size in metres.shape)
    cells = np.s_[rows.start * height : rows.stop * height, columns.start * width : columns.stop * width]
    metres[cells] = said_of(seen)[rows, columns].min() - nearer_m
    return replace(seen, depths={"top": DepthImage(stamp_ns=seen.stamp_ns, metres=metres)})


def test_a_plan_that_overlooks_the_arms_sees_the_world(home: Observation, inwards: Observation) -> None:
    gaps = depth_gaps(said_of(home), inwards.depths["top"].metres.astype(np.float64), LIMITS.depth_pixels)[1]
    assert (gaps > LIMITS.depth_error_m).sum() >= 5
    assert judged(said_of(home), inwards) == ()


def test_an_arm_that_is_not_where_the_joints_say_is_strange(home: Observation, inwards: Observation) -> None:
    assert judged(said_of(home), replace(inwards, positions=AT_HOME))


def test_what_else_stands_there_is_strange_beside_overlooked_arms(home: Observation, inwards: Observation) -> None:
    free = np.s_[0:2], np.s_[4:6]
    assert said_of(home)[free] == pytest.approx(said_of(inwards)[free], abs=0.01)
    (found,) = judged(said_of(home), with_a_box(inwards, *free, 0.15))
    assert found.measured == 0.04
    assert "nearer than the plan knows" in found.text


def test_an_arm_that_the_plan_alone_sees_is_an_error(home: Observation, inwards: Observation) -> None:
    (found,) = judged(said_of(inwards), home)
    assert "farther than the plan knows" in found.text


def test_a_camera_whose_place_is_not_known_shows_nobodys_arms(home: Observation, inwards: Observation) -> None:
    assert judged(said_of(home), inwards, replace(TOP, cell_from_camera=None))


def own_pixels(seen: Observation) -> np.ndarray:
    """(H, W) whether each pixel shows an arm."""
    metres = seen.depths["top"].metres.astype(np.float64)
    rows, columns = (each.ravel() for each in np.indices(metres.shape))
    assert TOP.cell_from_camera is not None
    points = points_measured(metres, rows, columns, TOP, TOP.cell_from_camera)
    return of_the_arms(points, seen.positions).reshape(metres.shape)


def test_what_is_said_to_stand_in_front_of_the_arms_is_an_error(inwards: Observation) -> None:
    filled = own_pixels(inwards).reshape(10, 12, 10, 12).mean(axis=(1, 3)) > 0.8
    assert filled.sum() > LIMITS.depth_cells * filled.size
    said = said_of(inwards)
    said[filled] -= 0.15
    (found,) = judged(said, inwards)
    assert found.measured == filled.mean()


def test_an_arm_reaches_two_centimetres_beyond_its_shape() -> None:
    starts, ends = (each[..., 0].T for each in capsule_ends(AT_HOME[None]))
    tops = np.concatenate([starts, ends]) + np.array([0.0, 0.0, 1.0]) * np.tile(RADII, 2)[:, None]
    highest = tops[tops[:, 2].argmax()]
    above = highest + np.array([[0.0, 0.0, 0.019], [0.0, 0.0, 0.021], [0.0, 0.0, np.nan]])
    assert of_the_arms(above, AT_HOME).tolist() == [True, False, False]


def test_all_that_stands_up_in_the_picture_is_the_arms_and_what_was_not_measured_is_nobody(
    inwards: Observation,
) -> None:
    metres = inwards.depths["top"].metres.astype(np.float64)
    metres[0, 0] = np.nan
    rows, columns = (each.ravel() for each in np.indices(metres.shape))
    assert TOP.cell_from_camera is not None
    points = points_measured(metres, rows, columns, TOP, TOP.cell_from_camera)
    own = of_the_arms(points, inwards.positions)
    assert 0 < own.sum() < len(points) / 2
    assert not own[0]
    assert own[points[:, 2] > 0.1].mean() > 0.95
