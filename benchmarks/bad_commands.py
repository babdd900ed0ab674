"""Known-bad commands and chunks, every kind that we know of, drawn from a seed.

Each is one that must not reach a robot as it is. Where that depends on numbers (a jump, a collision) the draw is only
kept when the oracle finds the rows in violation if they were followed; where it depends on where they come from (old,
replayed, of another session) nothing of them may be followed at all: those are `forbidden`.

To add a kind: one function that draws it, and its line in `CHUNKS` or `COMMANDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from escape_oracle import Oracle
from forearm.clock import NANOSECONDS
from forearm.messages import ActionChunk, Command, Decision, DepthImage, Image, Observation, Plan
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses
from forearm.safety.limits import TICK_S, Limits

HOME = np.array([0.611, 1.467, 1.299, -1.403, 0.0, -1.571, 1.0])
BOTH_HOME = np.concatenate([HOME, HOME * [-1, 1, 1, 1, -1, -1, 1]])
GRIPPERS = BIMANUAL_YAM.grippers
ARMS = np.setdiff1d(np.arange(14), GRIPPERS)
NOW_NS = 100 * NANOSECONDS
TICK_NS = round(TICK_S * NANOSECONDS)
FAR_M = 1.0  # m, what the main camera measures everywhere, and plans say it does
PIXELS = np.zeros((2, 2, 3), dtype=np.uint8)
ROWS = (4, 9)  # rows of a chunk, from and below
PERIODS_S = (1 / 30, 0.05, 0.1)
DRAWS = 1000  # after which a kind that never turns out bad is an error in this file

Generator = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bad:
    """One bad thing and what the gates are shown with it.

    Attributes:
        kind: which one of `CHUNKS` or `COMMANDS`.
        start: (14,) where the arms stand, or stood before `before`.
        observation: what the robot said last.
        now_ns: when it is judged.
        forbidden: nothing of it may be followed, whatever its numbers are.
        decision: the bad decision, for chunks.
        command: the bad command, for commands.
        before: (N, 14) set-points asked for in the ticks before it, one after the other.
        again: the decision was followed once already.
        furnished: `escape_oracle.FURNITURE` stands there.
    """

    kind: str
    start: np.ndarray
    observation: Observation
    now_ns: int = NOW_NS
    forbidden: bool = False
    decision: Decision | None = None
    command: Command | None = None
    before: np.ndarray | None = None
    again: bool = False
    furnished: bool = False

    @property
    def rows(self) -> Any:
        """What it asks for, whatever that is; a command is one row."""
        if self.decision is not None:
            return self.decision.chunk.positions
        assert self.command is not None
        positions = self.command.positions
        return positions[None] if isinstance(positions, np.ndarray) and positions.ndim == 1 else positions


class Places:
    """Clear poses, and pairs of one that is just clear and one beyond it, found once.

    Args:
        oracle: says what is clear.
        generator: draws them.
        count: of each.
    """

    def __init__(self, oracle: Oracle, generator: Generator, count: int) -> None:
        self.oracle, self.limits = oracle, oracle.limits
        self.furnished: Places = self if oracle.furnished is oracle else Places(oracle.furnished, generator, count // 5)
        self.clear = np.array([self._clear(generator) for _ in range(count)])
        self.edges = [self._edge(generator) for _ in range(count)]
        self.crossings = [self._crossing(generator) for _ in range(max(1, count // 10))]

    def any(self, generator: Generator) -> np.ndarray:
        """A clear pose."""
        return self.clear[generator.integers(len(self.clear))].copy()

    def _clear(self, generator: Generator) -> np.ndarray:
        """The arms often stretched towards each other and towards the table, 6 mm more than clear."""
        while True:
            pose = BOTH_HOME + generator.normal(0, 0.4, 14)
            inward = generator.uniform(0, 1.6)
            pose[[0, 7]] += [-inward, inward * generator.uniform(0, 1)]
            pose = np.clip(pose, self.limits.lower + 0.02, self.limits.upper - 0.02)
            if self.oracle.spare(pose) >= 0.005:
                return pose

    def _edge(self, generator: Generator) -> tuple[np.ndarray, np.ndarray]:
        """A clear pose at the edge of something, and one 0.03 rad farther that is too near."""
        while True:
            inside = self.any(generator)
            if self.oracle.furnished is self.oracle:
                inside[[0, 7]] += generator.uniform(-1.2, 1.2, 2)  # towards what stands there and past it
                if self.oracle.spare(inside) < 0.001:
                    continue
            outside = np.clip(inside + generator.normal(0, 0.8, 14), self.limits.lower, self.limits.upper)
            if self.oracle.spare(outside) >= 0.0:
                continue
            for _ in range(14):
                middle = (inside + outside) / 2
                inside, outside = (middle, outside) if self.oracle.spare(middle) > 3e-4 else (inside, middle)
            way = outside - inside
            beyond = inside + way * 0.03 / np.abs(way).max()
            if self.oracle.spare(beyond) < -3e-4 and self._at_fault(beyond):
                return inside, beyond

    def _at_fault(self, pose: np.ndarray) -> bool:
        """Whether the pose is too near to what this is about: where furniture stands, to that alone."""
        return self.oracle.furnished is not self.oracle or self.oracle.unfurnished(pose) >= 0.0

    def _crossing(self, generator: Generator) -> tuple[np.ndarray, np.ndarray]:
        """Two clear poses on both sides of one that is too near."""
        while True:
            _, middle = self.edges[generator.integers(len(self.edges))]
            half = generator.normal(0, 0.2, 14) * (np.arange(14) % 7 != 6)
            ends = middle - half, middle + half
            inside = all((self.limits.lower <= end).all() and (end <= self.limits.upper).all() for end in ends)
            if inside and all(self.oracle.spare(end) > 1e-3 for end in ends):
                return ends


def observed(positions: Any, *, stamp_ns: int = NOW_NS, **changes: Any) -> Observation:
    """The robot at rest there, every image new."""
    still = np.zeros(14)
    pixels = np.full((2, 2, 3), stamp_ns // TICK_NS % 251, dtype=np.uint8)  # never the picture of the tick before
    images = {name: Image(stamp_ns=stamp_ns, pixels=pixels) for name in ("top", "left", "right")}
    seen = Observation(
        stamp_ns=stamp_ns,
        sequence=stamp_ns // TICK_NS,
        epoch=1,
        positions=positions,
        velocities=still,
        efforts=still,
        images=images,
        depths={"top": DepthImage(stamp_ns=stamp_ns, metres=np.full((20, 20), FAR_M, dtype=np.float32))},
        instruction="",
    )
    return replace(seen, **changes) if changes else seen


def chunk(kind: str, start: np.ndarray, rows: Any, period_s: Any = 0.1, **changes: Any) -> Bad:
    """A decision with those rows about the arms at rest at `start`; `changes` are `Bad`'s."""
    answer = ActionChunk(stamp_ns=NOW_NS, period_s=period_s, positions=rows)
    decision = Decision(sequence=1, epoch=1, plan=None, chunk=answer, latency_s=0.0, model_digest="")
    return replace(Bad(kind=kind, start=start, observation=observed(start), decision=decision), **changes)


def command(kind: str, start: np.ndarray, positions: Any, before: np.ndarray | None = None, **changes: Any) -> Bad:
    """A command of now, to arms at rest at `start` or in the motion `before`; `changes` are `Bad`'s."""
    at = start if before is None else before[-1]
    asked = Command(stamp_ns=NOW_NS, sequence=1000, epoch=1, positions=positions)
    return replace(Bad(kind=kind, start=start, observation=observed(at), command=asked, before=before), **changes)


def swinging(places: Places, generator: Generator) -> tuple[np.ndarray, np.ndarray]:
    """A clear start and rows of a smooth swing from there: what a good chunk looks like."""
    start, rows = places.any(generator), generator.integers(*ROWS)
    speed = generator.normal(0, 0.3, 14)
    share = np.linspace(0, 1, rows + 1)[1:, None] ** 2
    return start, np.clip(start + share * speed * 0.1 * rows, places.limits.lower, places.limits.upper)


def moving(places: Places, generator: Generator) -> tuple[np.ndarray, np.ndarray | None]:
    """A clear start, and half of the time four set-points of a smooth motion from there."""
    start = places.any(generator)
    if generator.random() < 0.5:
        return start, None
    jerk = places.limits.jerk * generator.uniform(-0.5, 0.5, 14)
    before = start + np.array([1, 4, 10, 20])[:, None] * jerk * TICK_S**3
    return start, np.clip(before, places.limits.lower, places.limits.upper)


# What is wrong with the numbers. Each spoils good rows (N, 14); a command is one row of them.


def _not_a_number(rows: np.ndarray, _: Limits, generator: Generator) -> np.ndarray:
    rows[generator.integers(len(rows)), generator.integers(14)] = np.nan
    return rows


def _infinite(rows: np.ndarray, _: Limits, generator: Generator) -> np.ndarray:
    rows[generator.integers(len(rows)), generator.integers(14)] = generator.choice([np.inf, -np.inf])
    return rows


def _jump(rows: np.ndarray, limits: Limits, generator: Generator) -> np.ndarray:
    at, joint = generator.integers(len(rows)), generator.choice(ARMS)
    rows[at:, joint] += generator.choice([-1, 1]) * generator.uniform(0.1, 3.0)
    return np.clip(rows, limits.lower, limits.upper)


def _degrees(rows: np.ndarray, _: Limits, generator: Generator) -> np.ndarray:
    rows[:, ARMS] = np.degrees(rows[:, ARMS])
    return rows


def _degrees_clipped(rows: np.ndarray, limits: Limits, generator: Generator) -> np.ndarray:
    return np.clip(_degrees(rows, limits, generator), limits.lower, limits.upper)


def _arms_swapped(rows: np.ndarray, _: Limits, generator: Generator) -> np.ndarray:
    return np.roll(rows, 7, axis=1)


def _joints_reversed(rows: np.ndarray, _: Limits, generator: Generator) -> np.ndarray:
    rows[:, ARMS] = rows[:, ARMS[::-1]]
    return rows


def _changes_for_positions(rows: np.ndarray, _: Limits, generator: Generator) -> np.ndarray:
    return rows - rows[0]


def _out_of_range(rows: np.ndarray, limits: Limits, generator: Generator) -> np.ndarray:
    joint, beyond = generator.choice(ARMS), generator.uniform(0.001, 2.0)
    rows[:, joint] = limits.upper[joint] + beyond if generator.random() < 0.5 else limits.lower[joint] - beyond
    return rows


def _gripper_out_of_range(rows: np.ndarray, _: Limits, generator: Generator) -> np.ndarray:
    rows[:, generator.choice(GRIPPERS)] = generator.choice([1.0, 255.0]) * generator.uniform(1.001, 2.0)
    return rows


def _huge(rows: np.ndarray, _: Limits, generator: Generator) -> np.ndarray:
    return rows * 10.0 ** generator.uniform(2, 300)


NUMBERS: dict[str, Callable[[np.ndarray, Limits, Generator], np.ndarray]] = {
    "not a number": _not_a_number,
    "infinite": _infinite,
    "jump": _jump,
    "degrees for radians": _degrees,
    "degrees, clipped to the range": _degrees_clipped,
    "arms swapped": _arms_swapped,
    "joints reversed": _joints_reversed,
    "changes for positions": _changes_for_positions,
    "out of range": _out_of_range,
    "gripper out of range": _gripper_out_of_range,
    "huge": _huge,
}


def _rated(order: int) -> Callable[[Places, Generator], Bad]:
    """Rows that are over the limit of their `order`-th difference by a factor of 1.05 to 8."""
    name = ("too fast", "too much acceleration", "too much jerk")[order - 1]

    def draw(places: Places, generator: Generator) -> Bad:
        limits, period_s = places.limits, float(generator.choice(PERIODS_S))
        start, joint = places.any(generator), generator.integers(14)
        limit = (limits.velocity, limits.acceleration, limits.jerk)[order - 1][joint]
        amount = limit * period_s**order * generator.uniform(1.05, 8.0) * generator.choice([-1, 1])
        rows = np.tile(start, (generator.integers(*ROWS), 1))
        rows[:, joint] += (
            amount
            * {
                1: np.arange(len(rows)),
                2: (np.arange(len(rows)) == 2) / 2,
                3: (np.arange(len(rows)) == 3) / 3,
            }[order]
        )
        return chunk(name, start, np.clip(rows, limits.lower, limits.upper), period_s)

    return draw


def _collision(places: Places, generator: Generator) -> Bad:
    """On a straight line, slowly enough, from a clear pose into the other arm, itself or the table."""
    inside, beyond = places.edges[generator.integers(len(places.edges))]
    way = (beyond - inside) / np.abs(beyond - inside).max()
    start = np.clip(inside - way * generator.uniform(0.0, 0.3), places.limits.lower, places.limits.upper)
    share = np.cumsum(np.minimum(np.arange(1, generator.integers(*ROWS) + 1) * 0.04, generator.uniform(0.05, 0.25)))
    rows = start + share[:, None] * way
    return chunk("collision", start, np.clip(rows, places.limits.lower, places.limits.upper))


def _furnished(kind: str, draw: Callable[[Places, Generator], Bad]) -> Callable[[Places, Generator], Bad]:
    """The same where furniture stands, and into that."""
    return lambda places, generator: replace(draw(places.furnished, generator), kind=kind, furnished=True)


def _through(places: Places, generator: Generator) -> Bad:
    """Rows that are clear themselves; what lies between two of them is not."""
    start, other = places.crossings[generator.integers(len(places.crossings))]
    if generator.random() < 0.5:
        start, other = other, start
    rows = np.stack([other + (other - start) * share for share in np.linspace(0.0, 0.05, generator.integers(*ROWS))])
    return chunk("collision between clear rows", start, np.clip(rows, places.limits.lower, places.limits.upper))


def _drift_chunk(places: Places, generator: Generator) -> Bad:
    """Into a collision at a creep, in a long chunk."""
    inside, beyond = places.edges[generator.integers(len(places.edges))]
    way = (beyond - inside) / np.abs(beyond - inside).max()
    speed = generator.uniform(0.002, 0.01)  # rad a row
    share = speed * np.arange(1, 31)[:, None]
    start = np.clip(inside - way * speed * 10, places.limits.lower, places.limits.upper)
    rows = np.clip(start + share * way, places.limits.lower, places.limits.upper)
    return chunk("slow drift into a collision", start, rows, 1 / 30)


def _when(kind: str, spoil: Callable[[Bad, Generator], Bad]) -> Callable[[Places, Generator], Bad]:
    """A good chunk that comes at the wrong time, from the wrong place, or in the wrong form: `spoil` makes it so."""

    def draw(places: Places, generator: Generator) -> Bad:
        start, rows = swinging(places, generator)
        return replace(spoil(chunk(kind, start, rows), generator), forbidden=True)

    return draw


def _of(bad: Bad, **changes: Any) -> Bad:
    """With another chunk, by field."""
    assert bad.decision is not None
    return replace(bad, decision=replace(bad.decision, chunk=replace(bad.decision.chunk, **changes)))


def _ns(generator: Generator, low_s: float, high_s: float) -> int:
    return round(float(generator.uniform(low_s, high_s)) * NANOSECONDS)


def _epoch(bad: Bad, generator: Generator) -> Bad:
    assert bad.decision is not None
    return replace(bad, decision=replace(bad.decision, epoch=int(generator.choice([0, 2, -1]))))


def _camera(bad: Bad, generator: Generator, image: Image | None) -> Bad:
    """Without one camera's image, or with that one for it."""
    name = str(generator.choice(list(bad.observation.images)))
    images = {key: each for key, each in bad.observation.images.items() if key != name}
    images |= {name: image} if image else {}
    return replace(bad, observation=replace(bad.observation, images=images))


def _frozen(bad: Bad, generator: Generator) -> Bad:
    return _camera(bad, generator, Image(stamp_ns=NOW_NS - _ns(generator, 0.5001, 30), pixels=PIXELS))


def _shape(bad: Bad, generator: Generator) -> Bad:
    shapes = [(6, 13), (6, 15), (14,), (6, 7), (2, 6, 14), (14, 6), ()]
    return _of(bad, positions=np.zeros(shapes[generator.integers(len(shapes))]))


def _dtype(bad: Bad, generator: Generator) -> Bad:
    rows = bad.rows
    others = [rows.astype(np.float32), rows.astype(object), rows.tolist(), None, rows.astype(np.int64), "up"]
    return _of(bad, positions=others[generator.integers(len(others))])


def _planned(bad: Bad, **changes: Any) -> Bad:
    """With a plan of just what the rows do and the camera measures, but for those attributes."""
    assert bad.decision is not None
    trace = tool_poses(bad.rows)[0].transpose(1, 0, 2).copy()
    plan = Plan(
        subtask="",
        depth_tokens=np.zeros(0, dtype=np.int64),
        depth_map=np.full((10, 10), FAR_M),
        points=np.full((2, 2), np.nan),
        trace=trace,
        trace_grippers=np.ones(trace.shape[:2]),
        trace_times_s=0.1 * np.arange(1, trace.shape[1] + 1),
        confidence=1.0,
    )
    return replace(bad, decision=replace(bad.decision, plan=replace(plan, **changes)))


def _lying(bad: Bad, generator: Generator) -> Bad:
    """The plan says that a tool will be somewhere else, at a row that is followed even of a chunk cut short."""
    trace = tool_poses(bad.rows)[0].transpose(1, 0, 2).copy()
    away = generator.normal(size=3)
    trace[generator.integers(2), generator.integers(ROWS[0])] += (
        away / np.linalg.norm(away) * generator.uniform(0.13, 1.0)
    )
    return _planned(bad, trace=trace)


def _unspoken(bad: Bad, generator: Generator) -> Bad:
    """The plan's arrays are empty, or have values in them that are no numbers."""
    count, value = len(bad.rows), float(generator.choice([np.nan, np.inf, -np.inf]))
    trace = tool_poses(bad.rows)[0].transpose(1, 0, 2).copy()
    trace[generator.integers(2), generator.integers(count), generator.integers(3)] = value
    times_s, openings = 0.1 * np.arange(1, count + 1), np.ones((2, count))
    times_s[generator.integers(count)] = openings[generator.integers(2), generator.integers(count)] = value
    some = np.full((10, 10), FAR_M)
    some[generator.integers(10)] = value
    changes: tuple[dict[str, Any], ...] = (
        {"trace": trace},
        {"trace_times_s": times_s},
        {"trace_grippers": openings},
        {"depth_map": np.full((10, 10), value)},
        {"depth_map": some},
        {"depth_map": np.empty((0, 0))},
        {"depth_map": np.empty((0, 10))},
        {"trace": np.empty((2, 0, 3)), "trace_times_s": np.empty(0), "trace_grippers": np.empty((2, 0))},
        {"trace": np.empty((0, count, 3)), "trace_grippers": np.empty((0, count))},
    )
    return _planned(bad, **changes[generator.integers(len(changes))])


def _jumped_s(generator: Generator, least_s: float) -> int:
    """ns, by which a clock jumped: a little or a lot, forwards or back."""
    return int(generator.choice([-1, 1])) * round(least_s * NANOSECONDS * 10.0 ** generator.uniform(0.0, 3.0))


def _clock_jump(bad: Bad, generator: Generator) -> Bad:
    """The robot's clock jumped, the loop's did not: what was seen is of another time, and the chunk answers it."""
    stamp_ns = NOW_NS + _jumped_s(generator, 1.01)
    return _of(replace(bad, observation=replace(bad.observation, stamp_ns=stamp_ns)), stamp_ns=stamp_ns)


def _clock_jump_between_ticks(bad: Bad, generator: Generator) -> Bad:
    """After ticks that were good one clock jumped: the loop's with its command, or the robot's."""
    by_ns, bad = _jumped_s(generator, 0.0601), replace(bad, before=np.tile(bad.start, (4, 1)))
    if generator.random() < 0.5:
        return replace(bad, observation=replace(bad.observation, stamp_ns=NOW_NS + by_ns))
    assert bad.command is not None
    return _as(replace(bad, now_ns=NOW_NS + by_ns), stamp_ns=NOW_NS + by_ns)


CHUNKS: dict[str, Callable[[Places, Generator], Bad]] = {
    "too fast": _rated(1),
    "too much acceleration": _rated(2),
    "too much jerk": _rated(3),
    "collision": _collision,
    "collision between clear rows": _through,
    "slow drift into a collision": _drift_chunk,
    "stale": _when("stale", lambda bad, g: replace(bad, now_ns=NOW_NS + _ns(g, 1.0001, 60))),
    "future-stamped": _when("future-stamped", lambda bad, g: replace(bad, now_ns=NOW_NS - _ns(g, 1e-8, 60))),
    "answers another observation": _when(
        "answers another observation",
        lambda bad, g: _of(bad, stamp_ns=NOW_NS + int(g.choice([-1, 1])) * _ns(g, 1e-8, 2)),
    ),
    "of another session": _when("of another session", _epoch),
    "replayed": _when("replayed", lambda bad, g: replace(bad, again=True, now_ns=NOW_NS + _ns(g, 0, 0.3))),
    "frozen camera": _when("frozen camera", _frozen),
    "missing camera": _when("missing camera", lambda bad, g: _camera(bad, g, None)),
    "wrong shape": _when("wrong shape", _shape),
    "wrong type": _when("wrong type", _dtype),
    "wrong period": _when(
        "wrong period",
        lambda bad, g: _of(bad, period_s=[0.0, -0.1, np.nan, np.inf, 1e-9, 3.0, None, 100][g.integers(8)]),
    ),
    "too many rows": _when(
        "too many rows", lambda bad, g: _of(bad, positions=np.tile(bad.start, (int(g.integers(65, 200)), 1)))
    ),
    "no rows": _when("no rows", lambda bad, g: _of(bad, positions=np.zeros((0, 14)))),
    "plan that says something else": _when("plan that says something else", _lying),
    "plan that is not numbers, or empty": _when("plan that is not numbers, or empty", _unspoken),
    "clock jump": _when("clock jump", _clock_jump),
    "into furniture": _furnished("into furniture", _collision),
    "through furniture between clear rows": _furnished("through furniture between clear rows", _through),
    "slow drift into furniture": _furnished("slow drift into furniture", _drift_chunk),
}


def _spoiled_chunk(kind: str) -> Callable[[Places, Generator], Bad]:
    def draw(places: Places, generator: Generator) -> Bad:
        start, rows = swinging(places, generator)
        return chunk(kind, start, NUMBERS[kind](rows, places.limits, generator), float(generator.choice(PERIODS_S)))

    return draw


def _spoiled_command(kind: str) -> Callable[[Places, Generator], Bad]:
    def draw(places: Places, generator: Generator) -> Bad:
        start, before = moving(places, generator)
        at = start if before is None else before[-1]
        rows = NUMBERS[kind](np.stack([at, at + 1e-4]), places.limits, generator)
        return command(kind, start, rows[int(np.isfinite(rows[0]).all())], before)  # a jump is in the last row

    return draw


def _step(order: int) -> Callable[[Places, Generator], Bad]:
    """One step that is over the limit of its `order`-th difference, by a factor of 1.01 to 20."""
    name = ("too fast", "too much acceleration", "too much jerk")[order - 1]

    def draw(places: Places, generator: Generator) -> Bad:
        start, before = moving(places, generator)
        limits, joint = places.limits, generator.integers(14)
        past = np.tile(start, (3, 1)) if before is None else before[-3:]
        carry = [past[-1], 2 * past[-1] - past[-2], 3 * past[-1] - 3 * past[-2] + past[-3]][order - 1]
        limit = (limits.velocity, limits.acceleration, limits.jerk)[order - 1][joint]
        asked = carry.copy()
        asked[joint] += limit * TICK_S**order * generator.uniform(1.01, 20) * generator.choice([-1, 1])
        return command(name, start, np.clip(asked, limits.lower, limits.upper), before)

    return draw


def _nearing(places: Places, generator: Generator) -> Bad:
    """Arms that stand at the edge of something, and one small enough step into it."""
    inside, beyond = places.edges[generator.integers(len(places.edges))]
    way = (beyond - inside) / np.abs(beyond - inside).max()
    step = float(np.min(places.limits.jerk / np.maximum(np.abs(way), 1e-9))) * TICK_S**3 * generator.uniform(0.3, 0.99)
    near = inside + way * generator.uniform(0.0, 0.03)
    return command("collision", near, near + way * step)


def _creep(places: Places, generator: Generator) -> Bad:
    """Arms that stand a little too near, and many steps nearer, each smaller than a micrometre."""
    inside, beyond = places.edges[generator.integers(len(places.edges))]
    way = (beyond - inside) / np.abs(beyond - inside).max()
    near = inside + way * generator.uniform(0.005, 0.02)
    path = near + np.arange(1, 61)[:, None] * way * 8e-7
    return command("creep into a collision", near, path[-1], path[:-1])


def _at(kind: str, spoil: Callable[[Bad, Generator], Bad]) -> Callable[[Places, Generator], Bad]:
    """Staying put, but at the wrong time, from the wrong place, or in the wrong form."""

    def draw(places: Places, generator: Generator) -> Bad:
        start = places.any(generator)
        return replace(spoil(command(kind, start, start), generator), forbidden=True)

    return draw


def _as(bad: Bad, **changes: Any) -> Bad:
    """With another command, by field."""
    assert bad.command is not None
    return replace(bad, command=replace(bad.command, **changes))


def _sent_already(bad: Bad, generator: Generator) -> Bad:
    return replace(_as(bad, sequence=int(generator.integers(-5, 4))), before=np.tile(bad.start, (4, 1)))


def _not_followed(bad: Bad, generator: Generator) -> Bad:
    """The arms were sent there all along and stand somewhere else."""
    joint, limits = generator.choice(ARMS), Limits.of()
    measured = bad.start.copy()
    measured[joint] += generator.choice([-1, 1]) * limits.tracking_error[joint] * generator.uniform(1.01, 3)
    return replace(bad, before=np.tile(bad.start, (4, 1)), observation=observed(measured))


def _impossible(bad: Bad, generator: Generator) -> Bad:
    """The arms are measured where they cannot be."""
    joint, limits = generator.integers(14), Limits.of()
    measured = bad.start.copy()
    measured[joint] = limits.upper[joint] + limits.position_excess[joint] * generator.uniform(1.01, 9)
    return replace(_as(bad, positions=measured), observation=observed(measured))


def _command_shape(bad: Bad, generator: Generator) -> Bad:
    shapes = [(13,), (15,), (1, 14), (7,), ()]
    return _as(bad, positions=np.zeros(shapes[generator.integers(len(shapes))]))


def _command_dtype(bad: Bad, generator: Generator) -> Bad:
    at = bad.start
    others = [at.astype(np.float32), at.astype(object), at.tolist(), None, at.astype(np.int64), "up"]
    return _as(bad, positions=others[generator.integers(len(others))])


COMMANDS: dict[str, Callable[[Places, Generator], Bad]] = {
    "too fast": _step(1),
    "too much acceleration": _step(2),
    "too much jerk": _step(3),
    "collision": _nearing,
    "creep into a collision": _creep,
    "stale": _at("stale", lambda bad, g: _as(bad, stamp_ns=NOW_NS - _ns(g, 0.0501, 60))),
    "future-stamped": _at("future-stamped", lambda bad, g: _as(bad, stamp_ns=NOW_NS + _ns(g, 1e-8, 60))),
    "stale measured pose": _at(
        "stale measured pose",
        lambda bad, g: replace(bad, observation=observed(bad.start, stamp_ns=NOW_NS - _ns(g, 0.0501, 9))),
    ),
    "of another session": _at("of another session", lambda bad, g: _as(bad, epoch=int(g.choice([0, 2, -1])))),
    "replayed": _at("replayed", _sent_already),
    "frozen camera": _at("frozen camera", _frozen),
    "missing camera": _at("missing camera", lambda bad, g: _camera(bad, g, None)),
    "wrong shape": _at("wrong shape", _command_shape),
    "wrong type": _at("wrong type", _command_dtype),
    "into furniture": _furnished("into furniture", _nearing),
    "creep into furniture": _furnished("creep into furniture", _creep),
    "clock jump": _at("clock jump", _clock_jump_between_ticks),
    "arms that do not follow": _at("arms that do not follow", _not_followed),
    "arms measured where they cannot be": _at("arms measured where they cannot be", _impossible),
}

CHUNKS |= {kind: _spoiled_chunk(kind) for kind in NUMBERS}
COMMANDS |= {kind: _spoiled_command(kind) for kind in NUMBERS}


def corpus(places: Places, seed: int, *, chunks: int, commands: int) -> Iterator[Bad]:
    """That many of each sort, the kinds in turn."""
    generator = np.random.default_rng((seed, 1))
    for count, kinds in ((chunks, CHUNKS), (commands, COMMANDS)):
        names = list(kinds)
        for number in range(count):
            yield _drawn(kinds[names[number % len(names)]], places, generator)


def _drawn(draw: Callable[[Places, Generator], Bad], places: Places, generator: Generator) -> Bad:
    """One that is bad."""
    for _ in range(DRAWS):
        bad = draw(places, generator)
        if bad.forbidden or is_bad(bad, places.oracle):
            return bad
    raise AssertionError(f"{bad.kind}: {DRAWS} draws and none is bad")


def is_bad(bad: Bad, oracle: Oracle) -> bool:
    """Whether following its rows would violate a limit or come too near, by the oracle."""
    oracle = oracle.furnished if bad.furnished else oracle
    if bad.command is not None:
        before = np.empty((0, 14)) if bad.before is None else bad.before
        return bool(oracle.of_set_points(bad.start, np.concatenate([before, bad.rows])))
    assert bad.decision is not None
    path = np.concatenate([bad.start[None], bad.rows])
    if oracle.of_values_and_rates(path, bad.decision.chunk.period_s):
        return True
    at = np.arange(0.0, len(path) - 1 + 1e-9, 0.5)
    dense = np.stack([np.interp(at, np.arange(len(path)), joint) for joint in path.T], axis=-1)
    return any(oracle.spare(pose) < -1e-4 for pose in dense[::-1])
