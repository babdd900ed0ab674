import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from runtime_stubs import HOME, LIMITS, Bench, Elapsed, ObedientRobot, Wave, ns

from forearm.clock import SimulatedClock
from forearm.errors import CheckpointError, InstructionError
from forearm.events import Judged
from forearm.messages import Image, Observation, Outcome, Request
from forearm.runtime.card import Card, TaskLimits, about_card, read_card, refuse_uncarded, within_card
from forearm.runtime.inference import SimulatedInference
from forearm.safety.vetting import Vetting

MODEL = "c" * 64
WAVE = TaskLimits(instructions=("wave", "wave with the left arm"), refusal="", latency_s=0.2)
CARD = Card(model_digest=MODEL, rate=0.8, tasks={"wave": WAVE}, light=(80.0, 140.0))


def observed(mean: int = 100) -> Observation:
    robot = ObedientRobot(SimulatedClock())
    robot.connect(1)
    pixels = np.full((4, 4, 3), mean, np.uint8)
    return replace(robot.read(), images=dict.fromkeys(("top", "left", "right"), Image(stamp_ns=0, pixels=pixels)))


def judged(observation: Observation, *, late_s: float = 0.05, card: Card = CARD) -> tuple[Outcome, list[str], bool]:
    decision = Wave().decide(Request(observation=observation))
    gate = within_card(card, Vetting(LIMITS), MODEL, "wave")
    verdict = gate.vet(decision, observation, observation.stamp_ns + ns(late_s))
    return verdict.outcome, [finding.text for finding in verdict.findings], verdict.vetted is not None


def test_what_is_within_the_card_goes_through_as_vetting_says() -> None:
    assert judged(observed()) == (Outcome.ALLOW, [], True)


def test_a_decision_that_took_longer_than_the_card_allows_is_held_with_the_reason() -> None:
    assert judged(observed(), late_s=0.2)[2]
    outcome, texts, followed = judged(observed(), late_s=0.25)
    assert (outcome, followed) == (Outcome.HOLD, False)
    assert texts == ["The decision took 250 ms; the model's card ends at 200 ms."]


@pytest.mark.parametrize(("mean", "said"), [(74, "darker"), (146, "brighter")])
def test_a_picture_darker_or_brighter_than_was_measured_is_held_with_the_reason(mean: int, said: str) -> None:
    outcome, (text,), followed = judged(observed(mean))
    assert (outcome, followed) == (Outcome.HOLD, False)
    assert text == (
        f"The top camera's picture has a mean of {mean} of 255, {said} than the model's card allows, which goes from "
        "80 to 140."
    )


@pytest.mark.parametrize("mean", [75, 145])
def test_a_little_beside_the_measured_light_is_let_through(mean: int) -> None:
    assert judged(observed(mean))[2]


def test_no_picture_is_no_light_that_a_card_allows() -> None:
    seen = observed()
    blind = replace(seen, images={name: image for name, image in seen.images.items() if name != "top"})
    gate = within_card(CARD, Vetting(LIMITS, cameras=()), MODEL, "wave")
    decision = Wave().decide(Request(observation=blind))
    assert gate.vet(decision, blind, blind.stamp_ns).vetted is None


def test_what_was_not_measured_is_not_held_against_the_model() -> None:
    bare = replace(CARD, light=None, tasks={"wave": replace(WAVE, latency_s=None)})
    assert judged(observed(5), late_s=0.9, card=bare)[2]


def test_a_stop_stays_a_stop() -> None:
    seen = observed(5)
    decision = Wave().decide(Request(observation=seen))
    broken = replace(decision, chunk=replace(decision.chunk, positions=np.full_like(decision.chunk.positions, np.nan)))
    assert within_card(CARD, Vetting(LIMITS), MODEL, "wave").vet(broken, seen, seen.stamp_ns).outcome is Outcome.STOP


def test_the_card_of_another_model_is_not_held_against_this_one() -> None:
    vetting = Vetting(LIMITS)
    assert within_card(CARD, vetting, "d" * 64, "juggle") is vetting
    assert within_card(None, vetting, MODEL, "juggle") is vetting
    refuse_uncarded(CARD, "d" * 64, "juggle")
    assert about_card(CARD, "d" * 64) == (False, "no card for this model: the card is of model cccccccccccc")
    assert about_card(None, MODEL)[0] is False
    assert about_card(CARD, MODEL) == (True, "wave at 80% success or more")


def test_an_instruction_that_is_not_on_the_card_is_refused_with_the_reason() -> None:
    with pytest.raises(InstructionError, match="got 'juggle', the card of model cccccccccccc allows wave"):
        refuse_uncarded(CARD, MODEL, "juggle")
    refuse_uncarded(CARD, MODEL, "Wave with the  left arm.")
    poor = replace(CARD, tasks={"wave": replace(WAVE, refusal="the card has wave at 2 of 20")})
    with pytest.raises(InstructionError, match="the card has wave at 2 of 20"):
        within_card(poor, Vetting(LIMITS), MODEL, "wave")


@pytest.mark.slow
def test_a_model_that_is_always_too_slow_ends_in_a_stop_that_says_so() -> None:
    policy = Wave()
    gate = within_card(replace(CARD, light=None), Vetting(LIMITS), MODEL, "wave")
    bench = Bench(policy, inference=SimulatedInference(policy, gate, latency_s=0.3), goal_s=60.0, time_limit_s=60.0)
    ended = bench.session.run()
    assert ended.outcome == "stopped"
    assert "The decision took 300 ms; the model's card ends at 200 ms." in ended.reason
    checks = {finding.check for event in bench.events if isinstance(event, Judged) for finding in event.findings}
    assert checks == {"card latency"}
    assert bench.robot.positions.tolist() == HOME.tolist()


def test_a_card_comes_from_its_file_and_a_damaged_one_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "limits.json"
    assert read_card(path) is None
    task = {"instructions": ["wave"], "refusal": "", "latency_s": 0.2}
    document = {
        "format": "forearm.card.v1",
        "model_digest": MODEL,
        "rate": 0.8,
        "light": [80, 140],
        "tasks": {"wave": task},
    }
    path.write_text(json.dumps(document))
    card = read_card(path)
    assert card is not None
    assert (card.light, card.task_of("wave").latency_s) == ((80.0, 140.0), 0.2)
    for text in ("", "[]", json.dumps(document | {"format": "x"}), json.dumps(document | {"light": [1]})):
        path.write_text(text)
        with pytest.raises(CheckpointError, match="make it again or delete it"):
            read_card(path)


def test_the_bench_reaches_its_goal_within_the_card() -> None:
    policy = Wave()
    gate = within_card(replace(CARD, light=None), Vetting(LIMITS), MODEL, "wave")
    bench = Bench(policy, inference=SimulatedInference(policy, gate, latency_s=0.1), goal_s=1.0)
    assert bench.session.run().outcome == "done"
    assert Elapsed(bench.clock, 1.0).succeeded()
