"""Who steers: the policy, or for a while a recovery or a person. Whoever it is, vetting judges every chunk.

Invariant: while somebody else steers, no answer of the policy gets through, and none that was begun before the policy
steers again.
"""

from __future__ import annotations

from dataclasses import dataclass

from forearm.messages import ActionChunk, Decision, Floats, Observation, VettedChunk
from forearm.runtime.inference import Answer, Inference
from forearm.safety.gates import Vets


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Motion:
    """Joint targets (H, J), `period_s` apart, that somebody other than the policy wants the arms to follow."""

    rows: Floats
    period_s: float


class Helm:
    """An `Inference` that can be taken over. Used by the control thread alone, like the one inside.

    Args:
        policy: the thinking side that steers by default.
        vetting: judges the motions of whoever takes over; about 3 ms in the tick that begins one.
    """

    def __init__(self, policy: Inference, vetting: Vets) -> None:
        self._policy = policy
        self._vetting = vetting
        self._taken = False
        self._since_ns = -1  # a clock may begin at 0
        self._motion: Motion | None = None
        self._answer: Answer | None = None

    @property
    def taken(self) -> bool:
        """Whether somebody other than the policy steers."""
        return self._taken

    def take_over(self) -> None:
        """From now on the policy's answers are dropped."""
        self._taken, self._motion, self._answer = True, None, None

    def steer(self, motion: Motion) -> None:
        """Has the motion vetted with the next observation; its answer comes out of `take` in the tick after that."""
        self._motion = motion

    def hand_back(self, now_ns: int) -> None:
        """The policy steers again: with what it makes of observations later than `now_ns`."""
        self._taken, self._since_ns, self._motion, self._answer = False, now_ns, None, None

    def offer(self, observation: Observation, needed_ns: int, following: VettedChunk | None = None) -> None:
        if not self._taken:
            self._policy.offer(observation, needed_ns, following)
        elif self._motion is not None:
            motion, self._motion = self._motion, None
            self._answer = self._vetted(motion, observation)

    def take(self, now_ns: int) -> Answer | None:
        answer = self._policy.take(now_ns)
        if self._taken:
            answer, self._answer = self._answer, None
            return answer
        if answer is None or answer.decision is None:
            return answer
        return None if answer.decision.chunk.stamp_ns <= self._since_ns else answer

    def close(self) -> None:
        self._policy.close()

    def _vetted(self, motion: Motion, observation: Observation) -> Answer:
        decision = Decision(
            sequence=observation.sequence,
            epoch=observation.epoch,
            plan=None,
            chunk=ActionChunk(stamp_ns=observation.stamp_ns, period_s=motion.period_s, positions=motion.rows),
            latency_s=0.0,
            model_digest="",
        )
        verdict = self._vetting.vet(decision, observation, observation.stamp_ns)
        return Answer(decision=decision, verdict=verdict, ready_ns=observation.stamp_ns)
