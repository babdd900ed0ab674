"""Measures a stop: how long and how far the arms go on after it was commanded, until they are seen standing.

Invariant: an arm that was not measured standing is never said to have stopped. Grippers are left out: they keep
pressing on purpose.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.events import Stopped
from forearm.messages import Floats, Observation
from forearm.robot.embodiment import Embodiment
from forearm.robot.kinematics import tool_poses
from forearm.safety.stops import StopKind

STILL_RAD = 0.002  # rad, what a standing joint may seem to move within the window; five steps of a 14-bit encoder
STILL_RAD_S = 0.05  # rad/s, what it may say its speed is
WINDOW_NS = 50_000_000  # ns, how long that must hold
PATIENCE_NS = NANOSECONDS  # ns, how long standing still is waited for; braking from full speed takes 0.2 s


class Standstill:
    """One stop, from its command on. Used by the control thread alone.

    Args:
        cause: why, in words.
        kind: how.
        observation: the newest when the stop was commanded.
        commanded_ns: when that was.
        embodiment: whose arms they are.
    """

    def __init__(
        self, *, cause: str, kind: StopKind, observation: Observation, commanded_ns: int, embodiment: Embodiment
    ) -> None:
        self._cause, self._kind, self._commanded_ns = cause, kind, commanded_ns
        self._arms = embodiment.arms
        self._joints = [joint for arm in embodiment.arms for joint in range(arm.joints.start, arm.joints.stop)]
        self._positions = np.array(observation.positions)
        self._tools, _ = tool_poses(self._positions)
        self._travel = np.zeros(len(self._positions))
        self._tool_travel = np.zeros(len(self._arms))
        self._window: deque[tuple[int, Floats]] = deque()
        self._standing_ns: int | None = None
        self._known = bool(np.isfinite(self._positions).all())

    def note(self, observation: Observation) -> Stopped | None:
        """Takes the next observation; the event once the arms stand, or were waited for long enough. Takes 0.1 ms."""
        positions = np.array(observation.positions)
        if not (np.isfinite(positions).all() and np.isfinite(observation.velocities).all()):
            self._known = False
            return self.given_up(observation.stamp_ns)
        tools, _ = tool_poses(positions)
        self._travel += np.abs(positions - self._positions)
        self._tool_travel += np.linalg.norm(tools - self._tools, axis=-1)
        self._positions, self._tools = positions, tools
        slow = bool((np.abs(observation.velocities[self._joints]) <= STILL_RAD_S).all())
        self._keep(observation.stamp_ns, positions[self._joints], slow)
        if self._window and observation.stamp_ns - self._window[0][0] >= WINDOW_NS:
            self._standing_ns = self._window[0][0]
            return self.given_up(observation.stamp_ns)
        if observation.stamp_ns - self._commanded_ns > PATIENCE_NS:
            return self.given_up(observation.stamp_ns)
        return None

    def lost(self, now_ns: int) -> Stopped:
        """The event for arms that cannot be read any more."""
        self._known = False
        return self.given_up(now_ns)

    def given_up(self, now_ns: int) -> Stopped:
        """The event as things are: moving, unless standing still was measured."""
        verdict: Literal["standing", "moving", "unknown"] = "moving" if self._standing_ns is None else "standing"
        return Stopped(
            stamp_ns=now_ns,
            cause=self._cause,
            how=self._kind.value,
            commanded_ns=self._commanded_ns,
            standing_ns=self._standing_ns if self._known else None,
            joints_rad=tuple(float(self._travel[arm.joints].max()) for arm in self._arms),
            tools_m=tuple(self._tool_travel.tolist()),
            verdict=verdict if self._known else "unknown",
        )

    def _keep(self, stamp_ns: int, positions: Floats, slow: bool) -> None:
        """Adds the pose to the window, and drops from it what was before the last motion."""
        if not slow:
            self._window.clear()
            return
        while self._window and float(np.abs(positions - self._window[0][1]).max()) > STILL_RAD:
            self._window.popleft()
        self._window.append((stamp_ns, positions))
