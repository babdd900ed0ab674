"""Where the arms have just been, so that one of them can go back there.

Invariant: a way back leads over set-points that were sent before, and is vetted like any other motion.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

import numpy as np

from forearm.messages import ActionChunk, Decision, Floats, Observation, Verdict
from forearm.robot.embodiment import Embodiment
from forearm.safety.gates import Vets

# Together no more than an execution horizon, so that the policy's next answer comes at the end of the way back.
STANDING_ROWS = 2  # in which the arms come to rest, and are measured
ROWS = 6  # of the way back
PERIOD_S = 0.1  # s between rows
TICKS_A_ROW = 5  # of 10 ms: back at half the speed of the way there
PUSHING = 20  # ticks before the stop that are left out: the guard's patience with a strain, in which the arm pushed


class Trail:
    """Remembers the set-points that were sent. Used by the control thread alone.

    Args:
        vetting: judges every way back, which no model made; takes 3 ms in the tick that begins one.
        embodiment: whose arms they are.
    """

    def __init__(self, vetting: Vets, embodiment: Embodiment) -> None:
        self._vetting = vetting
        self._embodiment = embodiment
        self._sent: deque[Floats] = deque(maxlen=PUSHING + ROWS * TICKS_A_ROW + 1)

    def note(self, verdict: Verdict) -> None:
        """Remembers what the guard let through."""
        if verdict.command is not None:
            self._sent.append(verdict.command.positions)

    def back(self, arms: Collection[str], observation: Observation, now_ns: int) -> Verdict | None:
        """Vetting's verdict on the way back of those arms while the others stand; None where there is no way yet.

        Grippers keep what they were told last.
        """
        path = np.array(self._sent)[::-1][PUSHING + TICKS_A_ROW :: TICKS_A_ROW]
        if not len(path):
            return None
        rows = np.tile(observation.positions, (STANDING_ROWS + len(path), 1))
        rows[:, self._embodiment.grippers] = self._sent[-1][self._embodiment.grippers]
        for arm in self._embodiment.arms:
            if arm.name in arms:
                rows[STANDING_ROWS:, arm.joints] = path[:, arm.joints]
        decision = Decision(
            sequence=observation.sequence,
            epoch=observation.epoch,
            plan=None,
            chunk=ActionChunk(stamp_ns=observation.stamp_ns, period_s=PERIOD_S, positions=rows),
            latency_s=0.0,
            model_digest="",
        )
        self._sent.clear()  # the way back is gone once it has been given out
        return self._vetting.vet(decision, observation, now_ns)
