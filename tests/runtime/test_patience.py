import numpy as np

from forearm.clock import NANOSECONDS
from forearm.messages import Finding, Observation, Outcome, Verdict
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.runtime.loop import Tick
from forearm.runtime.patience import SPENT, Monitor, Patience
from forearm.safety.escalation import Progress

FROZEN = "The left camera gave the same picture 6 times; it is frozen."


def _finding(text: str) -> Finding:
    return Finding(
        check="frozen", outcome=Outcome.HOLD, subject="left", measured=6.0, limit=5.0, unit="pictures", text=text
    )


def tick(at_s: float, objection: str = "", *, dry: bool = False) -> Tick:
    """What the loop saw and did at `at_s`: the guard objected, or had nothing to follow, or neither."""
    width = len(BIMANUAL_YAM.joints)
    outcome = Outcome.HOLD if objection else Outcome.ALLOW
    findings = (_finding(objection),) if objection else ()
    return Tick(
        stamp_ns=round(at_s * NANOSECONDS),
        observation=Observation(
            stamp_ns=round(at_s * NANOSECONDS), sequence=0, epoch=1, instruction="", images={}, depths={},
            positions=np.zeros(width), velocities=np.zeros(width), efforts=np.zeros(width),
        ),
        answer=None,
        verdict=Verdict(outcome=outcome, findings=findings),
        dry=dry,
    )  # fmt: skip


def test_a_hold_that_lasts_too_long_is_explained_by_what_the_guard_objected_to() -> None:
    monitor = Monitor(Patience(patience_s=2.0))
    assert monitor.judge(tick(0.0)).outcome is Outcome.ALLOW
    assert monitor.judge(tick(1.0, FROZEN)).reason == FROZEN
    ended = monitor.judge(tick(3.1, dry=True))
    assert (ended.outcome, ended.reason) == (Outcome.STOP, f"{FROZEN} Nothing changed for 2 s.")


def test_an_objection_of_an_earlier_hold_explains_nothing() -> None:
    monitor = Monitor(Patience(patience_s=2.0))
    for each in (tick(0.0), tick(1.0, FROZEN), tick(1.5)):
        monitor.judge(each)
    assert monitor.judge(tick(2.0, dry=True)).reason == SPENT


def test_a_hold_that_flickers_is_one_hold_and_may_last_no_longer() -> None:
    monitor = Monitor(Patience(patience_s=2.0))
    monitor.judge(tick(0.0))
    judged = [monitor.judge(tick(1.0 + 0.01 * n, FROZEN if n % 15 == 0 else "")) for n in range(300)]
    stops = [number for number, concern in enumerate(judged) if concern.outcome is Outcome.STOP]
    assert stops[0] == 210  # 2 s and the next objection
    assert not judged[210].final
    apart = Monitor(Patience(patience_s=2.0, progress=Progress(repeats=99)))
    apart.judge(tick(0.0))
    judged = [apart.judge(tick(1.0 + 0.01 * n, FROZEN if n % 25 == 0 else "")) for n in range(300)]
    assert {concern.outcome for concern in judged} == {Outcome.ALLOW, Outcome.HOLD}


def test_the_same_hold_of_the_guard_again_and_again_is_final_and_a_persons_own_is_not_counted() -> None:
    def judged(*, by_person: bool) -> list[bool]:
        monitor = Monitor(Patience())
        ticks = [tick(0.01 * n, FROZEN if n % 40 == 20 else "") for n in range(400)]
        return [monitor.judge(each, by_person=by_person).final for each in ticks]

    assert judged(by_person=False).index(True) == 20 + 6 * 40
    assert not any(judged(by_person=True))
