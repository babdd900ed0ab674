"""The way to rest that is reckoned with is one that a jerk-limited motion really needs, or a little more."""

import numpy as np
import pytest
import ruckig

from forearm.safety.limits import Limits
from forearm.safety.stopping import standing_pose, stopping_distance

LIMITS = Limits.of()
NONE = np.zeros(14)


def braked(joint: int, speed: float, acceleration: float) -> float:
    """How far the time-optimal jerk-limited braking goes: an independent generator's answer."""
    motion = ruckig.InputParameter(1)
    motion.control_interface = ruckig.ControlInterface.Velocity
    motion.current_position, motion.current_velocity = [0.0], [speed]
    motion.current_acceleration = [acceleration]
    motion.max_velocity = [100.0]
    motion.max_acceleration, motion.max_jerk = [LIMITS.acceleration[joint]], [LIMITS.jerk[joint]]
    trajectory = ruckig.Trajectory(1)
    ruckig.Ruckig(1).calculate(motion, trajectory)
    return float(trajectory.at_time(trajectory.duration)[0][0])


@pytest.mark.parametrize("joint", [0, 3, 6])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.4, 1.0])
def test_from_a_steady_speed_it_is_the_way_of_the_quickest_braking(joint: int, share: float) -> None:
    speed = LIMITS.velocity * share
    assert stopping_distance(speed, NONE, 0.0, LIMITS)[joint] == pytest.approx(braked(joint, float(speed[joint]), 0.0))


@pytest.mark.parametrize("joint", [0, 3, 6])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("rising", [0.1, 0.5, 1.0])
def test_a_speed_that_still_rises_needs_no_longer_way_than_reckoned(joint: int, share: float, rising: float) -> None:
    speed, acceleration = LIMITS.velocity * share, LIMITS.acceleration * rising
    reckoned = stopping_distance(speed, acceleration, 0.0, LIMITS)[joint]
    assert reckoned == pytest.approx(braked(joint, float(speed[joint]), float(acceleration[joint])), rel=1e-6)


def test_what_is_noticed_late_is_added_at_the_speed_that_is_reached_by_then() -> None:
    speed = LIMITS.velocity * 0.5
    late = stopping_distance(speed, NONE, 0.1, LIMITS) - stopping_distance(speed, NONE, 0.0, LIMITS)
    np.testing.assert_allclose(late, speed * 0.1)
    capped = stopping_distance(speed, LIMITS.acceleration, 10.0, LIMITS)
    assert (capped >= LIMITS.velocity * 10.0).all()
    assert (capped < LIMITS.velocity * 11.0).all()


def test_arms_that_rest_stand_where_they_are_and_others_ahead_of_that() -> None:
    pose = np.linspace(0.1, 0.9, 14)
    np.testing.assert_array_equal(standing_pose(pose, NONE, NONE, 0.2, LIMITS), pose)
    velocities = 0.3 * LIMITS.velocity * np.where(np.arange(14) % 2, 1.0, -1.0)
    ahead = standing_pose(pose, velocities, NONE, 0.2, LIMITS) - pose
    assert (np.sign(ahead) == np.sign(velocities)).all()
    braking = standing_pose(pose, velocities, -np.sign(velocities) * 5.0, 0.2, LIMITS) - pose
    np.testing.assert_array_equal(braking, ahead)
