"""The released objective: its parts, what each teaches, and what is written behind a prompt."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_released import (
    ALONE,
    BASE,
    CODES,
    REFERENCES,
    SHORT,
    THINK,
    examples_of,
    one_arm,
    write_dataset,
    write_tokenizer,
)

from forearm.data.lerobot import Source
from forearm.errors import ConfigError, DatasetError, InputError
from forearm.model import weights
from forearm.model.action_tokenizer import ActionTokenizer
from forearm.model.adaptation import LowRank, adapt, train_everything, train_expert_only
from forearm.model.attention import GrowingCache
from forearm.model.inputs import Prompter, Sample, batch
from forearm.model.losses import IGNORED, Z_LOSS, Lesson, Losses, learn
from forearm.model.published import read_config
from forearm.model.released import MolmoAct2
from forearm.model.reproduce import CE_TAIL
from forearm.model.tokens import codes_between
from forearm.training.examples import Examples, prompter_for
from forearm.training.finetune_plan import FinetunePlan
from forearm.training.finetune_released import finetune_released
from forearm.training.released_trainer import ReleasedTrainer
from forearm.training.written import CODE_NOISE, Writer


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("fast"))


def stored_example() -> tuple[Sample, Lesson, dict[str, np.ndarray]]:
    """The example whose losses the genuine implementation stored, and all that it stored of it."""
    stored = {
        name: array for file in ("inputs", "outputs", "train") for name, array in np.load(BASE / f"{file}.npz").items()
    }
    mapping = one_arm()
    prompter: Prompter = prompter_for(BASE, BASE / "norm_stats.json", mapping)
    images = [stored[f"image{i}_raw"] for i in range(2)]
    sample = prompter.sample(images, str(stored["task"]), stored["state_raw"], depth=False)
    ids = torch.from_numpy(sample.ids)
    labels = torch.full_like(ids, IGNORED)
    tail = torch.nonzero(ids[1:] < prompter.config.text.vocabulary)[:, 0][-CE_TAIL:] + 1
    labels[tail] = ids[tail]
    lesson = Lesson(
        actions=torch.from_numpy(stored["action_target"]),
        noise=torch.from_numpy(stored["noise"]),
        t=torch.from_numpy(stored["t"]),
        rows=~torch.from_numpy(stored["step_is_pad"]),
        channels=(torch.arange(8) < 6)[None],
        labels=labels[None],
    )
    return sample, lesson, stored


@torch.no_grad()
def test_the_loss_of_an_example_is_the_sum_of_what_the_genuine_implementation_stored_of_it() -> None:
    sample, lesson, stored = stored_example()
    model, prompt = weights.load(BASE).model, batch([sample], 256)
    made = learn(model, prompt, lesson, insulated=True)
    places = torch.nonzero(lesson.labels[0] != IGNORED)[:, 0] - 1
    logits = model.lm_head(model.read(prompt, GrowingCache(2)))[0, places]
    z = float(logits.logsumexp(-1).square().mean())  # by its definition: it alone was not stored
    assert float(made.z) == pytest.approx(z, rel=1e-4)
    wanted = float(stored["loss_flow_ki"]) + float(stored["loss_ce_tail_ki"]) + 1e-4 * z
    assert float(made.total) == pytest.approx(wanted, rel=1e-5)


def written(checkpoint: Path, theirs: Path, tokenizer: Path, tick: int = 3) -> tuple[MolmoAct2, Sample, Lesson]:
    """A tick that asks for depth where the checkpoint writes it, and what should be written behind it."""
    model = weights.load(checkpoint).model
    trainer = ReleasedTrainer(
        model, examples_of(theirs, tokenizer, checkpoint), replace(SHORT, batch=1, noises=2), ALONE
    )
    for seed in range(20):
        drawn = trainer._examples.draw(tick, np.random.default_rng(seed))
        if checkpoint == BASE or "<depth_output>" in drawn.sample.text:
            noise = torch.randn(1, 2, 6, 8, generator=torch.Generator().manual_seed(0))
            return model, drawn.sample, trainer._lesson([drawn], noise, torch.tensor([[0.2, 0.7]]))
    raise AssertionError("depth was never asked for")


def losses(model: MolmoAct2, sample: Sample, lesson: Lesson, *, insulated: bool) -> Losses:
    model.zero_grad()
    return learn(model, batch([sample], 256), lesson, insulated=insulated)


def gradients(model: MolmoAct2) -> dict[str, torch.Tensor]:
    return {name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None}


def test_a_chunk_is_written_behind_the_prompt_and_can_be_read_back(theirs: Path, tokenizer: Path) -> None:
    actions, tokens = ActionTokenizer.read(tokenizer), read_config(BASE).tokens
    drawn = examples_of(theirs, tokenizer).draw(17, np.random.default_rng(0))  # three rows before the episode's end
    ids = drawn.written.ids.tolist()
    assert ids == drawn.written.labels.tolist() == drawn.sample.ids[-len(ids) :].tolist()
    assert (ids[0], ids[-2], ids[-1]) == (tokens.action_start, tokens.action_end, tokens.eos)
    chunk = actions.read_chunk(ids, tokens, 6, 6)
    assert np.abs(chunk - drawn.actions[:, :6]).max() < 0.4  # rounded to a quarter, coefficient by coefficient
    np.testing.assert_allclose(chunk[3:], np.repeat(chunk[3:4], 3, axis=0), atol=0.4)  # held beyond the end


def test_a_map_is_written_before_the_actions_and_a_tenth_of_it_is_read_wrongly(theirs: Path, tokenizer: Path) -> None:
    config = read_config(THINK)
    writer, codes = Writer(config, None), np.arange(9) % 8
    drawn = [writer.write(np.zeros((6, 6), np.float32), codes, np.random.default_rng(seed)) for seed in range(300)]
    tokens = config.tokens
    assert drawn[0].labels.tolist() == [tokens.depth_start, *(codes + tokens.depth_first), tokens.depth_end]
    assert all((each.labels == drawn[0].labels).all() for each in drawn)
    wrong = np.mean([each.ids[1:-1] != each.labels[1:-1] for each in drawn])
    assert wrong == pytest.approx(CODE_NOISE * 7 / 8, abs=0.02)  # one in eight is the right one by chance
    _, sample, _ = written(THINK, theirs, tokenizer)
    order = [sample.ids.tolist().index(each) for each in (tokens.depth_start, tokens.depth_end, tokens.action_start)]
    assert order == sorted(order)
    read = codes_between(sample.ids.tolist(), tokens.depth_start, tokens.depth_end, tokens.depth_first, 8)
    assert len(read) == 9


@torch.no_grad()
def test_what_is_written_of_actions_tells_the_action_expert_nothing(theirs: Path, tokenizer: Path) -> None:
    model, sample, lesson = written(BASE, theirs, tokenizer)
    plain = replace(sample, ids=sample.ids[: int((lesson.labels[0] == IGNORED).sum())])
    told, untold = (losses(model, each, replace(lesson, labels=None), insulated=True).flow for each in (sample, plain))
    assert float(told) == pytest.approx(float(untold), rel=1e-5)


@pytest.mark.parametrize("checkpoint", [BASE, THINK], ids=lambda each: each.name)
def test_insulated_the_decoder_learns_from_tokens_alone_and_the_expert_from_the_flow_alone(
    checkpoint: Path, theirs: Path, tokenizer: Path
) -> None:
    model, sample, lesson = written(checkpoint, theirs, tokenizer)
    train_everything(model)
    losses(model, sample, lesson, insulated=True).total.backward()
    together = gradients(model)
    assert set(together) == {name for name, each in model.named_parameters() if each.requires_grad}
    made = losses(model, sample, lesson, insulated=True)
    made.flow.backward(retain_graph=True)
    by_flow = gradients(model)
    assert all(name.startswith("action_expert") for name in by_flow)
    model.zero_grad()
    (made.tokens + Z_LOSS * made.z).backward()
    by_tokens = gradients(model)
    assert not [name for name in by_tokens if name.startswith("action_expert")]
    for name, grad in {**by_flow, **by_tokens}.items():
        torch.testing.assert_close(together[name], grad, rtol=1e-4, atol=1e-6, msg=name)
    losses(model, sample, lesson, insulated=False).total.backward()
    block = "transformer.blocks.0.self_attn.att_proj.weight"
    assert (gradients(model)[block] - together[block]).abs().max() > 1e-6


def test_a_batch_without_anything_to_write_reaches_every_parameter_with_nothing(theirs: Path) -> None:
    """Several processes add up gradients parameter by parameter: one that has none to give would keep them waiting."""
    model = weights.load(THINK).model
    train_everything(model)
    trainer = ReleasedTrainer(model, examples_of(theirs, None, THINK), replace(SHORT, batch=2), ALONE)
    examples = [trainer._examples.draw(tick, np.random.default_rng(tick)) for tick in range(32)]
    silent = next(each for each in examples if len(each.written.ids) == 0)
    lesson = trainer._lesson([silent], torch.zeros(1, 2, 6, 8), torch.tensor([[0.2, 0.7]]))
    made = losses(model, silent.sample, replace(lesson, weights=torch.zeros(lesson.labels.shape)), insulated=True)
    made.total.backward()
    assert set(gradients(model)) == {name for name, each in model.named_parameters() if each.requires_grad}
    assert float(made.tokens.detach()) == float(gradients(model)["lm_head.weight"].abs().max()) == 0.0


@pytest.mark.parametrize("tune", ["full", "lora", "expert"])
def test_a_step_moves_what_it_is_to_train_and_nothing_else(tune: str, theirs: Path, tokenizer: Path) -> None:
    model = weights.load(THINK).model
    torch.manual_seed(0)
    choose = {
        "full": train_everything,
        "lora": lambda model: adapt(model, LowRank(rank=2)),
        "expert": train_expert_only,
    }
    choose[tune](model)
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    trainer = ReleasedTrainer(model, examples_of(theirs, tokenizer, THINK), SHORT, ALONE)
    trainer.advance()
    trainer.advance()  # low-rank additions start at zero: the first step moves one half of them
    moved = {name for name, each in model.named_parameters() if not torch.equal(each, before[name])}
    assert moved == trained


@pytest.mark.slow
@pytest.mark.parametrize("insulated", [True, False])
def test_a_few_steps_lower_every_loss(insulated: bool, theirs: Path, tokenizer: Path) -> None:
    model = weights.load(THINK).model
    train_everything(model)
    recipe = replace(SHORT, steps=16, insulated=insulated)
    trainer = ReleasedTrainer(model, examples_of(theirs, tokenizer, THINK), recipe, ALONE)
    rows = [trainer.advance() for _ in range(16)]
    for row in rows:
        assert row["total"] == pytest.approx(row["flow"] + row["tokens"] + 1e-4 * row["z"], rel=1e-5)
    for name in ("flow", "tokens", "depth"):
        first, last = (np.mean([row[name] for row in part]) for part in (rows[:4], rows[-4:]))
        assert last < 0.9 * first, name


@pytest.mark.slow
def test_what_is_not_learned_is_said_before_anything_is_done(theirs: Path, tokenizer: Path, tmp_path: Path) -> None:
    def told(checkpoint: Path, out: str, codes: str | None, tokenizer: Path | None) -> list[str]:
        plan = FinetunePlan(parent=checkpoint, data=(theirs,), out=tmp_path / out, tune="full", provenance={})
        sentences = list[str]()
        finetune_released(
            plan,
            one_arm(depth_codes=codes),
            replace(SHORT, steps=1, batch=1),
            tokenizer=tokenizer,
            tell=sentences.append,
        )
        return sentences

    assert told(THINK, "whole", CODES, tokenizer) == []
    actions, depth = told(THINK, "neither", None, None)
    assert "action tokenizer was not named" in actions
    assert "not among the released files" in depth
    assert told(BASE, "shallow", CODES, tokenizer) == ["depth is not learned: the checkpoint writes no depth map"]


def test_a_checkpoint_that_does_not_act_by_the_flow_is_refused(theirs: Path, tmp_path: Path) -> None:
    for file in BASE.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((BASE / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "action_mode": "discrete"}))
    plan = FinetunePlan(parent=tmp_path, data=(theirs,), out=tmp_path / "out", tune="full", provenance={})
    with pytest.raises(ConfigError, match="got 'discrete' and an action expert"):
        finetune_released(plan, one_arm(), SHORT, tokenizer=None, tell=print)
    assert not (tmp_path / "out").exists()


def test_codes_and_tokenizers_of_another_checkpoint_are_refused(theirs: Path, tokenizer: Path) -> None:
    mapping = one_arm(depth_codes="observation.state")
    with pytest.raises(DatasetError, match=r"got 14 numbers from .* allowed are 9 whole ones from 0 to 7"):
        Examples(Source(theirs), mapping, prompter_for(THINK, THINK / "norm_stats.json", mapping))
    actions = ActionTokenizer.read(tokenizer)
    config, chunk = read_config(THINK), np.zeros((6, 6), np.float32)
    with pytest.raises(ConfigError, match="without depth tokens"):
        Writer(read_config(BASE), None).write(chunk, np.arange(9), np.random.default_rng(0))
    with pytest.raises(InputError, match="writes no actions"):
        Writer(read_config(REFERENCES / "base_continuous"), actions)
    with pytest.raises(InputError, match="allowed are the 5 that"):
        Writer(replace(config, tokens=replace(config.tokens, action_count=5)), actions)
