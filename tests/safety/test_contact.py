"""Which joint is said to strain, for how long, with what, in which unit."""

import numpy as np
import pytest

from forearm.messages import Finding, Outcome
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.safety.contact import STRAINING_TICKS, Contact
from forearm.safety.limits import Limits

from .scenes import seen

LIMITS = Limits.of()


def efforts(**of: float) -> np.ndarray:
    """Efforts by joint name; the others give nothing."""
    return np.array([of.get(joint.name, 0.0) for joint in BIMANUAL_YAM.joints])


def felt(steady: np.ndarray, ticks: int, last: np.ndarray | None = None) -> tuple[Finding, ...]:
    """What is found at the last of so many ticks at rest with those efforts, the last one with others if given."""
    contact, observation = Contact(LIMITS, BIMANUAL_YAM), seen(efforts=steady)
    for _ in range(ticks - 1):
        contact.review(observation)
    return contact.review(observation if last is None else seen(efforts=last))


@pytest.mark.parametrize(
    ("joint", "effort", "limit", "unit"), [("left_joint2", 20.0, 9.0, "N m"), ("right_gripper", -50.0, 40.0, "N")]
)
def test_a_strain_is_said_with_its_length_its_size_and_its_unit(
    joint: str, effort: float, limit: float, unit: str
) -> None:
    (found,) = felt(efforts(**{joint: effort}), 600)
    assert (found.check, found.outcome, found.subject) == ("effort", Outcome.HOLD, joint)
    assert (found.measured, found.limit, found.unit) == (abs(effort), limit, unit)
    assert found.text == (
        f"{joint} has strained for 6000 ms, now with {abs(effort):.3g} {unit}; {limit:.3g} is allowed at its speed. "
        "It is stalled, or touches what nobody planned to touch."
    )


def test_of_two_joints_that_strain_the_one_that_is_farther_over_its_own_limit_is_named() -> None:
    (found,) = felt(efforts(left_joint1=13.5, left_joint5=6.0), STRAINING_TICKS)
    assert found.subject == "left_joint5"


def test_a_joint_that_has_only_begun_to_strain_is_not_named_however_hard_it_does() -> None:
    since_long = efforts(left_joint1=10.0)
    (found,) = felt(since_long, STRAINING_TICKS, last=since_long + efforts(right_joint5=100.0))
    assert found.subject == "left_joint1"
