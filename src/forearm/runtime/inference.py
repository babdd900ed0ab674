"""Deciding and vetting, beside the control loop: it offers what it sees, it takes what was vetted, it never waits.

Invariant: at most one observation is being thought about, the newest there was when thinking began; and whatever goes
wrong in there comes out as an answer with a finding, never as a crash and never as a motion. The one exception that
passes is `InstructionError`: a sentence that means nothing to the policy ends the session, it is not tried again.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from forearm.clock import NANOSECONDS, Clock
from forearm.errors import InstructionError
from forearm.messages import Decision, Finding, Observation, Outcome, Request, Verdict, VettedChunk
from forearm.policy.interface import Policy
from forearm.safety.checks import fresh
from forearm.safety.freshness import AGES, Ages
from forearm.safety.gates import Vets

MARGIN_NS = 20_000_000  # ns, two control periods: an answer is to be there before it is needed, not on the dot
FRESH_NS = 10_000_000  # ns, one control period: images no older tell of the same instant as the joints
NEXT_CAPTURE_NS = 100_000_000  # ns, how long fresh images are waited for at the most: cameras of 10 Hz and more
FIRST_GUESS_S = 0.1  # s, how long the first threaded inference is taken to last, before any was measured


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What came of one observation, ready at `ready_ns`: the verdict, and the decision unless the policy failed.

    `refused` is the policy's own refusal of the instruction, which no second try would change.
    """

    decision: Decision | None
    verdict: Verdict
    ready_ns: int
    refused: InstructionError | None = None


class Inference(Protocol):
    """The thinking side as the control loop sees it. No call blocks."""

    def offer(self, observation: Observation, needed_ns: int, following: VettedChunk | None = None) -> None:
        """Here is the newest observation, and what the arms follow; an answer is wanted by `needed_ns`, 0 for soon."""
        ...

    def take(self, now_ns: int) -> Answer | None:
        """The answer that became ready since the last call, given out once.

        Raises:
            InstructionError: when the policy does not know what the instruction means.
        """
        ...

    def close(self) -> None:
        """Ends the thinking; an inference under way is abandoned."""
        ...


def think(policy: Policy, vetting: Vets, request: Request, now: Callable[[], int], ages: Ages = AGES) -> Answer:
    """One decision and its vetting, from start to end. Blocks for one inference; never raises."""
    stale = fresh("request's observation", request.observation.stamp_ns, now(), ages.request_s)
    if stale:
        return Answer(decision=None, verdict=Verdict(outcome=Outcome.HOLD, findings=stale), ready_ns=now())
    try:
        decision = policy.decide(request)
    except InstructionError as error:
        return Answer(decision=None, verdict=_failure(error), ready_ns=now(), refused=error)
    except Exception as error:  # the policy is not ours to trust: whatever it raises is an answer that moves nothing
        return Answer(decision=None, verdict=_failure(error), ready_ns=now())
    return Answer(decision=decision, verdict=vetting.vet(decision, request.observation, now()), ready_ns=now())


def is_time(observation: Observation, needed_ns: int, latency_ns: int) -> bool:
    """Whether to begin with this observation so that the answer is there by `needed_ns`.

    A policy learned from images and joints of one instant, so an observation whose images are fresh is worth a little
    wait; the wait is planned for.
    """
    latest_ns = needed_ns - latency_ns - MARGIN_NS
    oldest_ns = min((image.stamp_ns for image in observation.images.values()), default=observation.stamp_ns)
    fresh = observation.stamp_ns - oldest_ns <= FRESH_NS
    return observation.stamp_ns >= (latest_ns - NEXT_CAPTURE_NS if fresh else latest_ns)


class Refusals:
    """Remembers why the last answers were refused, so that the next request can say so."""

    def __init__(self) -> None:
        self._findings: tuple[Finding, ...] = ()
        self._attempt = 0

    def note(self, answer: Answer) -> None:
        """An answer was given out."""
        if answer.verdict.vetted is not None:
            self._findings, self._attempt = (), 0
        else:
            self._findings, self._attempt = answer.verdict.findings, self._attempt + 1

    def request(self, observation: Observation, following: VettedChunk | None, latency_ns: int) -> Request:
        """What the policy is asked now."""
        return Request(
            observation=observation,
            following=following,
            delay_s=latency_ns / NANOSECONDS,
            refusals=self._findings,
            attempt=self._attempt,
        )


class SimulatedInference:
    """Thinking on a simulated clock: done at once, ready `latency_s` later. The same every run.

    Args:
        policy: what decides.
        vetting: what judges its decisions.
        latency_s: simulated seconds from observation to answer, ≥ 0.
        jitter: further seconds for the next answer, ≥ 0; nobody knows of them before it is there.
        ages: the session's; how old an observation may be when thinking begins.
    """

    def __init__(
        self,
        policy: Policy,
        vetting: Vets,
        *,
        latency_s: float = 0.05,
        jitter: Callable[[], float] = float,
        ages: Ages = AGES,
    ) -> None:
        self._ages = ages
        self._policy = policy
        self._vetting = vetting
        self._jitter = jitter
        self._latency_ns = round(latency_s * NANOSECONDS)
        self._answer: Answer | None = None
        self._refusals = Refusals()

    def offer(self, observation: Observation, needed_ns: int, following: VettedChunk | None = None) -> None:
        if self._answer is None and is_time(observation, needed_ns, self._latency_ns):
            ready_ns = observation.stamp_ns + self._latency_ns + round(self._jitter() * NANOSECONDS)
            request = self._refusals.request(observation, following, self._latency_ns)
            self._answer = think(self._policy, self._vetting, request, lambda: ready_ns, self._ages)

    def take(self, now_ns: int) -> Answer | None:
        if self._answer is None or self._answer.ready_ns > now_ns:
            return None
        answer, self._answer = self._answer, None
        self._refusals.note(answer)
        return _given_out(answer)

    def close(self) -> None:
        self._answer = None


class ThreadedInference:
    """Thinking in real time, on a thread of its own; it learns from each answer how early the next must begin.

    Args:
        policy: what decides; from here on only this thread calls it.
        vetting: what judges its decisions.
        clock: the loop's clock.
        abandon_after_s: s that `close` waits for an inference under way; the arms hold by then, so it may be long.
        ages: the session's; how old an observation may be when thinking begins.
    """

    def __init__(
        self, policy: Policy, vetting: Vets, clock: Clock, *, abandon_after_s: float = 10.0, ages: Ages = AGES
    ) -> None:
        self._ages = ages
        self._abandon_after_s = abandon_after_s
        self._policy = policy
        self._vetting = vetting
        self._clock = clock
        self._offered: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._begun_ns = 0
        self._busy = False
        self._latency_ns = round(FIRST_GUESS_S * NANOSECONDS)
        self._refusals = Refusals()
        # A daemon: a policy that hangs must not keep the process from ending once the arms hold.
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    def offer(self, observation: Observation, needed_ns: int, following: VettedChunk | None = None) -> None:
        if not self._busy and is_time(observation, needed_ns, self._latency_ns):
            self._busy, self._begun_ns = True, observation.stamp_ns
            self._offered.put(self._refusals.request(observation, following, self._latency_ns))

    def take(self, now_ns: int) -> Answer | None:
        try:
            answer = self._answers.get_nowait()
        except queue.Empty:
            return None
        self._busy = False
        self._latency_ns = now_ns - self._begun_ns
        self._refusals.note(answer)
        return _given_out(answer)

    def close(self) -> None:
        self._offered.put(None)
        self._thread.join(timeout=self._abandon_after_s)

    def _work(self) -> None:
        while (request := self._offered.get()) is not None:
            self._answers.put(think(self._policy, self._vetting, request, self._clock.now_ns, self._ages))


def _given_out(answer: Answer) -> Answer:
    if answer.refused is not None:
        raise answer.refused
    return answer


def _failure(error: Exception) -> Verdict:
    finding = Finding(
        check="policy",
        outcome=Outcome.HOLD,
        subject=type(error).__name__,
        measured=0.0,
        limit=0.0,
        unit="",
        text=f"The policy did not answer: {type(error).__name__}: {error}",
    )
    return Verdict(outcome=Outcome.HOLD, findings=(finding,))
