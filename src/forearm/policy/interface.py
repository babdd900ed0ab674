"""What the loop asks of a policy: start afresh, and answer one request."""

from __future__ import annotations

from typing import Protocol

from forearm.messages import Decision, Request


class Policy(Protocol):
    """Turns a request into a decision. Called from one thread at a time, never from the control loop's."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def model_digest(self) -> str:
        """SHA-256 of the weights in use and all that makes use of them, empty for a policy without any."""
        ...

    def reset(self, *, seed: int) -> None:
        """Forgets the last run; every random draw that follows comes from `seed`."""
        ...

    def decide(self, request: Request) -> Decision:
        """Reasons and answers. Blocks for the time of one inference.

        Raises:
            InstructionError: for an instruction that names nothing it was taught.
            ModelError: when the model's output is not an answer.
        """
        ...
