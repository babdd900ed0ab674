"""The Action Chunking Transformer: trained, stored and run by the same code as the models it is compared with."""

import json
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import SimulatedClock
from forearm.errors import CheckpointError, InputError, InstructionError
from forearm.messages import Decision, Request
from forearm.model import checkpoint
from forearm.model.act import ACT
from forearm.policy.choice import about_policy, checkpoint_named, policy_named, tasks_for
from forearm.training import objective
from forearm.training.batch import Lessons
from forearm.training.loop import Trainer
from forearm.training.metrics import rows_in
from forearm.training.recipe import Recording, recipe_named
from forearm.training.report import write_report

SHORT = replace(
    recipe_named("act"), recording=Recording(counts={"hand-over": 2}), steps=4, batch=4, processes=1, warmup=1
)
TAUGHT = "hand the red bar to the left arm and place it on the pad"


@pytest.fixture(scope="module")
def folder(lessons: Lessons, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made_in = tmp_path_factory.mktemp("act")
    trainer = Trainer(lessons, SHORT, rank=0)
    row = {name: float(value) for name, value in trainer.advance().items()}
    made = {"recipe": asdict(SHORT), "commit": "abc"}
    parts = (trainer.average, trainer.model.config, lessons.words, lessons.scales, made)
    checkpoint.write(made_in, *parts, kind=trainer.learner.kind)
    (made_in / "metrics.jsonl").write_text(json.dumps({"step": 1, "seconds": 1.0, **row}) + "\n")
    return made_in


def decide(folder: Path, instruction: str = TAUGHT, *, attempt: int = 0) -> Decision:
    robot = CellRobot(setup=task_named("hand-over").sample(3, instruction), clock=SimulatedClock())
    policy = pickle.loads(pickle.dumps(policy_named(str(folder))))(robot)
    policy.reset(seed=0)
    robot.connect(1)
    observation = replace(robot.read(), instruction=instruction)
    robot.close()
    return policy.decide(Request(observation=observation, attempt=attempt))


@pytest.mark.slow
def test_a_few_steps_on_one_batch_lower_its_error_and_every_weight_takes_part(lessons: Lessons) -> None:
    trainer = Trainer(lessons, SHORT, rank=0)
    batch = lessons.batch(np.arange(4), np.random.default_rng(0), shifted=False)
    optimizer = torch.optim.AdamW(trainer.model.parameters(), 1e-3)
    errors = list[float]()
    for _ in range(20):
        found = trainer.learner.losses(trainer.model, batch, SHORT.weights, torch.Generator().manual_seed(0))
        found["total"].backward()
        assert [name for name, each in trainer.model.named_parameters() if each.grad is None] == []
        optimizer.step()
        optimizer.zero_grad()
        errors.append(float(found["l1"].detach()))
    assert errors[-1] < 0.7 * errors[0]


def test_a_step_draws_from_the_generator_it_is_given_and_from_nothing_else(lessons: Lessons) -> None:
    model = ACT(Trainer(lessons, SHORT, rank=0).model.config)
    batch = lessons.batch(np.arange(1), np.random.default_rng(0))
    before = torch.get_rng_state()
    first, same, other = (
        float(objective.act_losses(model, batch, torch.Generator().manual_seed(seed))["l1"].detach())
        for seed in (1, 1, 2)
    )
    assert first == same != other
    assert torch.equal(torch.get_rng_state(), before)


def test_a_style_costs_what_its_distance_from_the_standard_normal_is(lessons: Lessons) -> None:
    model = ACT(Trainer(lessons, SHORT, rank=0).model.config)
    batch = lessons.batch(np.arange(4), np.random.default_rng(0))
    style = model.style(batch.sight.state, batch.actions)
    normal = torch.distributions.Normal(style.mean, (0.5 * style.log_variance).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(style.divergence(), expected, rtol=1e-4, atol=1e-5)


def test_a_sentence_that_nothing_was_demonstrated_for_teaches_nothing(lessons: Lessons) -> None:
    model = ACT(Trainer(lessons, SHORT, rank=0).model.config)
    batch = lessons.batch(np.arange(4), np.random.default_rng(0))
    silent = batch._replace(subtask=torch.full_like(batch.subtask, -1))
    assert float(objective.act_losses(model, silent, torch.Generator())["total"].detach()) == 0.0


@torch.no_grad()
def test_words_style_each_camera_and_the_joints_reach_the_chunk(folder: Path, lessons: Lessons) -> None:
    model = checkpoint.read_act(folder).model
    sight = lessons.batch(np.arange(2), np.random.default_rng(0)).sight
    zero = torch.zeros(2, 32)
    changed = {
        "words": (sight._replace(words=sight.words.flip(1)), zero),
        "top": (sight._replace(top=-sight.top), zero),
        "wrists": (sight._replace(wrists=sight.wrists.flip(1)), zero),
        "state": (sight._replace(state=sight.state + 1.0), zero),
        "style": (sight, zero + 1.0),
    }
    plain = model.chunk(sight, zero)
    for what, given in changed.items():
        assert (model.chunk(*given) - plain).abs().max() > 1e-4, what


def test_peers_are_taught_the_demonstrated_motion_as_it_was(lessons: Lessons) -> None:
    ticks = np.arange(20)
    plain, shifted = (lessons.batch(ticks, np.random.default_rng(0), shifted=each) for each in (False, True))
    assert torch.equal(plain.followed, plain.traces)
    assert not torch.equal(shifted.followed, shifted.traces)
    assert not SHORT.shifted


def test_a_folder_of_it_is_a_policy_that_only_acts(folder: Path) -> None:
    assert checkpoint.kind_of(folder) is ACT
    with pytest.raises(CheckpointError, match="act"):
        checkpoint.read(folder)
    decision = decide(folder)
    assert decision.plan is None
    assert decision.chunk.positions.shape == (16, 14)
    assert decision.model_digest == about_policy(str(folder))["model_digest"] != ""
    assert checkpoint_named(str(folder)) is None
    assert [task.name for task in tasks_for(str(folder))] == ["hand-over"]
    with pytest.raises(InputError, match="only a model has a plan"):
        policy_named(str(folder), intervene=lambda robot: pytest.fail("never made"))


@pytest.mark.slow
def test_it_answers_alike_when_asked_alike_and_otherwise_after_a_refusal(folder: Path) -> None:
    first, same, retried = (decide(folder, attempt=attempt).chunk.positions for attempt in (0, 0, 1))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, retried)


def test_a_sentence_that_it_was_not_taught_is_refused(folder: Path) -> None:
    with pytest.raises(InstructionError, match="sing"):
        decide(folder, "sing a song")


def test_its_report_shows_the_curves_it_has(folder: Path) -> None:
    page = write_report(folder, rows_in(folder), asdict(SHORT), {}).read_text()
    assert page.count("<polyline") == 4
