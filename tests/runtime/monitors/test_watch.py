from dataclasses import replace

import numpy as np
from monitor_bench import HOME, MODEL, decided, let_through, planned, seen, started

from forearm.events import Alarmed, Event, LimitsStated, OperatorActed
from forearm.runtime.known import NOTHING, Known
from forearm.runtime.monitors.calibration import Calibration, Familiar, Usual, cameras_digest
from forearm.runtime.monitors.watch import Watch

CALIBRATION = Calibration(
    model_digest=MODEL, cameras=cameras_digest(), commit="", budget=0.05, episodes=60, tasks=("lift",),
    usual={"depth": Usual(middle=10.0, spread=5.0), "chunk": Usual(middle=0.1, spread=0.05),
           "features": Usual(middle=2.0, spread=1.0)},
    threshold=2.0, familiar=Familiar(mean=np.zeros(4), axes=np.empty((0, 4)), deviations=np.empty(0), rest=1.0),
)  # fmt: skip
KNOWN = Known(calibration=CALIBRATION)
OFF, RIGHT = planned(metres=1.1), planned()  # 100 mm off, and right


def run(known: Known, *plans: object, model_digest: str = MODEL, features: float = 0.0) -> tuple[list[Event], Watch]:
    events: list[Event] = []
    watch = Watch(events.append, known)
    watch.emit(started(model_digest))
    for number, plan in enumerate(plans):
        decision = decided(0.8 * number, plan, features=np.full(4, features))  # pyright: ignore[reportArgumentType]
        for event in let_through(replace(decision, model_digest=model_digest), seen(0.8 * number)):
            watch.emit(event)
    return events, watch


def alarms(events: list[Event]) -> list[Alarmed]:
    return [event for event in events if isinstance(event, Alarmed)]


def stated(events: list[Event]) -> LimitsStated:
    (found,) = (event for event in events if isinstance(event, LimitsStated))
    return found


def test_a_decision_beyond_the_threshold_is_an_alarm_that_says_what_was_measured_and_what_is_usual() -> None:
    events, _ = run(KNOWN, RIGHT, OFF, RIGHT)
    (alarm,) = alarms(events)
    assert (alarm.monitor, alarm.sequence, alarm.in_a_row) == ("depth", 80, 1)
    assert round(alarm.value) == 100
    assert alarm.threshold == 20.0
    assert alarm.text == "The plan's depth map is 100 mm off what the camera measures; up to 20 is usual."


def test_the_worst_monitor_is_named() -> None:
    events, _ = run(KNOWN, OFF, features=90.0)
    assert [alarm.monitor for alarm in alarms(events)] == ["features"]


def test_every_event_is_passed_on_before_what_is_said_of_it() -> None:
    events, _ = run(KNOWN, OFF)
    assert [event.kind for event in events] == [
        "session_started", "limits_stated", "observed", "decided", "alarmed", "judged",
    ]  # fmt: skip


def test_three_alarms_in_a_row_are_a_question_until_a_person_acts() -> None:
    events, watch = run(KNOWN, OFF, OFF)
    assert watch.question() == ""
    events, watch = run(KNOWN, OFF, OFF, RIGHT, OFF, OFF)
    assert watch.question() == ""
    events, watch = run(KNOWN, OFF, OFF, OFF)
    assert [alarm.in_a_row for alarm in alarms(events)] == [1, 2, 3]
    assert watch.suspicion is not None
    assert (watch.suspicion.monitor, watch.suspicion.in_a_row) == ("depth", 3)
    assert "3 decisions in a row were suspicious" in watch.question()
    acted = OperatorActed(stamp_ns=1, who="Ada", act="Hold", details="", accepted=False)
    watch.emit(acted)
    assert watch.question()
    watch.emit(replace(acted, accepted=True))
    assert watch.question() == ""


def test_without_a_calibration_of_this_model_and_these_cameras_there_is_no_alarm_and_it_is_said() -> None:
    for known, model, why in (
        (NOTHING, MODEL, "not calibrated for this model"),
        (KNOWN, "b" * 64, "not calibrated for this model: the calibration is of model aaaaaaaaaaaa"),
        (Known(calibration=replace(CALIBRATION, cameras="other")), MODEL,
         "not calibrated for this model: the calibration is of other cameras"),
        (KNOWN, "", "no model, nothing to calibrate"),
    ):  # fmt: skip
        events, watch = run(known, OFF, OFF, OFF, model_digest=model)
        assert alarms(events) == []
        assert watch.question() == ""
        assert (stated(events).calibrated, stated(events).monitors) == (False, why)


def test_a_calibrated_run_says_of_what_and_with_which_budget() -> None:
    events, _ = run(KNOWN)
    assert stated(events).calibrated
    assert stated(events).monitors == (
        "calibrated on 60 successful runs of lift: at most 5% of such runs raise an alarm"
    )


def test_what_cannot_be_weighed_is_an_alarm_and_no_crash() -> None:
    broken = replace(OFF, depth_map=np.ones(7))
    events, _ = run(KNOWN, broken)
    (alarm,) = alarms(events)
    assert alarm.monitor == "monitors"
    assert "cannot weigh" in alarm.text


def test_chunks_that_jump_are_an_alarm() -> None:
    events: list[Event] = []
    watch = Watch(events.append, KNOWN)
    watch.emit(started())
    for at_s, shift in ((0.0, 0.0), (0.8, 0.6)):
        for event in let_through(decided(at_s, RIGHT, np.tile(HOME, (16, 1)) + shift), seen(at_s)):
            watch.emit(event)
    (alarm,) = alarms(events)
    assert alarm.text == "The new chunk is 0.60 rad off the one before at the same times; up to 0.20 is usual."
