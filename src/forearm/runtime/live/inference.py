"""The policy in a process of its own, asked over a pipe by the loop's thinking thread.

Invariant: the tick never touches the pipe; and a policy that is dead, hung or raised is an answer that moves nothing.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from forearm.cell.setup import Setup
from forearm.cell.simulator import CellRobot
from forearm.clock import NANOSECONDS, RealClock
from forearm.errors import ForearmError, ModelError
from forearm.messages import Decision, Request
from forearm.policy.choice import MakePolicy
from forearm.policy.interface import Policy
from forearm.runtime.live.board import Board, Part, Phase
from forearm.runtime.patience import Patience

BEAT_S = 0.01  # s, between two beats
GRACE_S = 0.5  # s after the loop's own patience has ended, for the case that the loop's did not


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a policy is, once it is made: its name, its digest, and how they were trained, if that is known."""

    name: str
    model_digest: str
    recipe: Any


class Heart:
    """Beats beside the work, so that thinking may take as long as it was given. A context manager.

    `phase` and `due_ns` are what the next beat says.
    """

    def __init__(self, board: Board, part: Part) -> None:
        self.phase = Phase.RESTING
        self.due_ns = 0
        self._board, self._part, self._clock = board, part, RealClock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="heart", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if error is not None:
            why = f"{type(error).__name__}: {error}"
            self._board.give_beat(self._part, self._clock.now_ns(), Phase.FAILED, failure=why)
        elif self._board.beat(Part.LOOP).phase is Phase.DONE:  # otherwise the loop is gone, which the watchdog says
            self._board.give_beat(self._part, self._clock.now_ns(), Phase.DONE)

    def _work(self) -> None:
        while not self._over.is_set():
            self._board.give_beat(self._part, self._clock.now_ns(), self.phase, due_ns=self.due_ns)
            self._over.wait(BEAT_S)


def run_inference(board: Board, make_policy: MakePolicy, setup: Setup, patience: Patience, pipe: Connection) -> None:
    """The policy's process, until the pipe closes. Blocks. Sends `About`, or the error that kept it from being made."""
    clock = RealClock()
    try:
        policy = make_policy(CellRobot(setup=setup, clock=clock))
    except ForearmError as error:
        pipe.send(error)
        return
    with Heart(board, Part.INFERENCE) as heart:
        pipe.send(About(name=policy.name, model_digest=policy.model_digest, recipe=getattr(policy, "recipe", None)))
        while True:
            try:
                asked: Request | int = pipe.recv()
            except (EOFError, OSError):  # the loop is done, or gone in the middle of asking
                return
            if isinstance(asked, Request):
                heart.due_ns = deadline_ns(asked, clock.now_ns(), patience)
            answer = _answer(policy, asked)
            heart.due_ns = 0
            if isinstance(answer, Decision):
                heart.phase = Phase.WORKING  # from here on the arms may move
            pipe.send(answer)


def deadline_ns(request: Request, now_ns: int, patience: Patience) -> int:
    """When the answer must be there: once the arms have no more rows to follow and the loop's patience has ended."""
    if request.following is None:
        return now_ns + round((patience.warm_up_s + GRACE_S) * NANOSECONDS)
    chunk = request.following.chunk
    spent_ns = chunk.stamp_ns + round(chunk.period_s * len(chunk.positions) * NANOSECONDS)
    return max(now_ns, spent_ns) + round((patience.patience_s + GRACE_S) * NANOSECONDS)


def _answer(policy: Policy, asked: Request | int) -> Decision | ForearmError | None:
    """A decision about a request; nothing to a seed, which begins a run; or why there is neither."""
    try:
        if isinstance(asked, Request):
            return policy.decide(asked)
        policy.reset(seed=asked)
    except ForearmError as error:
        return error
    except Exception as error:  # as in `forearm.runtime.inference.think`; its type may not exist in the loop's process
        return ModelError(f"{type(error).__name__}: {error}")
    return None


class RemotePolicy:
    """The policy at the other end of the pipe. Used by one thread at a time.

    Args:
        about: what the process said of its policy.
        pipe: to it.
    """

    def __init__(self, about: About, pipe: Connection) -> None:
        self.name, self.model_digest, self.recipe = about.name, about.model_digest, about.recipe
        self._pipe = pipe

    def reset(self, *, seed: int) -> None:
        self._ask(seed)

    def decide(self, request: Request) -> Decision:
        answer = self._ask(request)
        if not isinstance(answer, Decision):
            raise ModelError(f"inference: got {answer!r}, a decision is needed; start again")
        return answer

    def _ask(self, asked: Request | int) -> object:
        try:
            self._pipe.send(asked)
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise ModelError(
                f"inference: got {type(error).__name__}, an answer is needed; its process has ended"
            ) from error
        if isinstance(answer, ForearmError):
            raise answer
        return answer
