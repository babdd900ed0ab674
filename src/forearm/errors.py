"""Every error forearm raises on purpose, in one tree.

ForearmError
├── InputError            (ValueError)    a value a caller gave is not one of the allowed ones
│   ├── ConfigError                       a configuration field contradicts itself or its checkpoint
│   │   └── FieldError                    one field of it has a value that is not allowed
│   └── InstructionError                  a sentence the model has no task for: refused, never guessed
├── CheckpointError       (ValueError)    a weights folder is missing, truncated, corrupt or of another model
├── DatasetError          (ValueError)    a dataset on disk does not match its own description
├── LogError              (ValueError)    a run log cannot be read
├── ModelError            (RuntimeError)  the model produced something that is not an answer
├── StaleError            (RuntimeError)  an observation or a decision is too old, or of another session
├── RobotError            (RuntimeError)  the robot does not do what it was told, or cannot be reached
└── SafetyError           (RuntimeError)  a guard is broken or was bypassed; nothing may move

Messages read `{what}: got {value}, {what is allowed}; {what to do}`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ForearmError(Exception):
    """The root: `except ForearmError` catches everything raised on purpose."""


class InputError(ForearmError, ValueError):
    """A value given by a caller is not allowed."""


class ConfigError(InputError):
    """A configuration contradicts itself, or the checkpoint it should describe."""


class FieldError(ConfigError):
    """One field of a configuration has a value that is not allowed.

    Attributes:
        field: its name here, "owner.field"; what was read from a file has another name there.
        got: the value.
        allowed: what is, in words.
    """

    def __init__(self, field: str, got: object, allowed: str) -> None:
        super().__init__(f"{field}: got {got!r}, allowed is {allowed}; correct the configuration")
        self.field, self.got, self.allowed = field, got, allowed


class InstructionError(InputError):
    """The instruction names nothing that this model was taught."""


class CheckpointError(ForearmError, ValueError):
    """A checkpoint is missing, truncated, corrupt, or of another architecture."""


class DatasetError(ForearmError, ValueError):
    """A dataset's files and its own description disagree."""


class LogError(ForearmError, ValueError):
    """A run log cannot be read."""


class ModelError(ForearmError, RuntimeError):
    """The model's output is not an answer (a code outside its table, an unfinished depth map)."""


class StaleError(ForearmError, RuntimeError):
    """A value is older than its source may be, or belongs to another session."""


class RobotError(ForearmError, RuntimeError):
    """The robot cannot be reached, or does not follow."""


class SafetyError(ForearmError, RuntimeError):
    """A guard failed its own proof; the robot must not be armed."""


def listing(allowed: Iterable[object]) -> str:
    """The allowed values as a person reads them: `a, b or c`."""
    names = [str(item) for item in allowed]
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} or {names[-1]}"


def unknown(what: str, got: object, allowed: Iterable[object]) -> str:
    """One sentence for a name that is not in a closed list, with the near miss if there is one."""
    names = [str(item) for item in allowed]
    near = difflib.get_close_matches(str(got), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{what}: got {got!r}, allowed are {listing(names)}{hint}"
