"""What no single pose or picture shows to be bad: rows that are clear, where the arms would still touch; old pictures.

Invariant: how bad they are is written here in absolute numbers, so that margins which were loosened beyond them show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from forearm.messages import Floats, Observation
from forearm.safety.known_good import READY, ROWS, SECOND_NS, TICK_NS, Asked, Entry, after_poses, seen_at

OUTWARDS = 1.2  # rad, the left base joint: fixtures that stand before the arms are not in the way
SHOULDER = 1  # the left arm's
LOWERED = 0.4905  # rad from READY, the left fingers 0.6 mm over the table, 6.6 mm over where they have to stop
SPEED = 0.5  # rad/s, they go down at 0.14 m/s: 6 mm to rest when told at once, 10 mm when told 40 ms late
SPEED_UP = 0.02  # rad/s per tick
LATE_TICKS = 3  # that the last observation comes late
LEADING = 0.16  # rad from row to row, one hand 21 mm before the other
BESIDE = (-0.918, 0.918)  # rad, base joints turned inwards with the wrists 14 mm apart, 2 mm more than vetting asks for
CLOSING = 1.0  # rad, in one row of 0.5 s; at a quarter of that pace the fewest rows take longer than any motion may
TURNS = 10  # ticks in which two pictures take turns
ALMOST = (-0.9, 0.9)  # rad, base joints turned inwards with the wrists 21 mm apart


def with_joints(joints: dict[int, float]) -> Floats:
    """READY, but for those joints."""
    pose = READY.copy()
    pose[list(joints)] = list(joints.values())
    return pose


def drifted(clear: Floats, near: Floats) -> Callable[[Asked], Asked]:
    """Set-points stand at the pose `clear` (J,) and the arms are measured there, and then at the pose `near`."""

    def spoil(asked: Asked) -> Asked:
        asked = after_poses(asked, clear[None])
        assert asked.command is not None
        command = replace(asked.command, positions=clear)
        return replace(asked, command=command, observation=seen_at(near, asked.observation.epoch, asked.now_ns))

    return spoil


def _too_fast_to_stop(asked: Asked) -> Asked:
    """Fingers that go down steadily, seen a moment late: what is told now is clear, and where they would stand not."""
    ticks = np.arange(32)
    travelled = np.cumsum(np.minimum(SPEED, SPEED_UP * (ticks + 1))) * 0.01  # rad
    poses = np.tile(with_joints({0: OUTWARDS}), (len(ticks), 1))
    poses[:, SHOULDER] += travelled - travelled[-1] + LOWERED
    now_ns, epoch = asked.now_ns, asked.observation.epoch
    asked = after_poses(replace(asked, now_ns=now_ns - LATE_TICKS * TICK_NS), poses[:-1])
    assert asked.command is not None
    command = replace(asked.command, positions=poses[-1], stamp_ns=now_ns)
    return replace(asked, now_ns=now_ns, command=command, observation=seen_at(poses[-1], epoch, now_ns))


def _images_backwards(asked: Asked) -> Asked:
    """Every camera gives a picture that is older than the one it gave a tick ago."""
    asked = after_poses(asked, READY[None])
    seen = asked.observation
    images = {name: replace(image, stamp_ns=image.stamp_ns - 3 * TICK_NS) for name, image in seen.images.items()}
    return replace(asked, observation=replace(seen, images=images))


def _clocks_jumped(asked: Asked) -> Asked:
    """Everything is stamped a second later than a tick after the last tick: pose, pictures, command and now."""
    earlier = after_poses(replace(asked, now_ns=asked.now_ns - SECOND_NS), READY[None])
    assert asked.command is not None
    assert earlier.command is not None
    command = replace(asked.command, sequence=earlier.command.sequence)
    return replace(asked, before=earlier.before, command=command)


def _taking_turns(asked: Asked) -> Asked:
    """Every camera gives two old pictures in turn under new stamps, while both base joints move by 0.5 rad."""
    asked = after_poses(asked, np.tile(READY, (TURNS, 1)))
    old = [seen.images for _, seen in asked.before[:2]]

    def stale(number: int, seen: Observation) -> Observation:
        images = {name: replace(image, stamp_ns=seen.stamp_ns) for name, image in old[number % 2].items()}
        return replace(seen, images=images)

    past = tuple((command, stale(number, seen)) for number, (command, seen) in enumerate(asked.before))
    moved = READY + 0.5 * np.isin(np.arange(len(READY)), (0, 7))
    return replace(asked, before=past, observation=stale(TURNS, replace(asked.observation, positions=moved)))


def followed(start: Floats, rows: Floats, period_s: float) -> Callable[[Asked], Asked]:
    """Rows (H, J) from the pose `start` (J,), and no plan."""

    def spoil(asked: Asked) -> Asked:
        assert asked.decision is not None
        chunk = replace(asked.decision.chunk, positions=rows, period_s=period_s)
        decision = replace(asked.decision, plan=None, chunk=chunk)
        return replace(asked, decision=decision, observation=seen_at(start, asked.observation.epoch, asked.now_ns))

    return spoil


def _in_step() -> Callable[[Asked], Asked]:
    """Both hands go one way and then the other, one close before the other: clear unless one is late."""
    start = with_joints(dict(zip((0, 7), ALMOST, strict=True)))
    rows = np.tile(start, (ROWS, 1))
    rows[:, [0, 7]] += LEADING * np.array([-1.0, -1.0, 0.0, 1.0, 1.0, 1.0])[:, None]
    return followed(start, rows, 0.1)


def _too_fast_to_be_stopped() -> Callable[[Asked], Asked]:
    """Both hands swing to where the wrists are 14 mm apart and stay there, too fast at a quarter of that pace."""
    rows = np.tile(with_joints(dict(zip((0, 7), BESIDE, strict=True))), (ROWS, 1))
    rows[0, [0, 7]] -= np.sign(BESIDE) * CLOSING
    start = rows[0].copy()
    return followed(start, rows, 0.5)


def _through_the_table() -> Callable[[Asked], Asked]:
    """The left hand swings by 125° to its first row and stays: 10 mm clear before and after, 13 mm deep between."""
    lowered = {0: OUTWARDS, 1: 1.934, 2: 1.244}
    rows = np.tile(with_joints(lowered | {3: -1.498}), (ROWS, 1))
    return followed(with_joints(lowered | {3: 0.682}), rows, 0.5)


OF_CHUNKS: tuple[Entry, ...] = (
    Entry(check="clearance: arms", shown="arms in step, too close for one to be late", spoil=_in_step()),
    Entry(
        check="clearance: fingers over table",
        shown="a hand that swings through the table between two rows",
        spoil=_through_the_table(),
    ),
    Entry(check="stopping", shown="hands too fast to stop beside each other", spoil=_too_fast_to_be_stopped()),
    Entry(
        check="duration",
        shown="a chunk of half a minute",
        spoil=followed(READY, np.tile(READY, (64, 1)), 0.5),
    ),
)

OF_TICKS: tuple[Entry, ...] = (
    Entry(check="stopping", shown="fingers too fast to stop over the table", spoil=_too_fast_to_stop),
    Entry(check="backwards", shown="pictures older than the last ones", spoil=_images_backwards),
    Entry(check="clock", shown="all clocks that jumped by a second together", spoil=_clocks_jumped),
    Entry(check="frozen", shown="cameras that give two old pictures in turn", spoil=_taking_turns),
)
