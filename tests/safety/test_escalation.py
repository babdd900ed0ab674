"""When an objection that comes back is a livelock, and when it is not."""

import numpy as np
import pytest

from forearm.errors import ConfigError
from forearm.messages import Finding, Outcome, Verdict, VettedChunk
from forearm.robot.kinematics import tool_poses
from forearm.safety.escalation import Escalation, Progress

from .scenes import BOTH_HOME, decided, resting

TWICE = Progress(repeats=2, moved_m=0.02)


def judged(check: str, outcome: Outcome = Outcome.LIMIT, subject: str = "left hand and post") -> Verdict:
    found = Finding(check=check, outcome=outcome, subject=subject, measured=0, limit=0, unit="m", text="Too near.")
    passed = VettedChunk(chunk=decided(resting()).chunk, sequence=1, epoch=1) if outcome < Outcome.HOLD else None
    return Verdict(outcome=outcome, findings=(found,), vetted=passed)


ALLOWED = Verdict(
    outcome=Outcome.ALLOW, findings=(), vetted=VettedChunk(chunk=decided(resting()).chunk, sequence=1, epoch=1)
)
CUT, REFUSED = judged("clearance: arms"), judged("trace", Outcome.HOLD)


NS = 10**9
PERIOD_S = 0.8  # s between answers


def given(
    *verdicts: Verdict, at: tuple[np.ndarray, ...] = (BOTH_HOME,), every_s: float = PERIOD_S, progress: Progress = TWICE
) -> list[bool]:
    """Whether each of these answers was one too many, the arms being at those poses in turn."""
    escalation = Escalation(progress)
    return [
        bool(escalation.note_answer(each, at[number % len(at)], round(number * every_s * NS)))
        for number, each in enumerate(verdicts)
    ]


def test_the_same_cut_again_and_again_is_given_up_and_named() -> None:
    assert given(CUT, CUT, CUT, CUT) == [False, False, True, True]
    escalation = Escalation(TWICE)
    reasons = [escalation.note_answer(CUT, BOTH_HOME, NS) for _ in range(3)]
    assert reasons[-1] == (
        "The same objection came 3 times while no tool got more than 20 mm from where it had been: Too near."
    )


def test_chunks_accepted_in_between_do_not_help() -> None:
    assert given(REFUSED, ALLOWED, REFUSED, ALLOWED, ALLOWED, REFUSED) == [False] * 5 + [True]


def test_a_row_of_refusals_counts_once() -> None:
    assert not any(given(*[REFUSED] * 20))
    assert given(REFUSED, REFUSED, ALLOWED, REFUSED, REFUSED, ALLOWED, REFUSED) == [False] * 6 + [True]


def test_other_subjects_and_other_checks_are_counted_apart() -> None:
    other = judged("clearance: arms", subject="right hand and post")
    assert not any(given(CUT, other, CUT, other, judged("right of way"), judged("right of way")))
    assert given(CUT, other, CUT, other, CUT) == [False] * 4 + [True]


def test_moving_on_begins_the_count_again() -> None:
    ways = [BOTH_HOME + step * np.eye(14)[7] for step in (0.0, 0.05, 0.10, 0.15, 0.20, 0.25)]
    moved = tool_poses(np.array(ways))[0][:, 1]
    assert 0.01 < np.linalg.norm(moved[1] - moved[0]) < 0.02 < np.linalg.norm(moved[2] - moved[0])
    assert not any(given(*[CUT] * 6, at=tuple(ways)))
    to_and_fro = (ways[0], ways[1])
    assert given(CUT, CUT, CUT, at=to_and_fro) == [False, False, True]


def test_a_tool_that_moved_on_by_just_that_much_did_not() -> None:
    ways = (BOTH_HOME, BOTH_HOME + 0.1 * np.eye(14)[7])
    before, after = (tool_poses(way[None])[0][0] for way in ways)
    moved_m = float(np.linalg.norm(after - before, axis=-1).max())
    assert given(CUT, CUT, CUT, at=ways, progress=Progress(repeats=2, moved_m=moved_m)) == [False, False, True]


def turned(joint: int, rad: float) -> np.ndarray:
    return BOTH_HOME + rad * np.eye(14)[joint]


def test_swinging_to_and_fro_is_no_progress_however_far() -> None:
    far = (turned(0, 0.3), turned(0, -0.3))
    assert np.linalg.norm(np.diff(tool_poses(np.stack(far))[0][:, 0], axis=0)) > 0.1
    assert given(*[CUT] * 4, at=far) == [False] * 3 + [True]
    assert given(*[CUT] * 4, at=(turned(0, 0.3), turned(7, 0.3))) == [False] * 3 + [True]  # one arm, then the other


def test_creeping_on_is_progress_after_all() -> None:
    creeping = tuple(turned(7, 0.03 * step) for step in range(40))
    four = Progress(repeats=4, moved_m=0.02)
    assert not any(given(*[CUT] * 40, at=creeping, progress=four))
    assert given(*[CUT] * 40, at=creeping[:3], progress=four)[-1]


def test_the_next_object_at_the_same_place_is_another_matter() -> None:
    assert not any(given(*[CUT] * 9, every_s=10.1))
    assert given(*[CUT] * 3, every_s=10.0) == [False, False, True]


def test_a_hold_of_the_guard_counts_once_however_long_it_lasts_and_however_it_flickers() -> None:
    escalation, hold = Escalation(TWICE), judged("effort", Outcome.HOLD)
    lasting = [escalation.note_hold(hold, BOTH_HOME, tick * NS // 100) for tick in range(0, 500, 20)]
    assert not any(lasting)
    assert escalation.held_since_ns(480 * NS // 100) == 0
    assert escalation.held_since_ns(5 * NS) == 5 * NS
    begun = [bool(escalation.note_hold(hold, BOTH_HOME, 6 * NS + tick * NS // 100)) for tick in (0, 21, 42)]
    assert begun == [False, True, True]
    assert escalation.held_since_ns(642 * NS // 100) == 642 * NS // 100


def test_both_gates_are_counted_together() -> None:
    escalation, near = Escalation(TWICE), judged("clearance: arms", Outcome.HOLD)
    assert not escalation.note_hold(near, BOTH_HOME, 0)
    assert not escalation.note_answer(CUT, BOTH_HOME, NS)
    assert escalation.note_hold(near, BOTH_HOME, 2 * NS)


def test_two_tools_that_each_move_less_than_that_are_not_added_up() -> None:
    turned = BOTH_HOME.copy()
    turned[[0, 7]] += 0.075, -0.075
    (home, away), _ = tool_poses(np.stack([BOTH_HOME, turned]))
    apart = np.linalg.norm(away - home, axis=1)
    assert (apart < 0.02).all()
    assert np.linalg.norm(away - home, axis=0).max() > 0.02  # what both move along one axis of the cell
    assert given(CUT, CUT, CUT, at=(BOTH_HOME, turned)) == [False, False, True]


def test_while_there_is_no_reason_to_give_up_none_is_said() -> None:
    escalation = Escalation(TWICE)
    assert [escalation.note_answer(each, BOTH_HOME, NS) for each in (ALLOWED, CUT, REFUSED, REFUSED)] == [""] * 4


def test_one_repeat_and_any_way_may_be_asked_for() -> None:
    assert Progress(repeats=1, moved_m=1e-3, within_s=1e-3).repeats == 1


def test_the_way_that_counts_as_moving_on_is_said_in_millimetres() -> None:
    escalation = Escalation(Progress(repeats=1, moved_m=2.0))
    escalation.note_answer(CUT, BOTH_HOME, NS)
    assert "while no tool got more than 2000 mm from" in escalation.note_answer(CUT, BOTH_HOME, NS)


@pytest.mark.parametrize("check", ["position", "speed", "acceleration", "jerk"])
def test_what_is_only_trimmed_is_not_counted_and_what_is_refused_is(check: str) -> None:
    assert not any(given(*[judged(check)] * 9))
    assert given(*[judged(check, Outcome.HOLD), ALLOWED] * 3)[-2]


@pytest.mark.parametrize(
    "fields",
    [{"repeats": 0}, {"moved_m": 0.0}, {"moved_m": float("nan")}, {"within_s": 0.0}, {"within_s": float("nan")}],
)
def test_progress_that_is_none_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(
        ConfigError, match=r"progress: got Progress\(repeats=.*\), allowed are at least 1 repeat, m > 0 and s > 0"
    ):
        Progress(**fields)
