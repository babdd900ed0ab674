"""What the session may be doing, as a pure table: `step(mode, trigger)` is the only way from one mode to another.

    IDLE ──engage──► ENGAGED ──hold──► HOLDING ──resume──► ENGAGED
    ENGAGED, HOLDING ──recover──► RECOVERING ──recovered──► ENGAGED
    ENGAGED, HOLDING, RECOVERING ──done──► IDLE

From every mode `fault` leads to PROTECTIVE_STOP, which only `reset` leaves, to IDLE; `take_over` hands a standing or
moving robot to the OPERATOR, and `hand_back` leaves it HOLDING. A trigger that a mode does not expect is a fault.
"""

from __future__ import annotations

from enum import Enum


class Mode(Enum):
    """What the session is doing. Arms are under power in every one."""

    IDLE = "idle"
    """Standing; nothing is asked of the robot."""
    ENGAGED = "engaged"
    """The policy's vetted chunks move the arms."""
    HOLDING = "holding"
    """Standing in its pose until what was wrong is right again."""
    RECOVERING = "recovering"
    """A recovery moves the arms, not the task."""
    PROTECTIVE_STOP = "protective_stop"
    """Standing, by software, until a person resets it."""
    OPERATOR = "operator"
    """A person moves the arms."""


class Trigger(Enum):
    """What happened, as the mode table knows it."""

    ENGAGE = "engage"
    DONE = "done"
    HOLD = "hold"
    RESUME = "resume"
    RECOVER = "recover"
    RECOVERED = "recovered"
    FAULT = "fault"
    RESET = "reset"
    TAKE_OVER = "take_over"
    HAND_BACK = "hand_back"


_TABLE: dict[tuple[Mode, Trigger], Mode] = {
    (Mode.IDLE, Trigger.ENGAGE): Mode.ENGAGED,
    (Mode.IDLE, Trigger.HOLD): Mode.HOLDING,
    (Mode.IDLE, Trigger.DONE): Mode.IDLE,
    (Mode.IDLE, Trigger.RESET): Mode.IDLE,
    (Mode.IDLE, Trigger.TAKE_OVER): Mode.OPERATOR,
    (Mode.ENGAGED, Trigger.HOLD): Mode.HOLDING,
    (Mode.ENGAGED, Trigger.RECOVER): Mode.RECOVERING,
    (Mode.ENGAGED, Trigger.DONE): Mode.IDLE,
    (Mode.ENGAGED, Trigger.RESUME): Mode.ENGAGED,
    (Mode.ENGAGED, Trigger.TAKE_OVER): Mode.OPERATOR,
    (Mode.HOLDING, Trigger.HOLD): Mode.HOLDING,
    (Mode.HOLDING, Trigger.RESUME): Mode.ENGAGED,
    (Mode.HOLDING, Trigger.RECOVER): Mode.RECOVERING,
    (Mode.HOLDING, Trigger.DONE): Mode.IDLE,
    (Mode.HOLDING, Trigger.TAKE_OVER): Mode.OPERATOR,
    (Mode.RECOVERING, Trigger.HOLD): Mode.HOLDING,
    (Mode.RECOVERING, Trigger.RECOVERED): Mode.ENGAGED,
    (Mode.RECOVERING, Trigger.DONE): Mode.IDLE,
    (Mode.RECOVERING, Trigger.TAKE_OVER): Mode.OPERATOR,
    (Mode.PROTECTIVE_STOP, Trigger.RESET): Mode.IDLE,
    (Mode.PROTECTIVE_STOP, Trigger.HOLD): Mode.PROTECTIVE_STOP,
    (Mode.OPERATOR, Trigger.HAND_BACK): Mode.HOLDING,
    (Mode.OPERATOR, Trigger.HOLD): Mode.OPERATOR,
}


def step(mode: Mode, trigger: Trigger) -> Mode:
    """The mode after `trigger`. Whatever the table does not know, `FAULT` among it, is a protective stop."""
    return _TABLE.get((mode, trigger), Mode.PROTECTIVE_STOP)
