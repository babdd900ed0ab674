"""What a workspace accepts, and how what it describes joins the sweep."""

from dataclasses import replace
from math import pi

import numpy as np
import pytest

from forearm.errors import ConfigError
from forearm.geometry import Box, Goods
from forearm.messages import Held, Outcome, Verdict
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses
from forearm.safety.limits import Limits
from forearm.safety.surroundings import Surroundings
from forearm.safety.vetting import Vetting
from forearm.safety.workspace import PARTS, SLACK_M, SOMETHING, Workspace

from .scenes import BOTH_HOME, NOW_NS, decided, ramp, resting, seen

LIMITS = Limits.of()
LEFT_TOOL = tool_poses(BOTH_HOME[None])[0][0, 0]
BAR = Held(name="bar", arm="left", centre=(0.0, 0.0, 0.0), half=(0.13, 0.016, 0.016))
HOLDING = BOTH_HOME.copy()
HOLDING[6] = 0.34


def vet(workspace: Workspace, rows: np.ndarray, start: np.ndarray = BOTH_HOME, *held: Held) -> Verdict:
    return Vetting(LIMITS, workspace=workspace).vet(decided(rows), seen(start, held=held), NOW_NS)


def post(turn: float, reach_m: float = 0.244, name: str = "post") -> Box:
    """A post as far from the left base as the tool is or `reach_m`, to be met when the arm turns by -`turn` rad."""
    angle = np.arctan2(LEFT_TOOL[1], LEFT_TOOL[0]) - turn
    centre = (float(reach_m * np.cos(angle)), float(reach_m * np.sin(angle)), 0.1)
    return Box(name=name, centre=centre, half=(0.02, 0.02, 0.1))


def holding(rows: np.ndarray, opening: float = 0.34) -> np.ndarray:
    held = rows.copy()
    held[:, 6] = opening
    return held


def test_by_default_there_is_the_table_alone() -> None:
    assert Surroundings(Workspace(), LIMITS).pairs == ()
    assert vet(Workspace(), resting()).outcome is Outcome.ALLOW


def test_an_arm_that_swings_into_a_fixture_keeps_the_beginning_and_names_it() -> None:
    rows = ramp(0, -0.4)
    assert vet(Workspace(), rows).outcome is Outcome.ALLOW
    verdict = vet(Workspace(fixtures=(post(0.6),)), rows)
    assert verdict.outcome is Outcome.LIMIT
    (found,) = verdict.findings
    assert found.check == "clearance: fixture"
    assert found.subject.startswith("left ")
    assert found.subject.endswith(" and post")
    kept = len(verdict.vetted.chunk.positions)
    assert LIMITS.fewest_rows <= kept < 16
    assert f"The first {kept} of 16 rows are kept." in found.text


def test_a_fixture_far_away_objects_to_nothing() -> None:
    assert vet(Workspace(fixtures=(post(0.9),)), ramp(0, -0.1)).outcome is Outcome.ALLOW


def test_no_part_of_an_arm_enters_a_keep_out_zone() -> None:
    zone = Box(name="operator's side", centre=(0.55, -0.3, 0.3), half=(0.2, 0.6, 0.3))
    rows = resting()
    rows[:, 1] += np.linspace(0, 0.5, 16)
    rows[:, 2] += np.linspace(0, 0.4, 16)
    verdict = vet(Workspace(keep_out=(zone,)), rows)
    assert [found.check for found in verdict.findings] == ["clearance: keep-out zone"]
    assert verdict.findings[0].subject.endswith("and operator's side")


def test_an_arm_that_starts_inside_a_zone_may_leave_it_but_not_go_deeper() -> None:
    zone = Box(name="zone", centre=(0.0, float(LEFT_TOOL[1]) + 0.45, 0.0), half=(1.0, 0.5, 1.0))
    inside = Workspace(keep_out=(zone,))
    assert vet(inside, resting()).outcome is Outcome.ALLOW
    assert vet(inside, ramp(0, -0.2)).outcome is Outcome.ALLOW
    assert vet(inside, ramp(0, 0.2)).outcome is Outcome.HOLD


def test_a_turned_box_is_where_it_is_turned_to() -> None:
    fence = Box(name="fence", centre=(0.40, 0.14, 0.1), half=(0.01, 0.3, 0.1))
    rows = ramp(2, -0.1)
    assert vet(Workspace(fixtures=(fence,)), rows).outcome is Outcome.ALLOW
    turned = vet(Workspace(fixtures=(replace(fence, yaw=pi / 2),)), ramp(0, 0.1))
    assert turned.findings[0].subject == "left fingers and fence"


def test_what_may_touch_is_not_compared() -> None:
    fixture, rows = post(0.6), ramp(0, -0.4)
    (found,) = vet(Workspace(fixtures=(fixture,)), rows).findings
    hit = found.subject.removeprefix("left ").removesuffix(" and post")
    all_may = Workspace(fixtures=(fixture,), touching=tuple((part, "post") for part in PARTS))
    others_may = Workspace(fixtures=(fixture,), touching=tuple(("post", part) for part in PARTS if part != hit))
    assert vet(all_may, rows).outcome is Outcome.ALLOW
    assert vet(others_may, rows).findings[0].subject == found.subject


def test_a_higher_table_is_kept_clear_of_as_well() -> None:
    lowest = float(LEFT_TOOL[2])
    assert vet(Workspace(table_m=lowest - 0.10), resting()).outcome is Outcome.ALLOW
    down = ramp(1, 0.2)
    assert vet(Workspace(), down).outcome is Outcome.ALLOW
    verdict = vet(Workspace(table_m=lowest - 0.05), down)
    assert [found.check for found in verdict.findings] == ["clearance: fingers over table"]
    assert verdict.findings[0].limit == pytest.approx(lowest - 0.05 + LIMITS.finger_height_m)


BLOCK = Goods(name="block", half=(0.02, 0.02, 0.02), width_m=0.04)
LID = Goods(name="lid", half=(0.07, 0.07, 0.017), width_m=0.024, centre=(0.0, 0.0, 0.003))
LID_AS_WIDE = replace(LID, width_m=0.044)


@pytest.mark.parametrize(
    ("width_m", "names"),
    [(0.037, ["block"]), (0.039, ["block", "lid"]), (0.058, ["lid"]), (0.063, [SOMETHING]), (0.02, [SOMETHING])],
)
def test_what_an_arm_holds_is_all_that_is_as_wide_between_the_fingers(width_m: float, names: list[str]) -> None:
    held = Workspace(goods=(BLOCK, LID_AS_WIDE)).held_by("left", width_m)
    assert [each.name for each in held] == names
    assert {each.arm for each in held} == {"left"}


def test_a_smaller_make_fills_less_of_the_same_box() -> None:
    run_smaller = Workspace(goods=(replace(LID, smallest=0.75),))
    (straight,) = run_smaller.held_by("left", LID.width_m)
    assert run_smaller.held_by("left", 0.75 * LID.width_m - 0.004) == (straight,)
    (narrower,) = run_smaller.held_by("left", 0.75 * LID.width_m - 0.007)
    assert narrower.name == SOMETHING


def test_goods_may_lie_a_little_off_in_the_hand() -> None:
    (held,) = Workspace(goods=(BLOCK, LID)).held_by("right", 0.022)
    assert held == Held(name="lid", arm="right", centre=(0.0, 0.0, 0.003), half=(0.07 + SLACK_M, 0.07, 0.017 + SLACK_M))


def test_goods_that_hold_the_fingers_wider_apart_lie_askew_and_reach_farther() -> None:
    (held,) = Workspace(goods=(BLOCK,)).held_by("right", 0.0499)
    assert held.half == pytest.approx((0.025 + SLACK_M, 0.025, 0.02 + SLACK_M))
    (wider,) = Workspace(goods=(BLOCK,)).held_by("right", 0.051)
    assert wider.half == pytest.approx((0.03 + SLACK_M, 0.03, 0.02 + SLACK_M))
    (edgewise,) = Workspace(goods=(BLOCK,)).held_by("right", 0.04 * np.sqrt(2.0))
    assert edgewise.name == "block"
    assert edgewise.half[1] >= 0.02 * np.sqrt(2.0)


def test_what_is_none_of_the_goods_is_as_large_as_anything_may_be() -> None:
    (unknown,) = Workspace().held_by("left", 0.061)
    assert (unknown.arm, unknown.centre) == ("left", (0.0, 0.0, 0.0))
    assert unknown.half == pytest.approx((0.05, 0.035, 0.05))
    (as_large,) = Workspace(goods=(BLOCK, LID)).held_by("left", 0.061)
    assert as_large.half == pytest.approx((0.07 + SLACK_M, 0.07, 0.05))
    (wider,) = Workspace(goods=(BLOCK, LID), reach_m=0.1).held_by("left", 0.1601)
    assert wider.half == pytest.approx((0.1, 0.085, 0.1))


def test_reach_bounds_how_much_any_clearance_changes() -> None:
    rods = [Held(name="rod", arm=arm, centre=(0.0, 0.0, 0.0), half=(0.01, 0.20, 0.01)) for arm in ("left", "right")]
    zone = Box(name="zone", centre=(0.3, -0.6, 0.2), half=(0.1, 0.05, 0.2), yaw=0.4)
    surroundings = Surroundings(Workspace(fixtures=(post(0.5),), keep_out=(zone,)), LIMITS, rods)
    generator = np.random.default_rng(3)
    before = generator.uniform(BIMANUAL_YAM.lower, BIMANUAL_YAM.upper, (60, 14))
    steps = generator.normal(0, 0.05, before.shape) * (generator.random(before.shape) < 0.3)
    every = np.arange(len(surroundings.pairs))

    def exact(positions: np.ndarray) -> np.ndarray:
        placed = surroundings.at(positions)
        return np.stack([placed.clearance(every, np.full(len(every), row)) for row in range(len(positions))])

    change, allowed = np.abs(exact(before + steps) - exact(before)), np.abs(steps) @ surroundings.reach.T
    assert (change <= allowed + 1e-9).all()
    assert (change / np.maximum(allowed, 1e-6)).max() > 0.6
    over = surroundings.at(before).at_least().T - exact(before)
    assert over.max() <= 1e-12
    kinds = {pair.kind for pair in surroundings.pairs}
    assert kinds == {"fixture", "keep-out zone", "held object and arm", "held object and table"}


def test_a_pose_that_is_not_a_number_is_clear_of_nothing() -> None:
    surroundings = Surroundings(
        Workspace(
            fixtures=(post(0.5),),
        ),
        LIMITS,
        (BAR,),
    )
    pose = HOLDING[None].copy()
    pose[0, 1] = np.nan
    left = np.array([pair.text.startswith("left") for pair in surroundings.pairs])
    moved = np.array([not pair.text.startswith("left shoulder") for pair in surroundings.pairs])
    every = np.flatnonzero(left & moved)
    assert np.isnan(surroundings.at(pose).clearance(every, np.zeros_like(every))).all()


BOX = Box(name="box", centre=(0.3, -0.3, 0.1), half=(0.1, 0.1, 0.1))
NUMBERS, LENGTHS = "allowed are finite numbers; measure it again", "allowed are finite lengths > 0; check the unit"
WRONG = {
    "a size of zero": (
        {"fixtures": (replace(BOX, half=(0.1, 0.0, 0.1)),)},
        f"half sizes of box 'box': got (0.1, 0.0, 0.1) m, {LENGTHS}",
    ),
    "a size that is no number": (
        {"keep_out": (replace(BOX, half=(0.1, np.nan, 0.1)),)},
        "half sizes of box 'box': got ",
    ),
    "a centre that is no number": (
        {"fixtures": (replace(BOX, centre=(np.inf, 0.0, 0.0)),)},
        f"box 'box': got (inf, 0.0, 0.0, 0.0), {NUMBERS}",
    ),
    "a turn that is no number": ({"fixtures": (replace(BOX, yaw=np.nan),)}, "box 'box': got (0.3, -0.3, 0.1, nan), "),
    "a table that is no number": ({"table_m": np.nan}, f"table height: got (nan,), {NUMBERS}"),
    "goods without a width": (
        {"goods": (replace(BLOCK, width_m=0.0),)},
        f"half sizes and width of 'block': got (0.02, 0.02, 0.02, 0.0) m, {LENGTHS}",
    ),
    "goods with a size that is no number": (
        {"goods": (replace(BLOCK, half=(0.02, np.nan, 0.02)),)},
        "half sizes and width of 'block': got ",
    ),
    "goods that lie nowhere": (
        {"goods": (replace(BLOCK, centre=(np.nan, 0.0, 0.0)),)},
        f"place of 'block' in the hand: got (nan, 0.0, 0.0), {NUMBERS}",
    ),
    "a reach of zero": ({"reach_m": 0.0}, f"reach of what may be held: got (0.0,) m, {LENGTHS}"),
    "one name for a fixture and a zone": (
        {"fixtures": (BOX,), "keep_out": (BOX,)},
        "workspace: got the name 'box' for two kinds of things; rename one of them",
    ),
    "goods called table": ({"goods": (replace(BLOCK, name="table"),)}, "workspace: got the name 'table' for two "),
    "a fixture called like what is unknown": (
        {"fixtures": (replace(BOX, name=SOMETHING),)},
        "workspace: got the name 'something' for two ",
    ),
    "a fixture called like a part": (
        {"fixtures": (replace(BOX, name="fingers"),)},
        "workspace: got the name 'fingers' ",
    ),
    "a make larger than the largest": (
        {"goods": (replace(BLOCK, smallest=1.2),)},
        "smallest make of 'block': got 1.2, allowed are shares > 0 and ≤ 1",
    ),
    "a rule about nothing": (
        {"touching": (("fingers", "bottle"),)},
        "what may touch: got 'bottle', allowed are base, ",
    ),
    "a rule that opens a zone": (
        {"keep_out": (BOX,), "touching": (("fingers", "box"),)},
        "what may touch: got 'box', ",
    ),
}


@pytest.mark.parametrize(("fields", "message"), WRONG.values(), ids=list(WRONG))
def test_a_workspace_that_means_nothing_is_refused_and_it_is_said_why(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Workspace(**fields)
    assert str(caught.value).startswith(message)


def test_a_near_miss_in_a_rule_is_suggested() -> None:
    with pytest.raises(ConfigError, match="did you mean 'box'"):
        Workspace(fixtures=(BOX,), touching=(("fingers", "boxx"),))
