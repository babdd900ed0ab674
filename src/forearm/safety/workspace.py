"""What stands round the arms, where they may not go, and what they may hold: the cell as its integrator describes it.

Invariant: every name in a rule means one kind of thing that exists, and every size is a length; else there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from math import hypot, isfinite

from forearm.errors import ConfigError, unknown
from forearm.geometry import Box
from forearm.safety.capsules import ARMS, CAPSULES, Point

TABLE = "table"
PARTS = tuple(dict.fromkeys(capsule.part for capsule in CAPSULES))  # of an arm, as rules name them
SHORTEST_M = 0.001  # m, of a held object's segment: distances need a direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An object that an arm may hold, as a capsule about the segment `start` to `end` in the tool frame, m.

    It counts as held whenever the gripper is measured between the two ends of `opening`, so no memory is needed; a
    gripper that closes through that range is taken to hold it for that moment. Where it really lies in the hand is not
    known: the capsule should hold wherever it can lie.
    """

    name: str
    arm: str
    start: Point
    end: Point
    radius: float
    opening: tuple[float, float]

    @classmethod
    def box(cls, name: str, arm: str, half: Point, opening: tuple[float, float], centre: Point = (0, 0, 0)) -> Held:
        """A box of these half sizes m along the tool's axes, its centre in the tool frame; the capsule encloses it."""
        longest = max(range(3), key=lambda axis: half[axis])
        others = [half[axis] for axis in range(3) if axis != longest]
        reach = max(half[longest] - min(others), SHORTEST_M)
        start, end = list(centre), list(centre)
        start[longest] -= reach
        end[longest] += reach
        radius = hypot(max(half[longest] - reach, 0.0), *others)
        return cls(name=name, arm=arm, start=_point(start), end=_point(end), radius=radius, opening=opening)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Everything but the arms that vetting keeps them clear of. By default the table alone.

    Attributes:
        table_m: m, height of the table's top above the arms' bases.
        fixtures: what stands there and stays there; the boxes of one thing share its name.
        keep_out: zones that no part of an arm, and nothing that it holds, may enter.
        held: what the grippers may hold.
        touching: pairs of names that may touch and are not compared: a part of an arm (of `PARTS`) or a held object,
            and a fixture, the table (for held objects), a held object or a part of the other arm.

    Raises:
        ConfigError: for a name that is unknown or means two kinds of things, and for sizes that are none.
    """

    table_m: float = 0.0
    fixtures: tuple[Box, ...] = ()
    keep_out: tuple[Box, ...] = ()
    held: tuple[Held, ...] = ()
    touching: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        _finite("table height", self.table_m)
        for box in (*self.fixtures, *self.keep_out):
            _finite(f"box {box.name!r}", *box.centre, box.yaw)
            _positive(f"half sizes of box {box.name!r}", *box.half)
        for held in self.held:
            _finite(f"held object {held.name!r}", *held.start, *held.end, *held.opening)
            _positive(f"radius of held object {held.name!r}", held.radius)
            _positive(f"length of held object {held.name!r}", hypot(*_less(held.end, held.start)) - SHORTEST_M / 2)
            if held.arm not in ARMS:
                raise ConfigError(unknown("arm of a held object", held.arm, ARMS))
        kinds = [
            {*PARTS, TABLE},
            {box.name for box in self.fixtures},
            {box.name for box in self.keep_out},
            {held.name for held in self.held},
        ]
        for one, other in combinations(kinds, 2):
            for name in sorted(one & other):
                raise ConfigError(f"workspace: got the name {name!r} for two kinds of things; rename one of them")
        allowed = [*PARTS, TABLE, *(box.name for box in self.fixtures), *(held.name for held in self.held)]
        for name in (name for pair in self.touching for name in pair):
            if name not in allowed:
                raise ConfigError(unknown("what may touch", name, allowed))

    @property
    def standing(self) -> Workspace:
        """The same without what may be held."""
        names = {held.name for held in self.held}
        touching = tuple(pair for pair in self.touching if not names.intersection(pair))
        return replace(self, held=(), touching=touching)

    def may_touch(self, one: str, other: str) -> bool:
        """Whether a rule of `touching` says so, in either order."""
        return (one, other) in self.touching or (other, one) in self.touching


def _finite(what: str, *values: float) -> None:
    if not all(isfinite(value) for value in values):
        raise ConfigError(f"{what}: got {values}, allowed are finite numbers; measure it again")


def _positive(what: str, *values: float) -> None:
    if not all(isfinite(value) and value > 0.0 for value in values):
        raise ConfigError(f"{what}: got {values} m, allowed are finite lengths > 0; check the unit")


def _less(one: Point, other: Point) -> Point:
    return (one[0] - other[0], one[1] - other[1], one[2] - other[2])


def _point(values: list[float]) -> Point:
    x, y, z = values
    return (x, y, z)
