"""Whether the policy sees what it was asked for: until it does, nothing of it is followed.

Invariant: of a policy that reasons, no chunk gets through before a plan that names a place where a gripper is to act,
and that place shows a colour which the sentence names, if it names any; a sentence for which `LOOKS` looks, each at
newer images, find none ends the session before any motion. Later plans may name none: a task's last motions grip
nothing. Policies without plans are not asked to explain.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forearm.errors import InstructionError, listing
from forearm.messages import Decision, Finding, Image, Observation, Outcome, Verdict, VettedChunk
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.colour_words import colours_named, is_coloured
from forearm.runtime.inference import Answer, Inference

LOOKS = 3  # one picture may mislead, by a hand in view or noise; a third that shows nothing either is an answer
MAIN = BIMANUAL_YAM.cameras[0].name  # whose picture a plan points into


class Understanding:
    """An `Inference` around the policy's that holds back what begins with seeing nothing to do.

    Args:
        policy: the thinking side.
        goes_by_colour: whether a place must have the colour that was said; where a test says on purpose where a plan is
            to point, it need not.
    """

    def __init__(self, policy: Inference, *, goes_by_colour: bool = True) -> None:
        self._policy = policy
        self._goes_by_colour = goes_by_colour
        self._begun = False
        self._looks = 0
        self._looked_ns = -1  # when what was seen to hold nothing was captured, at the latest
        self._instruction = ""
        self._shown: dict[int, Image] = {}  # what a decision may be about, by the observation's stamp

    def offer(self, observation: Observation, needed_ns: int, following: VettedChunk | None = None) -> None:
        self._instruction = observation.instruction
        oldest_ns = min((image.stamp_ns for image in observation.images.values()), default=observation.stamp_ns)
        if oldest_ns > self._looked_ns:  # the same picture would get the same answer
            if not self._begun and MAIN in observation.images:
                self._shown[observation.stamp_ns] = observation.images[MAIN]
            self._policy.offer(observation, needed_ns, following)

    def take(self, now_ns: int) -> Answer | None:
        answer = self._policy.take(now_ns)
        if self._begun or answer is None or answer.decision is None or answer.verdict.outcome is Outcome.STOP:
            return answer
        unseen = self._unseen(answer.decision)
        self._shown = {stamp: image for stamp, image in self._shown.items() if stamp > answer.decision.chunk.stamp_ns}
        if not unseen:
            self._begun = answer.verdict.vetted is not None
            return answer
        self._looks, self._looked_ns = self._looks + 1, answer.decision.chunk.stamp_ns
        if self._looks == LOOKS:
            raise InstructionError(
                f"I do not see what {self._instruction!r} asks for: in {LOOKS} looks no plan named {unseen}; "
                "ask for what is there"
            )
        return replace(answer, verdict=self._held(answer.verdict, unseen))

    def close(self) -> None:
        self._policy.close()

    def _unseen(self, decision: Decision) -> str:
        """What the plan should have named and has not, in words; empty when it has, or there is none."""
        if decision.plan is None:
            return ""
        points = decision.plan.points[np.isfinite(decision.plan.points).all(axis=-1)]
        if not len(points):
            return "a place where a gripper is to act"
        colours = colours_named(self._instruction) if self._goes_by_colour else frozenset[str]()
        image = self._shown.get(decision.chunk.stamp_ns)
        if not colours or (image is not None and any(is_coloured(image, point, colours) for point in points)):
            return ""
        return f"a place that is {listing(sorted(colours))}"

    def _held(self, verdict: Verdict, unseen: str) -> Verdict:
        finding = Finding(
            check="instruction",
            outcome=Outcome.HOLD,
            subject="plan",
            measured=0.0,
            limit=1.0,
            unit="points",
            text=f"The plan does not name {unseen}: {self._instruction!r} is not seen.",
        )
        findings = (*verdict.findings, finding)
        return Verdict(outcome=Outcome.HOLD, findings=findings, cost_s=verdict.cost_s)
