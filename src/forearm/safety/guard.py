"""Judges one command in its tick; the only maker of `SafeCommand`.

Invariant: what comes out of here is finite, in range, one small step from what was sent before, and no nearer to
anything than allowed, now and once the arms could have stopped — or, where they already are in a bad place, no deeper
in it. Whatever goes wrong in here moves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from forearm.messages import Command, Finding, Floats, Observation, Outcome, SafeCommand, Verdict
from forearm.robot.embodiment import BIMANUAL_YAM, Embodiment
from forearm.safety import checks
from forearm.safety.approach import MEASURED_STEPS, approach
from forearm.safety.clearance import PAIRS, Bodies, margins
from forearm.safety.contact import Contact
from forearm.safety.fixtures import Fixtures
from forearm.safety.freshness import AGES, Ages, Freshness
from forearm.safety.limits import TICK_S, Limits
from forearm.safety.stopping import standing_pose
from forearm.safety.stops import resting_pose
from forearm.safety.workspace import Workspace

Findings = tuple[Finding, ...]
ROUNDING = 1e-6  # rad or opening: what arithmetic may add to a limit, far below what an encoder sees
HISTORY = 3  # set-points needed to know speed, acceleration and jerk of the next one

_RATES = (
    ("speed", "is to move at", "/s"),
    ("acceleration", "is to accelerate at", "/s²"),
    ("jerk", "is to jerk at", "/s³"),
)
# Those three, by backward differences of four set-points, the newest last.
_PERIODS = TICK_S ** np.arange(1, HISTORY + 1)[:, None]
_DIFFERENCES = np.array([[0.0, 0.0, -1.0, 1.0], [0.0, 1.0, -2.0, 1.0], [-1.0, 3.0, -3.0, 1.0]]) / _PERIODS


class Guard:
    """The gate between the control loop and the robot. Used by the control thread alone, once per tick.

    A command follows the one sent before it. At first, and after a tick that sent nothing, it follows the pose where a
    robot that is told to stop rests: where it was measured, grippers that hold something as tight as they were told.

    Args:
        limits: what is allowed.
        embodiment: whose joints they are.
        cameras: whose images must be there and fresh; the embodiment's by default.
        workspace: whose table, fixtures and zones the arms are kept clear of; by default a table at the height of their
            bases. What they hold is vetting's.
        ages: how old what is acted on may be.

    Raises:
        ConfigError: for a camera without an age limit.
    """

    def __init__(
        self,
        limits: Limits,
        embodiment: Embodiment = BIMANUAL_YAM,
        *,
        cameras: Sequence[str] | None = None,
        workspace: Workspace | None = None,
        ages: Ages = AGES,
    ) -> None:
        self._limits = limits
        self._embodiment = embodiment
        self._ages = ages
        watched = [camera.name for camera in embodiment.cameras] if cameras is None else cameras
        self._freshness = Freshness(embodiment, watched, ages)
        workspace = workspace or Workspace()
        self._required = _required(limits, workspace.table_m)
        self._fixtures = Fixtures(workspace, limits)
        self._rates = np.stack([limits.velocity, limits.acceleration, limits.jerk]) + ROUNDING / _PERIODS
        self._contact = Contact(limits, embodiment)
        self._believed = limits.lower - limits.position_excess, limits.upper + limits.position_excess
        # Of what `_is_plain` looks at, in its order; what is outside is looked at more closely.
        reach = np.concatenate([limits.tracking_error, *self._rates])
        self._plain = (
            np.concatenate([limits.lower, self._believed[0], -reach]),
            np.concatenate([limits.upper, self._believed[1], reach]),
        )
        self._sent: Floats | None = None  # (HISTORY, J), the newest last
        self._clear_at: Floats | None = None  # (J,), where the arms were last measured clear, or began
        self._seen: Observation | None = None
        self._tracked = False
        self._sequence = -1

    def reset(self, observation: Observation) -> None:
        """Forgets what was sent: the next command must begin at this pose, from rest."""
        self._sent = _at_rest(observation.positions)
        self._clear_at = observation.positions
        self._tracked = False
        self._sequence = -1
        self._freshness.reset()
        self._contact.reset()

    def latency_s(self) -> float:
        """The longest that something could go unnoticed since the last `reset`, s; of ticks that came in time."""
        return self._freshness.session_latency_s

    def review(self, command: Command, observation: Observation, now_ns: int) -> Verdict:
        """The verdict on `command`; `verdict.command` is there exactly when it is ALLOW.

        Takes about 0.1 ms. Never raises: an exception in here is a STOP.
        """
        started = time.perf_counter()
        self._seen = None
        try:
            path, findings = self._judge(command, observation, now_ns)
        except Exception as error:  # a check that fails has shown nothing, so nothing may move
            path, findings = None, checks.broken("guard", error)
        safe = None
        if path is None or findings:  # the robot will stand where it was measured, if that is known
            self._sent = None if self._seen is None else self._stopped(self._seen)
            self._clear_at = None if self._seen is None else self._seen.positions
            self._tracked = False
        else:
            self._sent = path[1:]
            self._tracked, self._sequence = True, command.sequence
            safe = SafeCommand(
                stamp_ns=command.stamp_ns, sequence=command.sequence, epoch=command.epoch, positions=path[-1]
            )
        return Verdict(
            outcome=checks.worst(findings), findings=findings, command=safe, cost_s=time.perf_counter() - started
        )

    def _judge(self, command: Command, observation: Observation, now_ns: int) -> tuple[Floats | None, Findings]:
        """What was sent and then the positions as they may be sent (HISTORY + 1, J), and every objection."""
        width = len(self._embodiment.joints)
        findings = checks.array_is("measured pose", observation.positions, width=width)
        findings += checks.array_is("measured velocity", observation.velocities, width=width)
        findings += checks.array_is("measured effort", observation.efforts, width=width)
        findings += checks.array_is("command", command.positions, width=width)
        if findings:
            return None, findings
        self._seen = observation
        sent = _at_rest(observation.positions) if self._sent is None else self._sent
        findings = self._timely(command, observation, now_ns)
        path = np.concatenate([sent, command.positions[None]])
        rates = _DIFFERENCES @ path
        if self._is_plain(path, rates, observation.positions):
            findings += self._contact.review(observation)
        else:
            lower, upper = self._range(sent[-1])
            findings += checks.in_range(
                "command", command.positions, lower - ROUNDING, upper + ROUNDING, self._embodiment.joints, Outcome.HOLD
            )
            findings += self._followed(observation, sent[-1])
            findings += self._contact.review(observation)
            path[-1] = np.minimum(np.maximum(command.positions, lower), upper)
            rates = _DIFFERENCES @ path
            findings += self._smooth(rates)
        findings += self._clear(sent[-1], path[-1], rates, observation)
        return path, findings

    def _is_plain(self, path: Floats, rates: Floats, measured: Floats) -> bool:
        """Whether neither range nor tracking, speed, acceleration or jerk can object, all seen at one glance.

        A command within the range alone is not clipped either.
        """
        low, high = self._plain
        seen = np.concatenate([path[-1], measured, path[-2] - measured, rates.reshape(-1)])
        return bool(((seen >= low) & (seen <= high)).all())

    def _stopped(self, seen: Observation) -> Floats:
        """What counts as sent of a robot that was told to stop there."""
        return _at_rest(resting_pose(seen, None if self._sent is None else self._sent[-1], self._embodiment))

    def _timely(self, command: Command, observation: Observation, now_ns: int) -> Findings:
        """Of this session, new, and made from what is fresh."""
        findings = checks.same_epoch("command", command.epoch, observation.epoch)
        findings += checks.follows(command.sequence, self._sequence)
        findings += checks.fresh("command", command.stamp_ns, now_ns, self._ages.command_s)
        return findings + self._freshness.review(observation, now_ns)

    def _range(self, sent: Floats) -> tuple[Floats, Floats]:
        """Where the joints may go: their range, and out to where they already are, so that they can come back in."""
        return np.minimum(self._limits.lower, sent), np.maximum(self._limits.upper, sent)

    def _followed(self, observation: Observation, sent: Floats) -> Findings:
        """The arms are where they can be, and where they were sent."""
        joints, measured = self._embodiment.joints, observation.positions
        findings = checks.in_range("measured pose", measured, *self._believed, joints, Outcome.STOP)
        if self._tracked:
            limit, error = self._limits.tracking_error, sent - measured
            findings += checks.within("tracking", "is off its set-point by", "", error, limit, joints, Outcome.HOLD)
        return findings

    def _smooth(self, rates: Floats) -> Findings:
        """Speed, acceleration and jerk (3, J) of the step from what was sent; before that the arms were at rest."""
        findings: Findings = ()
        for (check, what, unit), rate, limit in zip(_RATES, rates, self._rates, strict=True):
            findings += checks.within(check, what, unit, rate, limit, self._embodiment.joints, Outcome.HOLD)
        return findings

    def _clear(self, sent: Floats, positions: Floats, rates: Floats, seen: Observation) -> Findings:
        """Everything as far apart as it has to be: at the set-point, where the arms would stand, and as measured."""
        reaction_s, measured = self._freshness.worst_latency_s, seen.positions
        standing = standing_pose(positions, rates[0], rates[1], reaction_s, self._limits)
        clear = measured if self._clear_at is None else self._clear_at
        ahead = measured + seen.velocities * TICK_S
        judged = np.concatenate([positions, standing, measured, ahead]).reshape(4, -1)
        bodies = Bodies.at(judged)

        def everything() -> Bodies:
            return Bodies.at(np.concatenate([judged, sent[None], clear[None]]))

        late = f"once the arms had stopped, told so {reaction_s * 1e3:.0f} ms late"
        arms = approach(bodies, bodies.at_least(), everything, PAIRS, self._required, late)
        boxes = self._fixtures.review(bodies, everything, late)
        self._clear_at = measured if arms.clear and boxes.clear else clear
        return arms.findings + boxes.findings


def _at_rest(positions: Floats) -> Floats:
    """(HISTORY, J): what was sent, of a robot that has stood there all the time."""
    return np.tile(positions, (HISTORY, 1))


def _required(limits: Limits, table_m: float) -> Floats:
    """(K, 4) m: the least clearance of each pair in the poses that are judged."""
    required = np.tile(margins(limits, arms_m=limits.arm_clearance_now_m, table_m=table_m)[:, None], (1, 4))
    measured = margins(limits, arms_m=limits.arm_clearance_now_m, table_m=table_m, sag_m=limits.sag_m)
    required[:, MEASURED_STEPS] = measured[:, None]
    return required
