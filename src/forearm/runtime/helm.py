"""Who steers: the policy, or for a while a recovery or a person. Whoever it is, vetting judges every chunk.

Invariant: while somebody else steers, no answer of the policy gets through; and once it steers again, none that was
begun before it was asked to, from where the arms stand.
"""

from __future__ import annotations

from dataclasses import dataclass

from forearm.clock import NANOSECONDS
from forearm.messages import ActionChunk, Decision, Floats, Observation, VettedChunk
from forearm.runtime.inference import Answer, Inference
from forearm.safety.gates import Vets

LONGEST_WAIT_NS = NANOSECONDS  # ns, for an answer that was asked for ahead; then the policy steers without it


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
        self._needed_ns: int | None = None  # when an answer of the policy is wanted, though somebody else steers
        self._ahead: Answer | None = None
        self._motion: Motion | None = None
        self._answer: Answer | None = None

    @property
    def taken(self) -> bool:
        """Whether somebody other than the policy steers."""
        return self._taken

    @property
    def drops(self) -> bool:
        """Whether what the policy answers now is dropped."""
        return self._taken and self._needed_ns is None

    def take_over(self) -> None:
        """From now on the policy's answers are dropped."""
        self._taken, self._motion, self._answer = True, None, None
        self._needed_ns = self._ahead = None

    def steer(self, motion: Motion) -> None:
        """Has the motion vetted with the next observation; its answer comes out of `take` in the tick after that."""
        self._motion = motion
        self._needed_ns = self._ahead = None

    def asks_ahead(self, now_ns: int, left_s: float) -> bool:
        """Asks the policy before it steers again, so that its answer is there by then; whether it may steer now.

        It may when the time is over and the answer is there, or has not come within `LONGEST_WAIT_NS`. Call it in each
        tick from when the arms stand until `hand_back`; whoever takes over or steers before withdraws the question.

        Args:
            now_ns: the tick's time; the first time it is asked, the policy is asked about later observations alone.
            left_s: s until it is to steer; below zero when that is over.
        """
        if self._needed_ns is None:
            self._since_ns = now_ns
        self._needed_ns = now_ns + round(left_s * NANOSECONDS)
        late_ns = now_ns - self._needed_ns
        return late_ns >= LONGEST_WAIT_NS or (late_ns >= 0 and self._ahead is not None)

    def hand_back(self, now_ns: int) -> None:
        """The policy steers again: with what it makes of observations later than `now_ns`, or has been asked ahead."""
        if self._needed_ns is None:
            self._since_ns = now_ns
        self._taken, self._motion, self._answer = False, None, self._ahead
        self._needed_ns = self._ahead = None

    def offer(self, observation: Observation, needed_ns: int, following: VettedChunk | None = None) -> None:
        if not self._taken:
            self._policy.offer(observation, needed_ns, following)
        elif self._motion is not None:
            motion, self._motion = self._motion, None
            self._answer = self._vetted(motion, observation)
        elif self._needed_ns is not None and self._ahead is None:
            self._policy.offer(observation, self._needed_ns)  # following nothing: they stand

    def take(self, now_ns: int) -> Answer | None:
        asked = self._of_now(self._policy.take(now_ns))
        if self._needed_ns is not None and asked is not None:
            self._ahead = asked
        given, self._answer = self._answer, None
        return given if self._taken else given or asked

    def _of_now(self, answer: Answer | None) -> Answer | None:
        """The answer, unless it was begun before the policy was to steer; one without a decision always."""
        if answer is None or answer.decision is None or answer.decision.chunk.stamp_ns > self._since_ns:
            return answer
        return None

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
