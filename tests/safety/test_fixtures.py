"""The guard keeps set-points, and the arms themselves, off what stands there; away from it is always allowed."""

from dataclasses import replace

import numpy as np
import pytest

from forearm.geometry import Box
from forearm.messages import Outcome, Verdict
from forearm.robot.kinematics import tool_poses, with_tool_at
from forearm.safety.guard import Guard
from forearm.safety.known_bad_boxes import apart, lowered
from forearm.safety.known_good import READY
from forearm.safety.limits import TICK_S, Limits
from forearm.safety.surroundings import Surroundings
from forearm.safety.workspace import Workspace

from .scenes import BOTH_HOME, NOW_NS, TICK_NS, asked, seen

LIMITS = Limits.of()
POST = Box(name="post", centre=(0.3, -0.2, 0.06), half=(0.03, 0.05, 0.06), yaw=0.3)
STANDS = Workspace(fixtures=(POST,))
# The left hand over it, its fingers 1, 14 and 27 mm from it.
ON, OVER = (with_tool_at(READY, 0, np.array([0.3, -0.2, height])) for height in (0.13583, 0.15083))
FAR = OVER + (OVER - ON)


class Ride:
    """A guard of a workspace, and a robot that does what it is sent unless it is said to be elsewhere."""

    def __init__(self, start: np.ndarray, workspace: Workspace = STANDS, limits: Limits = LIMITS) -> None:
        self.guard, self.at, self.tick = Guard(limits, workspace=workspace), start.copy(), 0
        self.guard.reset(seen(start))

    def ask(
        self, positions: np.ndarray, measured: np.ndarray | None = None, speed: float | np.ndarray = 0.0
    ) -> Verdict:
        self.tick += 1
        now_ns = NOW_NS + self.tick * TICK_NS
        where = self.at if measured is None else measured
        observation = replace(seen(where, stamp_ns=now_ns), velocities=np.zeros(14) + speed)
        verdict = self.guard.review(asked(positions, sequence=self.tick, stamp_ns=now_ns), observation, now_ns)
        self.at = positions.copy() if verdict.command is not None else self.at
        return verdict

    def glide(self, to: np.ndarray, ticks: int = 200) -> Verdict:
        """Smoothly there, up to the first refusal; the last verdict."""
        start = self.at.copy()
        for tick in range(1, ticks + 1):
            share = tick / ticks
            verdict = self.ask(start + (to - start) * share**3 * (10 - 15 * share + 6 * share**2))
            if verdict.command is None:
                break
        return verdict


def checks(verdict: Verdict) -> list[tuple[str, str]]:
    return [(finding.check, finding.subject) for finding in verdict.findings]


def test_the_poses_of_this_file_are_where_they_should_be() -> None:
    post = Surroundings(STANDS, LIMITS)
    assert [apart(post, pose) for pose in (ON, OVER, FAR)] == pytest.approx([0.001, 0.0136, 0.0267], abs=1e-4)


@pytest.mark.parametrize("kind", ["fixture", "keep-out zone"])
def test_going_onto_what_stands_there_is_held_and_going_away_is_not(kind: str) -> None:
    workspace = STANDS if kind == "fixture" else Workspace(keep_out=(POST,))
    ride = Ride(FAR, workspace)
    assert ride.glide(OVER).outcome is Outcome.ALLOW
    verdict = ride.glide(ON)
    assert verdict.outcome is Outcome.HOLD
    ((check, subject),) = checks(verdict)
    assert check in ("stopping", f"clearance: {kind}")
    assert subject == "left fingers and post"
    ride = Ride(ON, workspace)
    assert ride.ask(ON).outcome is Outcome.ALLOW
    assert ride.glide(FAR).outcome is Outcome.ALLOW


def test_a_set_point_that_is_itself_too_near_is_named_as_that_with_its_distance() -> None:
    quick = replace(
        LIMITS, jerk=LIMITS.jerk * 1e9, acceleration=LIMITS.acceleration * 1e9, velocity=LIMITS.velocity * 99
    )
    (finding,) = Ride(OVER, limits=quick).ask(ON).findings
    assert (finding.check, finding.limit) == ("clearance: fixture", 0.003)
    assert finding.measured == pytest.approx(0.001, abs=5e-4)
    assert finding.text.startswith("left fingers and post are 1 mm apart and nearing; 3 mm is needed.")


def test_an_approach_that_could_not_be_stopped_any_more_is_named_as_that() -> None:
    verdict = Ride(FAR).glide(ON, ticks=40)
    assert [check for check, _ in checks(verdict)] == ["stopping"]
    assert "once the arms had stopped" in verdict.findings[0].text


def test_what_is_too_near_does_not_come_nearer_however_small_the_steps_are() -> None:
    ride = Ride(ON)
    step = (ON - OVER) * 1e-8
    assert ride.ask(ON).outcome is Outcome.ALLOW
    assert checks(ride.ask(ON + step)) == [("clearance: fixture", "left fingers and post")]


def test_an_arm_that_is_measured_too_near_and_coming_nearer_is_held_whatever_it_is_told() -> None:
    towards = (ON - OVER) / 0.5  # 30 mm/s
    assert checks(Ride(ON).ask(ON, speed=towards)) == [("clearance: fixture", "left fingers and post")]
    for speed in (0.0 * towards, -towards, towards * 0.1):  # standing, leaving, and noise
        assert Ride(ON).ask(ON, speed=speed).outcome is Outcome.ALLOW
    assert Ride(OVER).ask(OVER, speed=towards).outcome is Outcome.ALLOW  # it has room


def test_an_arm_that_drifts_onto_what_stands_there_is_held_whatever_its_sensors_say_of_its_speed() -> None:
    ride = Ride(OVER)
    for share in np.linspace(0.0, 1.0, 200):
        verdict = ride.ask(OVER, measured=OVER + share * (ON - OVER))
        if verdict.command is None:
            break
    (finding,) = verdict.findings
    assert (finding.check, finding.subject) == ("clearance: fixture", "left fingers and post")
    assert finding.text.endswith(" mm apart and nearing as measured; 3 mm is needed.")
    assert 0.0015 < finding.measured < 0.0021  # a millimetre beyond what is needed


def test_what_may_touch_is_not_compared() -> None:
    touching = tuple((part, "post") for part in ("fingers", "gripper", "camera", "wrist"))
    assert Ride(OVER, replace(STANDS, touching=touching)).glide(ON).outcome is Outcome.ALLOW


def test_of_two_things_that_come_too_near_the_nearer_one_is_named() -> None:
    lower = replace(POST, name="lower", centre=(0.3, -0.2, 0.0595))
    ride = Ride(ON, Workspace(fixtures=(lower, POST)))
    assert checks(ride.ask(ON + (ON - OVER) * 1e-6)) == [("clearance: fixture", "left fingers and post")]


def test_a_box_as_far_as_the_sky_costs_no_objection() -> None:
    sky = Workspace(fixtures=(Box(name="sky", centre=(0.0, 0.0, 5.0), half=(9.0, 9.0, 0.1)),))
    assert Ride(OVER, sky).glide(ON).outcome is Outcome.ALLOW


def test_a_small_thing_that_one_hand_alone_comes_near_to_is_not_missed() -> None:
    """At arm's length everything else of the arms is farther from it than the spheres round their parts reach."""
    pin = Box(name="pin", centre=(0.55, -0.35, 0.03), half=(0.02, 0.02, 0.03))
    away = replace(pin, name="away", centre=(0.55, -0.35, -0.5))  # under the table
    clear, near = lowered(Workspace(fixtures=(pin,)), "pin", 0) or (np.zeros(14), np.zeros(14))
    for fixtures in ((pin,), (away, pin), (pin, away)):
        verdict = Ride(clear, Workspace(fixtures=fixtures)).glide(near)
        assert [subject for _, subject in checks(verdict)] == ["left fingers and pin"]


@pytest.mark.parametrize(("start", "expected"), [(-0.0247, []), (-0.0243, ["stopping"])])
def test_where_an_arm_would_stand_is_compared_with_where_it_was_and_not_with_its_set_point(
    start: float, expected: list[str]
) -> None:
    """A finger, 2 mm over a pin, rolls over the top of its way; it may stand lower than there, as before."""
    pin = Box(name="pin", centre=(0.157, 0.11, 0.1305), half=(0.004, 0.004, 0.004))
    roll = np.arange(14) == 5
    ride = Ride(BOTH_HOME + start * roll, Workspace(fixtures=(pin,)))
    verdict = ride.ask(ride.at + 0.9 * LIMITS.jerk[5] * TICK_S**3 * roll)
    assert [check for check, _ in checks(verdict)] == expected


def test_speeds_are_taken_for_one_tick() -> None:
    """The pose a tick on is what counts: 0.1 mm nearer is noise, more is not."""
    per_s = (ON - OVER) / np.linalg.norm(tool_poses(ON)[0][0] - tool_poses(OVER)[0][0]) / TICK_S
    assert Ride(ON).ask(ON, speed=per_s * 0.8e-4).outcome is Outcome.ALLOW
    assert Ride(ON).ask(ON, speed=per_s * 1.4e-4).outcome is Outcome.HOLD
