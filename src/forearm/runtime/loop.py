"""One tick of the control loop. Start reading here.

    read → take what was vetted → command → guard → send, or stop → emit

Invariant: nothing reaches the joints that the guard did not make a `SafeCommand` of, and nothing in here waits: not for
a camera, not for the policy, not for the log. The same tick drives simulation and hardware, evaluation and replay; only
the robot, the policy and the clock are different ones. It knows neither torch nor MuJoCo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from forearm.clock import Clock
from forearm.events import Commanded, Decided, Emit, Judged, Observed
from forearm.messages import Command, Floats, Observation, Outcome, Verdict
from forearm.robot.interface import Robot
from forearm.runtime.chunks import ChunkBuffer
from forearm.runtime.grasp import Hands
from forearm.runtime.inference import Answer, Inference
from forearm.safety.stops import resting_pose


class Reviews(Protocol):
    """What judges one command in its tick; `forearm.safety.guard.Guard` is one."""

    def review(self, command: Command, observation: Observation, now_ns: int) -> Verdict:
        """The verdict, with a safe command where something may be sent. Never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tick:
    """What one tick saw and did.

    Attributes:
        stamp_ns: when it began.
        observation: what the robot said.
        answer: what the thinking side handed over, if it did.
        verdict: the guard's, on the command.
        dry: whether the set-point had no vetted row ahead.
    """

    stamp_ns: int
    observation: Observation
    answer: Answer | None
    verdict: Verdict
    dry: bool


class Loop:
    """Ties one robot, one buffer, one guard and one thinking side together. Called from the control thread alone.

    Args:
        robot: connected; read once and sent to or stopped once per tick.
        clock: the session's time.
        inference: thinks beside the loop.
        chunks: started at the robot's pose; turns vetted chunks into commands.
        hands: feel what the grippers hold, for whoever judges.
        guard: judges every command.
        emit: takes events without blocking.
    """

    def __init__(
        self,
        *,
        robot: Robot,
        clock: Clock,
        inference: Inference,
        chunks: ChunkBuffer,
        hands: Hands,
        guard: Reviews,
        emit: Emit,
    ) -> None:
        self._robot = robot
        self._clock = clock
        self._inference = inference
        self._chunks = chunks
        self._hands = hands
        self._guard = guard
        self._emit = emit
        self._sent: Floats | None = None  # the newest set-point that the robot has, or where it was stopped

    def tick(self) -> Tick:
        """See, follow, judge, move. Takes about 1 ms where no image is new.

        Raises:
            RobotError: when the robot cannot be read or does not take a command.
            InstructionError: when the policy does not know what the instruction means.
        """
        observation = self._hands.note(self._robot.read(), self._sent)
        now_ns = self._clock.now_ns()
        self._emit(Observed(stamp_ns=now_ns, observation=observation))

        answer = self._inference.take(now_ns)
        if answer is not None:
            self._follow(answer, now_ns)
        self._inference.offer(observation, self._chunks.needed_ns, self._chunks.following)

        command = self._chunks.command_at(now_ns)
        verdict = self._guard.review(command, observation, now_ns)
        self._act(command, verdict, observation, now_ns)
        return Tick(
            stamp_ns=now_ns, observation=observation, answer=answer, verdict=verdict, dry=self._chunks.is_dry(now_ns)
        )

    def _follow(self, answer: Answer, now_ns: int) -> None:
        """Says what was decided and how it was judged, and follows what was let through."""
        sequence = -1
        if answer.decision is not None:
            sequence = answer.decision.sequence
            self._emit(Decided(stamp_ns=now_ns, decision=answer.decision))
        self._emit(judged("vetting", sequence, answer.verdict, now_ns))
        if answer.verdict.vetted is not None:
            self._chunks.accept(answer.verdict.vetted, now_ns)

    def _act(self, command: Command, verdict: Verdict, observation: Observation, now_ns: int) -> None:
        """Sends what the guard made of the command; without that, stops, and starts afresh from where it rests."""
        if verdict.outcome is not Outcome.ALLOW:
            self._emit(judged("guard", command.sequence, verdict, now_ns))
        if verdict.command is None:
            self._robot.stop()
            self._sent = resting_pose(observation, self._sent, self._robot.embodiment)
            self._chunks.start(observation, at=self._sent)
            return
        self._robot.send(verdict.command)
        self._sent = verdict.command.positions
        positions = tuple(verdict.command.positions.tolist())
        self._emit(Commanded(stamp_ns=now_ns, sequence=command.sequence, positions=positions))


def judged(gate: Literal["vetting", "guard"], sequence: int, verdict: Verdict, now_ns: int) -> Judged:
    """The event of a verdict."""
    return Judged(
        stamp_ns=now_ns,
        gate=gate,
        sequence=sequence,
        outcome=verdict.outcome,
        findings=verdict.findings,
        cost_s=verdict.cost_s,
    )
