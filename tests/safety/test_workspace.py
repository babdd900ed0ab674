"""What a workspace accepts, and how what it describes joins the sweep."""

from dataclasses import replace
from math import pi

import numpy as np
import pytest

from forearm.errors import ConfigError
from forearm.geometry import Box
from forearm.messages import Outcome, Verdict
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses
from forearm.safety.limits import Limits
from forearm.safety.surroundings import Surroundings
from forearm.safety.vetting import Vetting
from forearm.safety.workspace import PARTS, Held, Workspace

from .scenes import BOTH_HOME, NOW_NS, decided, ramp, resting, seen

LIMITS = Limits.of()
LEFT_TOOL = tool_poses(BOTH_HOME[None])[0][0, 0]
BAR = Held.box("bar", "left", (0.016, 0.13, 0.016), (0.2, 0.5))
HOLDING = BOTH_HOME.copy()
HOLDING[6] = 0.34


def vet(workspace: Workspace, rows: np.ndarray, start: np.ndarray = BOTH_HOME) -> Verdict:
    return Vetting(LIMITS, workspace=workspace).vet(decided(rows), seen(start), NOW_NS)


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


def test_a_held_object_joins_the_sweep_while_the_gripper_holds_it() -> None:
    fixtures = (post(0.25, reach_m=0.36),)
    with_bar, rows = Workspace(fixtures=fixtures, held=(BAR,)), ramp(0, -0.15)
    assert vet(with_bar, rows).outcome is Outcome.ALLOW  # the gripper is open: nothing is held
    verdict = vet(with_bar, holding(rows), HOLDING)
    assert verdict.findings[0].subject == "bar and post"
    assert vet(Workspace(fixtures=fixtures), holding(rows), HOLDING).outcome is Outcome.ALLOW


def test_a_held_object_is_kept_from_the_table_unless_it_may_lie_there() -> None:
    long = Held.box("rod", "left", (0.01, 0.01, 0.05), (0.2, 0.5), centre=(0.0, 0.0, 0.06))
    rows = holding(ramp(1, 0.2))
    assert vet(Workspace(), rows, HOLDING).outcome is Outcome.ALLOW
    found = vet(Workspace(held=(long,)), rows, HOLDING).findings[0]
    assert (found.check, found.subject) == ("clearance: held object and table", "rod and table")
    assert vet(Workspace(held=(long,), touching=(("rod", "table"),)), rows, HOLDING).outcome is Outcome.ALLOW
    higher = Workspace(held=(long,), table_m=0.01)
    assert vet(higher, rows, HOLDING).findings[0].limit > found.limit


def test_a_held_object_is_kept_from_the_other_arm_and_from_what_that_holds() -> None:
    rods = tuple(Held.box("rod", arm, (0.01, 0.20, 0.01), (0.2, 0.5)) for arm in ("left", "right"))
    workspace = Workspace(held=rods)
    texts = [pair.text for pair in Surroundings(workspace, LIMITS).pairs]
    assert texts.count("rod and rod") == 1
    rows = resting()
    rows[:, 0] -= np.linspace(0, 1.4, 16)
    rows[:, 7] += np.linspace(0, 1.4, 16)
    rows[:, [6, 13]] = 0.34
    both = HOLDING.copy()
    both[13] = 0.34
    assert vet(Workspace(), rows, both).outcome is Outcome.ALLOW
    verdict = vet(workspace, rows, both)
    assert verdict.findings[0].check == "clearance: held object and arm"
    one = vet(workspace, rows, HOLDING)  # the right gripper is open: its rod is not there
    assert one.outcome is Outcome.ALLOW or "rod and rod" not in {found.subject for found in one.findings}


def test_a_box_in_the_hand_is_wholly_inside_its_capsule() -> None:
    for half in ((0.02, 0.02, 0.02), (0.016, 0.13, 0.016), (0.05, 0.01, 0.03)):
        held = Held.box("thing", "right", half, (0.1, 0.9), centre=(0.01, 0.0, -0.02))
        corners = np.array(np.meshgrid(*[(-each, each) for each in half])).reshape(3, -1).T
        corners = corners + np.array([0.01, 0.0, -0.02])
        start, way = np.array(held.start), np.array(held.end) - np.array(held.start)
        share = np.clip((corners - start) @ way / (way @ way), 0, 1)
        assert np.linalg.norm(corners - start - share[:, None] * way, axis=1).max() <= held.radius + 1e-12


@pytest.mark.parametrize("longest", range(3))
def test_the_capsule_of_a_box_lies_along_its_longest_side_and_is_no_longer_than_it(longest: int) -> None:
    half = [0.02, 0.02, 0.02]
    half[longest] = 0.13
    held = Held.box("bar", "left", (half[0], half[1], half[2]), (0.2, 0.5), centre=(0.1, 0.2, 0.3))
    along = 0.11 * np.eye(3)[longest]
    np.testing.assert_allclose(held.start, np.array([0.1, 0.2, 0.3]) - along)
    np.testing.assert_allclose(held.end, np.array([0.1, 0.2, 0.3]) + along)
    assert held.radius == pytest.approx(0.02 * np.sqrt(3))


def test_a_cube_and_a_capsule_a_millimetre_long_may_be_held() -> None:
    cube = Held.box("cube", "left", (0.02, 0.02, 0.02), (0.2, 0.5))
    short = replace(BAR, start=(0.0, 0.0, 0.0), end=(0.0, 0.0, 0.001))
    assert Workspace(held=(cube, short)).held == (cube, short)


def test_reach_bounds_how_much_any_clearance_changes() -> None:
    rods = tuple(Held.box("rod", arm, (0.01, 0.20, 0.01), (0.0, 1.0)) for arm in ("left", "right"))
    zone = Box(name="zone", centre=(0.3, -0.6, 0.2), half=(0.1, 0.05, 0.2), yaw=0.4)
    surroundings = Surroundings(Workspace(fixtures=(post(0.5),), keep_out=(zone,), held=rods), LIMITS)
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
    surroundings = Surroundings(Workspace(fixtures=(post(0.5),), held=(BAR,)), LIMITS)
    pose = HOLDING[None].copy()
    pose[0, 1] = np.nan
    left = np.array([pair.text.startswith(("left", "bar")) for pair in surroundings.pairs])
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
    "a start that is no number": ({"held": (replace(BAR, start=(np.nan, 0.0, 0.0)),)}, "held object 'bar': got (nan, "),
    "an end that is no number": ({"held": (replace(BAR, end=(0.0, 0.0, np.inf)),)}, "held object 'bar': got "),
    "an opening that is no number": ({"held": (replace(BAR, opening=(0.1, np.nan)),)}, "held object 'bar': got "),
    "a held object without a radius": (
        {"held": (replace(BAR, radius=0.0),)},
        f"radius of held object 'bar': got (0.0,) m, {LENGTHS}",
    ),
    "a held object without a length": (
        {"held": (replace(BAR, start=(0.1, 0.2, 0.3), end=(0.1, 0.2, 0.3)),)},
        f"length of held object 'bar': got (-0.0005,) m, {LENGTHS}",
    ),
    "a held object that is too short": (
        {"held": (replace(BAR, start=(0.0, 0.0, 0.0), end=(0.0, 0.0, 0.0004)),)},
        "length of held object 'bar': got ",
    ),
    "an arm that there is not": (
        {"held": (replace(BAR, arm="middle"),)},
        "arm of a held object: got 'middle', allowed are left or right",
    ),
    "one name for a fixture and a zone": (
        {"fixtures": (BOX,), "keep_out": (BOX,)},
        "workspace: got the name 'box' for two kinds of things; rename one of them",
    ),
    "a held object called table": ({"held": (replace(BAR, name="table"),)}, "workspace: got the name 'table' for two "),
    "a fixture called like a part": (
        {"fixtures": (replace(BOX, name="fingers"),)},
        "workspace: got the name 'fingers' ",
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
