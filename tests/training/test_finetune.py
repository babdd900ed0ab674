"""Going on from a checkpoint: what is kept, what is learned, what is refused."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from forearm.cell.demonstrator import demonstrate, sample_demonstration
from forearm.data.dataset import load
from forearm.data.dataset_writer import finalize, write_shard
from forearm.data.episode import NO_SEED, Episode
from forearm.errors import CheckpointError, InputError
from forearm.model import checkpoint
from forearm.model.adaptation import LowRank, adapt_layers, merged
from forearm.model.checkpoint import Checkpoint
from forearm.model.description import SHIPPED
from forearm.model.reasoner import Reasoner, Sight
from forearm.model.sight import pixels, tools_at
from forearm.model.sizes import NANO
from forearm.model.vocabulary import with_words
from forearm.model.words import Words
from forearm.policy.reasoning import ReasoningPolicy
from forearm.robot.embodiment import BIMANUAL_YAM
from forearm.training.batch import Lessons
from forearm.training.finetune import LOW_RANK, Tuning, begin, finetune, recipe_for, tuning_named
from forearm.training.finetune_plan import FinetunePlan, Tune
from forearm.training.loop import Trainer
from forearm.training.objective import Weights, losses
from forearm.training.recipe import Recipe

SENTENCE = "kindly lift the tray with both arms"  # one new word, and a sentence that is one place shorter than most


@pytest.fixture(scope="module")
def shipped() -> Checkpoint[Reasoner]:
    return checkpoint.read(SHIPPED)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two real demonstrations of the scripted solver, one of them asked for in words of somebody else."""
    root = tmp_path_factory.mktemp("recorded")
    episodes = list[Episode]()
    for seed, sentence in ((1, SENTENCE), (2, "lift the tray with both arms")):
        made = demonstrate(sample_demonstration("lift", seed), seed=seed)
        episodes.append(
            Episode(
                instruction=sentence,
                images=made.images,
                depth_cells=made.depth_cells,
                positions=made.positions,
                actions=made.actions,
                subtasks=made.subtasks,
                seed=NO_SEED,
            )
        )
    write_shard(root, 0, episodes, 0)
    finalize(root, 1, {camera.name: (camera.height, camera.width) for camera in BIMANUAL_YAM.cameras})
    return root


@pytest.fixture(scope="module")
def known(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in the shipped model's own words."""
    data, root = load(recorded), tmp_path_factory.mktemp("known")
    ticks = slice(int(data.starts[1]), int(data.starts[2]))
    episode = Episode(
        instruction=data.instructions[1],
        images={name: frames[ticks] for name, frames in data.images.items()},
        depth_cells=data.depth_cells[ticks],
        positions=data.positions[ticks],
        actions=data.actions[ticks],
        subtasks=tuple(data.subtasks[ticks].tolist()),
        seed=NO_SEED,
    )
    write_shard(root, 0, [episode], 0)
    finalize(root, 1, {camera.name: (camera.height, camera.width) for camera in BIMANUAL_YAM.cameras})
    return root


def short(tuning: Tuning) -> Recipe:
    return recipe_for(tuning, steps=20, batch=16, processes=1)


def planned(data: Path, out: Path, tune: Tune, parent: Path = SHIPPED) -> FinetunePlan:
    return FinetunePlan(parent=parent, data=(data,), out=out, tune=tune, provenance={"commit": "abc"})


def sight_of(shipped: Checkpoint[Reasoner], sentence: str) -> Sight:
    """Noise seen from a plausible posture, and a sentence."""
    rng = np.random.default_rng(0)
    positions = shipped.scales.position_mean[None]
    images = [pixels(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)) for side in (120, 72, 72)]
    return Sight(
        top=torch.from_numpy(images[0][None]),
        wrists=torch.from_numpy(np.stack(images[1:])[None]),
        state=torch.from_numpy(shipped.scales.state(positions, tools_at(positions))),
        words=torch.from_numpy(shipped.words.encode(sentence)[None]),
    )


def loss(folder: Path, data: Path, name: str = "total") -> float:
    """Of one fixed batch, with fixed noise, of a checkpoint that knows the dataset's words."""
    read = checkpoint.read(folder)
    lessons = replace(Lessons.of(load(data), horizon=16, known=read.words), scales=read.scales)
    assert lessons.words == read.words
    batch = lessons.draw(np.random.default_rng(5), 32)
    with torch.no_grad():
        return float(losses(read.model, batch, Weights(), torch.Generator().manual_seed(5))[name])


def test_new_words_follow_the_old_ones_and_leave_old_sentences_as_they_were(shipped: Checkpoint[Reasoner]) -> None:
    others = Words.taught_by((SENTENCE,), ("be kind",))
    words = shipped.words.extended(others)
    assert words.vocabulary == (*shipped.words.vocabulary, "kindly")
    assert words.subtasks == (*shipped.words.subtasks, "be kind")
    model, grown = with_words(shipped, words, seed=0)
    assert grown == {"word.weight", "point_head.meaning.weight", "subtask_head.weight", "subtask_head.bias"}
    sight = sight_of(shipped, "lift the tray with both arms")
    with torch.no_grad():
        before = shipped.model.read(sight, shipped.model.new_cache())
        after = model.eval().read(sight, model.new_cache())
    torch.testing.assert_close(after.points, before.points, rtol=0, atol=0)
    torch.testing.assert_close(after.depth, before.depth, rtol=0, atol=0)
    torch.testing.assert_close(after.subtask[:, : len(shipped.words.subtasks)], before.subtask)
    assert int(after.subtask.argmax()) == int(before.subtask.argmax())


def test_a_parent_that_says_no_names_can_learn_to(shipped: Checkpoint[Reasoner]) -> None:
    model, grown = with_words(shipped, shipped.words, seed=0, names=True)
    assert grown == {f"naming.{part}.{of}" for part in ("say", "heed") for of in ("weight", "bias")}
    assert model.config == replace(shipped.model.config, names=True)
    weights = model.state_dict()
    for name, tensor in shipped.model.state_dict().items():
        torch.testing.assert_close(weights[name], tensor, rtol=0, atol=0)


def test_a_parent_that_does_not_look_closer_can_learn_to(shipped: Checkpoint[Reasoner]) -> None:
    model, grown = with_words(shipped, shipped.words, seed=0, closer=True)
    assert grown == {
        f"closer.{part}" for part in ("enquire.weight", "enquire.bias", "answer.weight", "answer.bias")
    } | {"closer.answer_part.weight"}
    assert model.config == replace(shipped.model.config, closer=True)
    weights = model.state_dict()
    for name, tensor in shipped.model.state_dict().items():
        torch.testing.assert_close(weights[name], tensor, rtol=0, atol=0)


def test_a_longer_sentence_adds_places(shipped: Checkpoint[Reasoner]) -> None:
    longer = " ".join(["lift the tray"] * 6)
    model, grown = with_words(shipped, shipped.words.extended(Words.taught_by((longer,), ("lift",))), seed=0)
    assert "word_place" in grown
    assert model.word_place.shape[0] == 18
    torch.testing.assert_close(model.word_place[: shipped.words.places], shipped.model.word_place, rtol=0, atol=0)


def test_low_rank_additions_are_part_of_the_weights_that_are_shipped(shipped: Checkpoint[Reasoner]) -> None:
    model, _ = with_words(shipped, shipped.words, seed=0)
    count = adapt_layers(model, lambda name: not name.startswith("expert."), LowRank(rank=2, dropout=0.0))
    assert count > 10
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".up"):
                parameter.normal_(0, 0.1)
    plain = merged(model, model.state_dict())
    assert set(plain) == set(shipped.model.state_dict())
    merged_model, _ = with_words(shipped, shipped.words, seed=0)
    merged_model.load_state_dict(plain)
    sight = sight_of(shipped, "lift the tray with both arms")
    with torch.no_grad():
        apart, together = (each.eval().read(sight, each.new_cache()).points for each in (model, merged_model))
        first = shipped.model.read(sight, shipped.model.new_cache()).points
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)
    assert (together - first).abs().max() > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["full", "lora"])
def test_twenty_steps_on_a_tiny_recording_in_new_words_lower_the_loss(
    name: Tune, recorded: Path, tmp_path: Path
) -> None:
    tuning, out = tuning_named(name), tmp_path / "tuned"
    made = finetune(planned(recorded, out, name), short(tuning))
    assert made.new_words == ("kindly",)
    parent = checkpoint.read(SHIPPED)
    model, _ = with_words(parent, checkpoint.read(out).words, seed=0)
    read = checkpoint.read(out)
    checkpoint.write(tmp_path / "start", model.state_dict(), model.config, read.words, read.scales, {})
    assert loss(out, recorded) < 0.95 * loss(tmp_path / "start", recorded)
    recipe = json.loads((out / "recipe.json").read_text())
    assert (recipe["parent"], recipe["tune"], recipe["new_words"]) == (parent.digest, name, ["kindly"])
    assert (recipe["data"]["episodes"], recipe["data"]["digest"]) == (2, load(recorded).digest())
    assert recipe["before"] == parent.recipe  # and so on back to what began from nothing
    assert read.digest == made.digest != parent.digest
    assert ReasoningPolicy(read).model_digest == made.digest  # everything else loads it unchanged


@pytest.mark.slow
def test_the_action_expert_alone_learns_to_act_and_thinks_as_before(known: Path, tmp_path: Path) -> None:
    tuning, out = tuning_named("expert"), tmp_path / "tuned"
    finetune(planned(known, out, "expert"), short(tuning))
    assert loss(out, known, "flow") < 0.95 * loss(SHIPPED, known, "flow")
    parent, tuned = (checkpoint.read(folder).model.state_dict() for folder in (SHIPPED, out))
    moved = {name.split(".")[0] for name, tensor in tuned.items() if not torch.equal(tensor, parent[name])}
    assert moved == {"expert"}


@pytest.mark.slow
def test_parts_that_were_added_learn_while_the_rest_stays_as_it_was(known: Path, tmp_path: Path) -> None:
    tuning, out = tuning_named("added"), tmp_path / "tuned"
    with pytest.raises(InputError, match="lacks no part"):
        finetune(planned(known, tmp_path / "same", "added"), short(tuning))
    finetune(planned(known, out, "added"), replace(short(tuning), sizes=replace(NANO, closer=True)))
    parent, tuned = (checkpoint.read(folder).model.state_dict() for folder in (SHIPPED, out))
    assert {name.split(".")[0] for name in tuned.keys() - parent.keys()} == {"closer"}
    for name, tensor in parent.items():
        torch.testing.assert_close(tuned[name], tensor, rtol=0, atol=0)
    assert loss(out, known, "depth") == loss(SHIPPED, known, "depth")


@pytest.mark.slow
def test_the_action_expert_alone_cannot_learn_sentences(recorded: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"kindly.*full or lora"):
        finetune(planned(recorded, tmp_path, "expert"), short(tuning_named("expert")))


@pytest.mark.slow
def test_a_low_rank_run_that_was_stopped_goes_on(recorded: Path, shipped: Checkpoint[Reasoner]) -> None:
    lessons = replace(Lessons.of(load(recorded), horizon=16, known=shipped.words), scales=shipped.scales)
    tuning = tuning_named("lora")

    recipe, beginning = replace(short(tuning), steps=4, batch=4), partial(begin, shipped, tuning)
    straight, stopped, resumed = (Trainer(lessons, recipe, 0, beginning=beginning) for _ in range(3))
    for _ in range(4):
        straight.advance()
    for _ in range(2):
        stopped.advance()
    resumed.restore(stopped.state())
    for _ in range(2):
        resumed.advance()
    for name, tensor in straight.average.items():
        torch.testing.assert_close(resumed.average[name], tensor, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.slow
def test_the_parent_is_not_overwritten_and_a_folder_becomes_one_thing_only(recorded: Path, tmp_path: Path) -> None:
    tuning = tuning_named("full")
    with pytest.raises(InputError, match="two folders"):
        planned(recorded, SHIPPED, "full")
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(InputError, match="another plan"):
        finetune(planned(recorded, tmp_path, "full"), short(tuning))
    (tmp_path / "training.json").unlink()
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(InputError, match="another checkpoint"):
        finetune(planned(recorded, tmp_path, "full"), short(tuning))


def test_what_is_no_reasoner_is_not_tuned_as_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"format": "forearm.reactive.v1"}')
    with pytest.raises(CheckpointError, match="got reactive"):
        finetune(planned(tmp_path / "data", tmp_path / "out", "full", parent=tmp_path), short(tuning_named("full")))
    with pytest.raises(InputError, match="full, lora, expert or added"):
        tuning_named("some")
    assert LOW_RANK.dropout == 0.0  # a step is decided by its recipe alone
