"""A released checkpoint goes on learning: tiny ones of the released layout, on a dataset that others wrote."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forearm.data.lerobot import Source
from forearm.data.mapping import FeatureMapping
from forearm.errors import ConfigError, DatasetError, InputError
from forearm.model import weights
from forearm.model.adaptation import LowRank, adapt, freeze_unread, train_everything
from forearm.model.inputs import batch
from forearm.model.losses import Lesson, learn
from forearm.model.statistics import read_tags
from forearm.training.examples import Examples, prompter_for, statistics_with
from forearm.training.finetune_plan import FinetunePlan, Tune
from forearm.training.finetune_released import finetune_released
from forearm.training.processes import Processes
from forearm.training.released_trainer import ReleasedRecipe, ReleasedTrainer, saved

sys.path[:0] = [str(Path(__file__).parents[1] / "model")]
from released import loaded, sampled  # noqa: E402
from tiny_released import (  # noqa: E402
    ALONE,
    BASE,
    KINDS,
    SHORT,
    examples_of,
    foreign,
    one_arm,
    trainer_of,
    write_dataset,
    write_tokenizer,
)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("fast"))


def test_an_example_is_the_prompt_and_the_chunk_of_its_tick(theirs: Path) -> None:
    examples = examples_of(theirs)
    assert len(examples) == 32
    rng = np.random.default_rng(0)
    last = examples.draw(19, rng)  # of the first episode
    assert last.rows.tolist() == [True] + [False] * 5
    assert last.channels.tolist() == [True] * 6 + [False] * 2
    assert "put the red block in the box" in last.sample.text
    assert "fold the towel" in examples.draw(20, rng).sample.text
    assert len(last.sample.crops) == 2
    scaling = read_tags(BASE / "norm_stats.json")["tiny_dual"].action
    assert scaling is not None
    wanted = scaling.normalise(foreign.motion(20, 30)[3:9, :6].astype(np.float32))
    np.testing.assert_allclose(examples.draw(3, rng).actions[:, :6], wanted, atol=1e-5)


def test_a_new_robot_gets_the_quantiles_of_its_own_data(theirs: Path, tmp_path: Path) -> None:
    mapping = one_arm(tag="aloha_left", setup="a left arm")
    stored = statistics_with(BASE, Source(theirs), mapping)
    (tmp_path / "norm_stats.json").write_text(json.dumps(stored))
    tags = read_tags(tmp_path / "norm_stats.json")
    assert set(tags) == {"tiny_dual", "aloha_left"}
    assert (tags["tiny_dual"].fps, tags["aloha_left"].fps) == (None, 30.0)
    action = tags["aloha_left"].action
    assert action is not None
    waist = np.concatenate([foreign.motion(length, 30)[:, 0] for length in (20, 12)])
    np.testing.assert_allclose(action.offset[0], np.quantile(waist, 0.01), atol=1e-5)
    np.testing.assert_allclose(action.offset[0] + action.span[0], np.quantile(waist, 0.99), atol=1e-5)
    with pytest.raises(InputError, match="say its setup"):
        statistics_with(BASE, Source(theirs), one_arm(tag="aloha_left"))


@pytest.mark.parametrize("mapping", [one_arm(), one_arm(tag="tiny_dual")], ids=["the only one", "named"])
def test_a_known_robot_keeps_its_quantiles_and_has_the_rate_of_the_data(mapping: FeatureMapping, theirs: Path) -> None:
    before = json.loads((BASE / "norm_stats.json").read_text())
    after = statistics_with(BASE, Source(theirs), mapping)
    assert after["metadata_by_tag"]["tiny_dual"] == {**before["metadata_by_tag"]["tiny_dual"], "fps": 30.0}
    assert {**after, "metadata_by_tag": {}} == {**before, "metadata_by_tag": {}}


def test_a_robot_of_other_joints_or_cameras_is_refused(theirs: Path, tmp_path: Path) -> None:
    mapping = one_arm()
    prompter = prompter_for(BASE, BASE / "norm_stats.json", mapping)
    wide = replace(mapping.action, channels=())
    with pytest.raises(DatasetError, match="got 14 channels, allowed are the 6 of tiny_dual"):
        Examples(Source(theirs), replace(mapping, action=wide), prompter)
    raw = json.loads((BASE / "norm_stats.json").read_text())
    raw["metadata_by_tag"]["tiny_dual"]["camera_keys"] = ["observation.images.left", "observation.images.top"]
    (tmp_path / "norm_stats.json").write_text(json.dumps(raw))
    with pytest.raises(InputError, match=r"got top, left, allowed for tiny_dual are left, top"):
        prompter_for(BASE, tmp_path / "norm_stats.json", mapping)


@pytest.mark.parametrize("name", ["base", "postnorm_olmo", "noqknorm_causal", "think_gate_layer"])
def test_every_parameter_that_is_trained_is_reached_by_the_flow_loss(name: str) -> None:
    model, prompter = loaded(name)
    train_everything(model)
    freeze_unread(model)
    width = model.expert.config.action_dim
    generator = torch.Generator().manual_seed(0)
    chunks = torch.randn(1, 2, model.expert.config.horizon, width, generator=generator)
    lesson = Lesson(actions=chunks[:, 0], noise=chunks, t=torch.tensor([[0.2, 0.7]]))
    learn(model, batch([sampled(prompter, 1)], 256), lesson).total.backward()
    assert not [key for key, each in model.named_parameters() if each.requires_grad and each.grad is None]


def curve(trainer: ReleasedTrainer, steps: int) -> list[float]:
    return [trainer.advance()["total"] for _ in range(steps)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["full", "lora", "expert"])
def test_twenty_steps_lower_the_loss_and_leave_a_released_folder(
    name: Tune, theirs: Path, tokenizer: Path, tmp_path: Path
) -> None:
    plan = FinetunePlan(parent=BASE, data=(theirs,), out=tmp_path, tune=name, provenance={"commit": "abc"})
    told = list[str]()
    finetune_released(plan, one_arm(), replace(SHORT, steps=20), tokenizer=tokenizer, tell=told.append)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 20
    assert ({"tokens", "z"} <= set(rows[-1])) == (name != "expert")
    assert [each.split(":")[0] for each in told] == (["tokens are not learned"] if name == "expert" else [])
    assert loss(tmp_path, theirs) < 0.9 * loss(BASE, theirs)
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    assert (recipe["parent"], recipe["tune"], recipe["step"]) == (weights.digest(BASE), name, 20)
    before, after = (weights.load(folder).model.state_dict() for folder in (BASE, tmp_path))
    moved = {key.split(".")[0] for key in after if not torch.equal(after[key], before[key])}
    decoder = {"full": {"transformer", "vision_backbone", "lm_head"}, "lora": {"transformer", "vision_backbone"}}
    assert moved == {"action_expert"} | decoder.get(name, set())
    assert not list(tmp_path.glob("*.partial"))


@torch.no_grad()
def loss(folder: Path, theirs: Path) -> float:
    """Of sixteen fixed samples with fixed noise."""
    model = weights.load(folder).model
    train_everything(model)
    trainer = ReleasedTrainer(model, examples_of(theirs), replace(SHORT, batch=16, micro=16, seed=9), ALONE)
    model.eval()
    return sum(share * float(trainer._lecture(prompt, lesson)["total"]) for share, prompt, lesson in trainer._lessons())


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_and_batches_may_be_computed_in_parts(theirs: Path, tmp_path: Path) -> None:
    def trainer(micro: int = 2) -> ReleasedTrainer:
        model = weights.load(BASE).model
        torch.manual_seed(0)
        adapt(model, LowRank(rank=4, dropout=0.0))
        return ReleasedTrainer(model, examples_of(theirs), replace(SHORT, micro=micro), ALONE)

    straight = curve(trainer(), 5)
    stopped = trainer()
    curve(stopped, 3)
    stopped.save(tmp_path)
    resumed = trainer()
    state = saved(tmp_path)
    assert state is not None
    resumed.restore(state)
    assert resumed.step == 3
    assert curve(resumed, 2) == pytest.approx(straight[3:], rel=1e-6)
    assert curve(trainer(micro=4), 5) == pytest.approx(straight, rel=1e-4)


def test_the_rates_rise_and_fall_by_a_cosine_to_a_tenth() -> None:
    recipe = ReleasedRecipe(steps=1000, warmup=200)
    assert recipe.share(0) == pytest.approx(1 / 200)
    assert recipe.share(200) == pytest.approx(1.0)
    assert recipe.share(600) == pytest.approx(0.55)
    assert recipe.share(1000) == pytest.approx(0.1)
    with pytest.raises(ConfigError, match="counts"):
        ReleasedRecipe(steps=0)


def by_torchrun(*program: str) -> subprocess.CompletedProcess[str]:
    """Two real processes of that program, one of which may speak."""
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *program],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.mark.slow
def test_two_processes_lose_what_one_does_and_a_run_resumes_with_another_number_of_them(
    theirs: Path, tokenizer: Path, tmp_path: Path
) -> None:
    for kind in KINDS:
        (tmp_path / kind).mkdir()
    by_torchrun(str(Path(__file__).with_name("learning_run.py")), str(theirs), str(tokenizer), str(tmp_path))
    for kind in KINDS:
        trainer = trainer_of(kind, theirs, tokenizer, ALONE)
        alone = [trainer.advance() for _ in range(5)]
        both = json.loads((tmp_path / kind / "losses.json").read_text())
        assert set(alone[0]) == {"total", "flow", "gradient"} | ({"tokens", "depth", "z"} if kind == "full" else set())
        for name in alone[0]:
            assert [row[name] for row in both] == pytest.approx([row[name] for row in alone], rel=1e-4), (kind, name)
        first, second = trainer.weights(), torch.load(tmp_path / kind / "whole.pt")
        assert set(first) == set(second)
        for name, tensor in first.items():
            torch.testing.assert_close(second[name], tensor, rtol=1e-3, atol=1e-4, msg=f"{kind} {name}")
        state, resumed = saved(tmp_path / kind), trainer_of(kind, theirs, tokenizer, ALONE)
        assert state is not None
        resumed.restore(state)
        assert resumed.step == 3
        assert curve(resumed, 2) == pytest.approx([row["total"] for row in alone[3:]], rel=1e-4)


@pytest.mark.slow
def test_the_command_line_does_it_with_the_processes_of_torchrun(theirs: Path, tokenizer: Path, tmp_path: Path) -> None:
    mapping, out = tmp_path / "mapping.toml", tmp_path / "out"
    vector = 'channels = [7, 8, 9, 10, 11, 12]\nunit = "deg"\n'  # theirs has the right arm first
    mapping.write_text(
        '[cameras]\ntop = { feature = "observation.images.cam_high" }\n'
        'left = { feature = "observation.images.cam_left_wrist" }\n'
        f'[state]\nfeature = "observation.state"\n{vector}[action]\nfeature = "action"\n{vector}'
        '[robot]\ntag = "aloha_left"\nsetup = "a left arm"\n'
    )
    said = ["--from", str(BASE), "--data", str(theirs), "--out", str(out), "--mapping", str(mapping)]
    written = ["--action-tokenizer", str(tokenizer), "--insulate"]
    asked = ["train", *said, "--tune", "lora", "--steps", "2", "--batch", "4", *written]
    done = by_torchrun("-m", "forearm", *asked)
    assert done.stdout.splitlines() == [str(out)]
    assert set(read_tags(out / "norm_stats.json")) == {"tiny_dual", "aloha_left"}
    recipe = json.loads((out / "recipe.json").read_text())
    assert (recipe["recipe"]["insulated"], recipe["action_tokenizer"]) == (True, str(tokenizer.resolve()))
    assert {"tokens", "z"} <= set(json.loads((out / "metrics.jsonl").read_text().splitlines()[-1]))
    before, after = (weights.load(folder).model.state_dict() for folder in (BASE, out))
    assert any(not torch.equal(after[name], before[name]) for name in after)
    assert set(after) == set(before)


def test_a_batch_that_cannot_be_shared_out_is_refused(theirs: Path) -> None:
    three = Processes(count=3, rank=0, device=torch.device("cpu"))
    with pytest.raises(ConfigError, match="got 4 for 3 processes"):
        ReleasedTrainer(weights.load(BASE).model, examples_of(theirs), SHORT, three)
