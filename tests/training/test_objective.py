from dataclasses import replace

import numpy as np
import torch

from forearm.model.sizes import NANO
from forearm.training.batch import Lessons
from forearm.training.learners import learner_named
from forearm.training.loop import config_for
from forearm.training.objective import Weights, losses


def test_a_closer_look_is_learned_and_the_places_with_it(lessons: Lessons) -> None:
    model = learner_named("reasoner").build(config_for(lessons, replace(NANO, closer=True)), seed=0)
    batch = lessons.batch(np.arange(4, 20), np.random.default_rng(0))
    looks = [*model.closer.parameters(), *model.point_head.parameters()]
    optimiser, first, last = torch.optim.Adam(looks, lr=3e-3), {}, {}
    for _ in range(30):
        found = losses(model, batch, Weights(), torch.Generator().manual_seed(0))
        first, last = first or found, found
        optimiser.zero_grad()
        found["total"].backward()
        assert all(parameter.grad is not None for parameter in looks)
        optimiser.step()
    assert last["point"] < 0.2 * first["point"]
    assert last["offset"] < 0.5 * first["offset"]
