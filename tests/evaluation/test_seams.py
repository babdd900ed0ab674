import numpy as np
import pytest

from forearm.clock import NANOSECONDS
from forearm.evaluation.seams import path_roughness, roughness
from forearm.messages import ActionChunk
from forearm.robot.embodiment import BIMANUAL_YAM

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
