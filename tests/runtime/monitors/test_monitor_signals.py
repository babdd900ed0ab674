from dataclasses import replace

import numpy as np
import pytest
from monitor_bench import HOME, MODEL, decided, let_through, planned, seen, started

from forearm.events import ModeChanged
from forearm.messages import ActionChunk, Outcome
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.robot.kinematics import tool_poses
from forearm.runtime.monitors.signals import ChunkShift, DepthGap, Look, Standstill, TraceGap, way_left_m
from forearm.runtime.monitors.weighing import Weighing

TOP = BIMANUAL_YAM.cameras[0]


def test_a_plan_that_sees_what_the_camera_measures_has_no_depth_gap() -> None:
    look = Look(decision=decided(plan=planned(metres=1.0)), observation=seen(metres=1.0))
    assert DepthGap().weigh(look) == pytest.approx(0.0, abs=1e-3)


def test_the_depth_gap_is_in_mm_and_one_cell_of_a_hundred_counts_a_tenth() -> None:
    everywhere = Look(decision=decided(plan=planned(metres=1.05)), observation=seen(metres=1.0))
    assert DepthGap().weigh(everywhere) == pytest.approx(50.0, abs=0.01)
    depths = np.full((10, 10), 1.0)
    depths[3, 4] = 1.05
    one = Look(decision=decided(plan=replace(planned(), depth_map=depths)), observation=seen(metres=1.0))
    assert DepthGap().weigh(one) == pytest.approx(5.0, abs=0.01)


@pytest.mark.parametrize("metres", [None, float("nan")])
def test_where_no_depth_was_measured_the_depth_gap_says_nothing(metres: float | None) -> None:
    assert np.isnan(DepthGap().weigh(Look(decision=decided(plan=planned()), observation=seen(metres=metres))))


def test_tools_that_stand_where_a_trace_led_away_are_off_by_that_way() -> None:
    before = Look(decision=decided(plan=planned(ahead_m=0.12)), observation=seen())
    look = Look(decision=decided(0.6, planned()), observation=seen(0.6), before=before)
    assert TraceGap().weigh(look) == pytest.approx(60.0, abs=0.01)
    still = replace(before, decision=decided(plan=planned(ahead_m=0.0)))
    assert TraceGap().weigh(replace(look, before=still)) == pytest.approx(0.0, abs=1e-6)


def test_beyond_the_last_waypoint_and_without_a_plan_before_a_trace_says_nothing() -> None:
    before = Look(decision=decided(plan=planned()), observation=seen())
    for look in (
        Look(decision=decided(1.3, planned()), observation=seen(1.3), before=before),
        Look(decision=decided(0.6, planned()), observation=seen(0.6), before=replace(before, decision=decided())),
        Look(decision=decided(0.6, planned()), observation=seen(0.6)),
    ):
        assert np.isnan(TraceGap().weigh(look))


def test_chunks_are_compared_at_the_same_instants_not_at_the_same_rows() -> None:
    def ramp(begin_s: float) -> np.ndarray:
        return np.tile((begin_s + 0.1 * np.arange(1, 17))[:, None], 14)

    before = Look(decision=decided(0.0, rows=ramp(0.0)), observation=seen())
    same = Look(decision=decided(0.45, rows=ramp(0.45)), observation=seen(0.45), before=before)
    assert ChunkShift().weigh(same) == pytest.approx(0.0, abs=1e-9)
    other = replace(same, decision=decided(0.45, rows=ramp(0.45) + 0.2))
    assert ChunkShift().weigh(other) == pytest.approx(0.2, abs=1e-9)
    later = replace(same, decision=decided(2.0, rows=ramp(0.0)))
    assert np.isnan(ChunkShift().weigh(later))


def test_the_way_left_is_from_the_tools_to_their_points_on_the_surface_that_is_seen() -> None:
    assert TOP.cell_from_camera is not None
    tools = tool_poses(HOME)[0]
    target = np.array([0.3, -0.2, 0.0])
    in_camera = TOP.cell_from_camera.inverse().apply(target)
    point = TOP.pinhole.project(in_camera) / np.array([TOP.width, TOP.height])
    points = np.array([point, [np.nan, np.nan]])
    plan = planned(metres=float(in_camera[2]), points=points)
    assert way_left_m(plan, seen()) == pytest.approx(np.linalg.norm(target - tools[0]), abs=1e-6)
    assert way_left_m(planned(), seen()) == 0.0


def nearing(at_s: float, metres: float, subtask: str) -> Look:
    """A look at a plan whose point is that far from the top camera, both arms bound for it."""
    plan = planned(metres=metres, points=np.full((2, 2), 0.5), subtask=subtask)
    return Look(decision=decided(at_s, plan), observation=seen(at_s))


def test_standing_still_adds_up_until_something_comes_nearer() -> None:
    signal = Standstill()
    waits = [signal.weigh(nearing(at, 0.9, "reach")) for at in (0.0, 0.8, 1.6)]
    assert waits == pytest.approx([0.0, 0.8, 1.6])
    closer = min((0.8, 1.0), key=lambda metres: way_left_m(nearing(0, metres, "").decision.plan, seen()))  # pyright: ignore[reportArgumentType]
    assert signal.weigh(nearing(2.4, closer, "reach")) == 0.0


def test_a_new_subtask_is_progress_and_going_back_to_an_old_one_is_not() -> None:
    signal = Standstill()
    signal.weigh(nearing(0.0, 0.9, "reach"))
    assert signal.weigh(nearing(0.8, 0.9, "close")) == 0.0
    assert signal.weigh(nearing(1.6, 0.9, "reach")) == pytest.approx(0.8)
    assert signal.weigh(nearing(2.4, 0.9, "close")) == pytest.approx(1.6)


def test_events_become_weighed_decisions_and_each_is_compared_with_what_was_followed() -> None:
    weighing, rows = Weighing(), np.tile(HOME, (16, 1))
    assert weighing.note(started()) is None
    found = []
    for at_s, shift, outcome in ((0.0, 0.0, Outcome.ALLOW), (0.8, 0.5, Outcome.HOLD), (0.9, 0.0, Outcome.LIMIT)):
        decision = decided(at_s, planned(), rows + shift, features=np.ones(3))
        found += filter(None, map(weighing.note, let_through(decision, seen(at_s), outcome)))
    assert [each.sequence for each in found] == [0, 80, 90]
    shifts = [each.values["chunk"] for each in found]
    assert np.isnan(shifts[0])
    assert shifts[1:] == pytest.approx([0.5, 0.0])  # the refused chunk was never followed
    assert found[0].features.tolist() == [1.0, 1.0, 1.0]


def test_after_a_hold_nothing_is_compared_with_what_was_before_it() -> None:
    weighing = Weighing()
    for event in [started(), *let_through(decided(0.0, planned()), seen(0.0))]:
        weighing.note(event)
    weighing.note(ModeChanged(stamp_ns=1, before="engaged", after="holding", trigger="hold", reason=""))
    (found,) = filter(None, map(weighing.note, let_through(decided(0.8, planned()), seen(0.8))))
    assert np.isnan(found.values["chunk"])
    assert np.isnan(found.values["trace"])


def test_what_a_recovery_has_the_arms_do_is_no_decision_of_the_model() -> None:
    weighing = Weighing()
    weighing.note(started(MODEL))
    theirs = replace(decided(), model_digest="")
    assert not any(weighing.note(event) for event in let_through(theirs, seen()))


def test_an_answer_to_what_was_never_seen_is_not_weighed() -> None:
    weighing = Weighing()
    weighing.note(started())
    late = decided(0.5)
    chunk = ActionChunk(stamp_ns=7, period_s=0.1, positions=late.chunk.positions)
    assert not any(weighing.note(event) for event in let_through(replace(late, chunk=chunk), seen(0.5)))
