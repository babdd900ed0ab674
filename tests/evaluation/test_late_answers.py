"""The benchmark of late answers: what it says of a delay."""

import late_answers
from forearm.evaluation.trial import TrialResult


def results(*durations_s: float) -> list[TrialResult]:
    """Trials of one task that took so long; 0 for one that was not done."""
    return [
        TrialResult(
            task="lift",
            seed=seed,
            words="asked",
            outcome="done" if duration_s else "failed",
            success=duration_s > 0.0,
            duration_s=duration_s,
        )
        for seed, duration_s in enumerate(durations_s)
    ]


def test_only_trials_that_are_done_either_way_say_how_much_longer_it_takes() -> None:
    prompt = results(4.0, 5.0, 0.0, 6.0)
    assert late_answers.slower(prompt, results(8.0, 6.0, 7.0, 0.0)) == 1.6  # of 2.0 and 1.2
    assert late_answers.slower(prompt, results(0.0, 0.0, 7.0, 0.0)) is None


def test_a_delay_is_said_with_its_rate_and_interval() -> None:
    prompt, late = results(4.0, 4.0, 4.0, 4.0), results(6.0, 6.0, 6.0, 0.0)
    found = late_answers.row(450, prompt, late)
    assert late_answers.line(found) == " 450 ms  lift 3/4 [0.30, 0.95]  1.50 times as long  0 with findings"
    never = results(0.0, 0.0, 0.0, 0.0)
    assert late_answers.line(late_answers.row(0, prompt, never)).endswith("– times as long  0 with findings")
