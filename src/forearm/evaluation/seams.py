"""Where one chunk takes over from another: how rough that is, and how near what is sent comes to the limits.

Row sequences are compared on the later chunk's time grid; grippers, which snap on purpose, are left out of roughness.
Set-points are differenced within a stretch only: between two stretches the arms were stopped, and began anew at rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.events import Commanded, Event, Observed
from forearm.messages import ActionChunk, Floats, Observation
from forearm.policy.continuation import row_times_ns, rows_at
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.safety.limits import TICK_S, Limits
from forearm.safety.stops import resting_pose

REACH = 3  # rows, or set-points, before the seam that a third difference across it touches


@dataclass(frozen=True, slots=True, kw_only=True)
class Roughness:
    """Of one seam, the greatest over the arm joints.

    Attributes:
        jump: rad, from where the earlier chunk leads to the first row of the later one, at the same instant.
        acceleration: rad/s², of the second differences across the seam.
        jerk: rad/s³, of the third differences across the seam.
    """

    jump: float
    acceleration: float
    jerk: float


def roughness(before: ActionChunk, after: ActionChunk, now_ns: int) -> Roughness | None:
    """Of the rows of `before` until `now_ns` and those of `after` from then on; None where no row of it is ahead."""
    period_ns = round(after.period_s * NANOSECONDS)
    times_ns = row_times_ns(after.stamp_ns - REACH * period_ns, after.period_s, len(after.positions) + REACH)
    first = int(np.searchsorted(times_ns, now_ns, side="right"))
    if first == len(times_ns):
        return None
    earlier, later = rows_at(before, times_ns)[:, _arm_joints()], rows_at(after, times_ns)[:, _arm_joints()]
    spliced = np.concatenate([earlier[:first], later[first:]])
    return Roughness(
        jump=float(np.abs(later[first] - earlier[first]).max()),
        acceleration=_greatest(spliced[first - 2 : first + 2], 2, after.period_s),
        jerk=_greatest(spliced[first - 3 : first + 3], 3, after.period_s),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Set-points that were sent one a tick, with no stop in between.

    Attributes:
        begun: (J,) the pose in which the robot rested before the first.
        stamps_ns: of each.
        points: (J,) each.
    """

    begun: Floats
    stamps_ns: list[int] = field(default_factory=list[int])
    points: list[Floats] = field(default_factory=list[Floats])

    def between(self, first_ns: int, last_ns: int) -> Floats | None:
        """(N, J) what was sent from one instant until before the other; None where the stretch is not all of that."""
        path = np.concatenate([np.tile(self.begun, (REACH, 1)), self.points])
        first, last = (int(index) + REACH for index in np.searchsorted(self.stamps_ns, [first_ns, last_ns]))
        whole = self.stamps_ns[0] <= first_ns and last < len(path)
        # With those before: every difference that touches one of them counts.
        return path[first - REACH : last] if whole else None

    def shares(self, limits: Limits) -> Floats:
        """(3, J) the greatest speed, acceleration and jerk from the pose it began at on, as shares of their limits."""
        path = np.concatenate([np.tile(self.begun, (REACH, 1)), self.points])
        allowed = (limits.velocity, limits.acceleration, limits.jerk)
        rates = [np.abs(np.diff(path, n=order, axis=0)).max(0) / TICK_S**order for order in (1, 2, 3)]
        return np.stack(rates) / np.stack(allowed)


class Stretches:
    """Tells the stretches of one run apart: a tick that sent nothing stopped the robot, and the next begins at rest."""

    def __init__(self) -> None:
        self.all: list[Stretch] = []
        self._rest: Floats | None = None  # what counts as sent last
        self._unanswered: Observation | None = None  # of the tick that has sent nothing so far
        self._stopped = True

    def note(self, event: Event) -> None:
        """The next event of the run."""
        if isinstance(event, Observed):
            if self._unanswered is not None:
                self._rest, self._stopped = resting_pose(self._unanswered, self._rest, BIMANUAL_YAM), True
            self._unanswered = event.observation
        elif isinstance(event, Commanded) and self._unanswered is not None:
            if self._stopped:
                self.all.append(Stretch(self._unanswered.positions if self._rest is None else self._rest))
            self._rest, self._stopped, self._unanswered = np.array(event.positions), False, None
            self.all[-1].stamps_ns.append(event.stamp_ns)
            self.all[-1].points.append(self._rest)


def path_roughness(points: Floats, period_s: float) -> tuple[float, float]:
    """The greatest acceleration, rad/s², and jerk, rad/s³, of the arm joints along set-points (N, J)."""
    arms = points[:, _arm_joints()]
    return _greatest(arms, 2, period_s), _greatest(arms, 3, period_s)


def _arm_joints() -> list[int]:
    return [joint for joint in range(len(BIMANUAL_YAM.joints)) if joint not in BIMANUAL_YAM.grippers]


def _greatest(rows: Floats, order: int, period_s: float) -> float:
    return float(np.max(np.abs(np.diff(rows, n=order, axis=0)), initial=0.0)) / period_s**order
