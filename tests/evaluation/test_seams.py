import numpy as np
import pytest

from forearm.clock import NANOSECONDS
from forearm.evaluation.seams import Stretch, Stretches, path_roughness, roughness
from forearm.events import Commanded, Observed
from forearm.messages import ActionChunk, Floats, Observation
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.safety.limits import TICK_S, Limits

J = len(BIMANUAL_YAM.joints)
PERIOD_S = 0.1


def ns(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def chunk(stamp_s: float, *, rows: int = 16, offset: float = 0.0) -> ActionChunk:
    """Every joint at t² / 2 + offset, t in s: accelerates by 1 /s² without jerk."""
    times = stamp_s + PERIOD_S * np.arange(1, rows + 1)
    positions = np.tile((times**2 / 2 + offset)[:, None], J)
    return ActionChunk(stamp_ns=ns(stamp_s), period_s=PERIOD_S, positions=positions)


def test_a_chunk_that_says_the_same_leaves_no_seam() -> None:
    seam = roughness(chunk(1.0), chunk(1.6), ns(1.9))
    assert seam is not None
    assert seam.jump == pytest.approx(0.0, abs=1e-9)
    assert seam.acceleration == pytest.approx(1.0)
    assert seam.jerk == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("delay_s", [0.0, 0.3])
def test_a_jump_is_seen_in_second_and_third_differences(delay_s: float) -> None:
    seam = roughness(chunk(1.0), chunk(1.6, offset=0.04), ns(1.6 + delay_s))
    assert seam is not None
    assert seam.jump == pytest.approx(0.04)
    assert seam.acceleration == pytest.approx(1.0 + 0.04 / PERIOD_S**2)
    assert seam.jerk == pytest.approx(2 * 0.04 / PERIOD_S**3)  # third differences of a step are 1, -2, 1


def test_a_gripper_that_snaps_is_no_roughness() -> None:
    points = np.zeros((8, J))
    points[4:, BIMANUAL_YAM.grippers] = 1.0
    assert path_roughness(points, 0.01) == (0.0, 0.0)


def test_a_chunk_with_no_row_ahead_makes_no_seam() -> None:
    assert roughness(chunk(1.0), chunk(1.1, rows=4), ns(1.5)) is None


def seen(positions: Floats, at_ns: int, pressing_n: float = 0.0) -> Observed:
    efforts = np.zeros(J)
    efforts[BIMANUAL_YAM.grippers] = -pressing_n
    observation = Observation(
        stamp_ns=at_ns, sequence=1, epoch=1, positions=positions, velocities=np.zeros(J), efforts=efforts, images={},
        depths={}, instruction="",
    )  # fmt: skip
    return Observed(stamp_ns=at_ns, observation=observation)


def stretches_of(sent: list[float | None], measured: float, pressing_n: float = 0.0) -> list[Stretch]:
    """Of ticks in which every joint was sent there, or nothing was, while all were measured at `measured`."""
    told = Stretches()
    for tick, target in enumerate(sent):
        at_ns = tick * ns(TICK_S)
        told.note(seen(np.full(J, measured), at_ns, pressing_n))
        if target is not None:
            told.note(Commanded(stamp_ns=at_ns, sequence=tick, positions=(target,) * J))
    return told.all


def test_set_points_sent_one_a_tick_are_one_stretch_from_where_the_robot_was_measured() -> None:
    (stretch,) = stretches_of([0.5, 0.6, 0.7], measured=0.5)
    assert stretch.begun.tolist() == [0.5] * J
    assert [point[0] for point in stretch.points] == [0.5, 0.6, 0.7]


def test_a_tick_that_sends_nothing_ends_a_stretch_and_the_next_begins_where_the_arms_rest() -> None:
    first, second = stretches_of([0.5, 0.9, None, None, 0.7], measured=0.7)
    assert [len(first.points), len(second.points)] == [2, 1]
    assert second.begun.tolist() == [0.7] * J
    assert second.shares(Limits.of()).max() == 0.0


def test_a_gripper_that_held_something_when_it_was_stopped_goes_on_from_what_it_was_told() -> None:
    *_, second = stretches_of([0.2, None, 0.2], measured=0.7, pressing_n=20.0)
    assert second.begun[BIMANUAL_YAM.grippers].tolist() == [0.2, 0.2]
    assert second.begun[0] == 0.7


def test_a_window_is_looked_at_only_where_one_stretch_is_all_of_it() -> None:
    ticks = [tick * ns(TICK_S) for tick in range(20)]
    first, second = stretches_of([0.1 * tick if tick != 10 else None for tick in range(20)], measured=1.0)
    assert [each.between(ticks[8], ticks[12]) for each in (first, second)] == [None, None]
    window = first.between(ticks[5], ticks[8])
    assert window is not None
    np.testing.assert_allclose(window[:, 0], 0.1 * np.arange(2, 8))  # and the three before it
    assert second.between(ticks[15], ticks[-1] + 1) is None  # as far as can be told there might be more
    earliest = first.between(ticks[0], ticks[1])
    assert earliest is not None
    assert earliest[:, 0].tolist() == [1.0, 1.0, 1.0, 0.0]  # from rest where the stretch began


def test_speed_acceleration_and_jerk_are_shares_of_each_joints_limit_from_rest_on() -> None:
    limits = Limits.of()
    jerked = np.cumsum(np.cumsum(np.cumsum(limits.jerk * TICK_S**3 * np.ones((2, J)), axis=0), axis=0), axis=0)
    shares = Stretch(np.zeros(J), [0, ns(TICK_S)], list(jerked)).shares(limits)
    np.testing.assert_allclose(shares[2], 1.0)
    np.testing.assert_allclose(shares[1], 2.0 * limits.jerk * TICK_S / limits.acceleration)
    np.testing.assert_allclose(shares[0], 3.0 * limits.jerk * TICK_S**2 / limits.velocity)
