"""Inputs that are known to be bad, each with the check that has to refuse it.

Invariant: how bad they are is written here in absolute numbers, so that limits which were loosened beyond them show.

To add a check: one line in `OF_VETTING`, `OF_GUARD` or both, and where needed a function that spoils something good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from forearm.clock import NANOSECONDS
from forearm.messages import Floats, Observation
from forearm.safety.clearance import Kind
from forearm.safety.known_bad_motions import OF_CHUNKS, OF_TICKS, drifted, with_joints
from forearm.safety.known_bad_plans import OF_PLANS
from forearm.safety.known_good import (
    GOOD,
    PERIOD_S,
    READY,
    ROWS,
    SECOND_NS,
    TICK_NS,
    Asked,
    Entry,
    after_ticks,
    seen_at,
)

MINUTE_NS = 60 * NANOSECONDS  # ns, far beyond every age that is allowed
SHORT_S = 1.0 / 30.0  # s, between the rows of one that is too fast
REPEATS = 10  # ticks in which a picture is repeated

# Joint → (rad where all is clear, rad where that kind of pair is 2 to 8 mm too near); the other joints are READY's.
TOO_NEAR: dict[Kind, dict[int, tuple[float, float]]] = {
    # wrists from 14 to 4 mm apart, and too near also where only one arm goes: nobody can make way
    "arms": {0: (-0.918, -0.945), 7: (0.918, 0.945)},
    "self": {2: (0.903, 0.842), 4: (0.275, 0.317)},  # left fingers 2.5 mm from their own upper arm
    # left camera 5 mm above, the arm turned outwards: fixtures that stand before the arms are not nearer
    "links over table": {0: (1.2, 1.2), 1: (2.061, 2.118), 2: (1.309, 1.310), 4: (0.720, 0.789)},
    "fingers over table": {8: (1.918, 1.978), 10: (-1.173, -1.143), 11: (0.241, 0.273)},  # right ones 9 mm below
}


# How good becomes bad. Most of it is the same for both gates: rows of a chunk and positions of a command alike.


def _nothing(asked: Asked) -> Asked:
    return asked


def _positions(asked: Asked, positions: Any, *, period_s: Any = PERIOD_S) -> Asked:
    """With these rows and no plan, or with this command."""
    if asked.command is not None:
        return replace(asked, command=replace(asked.command, positions=positions))
    assert asked.decision is not None
    chunk = replace(asked.decision.chunk, positions=positions, period_s=period_s)
    return replace(asked, decision=replace(asked.decision, plan=None, chunk=chunk))


def _moved(joint: int, *offsets: float, period_s: float = SHORT_S) -> Callable[[Asked], Asked]:
    """One joint that far from READY, rad, row by row; a command is the last row."""

    def spoil(asked: Asked) -> Asked:
        rows = np.tile(READY, (len(offsets), 1))
        rows[:, joint] += offsets
        return _positions(asked, rows[-1] if asked.command else rows, period_s=period_s)

    return spoil


def _near(kind: Kind) -> Callable[[Asked], Asked]:
    """From where everything is clear to where that kind of pair is too near, and staying there."""
    return nearing(*_beside(kind))


def _drifted(kind: Kind) -> Callable[[Asked], Asked]:
    """Set-points stand where everything is clear, and that kind of pair is measured too near."""
    return drifted(*_beside(kind))


def _beside(kind: Kind) -> tuple[Floats, Floats]:
    """Where all is clear, and where that kind of pair is too near."""
    joints = TOO_NEAR[kind].items()
    clear = with_joints({joint: there for joint, (there, _) in joints})
    return clear, with_joints({joint: too_near for joint, (_, too_near) in joints})


def nearing(clear: Floats, near: Floats) -> Callable[[Asked], Asked]:
    """From the pose `clear` (J,) to the pose `near` (J,), and staying there."""

    def spoil(asked: Asked) -> Asked:
        rows = np.stack([(clear + near) / 2.0, *[near] * (ROWS - 1)])
        asked = _positions(asked, near if asked.command else rows)
        return replace(asked, observation=seen_at(clear, asked.observation.epoch, asked.now_ns))

    return spoil


def _value(value: float) -> Callable[[Asked], Asked]:
    """One value of the last row is that."""
    return lambda asked: _moved(9, *[0.0] * (ROWS - 1), value)(asked)


def _shape(*shape: int) -> Callable[[Asked], Asked]:
    return lambda asked: _positions(asked, np.zeros(shape))


def _single_precision(asked: Asked) -> Asked:
    return _positions(asked, READY.astype(np.float32))


def _period(period_s: float) -> Callable[[Asked], Asked]:
    return lambda asked: _positions(asked, np.tile(READY, (ROWS, 1)), period_s=period_s)


def _measured(joint: int, offset: float) -> Callable[[Asked], Asked]:
    """The arms are measured that far from READY, rad."""

    def spoil(asked: Asked) -> Asked:
        pose = READY.copy()
        pose[joint] += offset
        return replace(asked, observation=replace(asked.observation, positions=pose))

    return spoil


def _measured_shape(asked: Asked) -> Asked:
    return replace(asked, observation=replace(asked.observation, positions=np.zeros(13)))


def _epoch(asked: Asked) -> Asked:
    return replace(asked, observation=replace(asked.observation, epoch=asked.observation.epoch + 1))


def _answered_late(by_ns: int) -> Callable[[Asked], Asked]:
    return lambda asked: replace(asked, now_ns=asked.now_ns + by_ns)


def _of_another_moment(asked: Asked) -> Asked:
    assert asked.decision is not None
    chunk = replace(asked.decision.chunk, stamp_ns=asked.now_ns - SECOND_NS)
    return replace(asked, decision=replace(asked.decision, chunk=chunk))


def _command_stamped(by_ns: int) -> Callable[[Asked], Asked]:
    def spoil(asked: Asked) -> Asked:
        assert asked.command is not None
        return replace(asked, command=replace(asked.command, stamp_ns=asked.now_ns + by_ns))

    return spoil


def _pose_stamped(by_ns: int) -> Callable[[Asked], Asked]:
    def spoil(asked: Asked) -> Asked:
        return replace(asked, observation=replace(asked.observation, stamp_ns=asked.now_ns + by_ns))

    return spoil


def _blind(asked: Asked) -> Asked:
    return replace(asked, observation=replace(asked.observation, images={}))


def _images_stamped(by_ns: int) -> Callable[[Asked], Asked]:
    def spoil(asked: Asked) -> Asked:
        images = {
            name: replace(image, stamp_ns=image.stamp_ns + by_ns) for name, image in asked.observation.images.items()
        }
        return replace(asked, observation=replace(asked.observation, images=images))

    return spoil


def _none(asked: Asked) -> Asked:
    return replace(asked, decision=None, command=None)


def _replayed(asked: Asked) -> Asked:
    asked = after_ticks(asked)
    assert asked.command is not None
    return replace(asked, command=replace(asked.command, sequence=1))


def _not_followed(asked: Asked) -> Asked:
    return after_ticks(_measured(0, 1.0)(asked))


def _clock_jumped(asked: Asked) -> Asked:
    """The loop's clock went on by a second, the robot's stamps by a tick."""
    return replace(after_ticks(asked), now_ns=asked.now_ns + SECOND_NS)


def _observed_backwards(asked: Asked) -> Asked:
    """What was measured is stamped before what was measured a tick ago."""
    return _pose_stamped(-2 * TICK_NS)(after_ticks(asked))


def _number_again(asked: Asked) -> Asked:
    """Another observation under the number of the one before it."""
    asked = after_ticks(asked)
    ((_, seen),) = asked.before
    return replace(asked, observation=replace(asked.observation, sequence=seen.sequence))


def _frozen(asked: Asked) -> Asked:
    """Every camera gives its first picture again and again under new stamps, while a base joint moves by 0.5 rad."""
    asked = after_ticks(asked, ticks=REPEATS)
    picture = asked.before[0][1].images

    def frozen(seen: Observation) -> Observation:
        return replace(seen, images={name: replace(each, stamp_ns=seen.stamp_ns) for name, each in picture.items()})

    past = tuple((command, frozen(seen)) for command, seen in asked.before)
    moved = READY + 0.5 * np.isin(np.arange(len(READY)), (0, 7))
    return replace(asked, before=past, observation=frozen(replace(asked.observation, positions=moved)))


def _straining(asked: Asked) -> Asked:
    """Every arm joint gives 60 N m at rest for a fifth of a second."""
    asked, efforts = after_ticks(asked, ticks=20), np.full(len(READY), 60.0)
    past = tuple((command, replace(seen, efforts=efforts)) for command, seen in asked.before)
    return replace(asked, before=past, observation=replace(asked.observation, efforts=efforts))


def _of_other_weights(asked: Asked) -> Asked:
    assert asked.decision is not None
    return replace(asked, decision=replace(asked.decision, model_digest=asked.decision.model_digest + "another"))


_OF_BOTH = (
    Entry(check=GOOD, shown="staying where the arms are", spoil=_nothing),
    Entry(check="dtype", shown="single precision", spoil=_single_precision),
    Entry(check="finite", shown="a value that is not a number", spoil=_value(np.nan)),
    Entry(check="finite", shown="a value that is infinite", spoil=_value(np.inf)),
    Entry(check="shape", shown="a measured pose of 13 joints", spoil=_measured_shape),
    Entry(check="epoch", shown="an answer to another session", spoil=_epoch),
    Entry(check="camera", shown="no image at all", spoil=_blind),
    Entry(check="age", shown="images a minute old", spoil=_images_stamped(-MINUTE_NS)),
    Entry(check="age", shown="images of the future", spoil=_images_stamped(SECOND_NS)),
    Entry(check="position", shown="a wrist to 3 rad", spoil=_moved(4, *[3.0] * ROWS)),
    Entry(check="position", shown="a wrist measured at 3 rad", spoil=_measured(4, 3.0)),
    Entry(check="speed", shown="a wrist at 30 rad/s and more", spoil=_moved(5, 0.0, 1.0, 2.0, 3.0)),
    Entry(check="acceleration", shown="a wrist at 700 rad/s² and more", spoil=_moved(5, 0.0, 0.0, 0.0, 0.4, 0.0, 0.4)),
    Entry(check="jerk", shown="a wrist at 32000 rad/s³ and more", spoil=_moved(5, 0.0, 0.0, 0.0, 0.4, 0.0, 0.4)),
    Entry(check="clearance: arms", shown="wrists 4 mm apart", spoil=_near("arms")),
    Entry(check="clearance: self", shown="fingers 2.5 mm from their own arm", spoil=_near("self")),
    Entry(check="clearance: links over table", shown="a camera 5 mm over the table", spoil=_near("links over table")),
    Entry(check="clearance: fingers over table", shown="fingers 9 mm in the table", spoil=_near("fingers over table")),
    Entry(check="fault", shown="nothing at all, on which checks break", spoil=_none),
)

OF_VETTING: tuple[Entry, ...] = (
    *_OF_BOTH,
    Entry(check="shape", shown="rows of 13 joints", spoil=_shape(ROWS, 13)),
    Entry(check="shape", shown="no rows", spoil=_shape(0, 14)),
    Entry(check="shape", shown="a thousand rows", spoil=_shape(1000, 14)),
    Entry(check="period", shown="rows 5 s apart", spoil=_period(5.0)),
    Entry(check="period", shown="rows 0 s apart", spoil=_period(0.0)),
    Entry(check="answers", shown="a chunk about another observation", spoil=_of_another_moment),
    Entry(check="age", shown="an answer after a minute", spoil=_answered_late(MINUTE_NS)),
    Entry(check="age", shown="an answer before its question", spoil=_answered_late(-SECOND_NS)),
    Entry(check="first row", shown="a base joint 1.5 rad from its pose", spoil=_moved(0, *[-1.5] * ROWS)),
    Entry(check="model", shown="a decision of other weights", spoil=_of_other_weights),
    *OF_PLANS,
    *OF_CHUNKS,
)

OF_GUARD: tuple[Entry, ...] = (
    *_OF_BOTH,
    Entry(check="shape", shown="a command of 13 joints", spoil=_shape(13)),
    Entry(check="sequence", shown="a command that was sent already", spoil=_replayed),
    Entry(check="age", shown="a command a minute old", spoil=_command_stamped(-MINUTE_NS)),
    Entry(check="age", shown="a command of the future", spoil=_command_stamped(SECOND_NS)),
    Entry(check="age", shown="a measured pose a minute old", spoil=_pose_stamped(-MINUTE_NS)),
    Entry(check="age", shown="a measured pose of the future", spoil=_pose_stamped(SECOND_NS)),
    Entry(check="clock", shown="a clock that jumped by a second", spoil=_clock_jumped),
    Entry(check="backwards", shown="a pose measured before the last one", spoil=_observed_backwards),
    Entry(check="sequence", shown="another pose under an old number", spoil=_number_again),
    Entry(check="frozen", shown="cameras that repeat a picture while arms move", spoil=_frozen),
    Entry(check="effort", shown="joints that give 60 N m at rest", spoil=_straining),
    Entry(check="tracking", shown="a base joint 1 rad from its set-point", spoil=_not_followed),
    Entry(check="clearance: arms", shown="wrists measured 4 mm apart", spoil=_drifted("arms")),
    Entry(check="clearance: links over table", shown="a camera measured too low", spoil=_drifted("links over table")),
    *OF_TICKS,
)
