"""One prompt, or several at once, to actions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from released import loaded, sampled

from forearm.errors import InputError, ModelError
from forearm.model import generate
from forearm.model.inputs import batch


@torch.no_grad()
@pytest.mark.parametrize("name", ["base", "postnorm_olmo", "noqknorm_causal"])
def test_a_batch_acts_as_its_samples_would_alone(name: str) -> None:
    model, prompter = loaded(name)
    samples = [sampled(prompter, 1, "wave"), sampled(prompter, 2, "fold the towel in half")]
    noise = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))
    together = generate.act(generate.read(model, batch(samples, 256), room=0), noise, 6)
    for i, sample in enumerate(samples):
        alone = generate.act(generate.read(model, batch([sample], 256), room=0), noise[i : i + 1], 6)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_feeding_tokens_one_by_one_equals_reading_them_behind_the_prompt() -> None:
    model, prompter = loaded("base")
    prompt = batch([sampled(prompter, 1, "a"), sampled(prompter, 2, "longer")], 256)
    then = torch.tensor([[65, 66, 67], [70, 71, 72]])
    at_once = generate.read(model, prompt, room=3, then=then, tail=3)
    stream = generate.read(model, prompt, room=3)
    hidden = torch.cat([stream.feed(then[:, :1]), stream.feed(then[:, 1:])], 1)
    torch.testing.assert_close(hidden, at_once.hidden, rtol=1e-4, atol=1e-5)
    assert torch.equal(stream.ids, at_once.ids)


def test_a_prompt_longer_than_the_model_reads_is_refused() -> None:
    model, prompter = loaded("base")
    with pytest.raises(InputError, match="sequence: got"):
        generate.read(model, batch([sampled(prompter, 1)], 256), room=0, then=torch.zeros((1, 1000), dtype=torch.long))


def test_what_fits_exactly_is_read_and_one_token_more_is_refused() -> None:
    model, prompter = loaded("base")
    prompt = batch([sampled(prompter, 1)], 256)
    longest = prompt.ids.shape[1] + 2
    model.config = replace(model.config, text=replace(model.config.text, max_positions=longest))
    stream = generate.read(model, prompt, room=40)
    stream.feed(torch.zeros((1, 2), dtype=torch.long))
    with pytest.raises(InputError, match=f"sequence: got {longest + 1} tokens, allowed are {longest}"):
        stream.feed(torch.zeros((1, 1), dtype=torch.long))


@torch.no_grad()
def test_rows_that_have_ended_are_padded_and_unseen() -> None:
    model, prompter = loaded("base")
    tokens = model.config.tokens
    stream = generate.read(model, batch([sampled(prompter, 1), sampled(prompter, 2, "other")], 256), room=40, tail=1)
    first = int(model.lm_head(stream.hidden[:1, -1]).argmax())
    second = int(model.lm_head(stream.hidden[1:, -1]).argmax())
    assert first != second
    with pytest.raises(ModelError, match="within 3 tokens"):
        generate.write_until(stream, first, 3, "text")
    assert stream.valid is not None
    assert not stream.valid[0, -2:].any()
    assert (stream.ids[0, -2:] == tokens.pad).all()


@torch.no_grad()
def test_rows_that_ended_at_different_times_go_on_from_their_own_ends() -> None:
    model, prompter = loaded("base")
    samples = [sampled(prompter, 1), sampled(prompter, 2, "other")]
    end, later = 300, 301
    stream = generate.read(model, batch(samples, 256), room=10, tail=1)
    first, second = stream.hidden[:, -1]
    after = generate.read(model, batch(samples[1:], 256), room=10, tail=1).feed(torch.tensor([[later]]))[0, -1]
    # The first row ends at once, the second a token later.
    states = torch.stack([first, second, after])
    model.lm_head.weight[[end, later]] += (torch.linalg.pinv(states) @ torch.tensor([[50.0, 0], [0, 50], [50, 0]])).T
    assert generate.write_until(stream, end, 3, "text") == [[end], [later, end]]
    for row, written in enumerate([[end], [later, end]]):
        alone = generate.read(model, batch([samples[row]], 256), room=10, tail=1)
        alone.feed(torch.tensor([written]))
        torch.testing.assert_close(stream.hidden[row, -1], alone.hidden[0, -1], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_half_precision_weights_act_on_full_precision_noise() -> None:
    model, prompter = loaded("base")
    prompt, noise = batch([sampled(prompter, 1)], 256), torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0))
    full = generate.act(generate.read(model, prompt, room=0), noise, 6)
    half = generate.act(generate.read(model.to(torch.bfloat16), prompt, room=0), noise, 6)
    assert half.dtype == torch.float32
    assert float((half - full).abs().max()) < 0.2


@torch.no_grad()
def test_acting_another_way_than_was_taught_is_refused() -> None:
    model, prompter = loaded("base")
    stream = generate.read(model, batch([sampled(prompter, 1)], 256), room=0, tail=1)
    model.config = replace(model.config, action_mode="discrete")
    with pytest.raises(InputError, match="got 'discrete'"):
        generate.act(stream, torch.zeros(1, 6, 8), 6)
    model.config = replace(model.config, action_mode="continuous")
    with pytest.raises(InputError, match="got 'continuous'"):
        generate.write_actions(stream, 6)


def test_what_is_executed_starts_behind_the_past_observations_and_never_falls_short() -> None:
    model, prompter = loaded("base")
    chunk = torch.linspace(-1, 1, 48).reshape(1, 6, 8)
    config = replace(model.config, observations=2)
    rows = generate.executed(chunk, prompter.tag, config)
    assert rows.shape == (1, 5, 6)
    assert prompter.tag.action is not None
    np.testing.assert_array_equal(rows, prompter.tag.action.unnormalise(chunk[:, 1:, :6].numpy()))
    with pytest.raises(InputError, match="chunk: got 6 rows, allowed are ≥ 7"):
        generate.executed(chunk, prompter.tag, replace(config, observations=3))
    with pytest.raises(InputError, match="chunk: got 5 channels, allowed are ≥ 6"):
        generate.executed(chunk[..., :5], prompter.tag, config)


@torch.no_grad()
def test_actions_are_written_until_the_end_of_text() -> None:
    model, prompter = loaded("base")
    stream = generate.read(model, batch([sampled(prompter, 1)], 256), room=100, tail=1)
    model.lm_head.weight[model.config.tokens.eos] = 100 * stream.hidden[0, -1]
    assert generate.write_actions(stream, 6) == [[model.config.tokens.eos]]
