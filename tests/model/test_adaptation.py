"""What is trained: losses, parameter groups, low-rank additions."""

import numpy as np
import pytest
import torch
from released import loaded, sampled

from forearm.errors import ConfigError, InputError
from forearm.model.adaptation import LowRank, Rates, adapt, merge, parameter_groups, train_everything, train_expert_only
from forearm.model.inputs import batch
from forearm.model.losses import (
    IGNORED,
    Lesson,
    Losses,
    flow_loss,
    learn,
    released_flow_loss,
    root_weights,
    token_errors,
)
from forearm.model.released import MolmoAct2
from forearm.model.weights import shapes


def lesson(count: int = 3) -> Lesson:
    generator = torch.Generator().manual_seed(0)
    return Lesson(
        actions=torch.randn(1, 6, 8, generator=generator),
        noise=torch.randn(1, count, 6, 8, generator=generator),
        t=torch.rand(1, count, generator=generator),
    )


def losses(model: MolmoAct2, given: Lesson, *, insulated: bool = False) -> Losses:
    _, prompter = loaded("base")
    return learn(model, batch([sampled(prompter, 1)], 256), given, insulated=insulated)


def test_several_noises_in_one_pass_lose_what_they_lose_alone() -> None:
    model, _ = loaded("base")
    given = lesson()
    alone = [
        losses(
            model, Lesson(actions=given.actions, noise=given.noise[:, i : i + 1], t=given.t[:, i : i + 1])
        ).flow.item()
        for i in range(3)
    ]
    assert losses(model, given).flow.item() == pytest.approx(np.mean(alone), rel=1e-5)


def test_insulation_keeps_the_flow_loss_out_of_the_decoder() -> None:
    model, _ = loaded("base")
    losses(model, lesson(), insulated=True).flow.backward()
    touched = {name.split(".")[0] for name, each in model.named_parameters() if each.grad is not None}
    assert touched == {"action_expert"}


def test_released_and_own_flow_loss_differ_by_the_padded_rows() -> None:
    velocity, wanted = torch.ones(1, 2, 4, 3), torch.zeros(1, 2, 4, 3)
    rows, channels = torch.tensor([[True, True, False, False]]), torch.tensor([[True, True, False]])
    assert released_flow_loss(velocity, wanted, rows, channels).item() == pytest.approx(0.5)
    assert flow_loss(velocity, wanted, rows, channels).item() == pytest.approx(1.0)
    assert (
        released_flow_loss(velocity, wanted, None, None).item() == flow_loss(velocity, wanted, None, None).item() == 1.0
    )


def test_tokens_are_the_cross_entropy_of_what_follows_and_the_log_partition_squared() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden, head = torch.randn(3, 8, generator=generator), torch.randn(11, 8, generator=generator)
    wanted = torch.tensor([3, 4, 7])
    errors, squares = token_errors(hidden, head, wanted)
    logits = hidden @ head.T
    torch.testing.assert_close(errors, torch.nn.functional.cross_entropy(logits, wanted, reduction="none"))
    torch.testing.assert_close(squares, logits.logsumexp(-1).square())


def test_a_label_counts_for_two_over_the_root_of_its_example() -> None:
    labels = torch.tensor([[IGNORED, 3, 4], [IGNORED, IGNORED, 7], [IGNORED, IGNORED, IGNORED]])
    wanted = torch.tensor([[0, 2 / 2**0.5, 2 / 2**0.5], [0, 0, 2.0], [0, 0, 0]])
    torch.testing.assert_close(root_weights(labels), wanted)


def test_groups_hold_every_trained_parameter_once() -> None:
    model, _ = loaded("think_gate_layer")
    train_everything(model)
    groups = {group["name"]: group for group in parameter_groups(model, Rates())}
    assert [groups[name]["lr"] for name in ("language", "vision", "connector", "expert")] == [1e-5, 5e-6, 5e-6, 5e-5]
    held = [id(each) for group in groups.values() for each in group["params"]]
    trained = [id(each) for each in model.parameters() if each.requires_grad]
    assert sorted(held) == sorted(trained)
    assert not model.transformer.wte.embedding.requires_grad


def test_training_the_expert_alone_leaves_one_group() -> None:
    model, _ = loaded("think_gate_layer")
    train_expert_only(model)
    groups = parameter_groups(model, Rates())
    assert [group["name"] for group in groups] == ["expert"]
    gates = len(list(model.action_expert_depth_gate.parameters())) if model.action_expert_depth_gate else 0
    assert len(groups[0]["params"]) == len(list(model.expert.parameters())) + gates


@pytest.mark.parametrize("expert", [False, True])
def test_low_rank_additions_start_at_nothing_learn_and_merge_into_published_names(expert: bool) -> None:
    model, _ = loaded("base")
    before = losses(model, lesson()).flow.item()
    count = adapt(model, LowRank(rank=4, expert=expert))
    assert count == 2 * 4 + 3 * 6 + 1 + 4 + 3 + (0 if not expert else 2 + 3 + 2 * 8 + 2)
    assert losses(model, lesson()).flow.item() == pytest.approx(before, rel=1e-6)
    trained = [each for group in parameter_groups(model, Rates()) for each in group["params"]]
    losses(model, lesson()).flow.backward()
    with torch.no_grad():
        for each in trained:
            if each.grad is not None:
                each -= 0.05 * each.grad
    after = losses(model, lesson()).flow.item()
    assert after < before
    merge(model)
    assert losses(model, lesson()).flow.item() == pytest.approx(after, rel=1e-4)
    assert {f"model.{name}" if not name.startswith("lm_head") else name for name, _ in model.named_parameters()} == set(
        shapes(model.config)
    )


def test_adapting_twice_is_refused() -> None:
    model, _ = loaded("base")
    adapt(model, LowRank(rank=2))
    with pytest.raises(InputError, match="adapted already"):
        adapt(model, LowRank(rank=2))


def test_a_rank_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="low rank"):
        LowRank(rank=0)
