from dataclasses import replace

import numpy as np
import pytest
from runtime_stubs import HOME, J, ns

from forearm.events import Stopped
from forearm.messages import Floats, Observation
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses
from forearm.runtime.standstill import PATIENCE_NS, Standstill
from forearm.safety.stops import StopKind

BEGAN_NS = ns(1.0)


def seen(stamp_ns: int, positions: Floats = HOME, speed: float = 0.0) -> Observation:
    return Observation(
        stamp_ns=stamp_ns, sequence=1, epoch=1, positions=positions, velocities=np.full(J, speed),
        efforts=np.zeros(J), images={}, depths={}, instruction="",
    )  # fmt: skip


def stopping() -> Standstill:
    return Standstill(
        cause="The camera froze.", kind=StopKind.HOLD, observation=seen(BEGAN_NS), commanded_ns=BEGAN_NS,
        embodiment=BIMANUAL_YAM,
    )  # fmt: skip


def braking(tick: int) -> Floats:
    """Joint 1 of the left arm and joint 2 of the right one brake from 1 rad/s within 0.2 s, and stand."""
    seconds = min(tick * 0.01, 0.2)
    turned = HOME.copy()
    turned[[0, 8]] += seconds - 2.5 * seconds**2
    return turned


def watched(standstill: Standstill, ticks: int = 200) -> Stopped:
    for tick in range(1, ticks):
        speed = max(0.0, 1.0 - 0.05 * tick)
        stopped = standstill.note(seen(BEGAN_NS + tick * ns(0.01), braking(tick), speed))
        if stopped is not None:
            return stopped
    raise AssertionError("it never came to an end")


def test_it_is_measured_when_the_arms_stand_and_how_far_they_went_until_then() -> None:
    stopped = watched(stopping())
    assert (stopped.verdict, stopped.how, stopped.cause) == ("standing", "hold", "The camera froze.")
    assert stopped.commanded_ns == BEGAN_NS
    assert 0.17 <= (stopped.standing_ns - BEGAN_NS) / 1e9 <= 0.2
    assert stopped.stamp_ns - stopped.standing_ns >= ns(0.05)
    assert stopped.joints_rad == pytest.approx((0.1, 0.1), abs=1e-9)
    way = tool_poses(np.stack([braking(tick) for tick in range(21)]))[0]
    assert stopped.tools_m == pytest.approx(np.linalg.norm(np.diff(way, axis=0), axis=-1).sum(axis=0), abs=1e-9)
    assert "standing after 0." in stopped.text


def test_arms_that_go_on_are_said_to_move() -> None:
    standstill = stopping()
    drifting = [HOME + 0.001 * tick * (np.arange(J) == 9) for tick in range(200)]
    answers = [standstill.note(seen(BEGAN_NS + tick * ns(0.01), drifting[tick])) for tick in range(1, 102)]
    assert answers[:-1] == [None] * 100
    assert (answers[-1].verdict, answers[-1].standing_ns) == ("moving", None)
    assert answers[-1].stamp_ns - BEGAN_NS > PATIENCE_NS
    assert "moving after 1.01 s" in answers[-1].text


def test_a_speed_that_is_said_counts_as_motion_even_where_the_pose_stays() -> None:
    standstill = stopping()
    assert not any(standstill.note(seen(BEGAN_NS + tick * ns(0.01), speed=0.06)) for tick in range(1, 50))


def test_grippers_may_go_on_closing() -> None:
    standstill, closing = stopping(), HOME.copy()
    for tick in range(1, 7):
        closing = closing - 0.05 * (np.arange(J) == 6)
        slow = replace(seen(BEGAN_NS + tick * ns(0.01), closing), velocities=-5.0 * (np.arange(J) == 6))
        stopped = standstill.note(slow)
    assert stopped is not None
    assert stopped.joints_rad == (0.0, 0.0)


@pytest.mark.parametrize("spoiled", [{"positions": HOME * np.nan}, {"velocities": np.full(J, np.inf)}])
def test_what_cannot_be_read_is_unknown_and_not_stopped(spoiled: dict[str, Floats]) -> None:
    stopped = stopping().note(replace(seen(BEGAN_NS + 1), **spoiled))
    assert (stopped.verdict, stopped.standing_ns) == ("unknown", None)
    stopped = stopping().lost(BEGAN_NS + 2)
    assert (stopped.verdict, stopped.standing_ns, stopped.stamp_ns) == ("unknown", None, BEGAN_NS + 2)
