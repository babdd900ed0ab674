"""Which pairs a workspace adds, how far each has to stay apart, and that the distances are those of the shapes."""

from itertools import product

import numpy as np
import pytest

from forearm.geometry import Box, Goods
from forearm.messages import Held
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import LINKS, link_frames, tool_poses
from forearm.safety.capsules import ARMS, CAPSULES, RADII, capsule_ends
from forearm.safety.in_hand import enclosing
from forearm.safety.limits import Limits
from forearm.safety.surroundings import Gap, Surroundings
from forearm.safety.sweep import REACH, reach_of
from forearm.safety.workspace import PARTS, Workspace

from .scenes import BOTH_HOME

LIMITS = Limits.of()
POST = Box(name="post", centre=(0.3, -0.1, 0.12), half=(0.03, 0.05, 0.12), yaw=0.4)
SHELF = Box(name="shelf", centre=(0.45, -0.3, 0.3), half=(0.1, 0.3, 0.01))
ZONE = Box(name="zone", centre=(0.2, -0.6, 0.2), half=(0.08, 0.06, 0.2), yaw=-1.1)
CUP = Held(name="cup", arm="left", centre=(0.0, 0.01, 0.04), half=(0.03, 0.03, 0.05))
DISH = Held(name="dish", arm="right", centre=(0.06, 0.0, 0.01), half=(0.10, 0.07, 0.01))
HELD = (CUP, DISH)
A_CUP = Goods(name="cup", half=CUP.half, width_m=0.06)
EVERYTHING = Workspace(table_m=0.03, fixtures=(POST, SHELF), keep_out=(ZONE,))
CAPSULES_ROUND = [(held, capsule) for held in HELD for capsule in enclosing(held)]
MOVING = [f"{side} {capsule.part}" for capsule in CAPSULES if capsule.link != "base" for side in ARMS]
LEFT = [text for text in MOVING if text.startswith("left")]
RIGHT = [text for text in MOVING if text.startswith("right")]
SAMPLES = 101


def around(workspace: Workspace = EVERYTHING, held: tuple[Held, ...] = HELD) -> Surroundings:
    return Surroundings(workspace, LIMITS, held)


def of_kind(pairs: tuple[Gap, ...], kind: str) -> list[str]:
    return [pair.text for pair in pairs if pair.kind == kind]


def poses(count: int) -> np.ndarray:
    return np.random.default_rng(5).uniform(BIMANUAL_YAM.lower, BIMANUAL_YAM.upper, (count, 14))


CARRIED = ["left arm's cup", *["right arm's dish"] * 4]  # a plate is four strips


def test_everything_that_can_come_near_is_a_pair_and_what_cannot_is_none() -> None:
    pairs = around().pairs
    bodies = [*MOVING, *CARRIED]
    assert of_kind(pairs, "fixture") == [f"{body} and {box}" for box in ("post", "shelf") for body in bodies]
    assert of_kind(pairs, "keep-out zone") == [f"{body} and zone" for body in bodies]
    assert of_kind(pairs, "held object and arm") == [
        *(f"left arm's cup and {other}" for other in [*RIGHT, *CARRIED[1:]]),
        *(f"right arm's dish and {other}" for _ in range(4) for other in LEFT),
    ]
    assert of_kind(pairs, "held object and table") == ["left arm's cup and table", "right arm's dish and table"]
    assert len(pairs) == 3 * len(bodies) + len(RIGHT) + 4 + 4 * len(LEFT) + 2
    assert {(pair.kind, pair.box is not None, pair.second is not None) for pair in pairs} == {
        ("fixture", True, False),
        ("keep-out zone", True, False),
        ("held object and arm", False, True),
        ("held object and table", False, False),
    }
    assert {pair.kind for pair in pairs if pair.placing} == {"fixture", "held object and table"}
    assert all(pair.held for pair in pairs if pair.placing)
    carried = {pair.first for pair in pairs if pair.held and pair.box is not None}
    assert carried == set(range(len(RADII), len(RADII) + len(CARRIED)))


@pytest.mark.parametrize("rule", [("cup", "gripper"), ("gripper", "cup")])
def test_a_held_thing_may_touch_the_part_of_the_other_arm_that_a_rule_names(rule: tuple[str, str]) -> None:
    pairs = around(Workspace(touching=(rule, ("cup", "table")), goods=(A_CUP,)), (CUP,)).pairs
    assert [pair.text for pair in pairs] == [f"left arm's cup and {other}" for other in RIGHT if "gripper" not in other]


def test_two_held_things_may_touch_where_a_rule_says_so() -> None:
    dish = Goods(name="dish", half=DISH.half, width_m=0.1)
    pairs = around(Workspace(touching=(("dish", "cup"),), goods=(A_CUP, dish))).pairs
    assert not [pair for pair in pairs if "cup" in pair.text and "dish" in pair.text]


def test_every_kind_of_pair_keeps_the_clearance_of_its_limit() -> None:
    path = np.linspace(BOTH_HOME, BOTH_HOME + np.eye(14)[0] + np.eye(14)[7], 4)  # fast all the way
    of = {"fixture": 0.005, "keep-out zone": 0.005, "held object and arm": 0.012, "held object and table": 0.035}
    surroundings = around()
    expected = np.array([[of[pair.kind]] * 3 for pair in surroundings.pairs])
    np.testing.assert_allclose(surroundings.required(path, 0.1), expected)


def outwards(*arms: int) -> np.ndarray:
    """From home with closed grippers, those arms turning away from each other by 3 rad/s."""
    path = np.tile(BOTH_HOME, (4, 1))
    path[:, [6, 13]] = 0.3
    for arm in arms:
        path[:, 7 * arm] += (0.3, -0.3)[arm] * np.arange(4)
    return path


def test_what_is_slow_or_let_go_of_frees_its_own_pairs_alone() -> None:
    surroundings, path = around(), outwards(0)
    for pair, required in zip(surroundings.pairs, surroundings.required(path, 0.1), strict=True):
        assert np.isneginf(required).tolist() == [pair.placing and pair.held == (1,)] * 3, pair.text  # the dish rests
    path = outwards(0, 1)
    path[2:, 6] = 0.4  # and now the left hand opens
    for pair, required in zip(surroundings.pairs, surroundings.required(path, 0.1), strict=True):
        gone = 0 in pair.held
        assert np.isneginf(required).tolist() == [False, gone, gone], pair.text


def test_one_thing_in_both_hands_is_freed_from_both_arms_and_from_nothing_else() -> None:
    path = outwards(0, 1)
    apart_m = float(np.linalg.norm(np.subtract(*tool_poses(path[:1])[0][0])))
    beam = [Held(name="beam", arm=arm, centre=(0.0, 0.0, 0.0), half=(1.01 * apart_m, 0.02, 0.02)) for arm in ARMS]
    surroundings = around(held=tuple(beam))
    for way, shared in ((path, True), (path[1:], False)):
        for pair, required in zip(surroundings.pairs, surroundings.required(way, 0.1), strict=True):
            assert np.isneginf(required).all() == (shared and pair.kind == "held object and arm"), pair.text


def shapes(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts and ends (bodies, 3) and radii of both arms' capsules and those round the cup and the dish."""
    starts, ends = (points[..., 0].T for points in capsule_ends(pose[None]))
    tools, turns = (each[0] for each in tool_poses(pose[None]))
    for held, capsule in CAPSULES_ROUND:
        arm = ARMS.index(held.arm)
        starts = np.concatenate([starts, [tools[arm] + turns[arm] @ capsule.start]])
        ends = np.concatenate([ends, [tools[arm] + turns[arm] @ capsule.end]])
    return starts, ends, np.array([*RADII, *(capsule.radius for _, capsule in CAPSULES_ROUND)])


def lowest_corner(pose: np.ndarray, held: Held) -> float:
    tools, turns = (each[0, ARMS.index(held.arm)] for each in tool_poses(pose[None]))
    corners = np.array(held.centre) + np.array(list(product((-1, 1), repeat=3))) * held.half
    return float((tools + corners @ turns.T)[:, 2].min())


def away(points: np.ndarray, box: Box) -> np.ndarray:
    """Signed distances of points (n, 3) from a box, by its own turned axes."""
    turn = np.array([[np.cos(box.yaw), -np.sin(box.yaw), 0], [np.sin(box.yaw), np.cos(box.yaw), 0], [0, 0, 1]])
    local = (points - box.centre) @ turn
    outside = np.linalg.norm(local - np.clip(local, -np.array(box.half), box.half), axis=1)
    return np.where(outside > 0, outside, np.max(np.abs(local) - box.half, axis=1))


def test_clearances_are_those_of_points_along_the_capsules() -> None:
    surroundings, boxes, share = around(), (POST, SHELF, ZONE), np.linspace(0, 1, SAMPLES)[:, None]
    every = np.arange(len(surroundings.pairs))
    rows = poses(3)
    placed = surroundings.at(rows)
    for row, pose in enumerate(rows):
        starts, ends, radii = shapes(pose)
        ours = placed.clearance(every, np.full(len(every), row))
        for pair, clearance in zip(surroundings.pairs, ours, strict=True):
            if pair.kind == "held object and table":
                assert clearance == pytest.approx(lowest_corner(pose, HELD[pair.first]))
                continue
            points = starts[pair.first] + share * (ends[pair.first] - starts[pair.first])
            spacing = np.linalg.norm(ends[pair.first] - starts[pair.first]) / (SAMPLES - 1)
            least = radii[pair.first]
            if pair.box is not None:
                theirs = away(points, boxes[pair.box]).min()
            else:
                others = starts[pair.second] + share * (ends[pair.second] - starts[pair.second])
                spacing += np.linalg.norm(ends[pair.second] - starts[pair.second]) / (SAMPLES - 1)
                theirs = np.linalg.norm(points[:, None] - others, axis=2).min()
                least += radii[pair.second]
            assert theirs - least - spacing <= clearance <= theirs - least + 1e-9, pair.text


def test_the_quick_bound_is_that_of_the_spheres_round_the_capsules() -> None:
    surroundings, boxes, rows = around(), (POST, SHELF, ZONE), poses(4)
    bounds = surroundings.at(rows).at_least()
    for row, pose in enumerate(rows):
        starts, ends, radii = shapes(pose)
        middles, halves = (starts + ends) / 2, np.linalg.norm(ends - starts, axis=1) / 2
        for pair, bound in zip(surroundings.pairs, bounds[:, row], strict=True):
            first = pair.first
            if pair.box is not None:
                expected = away(middles[first][None], boxes[pair.box])[0] - halves[first] - radii[first]
            elif pair.second is not None:
                apart = np.linalg.norm(middles[first] - middles[pair.second])
                expected = apart - sum(halves[[first, pair.second]]) - sum(radii[[first, pair.second]])
            else:
                expected = lowest_corner(pose, HELD[first])
            assert bound == pytest.approx(expected), pair.text


def test_the_reach_of_a_pair_is_that_of_the_bodies_in_it() -> None:
    frames, tools = link_frames(poses(1))[:, 0], tool_poses(poses(1))[0]
    tool_m = np.linalg.norm(tools[0, 0] - frames[LINKS.index("gripper"), 0, :3, 3])
    farthest = [np.linalg.norm((0.03, 0.04, 0.09)), np.linalg.norm((0.16, 0.07, 0.02))]
    things = [reach_of("gripper", arm, float(tool_m + farthest[arm])) for arm in (0, 1)]
    reach = np.array([*REACH, things[0], *[things[1]] * 4])
    surroundings = around()
    for pair, row in zip(surroundings.pairs, surroundings.reach, strict=True):
        if pair.kind == "held object and table":
            np.testing.assert_allclose(row, things[pair.first])
            continue
        other = 0.0 if pair.second is None else reach[pair.second]
        np.testing.assert_allclose(row, reach[pair.first] + other, err_msg=pair.text)


def test_a_workspace_without_held_objects_has_its_boxes_alone() -> None:
    surroundings = around(Workspace(fixtures=(POST,)), ())
    assert [pair.text for pair in surroundings.pairs] == [f"{body} and post" for body in MOVING]
    assert (surroundings.required(np.tile(BOTH_HOME, (4, 1)), 0.1) == LIMITS.fixture_clearance_m).all()
    placed = surroundings.at(poses(3))
    assert placed.at_least().shape == (len(MOVING), 3)


def test_rules_name_every_part_of_an_arm() -> None:
    assert PARTS == ("base", "shoulder", "upper arm", "forearm", "wrist", "gripper", "camera", "fingers")
    surroundings = around(Workspace(fixtures=(POST,), touching=tuple(product(PARTS, ["post"]))), ())
    assert surroundings.pairs == ()
    assert surroundings.reach.shape == (0, 14)
