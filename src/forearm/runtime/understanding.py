"""Whether the policy sees what it was asked for: until it does, nothing of it is followed.

Invariant: of a policy that reasons, no chunk gets through before a plan that names a place where a gripper is to act;
and a sentence for which it names none in `LOOKS` looks, each at newer images, ends the session before any motion.
Later plans may name none: a task's last motions grip nothing. Policies without plans are not asked to explain.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forearm.errors import InstructionError
from forearm.messages import Decision, Finding, Observation, Outcome, Verdict, VettedChunk
from forearm.runtime.inference import Answer, Inference

LOOKS = 3  # one picture may mislead, by a hand in view or noise; a third that shows nothing either is an answer


class Understanding:
    """An `Inference` around the policy's that holds back what begins with seeing nothing to do.

    Args:
        policy: the thinking side.
    """

    def __init__(self, policy: Inference) -> None:
        self._policy = policy
        self._begun = False
        self._looks = 0
        self._looked_ns = -1  # when what was seen to hold nothing was captured, at the latest
        self._instruction = ""

    def offer(self, observation: Observation, needed_ns: int, following: VettedChunk | None = None) -> None:
        self._instruction = observation.instruction
        oldest_ns = min((image.stamp_ns for image in observation.images.values()), default=observation.stamp_ns)
        if oldest_ns > self._looked_ns:  # the same picture would get the same answer
            self._policy.offer(observation, needed_ns, following)

    def take(self, now_ns: int) -> Answer | None:
        answer = self._policy.take(now_ns)
        if self._begun or answer is None or answer.decision is None or answer.verdict.outcome is Outcome.STOP:
            return answer
        if _names_a_place(answer.decision):
            self._begun = answer.verdict.vetted is not None
            return answer
        self._looks, self._looked_ns = self._looks + 1, answer.decision.chunk.stamp_ns
        if self._looks == LOOKS:
            raise InstructionError(
                f"I do not see what {self._instruction!r} asks for: in {LOOKS} looks no plan named a place where a "
                "gripper is to act; ask for what is there"
            )
        return replace(answer, verdict=self._held(answer.verdict))

    def close(self) -> None:
        self._policy.close()

    def _held(self, verdict: Verdict) -> Verdict:
        finding = Finding(
            check="instruction",
            outcome=Outcome.HOLD,
            subject="plan",
            measured=0.0,
            limit=1.0,
            unit="points",
            text=f"The plan names no place where a gripper is to act: {self._instruction!r} is not seen.",
        )
        findings = (*verdict.findings, finding)
        return Verdict(outcome=Outcome.HOLD, findings=findings, cost_s=verdict.cost_s)


def _names_a_place(decision: Decision) -> bool:
    return decision.plan is None or bool(np.isfinite(decision.plan.points).all(axis=-1).any())
