"""Where a stated map agreed is remembered and gone back to, and what stands up where one is wrong is measured."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from runtime_stubs import HOME, LIMITS, Bench, ObedientRobot, Wave, ns

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import Clock, SimulatedClock
from forearm.events import RecoveryBegan, RecoveryEnded
from forearm.messages import Decision, DepthImage, Floats, Observation, Outcome, Plan, Request, Verdict, VettedChunk
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses
from forearm.runtime import retreat
from forearm.runtime.agreement import ELSEWHERE_RAD, Agreement, rises_m
from forearm.runtime.conditions import LOW_M
from forearm.runtime.inference import Answer
from forearm.runtime.recovery import Budget
from forearm.safety import checks

TOP = BIMANUAL_YAM.cameras[0]
BOX_M = 0.3  # m, how high it stands
READY = np.array([0.611, 1.467, 1.299, -1.403, 0.0, -1.571, 1.0, -0.611, 1.467, 1.299, -1.403, 0.0, 1.571, 1.0])


def depth_of(height_m: float = 0.0, side: int = 120) -> Floats:
    """(H, W) m from the main camera to a plane so high above the table."""
    placed = TOP.cell_from_camera
    assert placed is not None
    at = (np.arange(side) + 0.5) / side
    pixels = np.stack(np.meshgrid(at * TOP.width, at * TOP.height), axis=-1)
    rays = placed.apply(TOP.pinhole.unproject(pixels, np.ones((side, side)))) - placed.translation
    return (height_m - placed.translation[2]) / rays[..., 2]


TABLE = depth_of(side=10)  # as a plan says it
BARE, FURNISHED = depth_of(), depth_of()  # as the camera measures it, and with a box that stands on part of it
FURNISHED[24:72, 24:48] = depth_of(BOX_M)[24:72, 24:48]


def plan_of(rows: Floats, depth_map: Floats) -> Plan:
    return Plan(
        subtask="", depth_tokens=np.zeros(100, dtype=np.int64), depth_map=depth_map, points=np.full((2, 2), np.nan),
        trace=tool_poses(rows)[0].transpose(1, 0, 2), trace_grippers=np.ones((2, len(rows))),
        trace_times_s=0.1 * np.arange(1, len(rows) + 1), confidence=1.0,
    )  # fmt: skip


class SeesTable(ObedientRobot):
    """Its main camera measures the bare table, and the furnished one from `box_from_s` on."""

    def __init__(self, clock: Clock, box_from_s: float = np.inf) -> None:
        super().__init__(clock)
        self._box_from_ns = box_from_s * 1e9

    def read(self) -> Observation:
        seen = super().read()
        metres = FURNISHED if seen.stamp_ns >= self._box_from_ns else BARE
        depth = DepthImage(stamp_ns=seen.images["top"].stamp_ns, metres=metres.astype(np.float32))
        return replace(seen, depths={"top": depth})


class Turns(Wave):
    """Turns the left base joint to 0.6 rad and after 2 s back; its map is that of the table unless `wrong`."""

    def __init__(self, wrong: Callable[[Observation], bool]) -> None:
        super().__init__()
        self._wrong = wrong

    def decide(self, request: Request) -> Decision:
        decision, seen = super().decide(request), request.observation
        rows, start = np.tile(HOME, (16, 1)), seen.positions[0]
        goal = 0.6 if seen.stamp_ns < ns(2.0) else 0.0
        rows[:, 0] = start + np.clip(goal - start, -1.0, 1.0) * np.minimum(np.arange(1, 17) / 10.0, 1.0)
        said = TABLE + 0.2 * self._wrong(seen)
        return replace(decision, chunk=replace(decision.chunk, positions=rows), plan=plan_of(rows, said))


def rungs(bench: Bench) -> list[tuple[str, str]]:
    return [(event.condition, event.rung) for event in bench.events if isinstance(event, RecoveryBegan)]


@pytest.mark.slow
def test_a_map_that_is_wrong_here_is_made_anew_where_it_agreed_and_that_is_proven() -> None:
    policy = Turns(lambda seen: seen.stamp_ns > ns(3.0) and bool(seen.positions[0] < 0.25))
    bench = Bench(policy, robot=SeesTable, budget=Budget(), goal_s=7.0)
    assert bench.session.run().outcome == "done"
    assert rungs(bench)[:2] == [
        ("misperception", "perceive again"),
        ("misperception", "go back to where its map agreed"),
    ]
    began = next(event for event in bench.events if isinstance(event, RecoveryBegan))
    assert began.evidence["wrong_share"] > 0.9  # some cells show nothing but the arms
    assert began.evidence["limit_share"] == LIMITS.depth_cells
    assert 0.0 <= began.evidence["rises_m"] < 0.01
    ended = [event for event in bench.events if isinstance(event, RecoveryEnded)]
    assert [event.recovered for event in ended[:2]] == [False, True]
    assert ended[1].proof == "The arms have followed plans whose map is what the camera measures for 0.5 s."


@pytest.mark.slow
def test_what_stands_where_the_model_does_not_see_it_is_waited_for_and_asked_about_and_nothing_moves() -> None:
    bench = Bench(
        Turns(lambda seen: False),
        robot=lambda clock: SeesTable(clock, 1.5),
        budget=Budget(),
        time_limit_s=30.0,
        goal_s=30.0,
    )
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "A person is needed" in ended.reason
    expected = ["perceive again", "wait and decide anew", "wait and decide anew", "ask the operator"]
    assert rungs(bench) == [("misperception", rung) for rung in expected]
    began = [event for event in bench.events if isinstance(event, RecoveryBegan)]
    assert began[0].evidence["rises_m"] == pytest.approx(BOX_M, abs=0.02)
    sent = [event for event in bench.events if event.kind == "commanded" and event.stamp_ns > began[1].stamp_ns]
    assert np.ptp(np.array([event.positions for event in sent]), axis=0).max() < 1e-3


def test_without_the_ladder_the_same_maps_end_in_a_stop() -> None:
    policy = Turns(lambda seen: seen.stamp_ns > ns(3.0) and bool(seen.positions[0] < 0.25))
    assert Bench(policy, robot=SeesTable, goal_s=7.0).session.run().outcome == "stopped"


def answer(stamp_ns: int, *, agreed: bool, plan: bool = True) -> Answer:
    rows = np.tile(HOME, (16, 1))
    decision = Turns(lambda seen: False).decide(Request(observation=looking(HOME)))
    decision = replace(decision, chunk=replace(decision.chunk, stamp_ns=stamp_ns), plan=decision.plan if plan else None)
    vetted = VettedChunk(chunk=replace(decision.chunk, positions=rows), sequence=1, epoch=1)
    found = () if agreed else checks.finding("depth", Outcome.HOLD, "top", 0.5, 0.02, "of the cells", "Wrong.")
    outcome = Outcome.ALLOW if agreed else Outcome.HOLD
    return Answer(
        decision=decision,
        verdict=Verdict(outcome=outcome, findings=found, vetted=vetted if agreed else None),
        ready_ns=0,
    )


def looking(positions: Floats) -> Observation:
    robot = SeesTable(SimulatedClock())
    robot.connect(1)
    robot.positions = positions
    return robot.read()


def turned(angles: Floats) -> Floats:
    """(N, J) the left base joint at those angles, hands high."""
    path = np.tile(READY, (len(angles), 1))
    path[:, 0] += angles
    return path


def remembering(path: Floats, *agreed: int) -> Agreement:
    """After a path of which these rows were looked at and agreed with."""
    agreement = Agreement(LIMITS, 100)
    for row, pose in enumerate(path):
        agreement.add_row()
        if row in agreed:
            agreement.note(answer(ns(0.1 * row), agreed=True), looking(pose), ns(0.1 * row))
    return agreement


OUT_AND_BACK = turned(np.concatenate([np.linspace(0.0, -1.0, 11), np.linspace(-1.0, 0.0, 11)]))


def test_the_nearest_place_along_the_path_is_gone_to_from_a_stand_with_the_grippers_as_they_are() -> None:
    path = np.concatenate([OUT_AND_BACK, OUT_AND_BACK[:1]])
    path[-1, 6] = 0.25
    way = remembering(path[:-1], 5, 12).way_back(path)
    assert way is not None
    np.testing.assert_allclose(way[-1, :6], path[5, :6])  # five rows from the beginning, ten back from the end
    np.testing.assert_array_equal(way[: retreat.STANDING_ROWS], np.tile(path[-1], (retreat.STANDING_ROWS, 1)))
    assert (way[:, 6] == 0.25).all()
    assert np.abs(np.diff(way, axis=0)).max() <= retreat.STEP_RAD + 1e-9


def test_a_place_is_not_gone_to_where_maps_were_refused_since_and_the_next_one_is() -> None:
    agreement = remembering(OUT_AND_BACK, 5, 10)
    path = OUT_AND_BACK
    agreement.note(answer(0, agreed=False), looking(path[5]), ns(2.3))
    way = agreement.way_back(path)
    assert way is not None
    np.testing.assert_allclose(way[-1], path[10])
    agreement.note(answer(0, agreed=False), looking(path[10]), ns(2.4))
    assert agreement.way_back(path) is None
    agreement.note(answer(ns(2.1), agreed=True), looking(path[-1]), ns(2.1))
    assert agreement.way_back(path) is not None


def test_there_is_no_way_back_to_where_the_arms_are_or_where_nothing_ever_agreed() -> None:
    assert remembering(OUT_AND_BACK).way_back(OUT_AND_BACK) is None
    assert remembering(OUT_AND_BACK, 0, 1, 2).way_back(OUT_AND_BACK) is None
    assert ELSEWHERE_RAD > 0.2


def test_a_decision_without_a_plan_or_of_long_ago_is_no_place() -> None:
    agreement = remembering(OUT_AND_BACK)
    agreement.note(answer(ns(1.0), agreed=True, plan=False), looking(OUT_AND_BACK[-1]), ns(2.1))
    agreement.note(answer(0, agreed=True), looking(OUT_AND_BACK[-1]), ns(99.0))
    assert agreement.way_back(OUT_AND_BACK) is None


def test_a_way_back_does_not_lead_a_hand_down_to_what_lies_about() -> None:
    path = turned(np.linspace(0.0, -2.0, 21))
    path[8:12, 1] += 0.35  # lowered to the table on the way
    way = remembering(path, 2).way_back(path)
    assert way is not None
    assert tool_poses(way)[0][:, 0, 2].min() >= retreat.PASSING_Z_M - retreat.ROUNDING_M
    np.testing.assert_allclose(way[-1], path[12])


def test_what_stands_is_measured_where_the_map_is_wrong_and_not_elsewhere() -> None:
    metres = depth_of()
    metres[24:36, 24:36] = depth_of(0.2)[24:36, 24:36]  # the cell in row 3, column 3
    seen = replace(looking(HOME), depths={"top": DepthImage(stamp_ns=0, metres=metres.astype(np.float32))})
    rows = np.tile(HOME, (2, 1))
    assert rises_m(plan_of(rows, TABLE), seen, LIMITS) == pytest.approx(0.2, abs=0.005)
    elsewhere, silent = TABLE.copy(), TABLE.copy()
    elsewhere[2, 2] = depth_of(0.2, 10)[2, 2]
    elsewhere[0, 0] += 0.3
    assert rises_m(plan_of(rows, elsewhere), seen, LIMITS) < 0.001
    silent[2, 2] = np.nan
    assert rises_m(plan_of(rows, silent), seen, LIMITS) == pytest.approx(0.2, abs=0.005)


def test_without_depth_or_a_map_nothing_is_known_to_be_low() -> None:
    rows = np.tile(HOME, (2, 1))
    assert np.isnan(rises_m(plan_of(rows, TABLE), replace(looking(HOME), depths={}), LIMITS))
    assert np.isnan(rises_m(plan_of(rows, np.empty((0, 0))), looking(HOME), LIMITS))


@pytest.mark.parametrize("task", ["lift", "hand-over"])
def test_the_arms_themselves_do_not_stand_in_their_way(task: str) -> None:
    setup = task_named(task).sample(7)
    inwards = np.array(setup.start)
    inwards[[0, 7]] += (-0.8, 0.8)  # into the main camera's view
    robot = CellRobot(setup=replace(setup, start=tuple(inwards.tolist())), clock=SimulatedClock())
    robot.connect(1)
    try:
        seen = robot.read()
    finally:
        robot.close()
    everything = plan_of(np.tile(HOME, (2, 1)), np.full((10, 10), 3.0))
    assert rises_m(everything, seen, LIMITS) < LOW_M
    assert rises_m(everything, replace(seen, positions=np.array(setup.start)), LIMITS) > LOW_M
