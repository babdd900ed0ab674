"""The model without reasoning: trained, stored and run by the same code as the one with it."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import task_named
from forearm.clock import SimulatedClock
from forearm.errors import CheckpointError, ConfigError, InputError
from forearm.messages import Request
from forearm.model import checkpoint
from forearm.model.reactive import Reactive
from forearm.policy.choice import about_policy, checkpoint_named, policy_named
from forearm.training.batch import Lessons
from forearm.training.learners import learner_named
from forearm.training.loop import Trainer
from forearm.training.metrics import rows_in
from forearm.training.recipe import Recording, recipe_named
from forearm.training.report import write_report

SHORT = replace(
    recipe_named("reactive"), recording=Recording(counts={"hand-over": 2}), steps=4, batch=4, processes=1, warmup=1
)


@pytest.fixture
def folder(lessons: Lessons, tmp_path: Path) -> Path:
    trainer = Trainer(lessons, SHORT, rank=0)
    row = {name: float(value) for name, value in trainer.advance().items()}
    made = {"recipe": asdict(SHORT), "commit": "abc"}
    parts = (trainer.average, trainer.model.config, lessons.words, lessons.scales, made)
    checkpoint.write(tmp_path, *parts, kind=trainer.learner.kind)
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1, "seconds": 1.0, **row}) + "\n")
    return tmp_path


@pytest.mark.slow
def test_it_learns_what_was_demonstrated(lessons: Lessons) -> None:
    trainer = Trainer(lessons, SHORT, rank=0)
    batch = lessons.batch(np.arange(4), np.random.default_rng(0))
    optimizer = torch.optim.AdamW(trainer.model.parameters(), 2e-3)
    totals = list[float]()
    for _ in range(15):
        found = trainer.learner.losses(trainer.model, batch, SHORT.weights, torch.Generator().manual_seed(0))
        found["total"].backward()
        optimizer.step()
        optimizer.zero_grad()
        totals.append(float(found["total"].detach()))
    assert totals[-1] < 0.9 * totals[0]


def test_it_acts_without_a_plan_and_its_words_reach_the_action(folder: Path, lessons: Lessons) -> None:
    assert checkpoint.kind_of(folder) is Reactive
    with pytest.raises(CheckpointError, match="reactive"):
        checkpoint.read(folder)
    model = checkpoint.read_reactive(folder).model
    generator = torch.Generator().manual_seed(0)
    for parameter in model.expert.parameters():  # a fresh expert's gates are closed
        parameter.data.normal_(0.0, 0.1, generator=generator)
    sight = lessons.batch(np.arange(2), np.random.default_rng(0)).sight
    other = sight._replace(words=sight.words.flip(0) % 3)
    noise = torch.zeros(2, 16, 14)
    velocity = [model.expert.velocity(noise, torch.full((2,), 0.5), model.context(each)) for each in (sight, other)]
    assert (velocity[0] - velocity[1]).abs().max() > 1e-4


@pytest.mark.slow
def test_its_folder_is_a_policy_like_any_other_but_has_no_plan_to_change(folder: Path) -> None:
    setup = task_named("hand-over").sample(3, "hand the red bar to the left arm and place it on the pad")
    robot = CellRobot(setup=setup, clock=SimulatedClock())
    policy = policy_named(str(folder))(robot)
    policy.reset(seed=0)
    robot.connect(1)
    decision = policy.decide(Request(observation=robot.read()))
    robot.close()
    assert decision.plan is None
    assert decision.chunk.positions.shape == (16, 14)
    assert policy.model_digest == decision.model_digest == about_policy(str(folder))["model_digest"] != ""
    assert checkpoint_named(str(folder)) is None
    with pytest.raises(InputError, match="only a model has a plan"):
        policy_named(str(folder), intervene=lambda robot: pytest.fail("never made"))


def test_its_report_shows_the_curves_it_has(folder: Path) -> None:
    page = write_report(folder, rows_in(folder), asdict(SHORT), {}).read_text()
    assert page.count("<polyline") == 3


def test_a_learner_or_recipe_that_there_is_none_of_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(ConfigError, match="reasoner"):
        learner_named("thinker")
    with pytest.raises(InputError, match="nano"):
        recipe_named("micro")
