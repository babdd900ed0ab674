"""What stands round the arms, where they may not go, and what they may hold: the cell as its integrator describes it.

Invariant: every name in a rule means one kind of thing that exists, and every size is a length; else there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import ceil, isfinite

from forearm.errors import ConfigError, unknown
from forearm.geometry import Box, Goods
from forearm.messages import Held
from forearm.safety.capsules import CAPSULES

TABLE = "table"
SOMETHING = "something"  # held, and as wide between the fingers as none of the goods
PARTS = tuple(dict.fromkeys(capsule.part for capsule in CAPSULES))  # of an arm, as rules name them
SLACK_M = 0.005  # m that a thing may lie farther across the hand, or deeper below it, than it is meant to
# m by which fingers stand closer than what they hold is wide. Measured in the cell, 1.9 mm on a tray's handle and 2.0
# to 3.7 mm on bars and blocks.
YIELD_M = 0.006
ASKEW = 0.42  # share of its width by which a square thing that is held askew is wider, at the most: on its edges
STEP_M = 0.005  # m, in which half of what is wider than it is meant to be, or unknown, is counted, upwards


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Everything but the arms that vetting keeps them, and what they hold, clear of. By default the table alone.

    Attributes:
        table_m: m, height of the table's top above the arms' bases.
        fixtures: what stands there and stays there; the boxes of one thing share its name.
        keep_out: zones that no part of an arm, and nothing that it holds, may enter.
        goods: what the grippers may hold.
        reach_m: m that what is held, and is none of the goods, may reach from the tool across the fingers and along the
            approach, at the least: it may also be as large as the largest of the goods.
        touching: pairs of names that may touch and are not compared: a part of an arm (of `PARTS`) or a held thing
            (one of the goods, or `SOMETHING`), and a fixture, the table (for what is held), a held thing or a part of
            the other arm.

    Raises:
        ConfigError: for a name that is unknown or means two kinds of things, and for sizes that are none.
    """

    table_m: float = 0.0
    fixtures: tuple[Box, ...] = ()
    keep_out: tuple[Box, ...] = ()
    goods: tuple[Goods, ...] = ()
    reach_m: float = 0.05
    touching: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        _finite("table height", self.table_m)
        for box in (*self.fixtures, *self.keep_out):
            _finite(f"box {box.name!r}", *box.centre, box.yaw)
            _positive(f"half sizes of box {box.name!r}", *box.half)
        for goods in self.goods:
            _finite(f"place of {goods.name!r} in the hand", *goods.centre)
            _positive(f"half sizes and width of {goods.name!r}", *goods.half, goods.width_m)
            if not 0.0 < goods.smallest <= 1.0:
                raise ConfigError(
                    f"smallest make of {goods.name!r}: got {goods.smallest}, allowed are shares > 0 and ≤ 1 of its "
                    "sizes; give those of the largest make"
                )
        _positive("reach of what may be held", self.reach_m)
        kinds = [
            {*PARTS, TABLE},
            {box.name for box in self.fixtures},
            {box.name for box in self.keep_out},
            {SOMETHING, *(goods.name for goods in self.goods)},
        ]
        for one, other in combinations(kinds, 2):
            for name in sorted(one & other):
                raise ConfigError(f"workspace: got the name {name!r} for two kinds of things; rename one of them")
        allowed = [
            *PARTS,
            TABLE,
            *(box.name for box in self.fixtures),
            SOMETHING,
            *(goods.name for goods in self.goods),
        ]
        for name in (name for pair in self.touching for name in pair):
            if name not in allowed:
                raise ConfigError(unknown("what may touch", name, allowed))

    def held_by(self, arm: str, width_m: float) -> tuple[Held, ...]:
        """What an arm that holds something holds, given how far apart its fingers stand, m: all of the goods it may be.

        One that is wider than it should be is held askew, and reaches farther to every side of the hand; a narrower one
        may be of a smaller make, and fills less of the same box. If it can be none of them, it is as wide as the
        fingers are apart, and else as large as anything may be.
        """
        those = [
            each
            for each in self.goods
            if each.smallest * each.width_m - YIELD_M <= width_m <= (1.0 + ASKEW) * each.width_m
        ]
        if those:
            return tuple(_in_hand(each, arm, width_m - each.width_m) for each in those)
        boxes = [_in_hand(each, arm) for each in self.goods]
        across, along = (
            max([self.reach_m, *(abs(box.centre[axis]) + box.half[axis] for box in boxes)]) for axis in (0, 2)
        )
        wide = max([_stepped(width_m / 2.0), *(abs(box.centre[1]) + box.half[1] for box in boxes)])
        return (Held(name=SOMETHING, arm=arm, centre=(0.0, 0.0, 0.0), half=(across, wide, along)),)

    def may_touch(self, one: str, other: str) -> bool:
        """Whether a rule of `touching` says so, in either order."""
        return (one, other) in self.touching or (other, one) in self.touching


def _finite(what: str, *values: float) -> None:
    if not all(isfinite(value) for value in values):
        raise ConfigError(f"{what}: got {values}, allowed are finite numbers; measure it again")


def _positive(what: str, *values: float) -> None:
    if not all(isfinite(value) and value > 0.0 for value in values):
        raise ConfigError(f"{what}: got {values} m, allowed are finite lengths > 0; check the unit")


def _in_hand(goods: Goods, arm: str, wider_m: float = 0.0) -> Held:
    """A box that holds it wherever it lies between the fingers, which stand so much wider than it is."""
    (x, y, z), askew = goods.half, _stepped(max(wider_m, 0.0) / 2.0)
    return Held(name=goods.name, arm=arm, centre=goods.centre, half=(x + askew + SLACK_M, y + askew, z + SLACK_M))


def _stepped(metres: float) -> float:
    return STEP_M * ceil(metres / STEP_M)
