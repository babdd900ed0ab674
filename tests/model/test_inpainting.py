from typing import cast

import pytest
import torch
from torch import Tensor

from forearm.model import checkpoint
from forearm.model.action_expert import ActionExpert, Context
from forearm.model.flow import sample
from forearm.model.inpainting import Known, fading, gain

STEPS = 8
NOWHERE = Context([], [], None)


class Straight:
    """A field that is `velocity` everywhere: every chunk ends where it begins plus that."""

    def __init__(self, velocity: Tensor) -> None:
        self.velocity = velocity

    def modulations(self, t: Tensor) -> "Straight":
        return self

    def at(self, step: int) -> "Straight":
        return self

    def field(self, x: Tensor, modulation: "Straight", context: Context) -> Tensor:
        return self.velocity.expand_as(x)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def drawn(noise: Tensor, known: Known, valid: Tensor | None = None) -> Tensor:
    field = Straight(torch.tensor([1.0, -2.0, 0.5]))
    return sample(cast(ActionExpert, field), NOWHERE, noise, STEPS, valid, known=known)


def test_in_a_constant_field_a_fixed_row_is_met_exactly_and_a_free_row_ends_where_it_would_have() -> None:
    noise, rows = random(2, 4, 3), random(2, 4, 3, seed=1)
    weights = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0]])
    ends = drawn(noise, Known(rows, weights))
    free = noise + torch.tensor([1.0, -2.0, 0.5])
    torch.testing.assert_close(ends, torch.where(weights[..., None] == 1.0, rows, free), atol=1e-5, rtol=0)


def test_in_a_constant_field_the_error_shrinks_at_each_step_by_weight_times_gain() -> None:
    noise, rows, weight = random(1, 1, 3), random(1, 1, 3, seed=1), 0.2
    left = torch.tensor([1.0 - weight * gain(step / STEPS, STEPS) / STEPS for step in range(STEPS)]).prod()
    before = noise + torch.tensor([1.0, -2.0, 0.5]) - rows
    ends = drawn(noise, Known(rows, torch.tensor([[weight]])))
    torch.testing.assert_close(ends - rows, before * left, atol=1e-5, rtol=0)


def test_channels_that_a_robot_does_not_have_stay_zero() -> None:
    valid = torch.tensor([[True, True, False]])
    ends = drawn(random(2, 4, 3), Known(random(1, 4, 3, seed=1), torch.ones(1, 4)), valid)
    assert ends[..., 2].abs().max() == 0


def test_the_gain_is_the_papers_and_never_more_than_takes_the_whole_error_away_in_a_step() -> None:
    assert gain(0.0, STEPS) == STEPS
    assert gain(0.01, STEPS) == STEPS
    assert gain(0.5, STEPS) == pytest.approx(2.0)  # (1/4 + 1/4) / (1/4)
    assert gain(0.875, STEPS) == pytest.approx(50 / 7)  # (49 + 1) / 64 over 7 / 64


def test_weights_are_one_while_frozen_and_then_fall_off_to_zero() -> None:
    weights = fading(8, frozen=2, until=6)
    assert weights[:2].tolist() == [1.0, 1.0]
    assert (weights[1:7].diff() < 0).all()
    assert weights[6:].tolist() == [0.0, 0.0]
    c = 3 / 5  # row 3 of rows 2 to 5: (6 - 3) / (6 - 2 + 1)
    assert float(weights[3]) == pytest.approx(c * (2.718281828**c - 1) / 1.718281828)


def test_a_chunk_that_ends_while_frozen_is_known_to_its_end_only() -> None:
    assert fading(4, frozen=3, until=3).tolist() == [1.0, 1.0, 1.0, 0.0]


@torch.inference_mode()
def test_weights_of_zero_leave_the_shipped_models_chunks_as_they_are_to_the_last_bit() -> None:
    expert = checkpoint.read(checkpoint.SHIPPED).model.expert
    config = expert.config
    pairs = [(random(2, 9, config.context_width), random(2, 9, config.context_width, seed=1))] * config.layers
    noise, context = random(2, config.horizon, config.action_dim), expert.context(pairs)
    known = Known(random(1, config.horizon, config.action_dim, seed=2), torch.zeros(1, config.horizon))
    assert torch.equal(sample(expert, context, noise, STEPS), sample(expert, context, noise, STEPS, known=known))
