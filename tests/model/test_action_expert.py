"""The velocity field: what it depends on, and what it does not."""

import pytest
import torch

from forearm.errors import InputError
from forearm.model import flow
from forearm.model.action_expert import ActionExpert, Context
from forearm.model.config import ExpertConfig, FlowConfig


def expert(**changes: object) -> ActionExpert:
    made = ActionExpert(
        ExpertConfig(
            **{
                "width": 32,
                "layers": 2,
                "heads": 4,
                "hidden": 48,
                "context_width": 16,
                "action_dim": 6,
                "horizon": 5,
                "time_channels": 16,
            }
            | changes
        )
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for each in made.parameters():
            each.copy_(torch.randn(each.shape, generator=generator) * 0.2)
    return made.eval()


def context(made: ActionExpert, batch: int, mask: torch.Tensor | None = None) -> Context:
    generator = torch.Generator().manual_seed(1)
    pairs = [
        (torch.randn(batch, 7, 16, generator=generator), torch.randn(batch, 7, 16, generator=generator))
        for _ in range(2)
    ]
    return made.context(pairs, mask)


def noise(count: int) -> torch.Tensor:
    return torch.randn(count, 5, 6, generator=torch.Generator().manual_seed(2))


def test_a_fresh_expert_answers_zero() -> None:
    made = ActionExpert(expert().config)
    made.initialise(torch.Generator().manual_seed(0))
    assert made.velocity(noise(2), torch.tensor([0.1, 0.9]), context(made, 2)).abs().max() == 0


@torch.no_grad()
def test_several_noises_share_a_context_without_repeating_it() -> None:
    made, x, t = expert(), noise(6), torch.linspace(0, 1, 6)
    shared = context(made, 2)
    together = made.velocity(x, t, shared)
    for i in range(6):
        own = Context(
            [k[i // 3 : i // 3 + 1] for k in shared.keys], [v[i // 3 : i // 3 + 1] for v in shared.values], None
        )
        torch.testing.assert_close(
            together[i : i + 1], made.velocity(x[i : i + 1], t[i : i + 1], own), rtol=1e-4, atol=1e-5
        )


@torch.no_grad()
def test_modulations_made_for_all_steps_are_those_of_each_step() -> None:
    made, x, seen = expert(), noise(2), context(expert(), 2)
    all_steps = made.modulations(torch.arange(4) / 4)
    for step in range(4):
        each = made.velocity(x, torch.full((2,), step / 4), seen)
        torch.testing.assert_close(made.field(x, all_steps.at(step), seen), each, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_masked_positions_of_the_context_change_nothing() -> None:
    made, mask = expert(), torch.ones(1, 7, dtype=torch.bool)
    mask[0, 3] = False
    generator = torch.Generator().manual_seed(1)
    pairs = [(torch.randn(1, 7, 16, generator=generator), torch.randn(1, 7, 16, generator=generator)) for _ in range(2)]
    changed = [
        (k.clone().index_fill_(1, torch.tensor([3]), 9.0), v.clone().index_fill_(1, torch.tensor([3]), 9.0))
        for k, v in pairs
    ]
    t = torch.tensor([0.4])
    torch.testing.assert_close(
        made.velocity(noise(1), t, made.context(pairs, mask)), made.velocity(noise(1), t, made.context(changed, mask))
    )


@torch.no_grad()
def test_padded_rows_are_zero_and_unseen() -> None:
    made, x, valid = expert(), noise(1), torch.tensor([[True, True, True, False, False]])
    other = x.clone()
    other[:, 3:] = 5.0
    answers = [made.velocity(each, torch.tensor([0.3]), context(made, 1), valid) for each in (x, other)]
    torch.testing.assert_close(*answers)
    assert answers[0][:, 3:].abs().max() == 0


@torch.no_grad()
def test_a_causal_expert_does_not_look_ahead() -> None:
    made, x = expert(causal=True), noise(1)
    other = x.clone()
    other[:, 3:] = 5.0
    first, second = (made.velocity(each, torch.tensor([0.3]), context(made, 1)) for each in (x, other))
    torch.testing.assert_close(first[:, :3], second[:, :3])
    assert (first[:, 3:] - second[:, 3:]).abs().max() > 0


def test_a_context_of_another_depth_is_refused() -> None:
    made = expert()
    with pytest.raises(InputError, match="context layers: got 1, allowed is 2"):
        made.context([(torch.zeros(1, 3, 16), torch.zeros(1, 3, 16))])


def test_a_chunk_longer_than_the_horizon_is_refused() -> None:
    made = expert()
    with pytest.raises(InputError, match="chunk rows: got 6, allowed are ≤ 5"):
        made.velocity(torch.zeros(1, 6, 6), torch.zeros(1), context(made, 1))


@torch.no_grad()
def test_channels_a_robot_does_not_have_stay_zero_through_the_flow() -> None:
    made = expert()
    x = flow.sample(made, context(made, 2), noise(2), 4, torch.tensor([[True] * 4 + [False] * 2]))
    assert x[..., 4:].abs().max() == 0
    assert x[..., :4].abs().max() > 0


def test_training_times_are_seeded_and_within_bounds() -> None:
    config = FlowConfig()
    draw = [flow.sample_times((1000,), config, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(*draw)
    assert draw[0].min() >= 0.001
    assert draw[0].max() <= 1.0
    assert draw[0].mean() == pytest.approx(0.4, abs=0.03)  # Beta(1, 1.5)
